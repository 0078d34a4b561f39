"""The command line: thin commands over the library."""

from __future__ import annotations

import gc
import json
import os
import sys
import time
import warnings
from collections.abc import Sequence
from contextlib import redirect_stdout
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from codeword.errors import CodewordError, DataError, InputError, ParameterError
from codeword.files import MODEL_FILES, check_free, check_own
from codeword.options import (
    Device,
    Json,
    LabelColumn,
    Model,
    Overwrite,
    Quiet,
    Size,
    Source,
    Split,
    in_options,
    indices,
    size_of,
    stem,
    with_parameters,
)

if TYPE_CHECKING:
    from codeword.data import Data
    from codeword.estimator import AutoEncoder

__all__ = ["app", "main"]

app = typer.Typer(
    name="codeword",
    help="Learn compact codes for unlabelled data with auto-encoders, and see how much they keep.",
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

PICTURES = (".png", ".svg", ".pdf")


class Interrupted(Exception):
    """Ctrl-C, with what is worth saying about it."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Run a command and exit: 0 done, 1 failed, 2 bad usage or bad input, 130 interrupted."""
    code = run(arguments)
    sys.stdout.flush()
    os._exit(code)  # all is written: to take torch apart, module by module, costs most of a second


def run(arguments: Sequence[str] | None = None) -> int:
    """Run a command; the exit code. Whatever goes wrong is one line on standard error."""
    # Threads that spin for long hold the core that the one they wait for needs. Read as torch is loaded.
    os.environ.setdefault("GOMP_SPINCOUNT", "5000")
    # Importing makes half a million objects that stay: to look through them again and again is half a second.
    gc.set_threshold(100_000, 20, 20)
    # The base of what click raises, wherever this version of typer keeps it.
    usage_error: Any = typer.BadParameter.__mro__[2]
    try:
        code = app(args=arguments, prog_name="codeword", standalone_mode=False)
        if code == 130:  # what typer makes of Ctrl-C, without a word
            return _fail("interrupted", 130)
        return code if isinstance(code, int) else 0
    except usage_error as error:
        context = getattr(error, "ctx", None)
        name = context.command_path if context is not None else "codeword"
        return _fail(f"{error.format_message().rstrip('.')}; see `{name} --help`", 2)
    except InputError as error:
        return _fail(in_options(str(error)), 2)
    except CodewordError as error:
        return _fail(in_options(str(error)), 1)
    except Interrupted as stop:
        return _fail(str(stop), 130)
    except (KeyboardInterrupt, typer.Abort):
        return _fail("interrupted", 130)
    except BrokenPipeError:
        return 1
    except (OSError, MemoryError) as error:
        return _fail(str(error) or type(error).__name__, 1)
    except RuntimeError as error:
        if "memory" not in str(error):
            raise
        return _fail(f"out of memory ({str(error).splitlines()[0]})", 1)


def _fail(text: str, code: int) -> int:
    print(f"codeword: error: {' '.join(text.split())}", file=sys.stderr)
    return code


@app.callback(invoke_without_command=True)
def _root(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="Print the version and exit.")] = False,
) -> None:
    if version:
        from codeword import __version__

        print(__version__)
        raise typer.Exit
    if context.invoked_subcommand is None:
        print(context.get_help())
        raise typer.Exit(2)


@app.command(epilog="Example: codeword demo --dataset mnist -o tutorial")
def demo(
    dataset: Annotated[
        str, typer.Option(help="mnist-5k, which comes with the install, or mnist.")
    ] = "mnist-5k",
    output: Annotated[Path, typer.Option("-o", "--output", help="The folder to write.")] = Path(
        "codeword-demo"
    ),
    seed: Annotated[int, typer.Option(help="Seed of the weights, of the batches and of the map.", min=0)] = 0,
    overwrite: Overwrite = False,
    quiet: Quiet = False,
    json_: Json = False,
) -> None:
    """Run the tutorial, end to end, on real digits.

    Trains its network, pictures reconstructions, maps the codes, and says how good the model is.
    """
    from codeword.demo import run_demo

    figures = run_demo(dataset, output, seed=seed, overwrite=overwrite, verbose=not quiet, json=json_)
    if json_:
        print(json.dumps(figures))


@app.command(epilog="Example: codeword train mnist -o digits.ae -k 16")
@with_parameters
def train(
    source: Source,
    parameters: dict[str, Any],
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", help="The model folder to write; by default named after SOURCE."),
    ] = None,
    preset: Annotated[
        str | None, typer.Option(help="Start from a named set of parameters: tutorial.")
    ] = None,
    split: Split = "train",
    label_column: LabelColumn = None,
    size: Size = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with a run that was stopped, from OUTPUT.checkpoint.")
    ] = False,
    overwrite: Overwrite = False,
    quiet: Quiet = False,
    json_: Json = False,
) -> None:
    """Train an auto-encoder on SOURCE.

    Writes a model folder, which the other commands take.
    """
    output = check_free(output or Path(stem(source) + ".ae"), overwrite=overwrite)
    if overwrite:
        check_own(output, MODEL_FILES, "a model folder")
    checkpoint = output.with_name(output.name + ".checkpoint")
    from codeword.distributed import leave
    from codeword.estimator import AutoEncoder
    from codeword.settings import PRESETS

    if preset is not None and preset not in PRESETS:
        raise ParameterError(f"--preset must be one of {', '.join(PRESETS)}. Got {preset!r} instead.")
    ae = AutoEncoder(**({**PRESETS[preset]} if preset else {}) | parameters, verbose=not quiet)
    data = _load(ae, source, split, label_column, size)
    started = time.perf_counter()
    with redirect_stdout(sys.stderr if json_ else sys.stdout), warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # what it would say of an interruption is said below
        ae.fit(data, checkpoint=checkpoint, resume=resume)
    seconds = time.perf_counter() - started
    if ae.interrupted_:
        kept = f"; go on with `codeword train {source} -o {output} … --resume`" if checkpoint.exists() else ""
        raise Interrupted(f"interrupted after {len(ae.history_)} epochs{kept}")
    first = ae._world.first
    if first:
        ae.save(output, overwrite=overwrite)
    leave()
    if not first:
        return
    history = ae.history_
    if json_:
        print(
            json.dumps(
                {
                    "model": str(output),
                    "n": len(data),
                    "k": ae.n_components,
                    "epochs": len(history),
                    "train_loss": [row["train_loss"] for row in history],
                    "validation_loss": [row["validation_loss"] for row in history],
                    "seconds": round(seconds, 3),
                }
            )
        )
    elif not quiet:
        d = ae.n_features_in_
        print(f"{output}: {d} → {ae.n_components} → {d}, trained on {len(data):,} rows in {seconds:.1f} s")
        print(f"next: codeword evaluate {output} {source}")


@app.command(epilog="Example: codeword encode digits.ae mnist --split test -o codes.csv")
def encode(
    model: Model,
    source: Source,
    output: Annotated[
        Path, typer.Option("-o", "--output", help="Where the codes go: .npy, .npz, .csv or .parquet.")
    ] = Path("codes.npy"),
    split: Split = "train",
    label_column: LabelColumn = None,
    size: Size = None,
    device: Device = "auto",
    overwrite: Overwrite = False,
    quiet: Quiet = False,
    json_: Json = False,
) -> None:
    """Write the codes of SOURCE.

    One row of k numbers for each sample.
    """
    from codeword.outputs import check_output, write_rows

    check_output(output, overwrite=overwrite)
    ae = _open(model, device)
    data = _load(ae, source, split, label_column, size)
    names = [f"z{i}" for i in range(ae.n_components)]
    write_rows(ae.transform, data, output, (ae.n_components,), names, overwrite=overwrite, verbose=not quiet)
    _say({"output": str(output), "n": len(data), "k": ae.n_components}, json_, quiet)


@app.command(epilog="Example: codeword decode digits.ae codes.npy -o digits.npy")
def decode(
    model: Model,
    codes: Annotated[
        str,
        typer.Argument(help="Codes as `codeword encode` writes them.", metavar="CODES", show_default=False),
    ],
    output: Annotated[
        Path, typer.Option("-o", "--output", help="Where the rows go: .npy, .npz, .csv or .parquet.")
    ] = Path("decoded.npy"),
    device: Device = "auto",
    overwrite: Overwrite = False,
    quiet: Quiet = False,
    json_: Json = False,
) -> None:
    """Write the rows that CODES stand for.

    They are in the units and the shape of the data that the model was trained on.
    """
    from codeword.outputs import check_output, write_rows

    check_output(output, overwrite=overwrite)
    ae = _open(model, device)
    data = _load(ae, codes, "train", None, None)
    shape = ae.sample_shape_
    k = ae.n_components
    if data.sample_shape != (k,):
        raise DataError(
            f"{codes} has rows of shape {data.sample_shape}, and this model's codes have {k} numbers"
        )

    def rows_of(part: Data) -> Any:
        return ae.inverse_transform(part.x)

    write_rows(rows_of, data, output, shape, _columns(ae), overwrite=overwrite, verbose=not quiet)
    _say({"output": str(output), "n": len(data), "sample_shape": list(shape)}, json_, quiet)


@app.command(epilog="Example: codeword reconstruct digits.ae mnist --samples 100,300 -o pairs.png")
def reconstruct(
    model: Model,
    source: Source,
    output: Annotated[
        Path,
        typer.Option(
            "-o", "--output", help="A picture (.png, .svg, .pdf) of some, or all rows (.npy, .csv, …)."
        ),
    ] = Path("reconstructions.png"),
    samples: Annotated[
        str | None,
        typer.Option(help="Which samples to picture, counted from 0, with commas; else ten at random."),
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed of the choice of samples.", min=0)] = 0,
    split: Split = "train",
    label_column: LabelColumn = None,
    size: Size = None,
    device: Device = "auto",
    overwrite: Overwrite = False,
    quiet: Quiet = False,
    json_: Json = False,
) -> None:
    """Picture samples over their reconstructions.

    Above each its number and its error. With an output that is no picture (.npy, .npz, .csv, .parquet),
    write the reconstruction of every row instead.
    """
    from codeword.outputs import FORMATS, check_output, write_rows

    check_output(output, overwrite=overwrite, formats=(*PICTURES, *FORMATS))
    ae = _open(model, device)
    data = _load(ae, source, split, label_column, size)
    if output.suffix.lower() in FORMATS:
        shape, names = ae.sample_shape_, _columns(ae)
        write_rows(ae.reconstruct, data, output, shape, names, overwrite=overwrite, verbose=not quiet)
        _say({"output": str(output), "n": len(data)}, json_, quiet)
        return
    from codeword.plots import save
    from codeword.showing import choose, picture_reconstructions

    rows = indices(samples, len(data)) if samples is not None else choose(len(data), 10, seed)
    save(picture_reconstructions(ae, data, rows), output, overwrite=overwrite)
    _say({"output": str(output), "samples": rows}, json_, quiet)


@app.command(name="map", epilog="Example: codeword map digits.ae mnist --split test -o map.png")
def map_(
    model: Model,
    source: Source,
    output: Annotated[
        Path,
        typer.Option("-o", "--output", help="A picture (.png, .svg, .pdf), or the points (.npy, .csv, …)."),
    ] = Path("map.png"),
    points: Annotated[int, typer.Option(help="How many samples, chosen at random; 0 for all.", min=0)] = 2000,
    method: Annotated[str, typer.Option(help="auto, tsne, umap or pca.")] = "auto",
    seed: Annotated[int, typer.Option(help="Seed of the choice of samples and of the map.", min=0)] = 0,
    split: Split = "train",
    label_column: LabelColumn = None,
    size: Size = None,
    device: Device = "auto",
    overwrite: Overwrite = False,
    quiet: Quiet = False,
    json_: Json = False,
) -> None:
    """Map the codes of SOURCE onto a plane.

    One colour a label, where there are labels.
    """
    from codeword.outputs import FORMATS, check_output, row_writer

    check_output(output, overwrite=overwrite, formats=(*PICTURES, *FORMATS))
    ae = _open(model, device)
    data = _load(ae, source, split, label_column, size)
    from codeword.plots import map_figure, save
    from codeword.showing import choose, map_of

    rows = choose(len(data), points or len(data), seed)
    plane = map_of(ae, data, rows, method=method, seed=seed, verbose=not quiet)
    if output.suffix.lower() in FORMATS:
        with row_writer(output, len(plane), (2,), ["x", "y"], overwrite=overwrite) as write:
            write(plane)
    else:
        save(map_figure(plane, None if data.y is None else data.y[rows]), output, overwrite=overwrite)
    _say({"output": str(output), "points": len(plane)}, json_, quiet)


@app.command(epilog="Example: codeword evaluate digits.ae mnist --split test")
def evaluate(
    model: Model,
    source: Source,
    split: Split = "test",
    label_column: LabelColumn = None,
    size: Size = None,
    device: Device = "auto",
    json_: Json = False,
) -> None:
    """Say how much the codes keep, beside PCA.

    PCA has as many numbers in a code and was fitted on the model's own training rows. Errors are in scaled
    units, so that they compare from one data set to another.
    """
    from codeword.evaluation import evaluate as judge

    ae = _open(model, device)
    data = _load(ae, source, split, label_column, size)
    ae.score(replace(data, x=data.x[:1], y=None))  # shape and names are checked in the model's own words
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # the names have just been checked
        figures = judge(ae, data.x)
    if json_:
        print(json.dumps(figures))
    else:
        from codeword.data.named import NAMES
        from codeword.showing import evaluation_table

        print(evaluation_table(figures, f"{source} ({split})" if source in NAMES else source))


@app.command(epilog="Example: codeword info digits.ae --json")
def info(model: Model, json_: Json = False) -> None:
    """Describe a model folder.

    The data it was fitted on, its parameters and its training.
    """
    from codeword.modelcard import model_card
    from codeword.modelfolder import read_folder

    folder = read_folder(model)
    _open(model, "cpu")  # a folder that cannot be opened is not described as if it could
    if json_:
        print(json.dumps({**folder.config, "history": folder.history}))
    else:
        print(model_card(folder.config, folder.history).split("\n## Use")[0].strip())


# -- what the commands share --------------------------------------------------------------------------------


def _open(model: Path, device: str) -> AutoEncoder:
    from codeword.estimator import AutoEncoder

    return AutoEncoder.load(model, device=device)


def _load(ae: AutoEncoder, source: str, split: str, label_column: str | None, size: str | None) -> Data:
    from codeword.data import load

    return load(source, split, label_column=label_column, size=size_of(size), missing=ae.takes_missing)


def _columns(ae: AutoEncoder) -> list[str]:
    names = getattr(ae, "feature_names_in_", None)
    return [f"x{i}" for i in range(ae.n_features_in_)] if names is None else [str(name) for name in names]


def _say(figures: dict[str, Any], json_: bool, quiet: bool) -> None:
    if json_:
        print(json.dumps(figures))
    elif not quiet:
        print(f"wrote {figures['output']}")


if __name__ == "__main__":
    main()
