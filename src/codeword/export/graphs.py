"""The two directions of a fitted model as ONNX graphs, from raw units to raw units."""

from __future__ import annotations

import contextlib
import io
import logging
import warnings
from collections.abc import Iterator
from importlib.util import find_spec

import numpy as np
import onnx
import torch
from torch import Tensor, nn
from torch.onnx.verification import verify_onnx_program

from codeword.base.errors import ModelError
from codeword.base.text import shortened
from codeword.model.fitted import FittedModel

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


class Direction(nn.Module):
    """A model's network, objective and scaling, in single precision, which every runtime has.

    The offset is two float32 numbers, the second what the first leaves. Near the offset x minus the first is
    exact (Sterbenz 1974), so that a column of large numbers that differ little keeps its digits.
    """

    high: Tensor
    low: Tensor
    scale: Tensor

    def __init__(self, model: FittedModel) -> None:
        super().__init__()
        self.network, self.objective, self.scaling = model.network, model.objective, model.scaling
        high = self.scaling.offset.astype(np.float32)
        for name, values in (
            ("high", high),
            ("low", self.scaling.offset - high),
            ("scale", self.scaling.scale),
        ):
            self.register_buffer(name, torch.from_numpy(values.astype(np.float32)))


class Encode(Direction):
    """Rows (batch, *sample_shape), float32 in raw units, to the codes (batch, k) of the estimator.

    A graph cannot refuse a row, so that one which the estimator refuses comes out as NaN, all of it: a row
    that is infinite somewhere or, if the model takes no missing values, NaN.
    """

    def forward(self, x: Tensor) -> Tensor:
        """The codes, of shape (batch, k)."""
        flat = x.flatten(1)
        code = self.objective.encode(self.network, (flat - self.high - self.low) / self.scale)
        bad = flat.isinf() if self.scaling.missing else ~flat.isfinite()
        return torch.where(bad.any(dim=1, keepdim=True), torch.nan, code)


class Decode(Direction):
    """Codes (batch, k), float32, to rows (batch, *sample_shape), float32 in raw units.

    A code that is not finite comes out as NaN.
    """

    def forward(self, code: Tensor) -> Tensor:
        """The rows, of shape (batch, *sample_shape)."""
        flat = self.objective.decode(self.network, code) * self.scale + self.low + self.high
        flat = torch.where((~code.isfinite()).any(dim=1, keepdim=True), torch.nan, flat)
        return flat.reshape(flat.shape[0], *self.scaling.sample_shape)


def traced(module: nn.Module, rows: Tensor, names: tuple[str, str], what: str) -> onnx.ModelProto:
    """A module of one input and one output, so named, as an ONNX model with a free batch dimension.

    The module is on the CPU, in evaluation mode; `rows` (n, ...), more than 3, are such as it will be given;
    an error calls it `what`.

    Raises ModelError if a row's values depend on more than the row, torch cannot capture the module for any
    batch size, ONNX has no operator for one of its own, or, where onnxruntime is installed, its values
    differ.
    """
    with _exporting():
        try:
            # In earnest before it is traced: what it keeps for later is then not of the tracer's stand-ins.
            whole, some = module(rows), module(rows[:3])
            near = CLOSE * max(1.0, float(whole.nan_to_num().abs().max()))
            if not torch.allclose(whole[:3], some, rtol=0.0, atol=near, equal_nan=True):
                raise ModelError("a row's values are drawn at random, or depend on the rows it comes with")
            program = torch.onnx.export(
                _captured(module, rows),
                dynamo=True,
                opset_version=OPSET,
                input_names=names[:1],
                output_names=names[1:],
                verbose=False,
            )
            assert program is not None
            if find_spec("onnxruntime") is not None:
                for found in verify_onnx_program(program, (rows[:3],)):
                    if found.max_abs_diff > CLOSE and found.max_rel_diff > CLOSE:
                        raise ModelError(f"its values differ from torch's by {found.max_abs_diff:.2g}")
        except Exception as error:  # whatever the user's own code, or torch's on its behalf, may raise
            raise ModelError(f"{what} cannot be exported to ONNX: {_reason(error)}") from error
    return _bare(program.model_proto)


def _captured(module: nn.Module, rows: Tensor) -> torch.export.ExportedProgram:
    """The module's operations, whatever the number of rows.

    First as Python runs it; then by reading its bytecode, which keeps `len(x)` free where Python makes a
    number of it.
    """
    shapes = ({0: torch.export.Dim(BATCH, max=MOST_ROWS)},)
    try:
        return torch.export.export(module, (rows,), dynamic_shapes=shapes, strict=False)
    except Exception:
        return torch.export.export(module, (rows,), dynamic_shapes=shapes, strict=True)


def _bare(model: onnx.ModelProto) -> onnx.ModelProto:
    """Without what the exporter notes of its own work, such as paths of the machine it ran on."""
    graph = model.graph
    model.ir_version = IR_VERSION
    graph.ClearField("value_info")
    for part in (model, graph, *graph.node, *graph.initializer, *graph.input, *graph.output):
        part.ClearField("metadata_props")
        part.ClearField("doc_string")
    for value in (*graph.input, *graph.output):
        value.type.tensor_type.shape.dim[0].dim_param = BATCH
    return model


def _reason(error: BaseException) -> str:
    """What went wrong first, on one line of bounded length."""
    while error.__cause__ is not None:
        error = error.__cause__
    if "Constraints violated" in str(error):
        return "the number of rows is not free in it; take it from x.shape[0], and do not loop over rows"
    return shortened(error if isinstance(error, ModelError) else f"{type(error).__name__}: {error}", 200)


@contextlib.contextmanager
def _exporting() -> Iterator[None]:
    """Without a word of the exporter's, and with attention in plain operations.

    It warns of its own parts and of packages that we lack, and prints what it tries; what fails we say. The
    fast path of attention in evaluation is one operation that ONNX does not know.
    """
    disabled, fast = logging.root.manager.disable, torch.backends.mha.get_fastpath_enabled()
    try:
        logging.disable(logging.CRITICAL)
        torch.backends.mha.set_fastpath_enabled(False)
        with (
            warnings.catch_warnings(),
            contextlib.redirect_stdout(io.StringIO()),
            contextlib.redirect_stderr(io.StringIO()),
            torch.no_grad(),
        ):
            warnings.simplefilter("ignore")
            yield
    finally:
        torch.backends.mha.set_fastpath_enabled(fast)
        logging.disable(disabled)
