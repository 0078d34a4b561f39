"""The two directions of a fitted model as ONNX graphs, from raw units to raw units."""

from __future__ import annotations

import contextlib
import io
import logging
import re
import warnings
from collections.abc import Iterator
from importlib.util import find_spec
from typing import Any

import numpy as np
import onnx
import torch
from onnx import compose
from torch import Tensor, nn
from torch.onnx.verification import verify_onnx_program

from codeword.base.errors import ModelError
from codeword.base.text import shortened
from codeword.data.scaling import Scaling
from codeword.networks import Network
from codeword.objectives import Objective

__all__ = ["IR_VERSION", "OPSET", "Decode", "Encode", "joined", "traced"]

OPSET = 18
"""What torch's exporter writes without a conversion, from 2.7 on; later sets have nothing that we need."""

IR_VERSION = 8
"""Of the file format: the oldest that goes with the operator set, so that old runtimes read it too."""

BATCH = "batch"
"""The name of the free dimension."""

CLOSE = 1e-3
"""The difference of values, beside the largest, that is more than rounding."""

MOST_ROWS = 1 << 30
"""Largest batch: without a bound, torch 2.7 finds some operations wrong for 2⁶³ - 1 rows, and gives up."""


class Encode(nn.Module):
    """Rows (batch, *sample_shape), float32 in raw units, to the codes (batch, k) of the estimator.

    A graph cannot refuse a row, so that one which the estimator refuses comes out as NaN, all of it: a row
    that is infinite somewhere or, if the model takes no missing values, NaN.
    """

    def __init__(self, network: Network, objective: Objective, scaling: Scaling) -> None:
        super().__init__()
        self.network = network
        self.objective = objective
        self.missing = scaling.missing
        self.scaled = Scaled(scaling)

    def forward(self, x: Tensor) -> Tensor:
        """The codes, of shape (batch, k)."""
        flat = x.flatten(1)
        code = self.objective.encode(self.network, self.scaled(flat))
        bad = flat.isinf() if self.missing else ~flat.isfinite()
        return torch.where(bad.any(dim=1, keepdim=True), torch.nan, code)


class Decode(nn.Module):
    """Codes (batch, k), float32, to rows (batch, *sample_shape), float32 in raw units.

    A code that is not finite comes out as NaN.
    """

    def __init__(self, network: Network, objective: Objective, scaling: Scaling) -> None:
        super().__init__()
        self.network = network
        self.objective = objective
        self.shape = scaling.sample_shape
        self.raw = Raw(scaling)

    def forward(self, code: Tensor) -> Tensor:
        """The rows, of shape (batch, *sample_shape)."""
        flat = self.raw(self.objective.decode(self.network, code))
        flat = torch.where((~code.isfinite()).any(dim=1, keepdim=True), torch.nan, flat)
        return flat.reshape(flat.shape[0], *self.shape)


class Scaled(nn.Module):
    """`Scaling.forward` in single precision, which every runtime has.

    The offset is two float32 numbers, the second what the first leaves. Near the offset x minus the first is
    exact (Sterbenz 1974), so that a column of large numbers that differ little keeps its digits.
    """

    high: Tensor
    low: Tensor
    scale: Tensor

    def __init__(self, scaling: Scaling) -> None:
        super().__init__()
        high = scaling.offset.astype(np.float32)
        self.shifts = bool(scaling.offset.any())
        self.scales = bool((scaling.scale != 1).any())
        self.register_buffer("high", torch.from_numpy(high))
        self.register_buffer("low", _single(scaling.offset - high.astype(np.float64)))
        self.register_buffer("scale", _single(scaling.scale))

    def forward(self, x: Tensor) -> Tensor:
        """Flat rows (batch, d) in scaled units."""
        if self.shifts:
            x = (x - self.high) - self.low
        return x / self.scale if self.scales else x


class Raw(Scaled):
    """`Scaling.inverse` in single precision; the last digit may differ."""

    def forward(self, x: Tensor) -> Tensor:
        """Flat rows (batch, d) in raw units."""
        if self.scales:
            x = x * self.scale
        return (x + self.low) + self.high if self.shifts else x


def _single(values: np.ndarray[Any, Any]) -> Tensor:
    return torch.from_numpy(values.astype(np.float32))


def traced(module: nn.Module, example: Tensor, names: tuple[str, str], what: str) -> onnx.ModelProto:
    """A module of one input and one output as an ONNX model with a free batch dimension.

    Parameters
    ----------
    module : nn.Module
        On the CPU, in evaluation mode.
    example : Tensor of shape (n, ...), n above 1
    names : (str, str)
        Of the input and of the output.
    what : str
        What the module is to its user, for the error.

    Raises
    ------
    ModelError
        If torch cannot capture the module for any batch size, or ONNX has no operator for one of its own.
    """
    with _exporting():
        # Once in earnest: what it keeps for later is then not of the exporter's stand-ins.
        _check_rows_apart(module, example, what)
        try:
            made = torch.onnx.export(
                _captured(module, example),
                dynamo=True,
                opset_version=OPSET,
                input_names=names[:1],
                output_names=names[1:],
                verbose=False,
            )
        except Exception as error:  # whatever the user's own code, or torch's on its behalf, may raise
            raise ModelError(f"{what} cannot be exported to ONNX: {_reason(error)}") from error
        assert made is not None
        if find_spec("onnxruntime") is not None:
            for found in verify_onnx_program(made, (_drawn(3, example),)):
                if found.max_abs_diff > CLOSE and found.max_rel_diff > CLOSE:
                    raise ModelError(
                        f"{what} in ONNX gives other values than torch, by {found.max_abs_diff:.2g}: it "
                        "cannot be exported"
                    )
    model = _bare(made.model_proto)
    shapes = [value.type.tensor_type.shape.dim for value in (*model.graph.input, *model.graph.output)]
    for shape in shapes:
        if shape[0].HasField("dim_value"):
            raise ModelError(
                f"{what} cannot be exported to ONNX: it fixes the batch at {shape[0].dim_value} rows; "
                "let it take the number of rows from x.shape[0]"
            )
        shape[0].dim_param = BATCH
    return model


@torch.inference_mode()
def _check_rows_apart(module: nn.Module, example: Tensor, what: str) -> None:
    """Raise a ModelError where a row does not always give the same, whatever rows it comes with."""
    rows = _drawn(8, example)
    whole, again, some = module(rows), module(rows), module(rows[:3])
    near = CLOSE * max(1.0, float(whole.nan_to_num().abs().max()))
    for other, why in (
        (again, "draws random numbers, and gives other values for the same rows each time"),
        (some, "mixes the rows of a batch, so that a row's values depend on those it comes with"),
    ):
        if not torch.allclose(whole[: len(other)], other, rtol=0.0, atol=near, equal_nan=True):
            raise ModelError(f"{what} cannot be exported to ONNX: it {why}")


def _drawn(n: int, example: Tensor) -> Tensor:
    return torch.rand(n, *example.shape[1:], generator=torch.Generator().manual_seed(0))


def joined(encoder: onnx.ModelProto, decoder: onnx.ModelProto, name: str) -> onnx.ModelProto:
    """The decoder after the encoder, whose output `name` is its input."""
    first, second = (
        compose.add_prefix(model, f"{part}.", rename_inputs=False, rename_outputs=False)
        for part, model in (("encoder", encoder), ("decoder", decoder))
    )
    return _bare(compose.merge_models(first, second, io_map=[(name, name)]))


def _captured(module: nn.Module, example: Tensor) -> torch.export.ExportedProgram:
    """The module's operations, whatever the number of rows.

    First as Python runs it; then by reading its bytecode, which keeps `len(x)` free where Python makes a
    number of it.
    """
    shapes = ({0: torch.export.Dim(BATCH, max=MOST_ROWS)},)
    try:
        return torch.export.export(module, (example,), dynamic_shapes=shapes, strict=False)
    except Exception:
        return torch.export.export(module, (example,), dynamic_shapes=shapes, strict=True)


def _bare(model: onnx.ModelProto) -> onnx.ModelProto:
    """Without what the exporter notes of its own work, such as paths of the machine it ran on."""
    graph = model.graph
    model.ClearField("metadata_props")
    sets = {entry.domain: entry.version for entry in model.opset_import}  # joining names them twice
    model.ClearField("opset_import")
    model.opset_import.extend(onnx.helper.make_opsetid(domain, version) for domain, version in sets.items())
    model.ir_version = IR_VERSION
    for field in ("metadata_props", "value_info", "doc_string"):
        graph.ClearField(field)
    for part in (*graph.node, *graph.initializer, *graph.input, *graph.output):
        part.ClearField("metadata_props")
        part.ClearField("doc_string")
    return model


def _reason(error: BaseException) -> str:
    """What went wrong first, on one line of bounded length."""
    while error.__cause__ is not None:
        error = error.__cause__
    text = str(error)
    lacking = re.search(r"No ONNX function found for .*?op='([^']+)'", text)
    if lacking:
        return f"ONNX has no operator for {lacking[1]}"
    if "Constraints violated" in text:
        return "the number of rows is not free in it; take it from x.shape[0], and do not loop over rows"
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    said = f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__
    return shortened(said, 200)


@contextlib.contextmanager
def _exporting() -> Iterator[None]:
    """Without a word of the exporter's, and with attention in plain operations.

    It warns of its own parts and of packages that we lack, and prints what it tries; what fails we say. The
    fast path of attention in evaluation is one operation that ONNX does not know.
    """
    disabled, fast = logging.root.manager.disable, torch.backends.mha.get_fastpath_enabled()
    nowhere = io.StringIO()
    try:
        logging.disable(logging.CRITICAL)
        torch.backends.mha.set_fastpath_enabled(False)
        with (
            warnings.catch_warnings(),
            contextlib.redirect_stdout(nowhere),
            contextlib.redirect_stderr(nowhere),
            torch.no_grad(),
        ):
            warnings.simplefilter("ignore")
            yield
    finally:
        torch.backends.mha.set_fastpath_enabled(fast)
        logging.disable(disabled)
