"""A folder of ONNX files that serve a model without torch."""

from __future__ import annotations

import copy
import json
import math
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.utils.validation import check_is_fitted

from codeword.base.about import __version__
from codeword.base.errors import ModelError, ParameterError
from codeword.base.files import check_free, check_own, writing
from codeword.base.progress import Progress
from codeword.base.text import shortened
from codeword.model.autoencoder import AutoEncoder
from codeword.model.fitted import FittedModel

PARTS = {"encoder": ("x", "code"), "decoder": ("code", "x_hat"), "reconstruction": ("x", "x_hat")}
"""The files, and the names of what goes into each and comes out."""

FILES = (*(f"{part}.onnx" for part in PARTS), "README.md")

LOST = 1e-4
"""Share of a column's deviation that float32 may round away without a note."""

MOST_BYTES = 2_000_000_000
"""Largest size of a file: what protobuf, its format, can hold."""


def check_onnx(folder: Path, *, overwrite: bool) -> None:
    """Say early that `folder` cannot be written.

    Raises ParameterError if a package is missing; InputError if the folder exists and `overwrite` is false,
    it holds files that are not of this format, or the folder to make it in is missing.
    """
    missing = [name for name in ("onnx", "onnxscript") if find_spec(name) is None]
    if missing:
        raise ParameterError(
            f"ONNX files need {' and '.join(missing)}, not installed here: pip install 'codeword[onnx]'"
        )
    check_free(folder, overwrite=overwrite)
    check_own(folder, FILES, "a folder of ONNX files")


def write_onnx(
    ae: AutoEncoder, folder: str | Path, *, overwrite: bool = False, verbose: bool = False
) -> list[str]:
    """Write a fitted model as ONNX files, whole or not at all.

    - `encoder.onnx`: x (batch, *sample_shape) to code (batch, k), what `transform` gives;
    - `decoder.onnx`: code to x_hat (batch, *sample_shape), what `inverse_transform` gives;
    - `reconstruction.onnx`: x to x_hat, the second after the first;
    - `README.md`: the same in words.

    All are float32, with any number of rows, and x and x_hat in raw units: the scaling is inside, whatever
    the type of the data that the model was fitted on. Missing values are NaN, where the model takes them. A
    row that the estimator would refuse comes out as NaN, as a graph raises no error.

    Each file's metadata (`get_modelmeta().custom_metadata_map` in onnxruntime) has, as JSON:
    `codeword_version`, `part`, `n_components`, `sample_shape`, `dtype` of the data fitted on, `scaling`,
    `feature_names` or null, `objective`, `network`, `takes_missing`, `ordered`, whether a code may be cut to
    its first numbers, zeros standing for the rest, and `columns`. This is null but for models of mixed
    tables: text does not go into the files, so that x and x_hat are the numbers which `columns_.transform`
    makes of a table, named by `feature_names`, and `columns` is what it goes by, the model's columns.json.

    Before the folder appears each file has gone through ONNX's own checker, and must give a row the same
    values whatever rows it comes with and, where onnxruntime is installed, those of torch.

    Parameters
    ----------
    ae : AutoEncoder
        Fitted.
    folder : path
    overwrite, verbose : bool, default=False

    Returns
    -------
    list of str
        Notes, a line for all that a user of the files has to know.

    Raises
    ------
    ParameterError, InputError
        As `check_onnx`.
    ModelError
        If the model's modules cannot be exported, or are too large; the message names the reason.
    """
    check_is_fitted(ae)
    folder = Path(folder)
    check_onnx(folder, overwrite=overwrite)
    import onnx
    import torch

    from codeword.export.graphs import Decode, Encode, traced

    model = replace(ae.model_, network=copy.deepcopy(ae.network_).cpu())
    size = sum(tensor.nbytes for tensor in model.network.state_dict().values())
    if size > MOST_BYTES:
        raise ModelError(
            f"the network's weights take {size:,} bytes, and a file of ONNX holds at most {MOST_BYTES:,}"
        )
    encoder, decoder = Encode(model).eval(), Decode(model).eval()
    modules = {
        "encoder": encoder,
        "decoder": decoder,
        "reconstruction": torch.nn.Sequential(encoder, decoder),
    }
    generator = torch.Generator().manual_seed(0)
    codes = torch.rand(8, model.n_components, generator=generator)
    drawn = torch.rand(8, math.prod(model.sample_shape), generator=generator)
    rows = torch.from_numpy(model.scaling.inverse(drawn))
    about, notes = _about(model), _notes(model)
    files = {"README.md": _card(about, notes).encode()}
    with Progress(0, folder.name, verbose=verbose) as progress:
        for done, (part, names) in enumerate(PARTS.items()):
            progress.upto(done, len(PARTS))
            made = traced(modules[part], codes if part == "decoder" else rows, names, f"the {part}")
            made.producer_name, made.producer_version = "codeword", about["codeword_version"]
            made.graph.name = part
            texts = {key: json.dumps(value, ensure_ascii=False) for key, value in about.items()}
            onnx.helper.set_model_props(made, {"part": json.dumps(part), **texts})
            onnx.checker.check_model(made, full_check=True)
            files[f"{part}.onnx"] = made.SerializeToString()
    with writing(folder, overwrite=overwrite) as new:
        new.mkdir()
        for name, content in files.items():
            (new / name).write_bytes(content)
    return notes


def _about(model: FittedModel) -> dict[str, Any]:
    """What goes into the metadata of every file."""
    from codeword.networks import resolve_architecture

    architecture = resolve_architecture(model.parameters["network"])
    return {
        "codeword_version": __version__,
        "n_components": int(model.n_components),
        "sample_shape": list(model.sample_shape),
        "dtype": model.dtype,
        "scaling": model.scaling.kind,
        "feature_names": None if model.names is None else [str(name) for name in model.names],
        "columns": None if model.columns is None else model.columns.to_json(),
        "objective": shortened(model.objective, 1_000),
        "network": shortened(architecture or model.parameters["network"], 1_000),
        "takes_missing": model.takes_missing,
        "ordered": model.objective.ordered,
    }


def _notes(model: FittedModel) -> list[str]:
    """That x is not the table itself, and what float32 loses of columns that were wider in training."""
    notes, scaling = [], model.scaling
    if model.columns is not None:
        notes.append(
            "x and x_hat are the numbers that columns_.transform makes of a table: 'feature_names' in the "
            "metadata names them, and 'columns' says how they are made"
        )
    lost = np.abs(scaling.offset) / scaling.scale * 2.0**-24
    worst = int(lost.argmax())
    if lost[worst] > LOST and not np.can_cast(model.dtype, np.float32):
        column = worst if model.names is None else repr(str(model.names[worst]))
        notes.append(
            f"float32 rounds column {column} by up to {lost[worst]:.1g} of its deviation, as its mean is "
            f"{scaling.offset[worst]:.6g} and its deviation {scaling.scale[worst]:.3g}: to keep the digits, "
            "train on values less a constant"
        )
    return notes


def _card(about: dict[str, Any], notes: list[str]) -> str:
    """README.md: how to use the files."""
    shape = ", ".join(map(str, ("batch", *about["sample_shape"])))
    kinds = {
        "x": f"x ({shape})",
        "code": f"code (batch, {about['n_components']})",
        "x_hat": f"x_hat ({shape})",
    }
    rows = [f"| {part}.onnx | {kinds[into]} | {kinds[out]} |" for part, (into, out) in PARTS.items()]
    if about["takes_missing"]:
        notes = ["a missing value is NaN; a row with an infinite one comes out as NaN", *notes]
    else:
        notes = ["a row with a value that is NaN or infinite comes out as NaN", *notes]
    if about["ordered"]:
        notes = [*notes, "the first numbers of a code are a code of their own: put zeros for the rest"]
    lines = [
        f"# An auto-encoder in ONNX, by codeword {about['codeword_version']}",
        "",
        "| file | input | output |",
        "|---|---|---|",
        *rows,
        "",
        "All are float32, with any number of rows. x and x_hat are in the units of the data the model was",
        f"fitted on ({about['dtype']}, scaling {about['scaling']!r}): the scaling is inside.",
        "What the model is stands in each file's metadata, each value as JSON.",
        "",
        *(f"- {note}" for note in notes),
        "",
        "```python",
        "import numpy as np",
        "import onnxruntime",
        "",
        'encoder = onnxruntime.InferenceSession("encoder.onnx")',
        '(codes,) = encoder.run(None, {"x": np.asarray(rows, np.float32)})',
        "```",
    ]
    return "\n".join(lines) + "\n"
