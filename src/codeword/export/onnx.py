"""A folder of ONNX files that serve a model without torch."""

from __future__ import annotations

import copy
import json
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from codeword.base.errors import ModelError, ParameterError
from codeword.base.files import check_free, check_own, writing
from codeword.base.progress import Progress

if TYPE_CHECKING:
    import onnx

    from codeword.model.autoencoder import AutoEncoder
    from codeword.model.fitted import FittedModel

__all__ = ["FILES", "check_onnx", "write_onnx"]

PARTS = {"encoder": ("x", "code"), "decoder": ("code", "x_hat"), "reconstruction": ("x", "x_hat")}
"""The files, and the names of what goes into each and comes out."""

FILES = (*(f"{part}.onnx" for part in PARTS), "README.md")

LOST = 1e-5
"""Share of a column's deviation that float32 may round away without a note."""

MOST_BYTES = 2_000_000_000
"""Largest size of a file: what protobuf, its format, can hold."""

NARROW = ("float32", "float16", "bool", "uint8", "int8", "uint16", "int16")
"""Types whose every value is a float32."""

STEPS = 5
"""Steps of the progress bar: two for each of the two exports, and the joining."""


def check_onnx(folder: Path, *, overwrite: bool) -> None:
    """Say early that `folder` cannot be written.

    Raises
    ------
    ParameterError
        If a package is missing.
    InputError
        If the folder exists and `overwrite` is false, it holds files that are not of this format, or the
        folder to make it in is missing.
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

    Before the folder appears each file has gone through ONNX's own checker; encoder and decoder must give a
    row the same values whatever rows it comes with and, where onnxruntime is installed, those of torch.

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
    from sklearn.utils.validation import check_is_fitted

    check_is_fitted(ae)
    folder = Path(folder)
    check_onnx(folder, overwrite=overwrite)
    model = replace(ae.model_, network=copy.deepcopy(ae.network_).cpu().eval())
    with Progress(0, folder.name, verbose=verbose) as progress:
        models = _models(model, progress)
        about = _about(model)
        for part, made in models.items():
            _describe(made, part, about)
        progress.upto(STEPS, STEPS)
        notes = _notes(model)
        with writing(folder, overwrite=overwrite) as new:
            new.mkdir()
            for part, made in models.items():
                (new / f"{part}.onnx").write_bytes(made.SerializeToString())
            (new / "README.md").write_text(_card(about, notes), "utf-8")
    return notes


def _models(model: FittedModel, progress: Progress) -> dict[str, onnx.ModelProto]:
    """The three, each of which passed ONNX's checker."""
    import onnx
    import torch

    from codeword.export.graphs import Decode, Encode, joined, traced

    size = sum(tensor.nbytes for tensor in model.network.state_dict().values())
    if size > MOST_BYTES:
        raise ModelError(
            f"the network's weights take {size:,} bytes, and a file of ONNX holds at most {MOST_BYTES:,}"
        )
    given = model.network, model.objective, model.scaling
    rows = torch.zeros(3, *model.sample_shape)
    codes = torch.zeros(3, model.n_components)
    encoder = traced(Encode(*given).eval(), rows, PARTS["encoder"], "the encoder")
    progress.upto(2, STEPS)
    decoder = traced(Decode(*given).eval(), codes, PARTS["decoder"], "the decoder")
    progress.upto(4, STEPS)
    models = {"encoder": encoder, "decoder": decoder, "reconstruction": joined(encoder, decoder, "code")}
    for part, made in models.items():
        try:
            onnx.checker.check_model(made, full_check=True)
        except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
            raise ModelError(f"the {part} is no valid ONNX model ({_line(error)})") from error
    return models


# -- what they are ------------------------------------------------------------------------------------------


def _about(model: FittedModel) -> dict[str, Any]:
    """What goes into the metadata of every file."""
    from codeword.base.about import __version__
    from codeword.networks import resolve_architecture

    architecture = resolve_architecture(model.parameters["network"], model.sample_shape)
    names, columns = model.names, model.columns
    if architecture is None:
        modules = ", ".join(type(module).__name__ for module in model.parameters["network"])
        network = f"modules of the user's own: {modules}"
    else:
        network = _in_a_line(architecture)
    return {
        "codeword_version": __version__,
        "n_components": int(model.n_components),
        "sample_shape": list(model.sample_shape),
        "dtype": model.dtype,
        "scaling": model.scaling.kind,
        "feature_names": None if names is None else [str(name) for name in names],
        "columns": None if columns is None else columns.to_json(),
        "objective": _in_a_line(model.objective),
        "network": network,
        "takes_missing": model.takes_missing,
        "ordered": model.objective.ordered,
    }


def _in_a_line(value: object) -> str:
    return " ".join(repr(value).split())


def _describe(model: onnx.ModelProto, part: str, about: dict[str, Any]) -> None:
    """Put the metadata into a model."""
    import onnx

    into, out = PARTS[part]
    model.producer_name, model.producer_version = "codeword", about["codeword_version"]
    model.graph.name = part
    model.doc_string = f"{part} of an auto-encoder: {into} to {out}, in the units of the data, scaling inside"
    texts = {key: json.dumps(value, ensure_ascii=False) for key, value in {"part": part, **about}.items()}
    onnx.helper.set_model_props(model, texts)


def _notes(model: FittedModel) -> list[str]:
    """That x is not the table itself, and what float32 loses of columns that were wider in training."""
    notes, scaling = [], model.scaling
    if model.columns is not None:
        notes.append(
            "x and x_hat are the numbers that columns_.transform makes of a table: 'feature_names' in the "
            "metadata names them, and 'columns' says how they are made"
        )
    lost = np.abs(scaling.offset) / scaling.scale * 2.0**-24
    if model.dtype in NARROW:
        lost = np.zeros(1)
    elif not model.dtype.startswith("float"):  # whole numbers below 2²⁴ are exact
        lost = np.where(np.abs(scaling.offset) + 10 * scaling.scale < 1 << 24, 0, lost)
    worst = int(lost.argmax())
    if lost[worst] > LOST:
        names = model.names
        column = f"column {worst}" if names is None else f"column {str(names[worst])!r}"
        notes.append(
            f"float32 rounds {column} by up to {lost[worst]:.1g} of its deviation, as its mean is "
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
    refused = "infinite" if about["takes_missing"] else "NaN or infinite"
    lines = [
        f"# An auto-encoder in ONNX, by codeword {about['codeword_version']}",
        "",
        "| file | input | output |",
        "|---|---|---|",
        *rows,
        "",
        "All are float32, with any number of rows. x and x_hat are in the units of the data the model was",
        f"fitted on ({about['dtype']}, scaling {about['scaling']!r}): the scaling is inside.",
        f"A row with a value that is {refused} comes out as NaN.",
        *(["A missing value is NaN."] if about["takes_missing"] else []),
        *(
            ["The first numbers of a code are a code of their own: put zeros for the rest."]
            * about["ordered"]
        ),
        "What the model is stands in each file's metadata, each value as JSON.",
        "",
        *(f"- {note}" for note in notes),
        *([""] if notes else []),
        "```python",
        "import numpy as np",
        "import onnxruntime",
        "",
        'encoder = onnxruntime.InferenceSession("encoder.onnx")',
        '(codes,) = encoder.run(None, {"x": np.asarray(rows, np.float32)})',
        "```",
    ]
    return "\n".join(lines) + "\n"


def _line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:200]
