"""The command line: thin commands over the library."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from codeword.errors import CodewordError, InputError, ParameterError
from codeword.files import check_free
from codeword.options import with_parameters

if TYPE_CHECKING:
    from codeword.data import Data
    from codeword.estimator import AutoEncoder

__all__ = ["app", "main"]

app = typer.Typer(
    name="codeword",
    help="Learn compact codes for unlabelled data with auto-encoders, and see how much they keep.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

PICTURES = (".png", ".svg", ".pdf")

Model = Annotated[
    Path, typer.Argument(help="A model folder, as `codeword train` makes it.", show_default=False)
]
Source = Annotated[
    str,
    typer.Argument(
        help="mnist, fashion-mnist, mnist-5k, digits; or a .npy, .npz, IDX, CSV or Parquet file; "
        "or a folder of images or IDX files.",
        show_default=False,
    ),
]
Split = Annotated[str, typer.Option(help="Which part of a source that has two: train or test.")]
LabelColumn = Annotated[str | None, typer.Option(help="The column of a table that holds labels.")]
Size = Annotated[str | None, typer.Option(help="Bring images to this size: 32, or 32x48 (height x width).")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace the output if it exists.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Show nothing but errors and results.")]
Json = Annotated[bool, typer.Option("--json", help="End with one line of JSON on standard output.")]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1, mps.")]


def main(arguments: Sequence[str] | None = None) -> None:
    """Run a command and exit: 0 done, 1 failed, 2 bad usage or bad input, 130 interrupted."""
    sys.exit(run(arguments))


def run(arguments: Sequence[str] | None = None) -> int:
    """Run a command; the exit code. Whatever goes wrong is one line on standard error."""
    # The base of what click raises, wherever this version of typer keeps it.
    usage_error: Any = typer.BadParameter.__mro__[2]
    try:
        code = app(args=arguments, standalone_mode=False)
        return code if isinstance(code, int) else 0
    except usage_error as error:
        context = getattr(error, "ctx", None)
        name = context.command_path if context is not None else "codeword"
        text = error.format_message()
        if not text:  # a bare `codeword`: its help has been shown
            return 2
        return _fail(f"{text}; see `{name} --help`", 2)
    except InputError as error:
        return _fail(str(error), 2)
    except CodewordError as error:
        return _fail(str(error), 1)
    except (KeyboardInterrupt, typer.Abort):
        return _fail("interrupted", 130)
    except BrokenPipeError:
        return 1
    except (OSError, MemoryError) as error:
        return _fail(str(error) or type(error).__name__, 1)


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
    seed: Annotated[int, typer.Option(help="Seed of the weights, of the batches and of the map.")] = 0,
    overwrite: Overwrite = False,
    quiet: Quiet = False,
    json_: Json = False,
) -> None:
    """The tutorial, end to end: train on digits, picture the reconstructions, map the codes."""
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
    overwrite: Overwrite = False,
    quiet: Quiet = False,
    json_: Json = False,
) -> None:
    """Train an auto-encoder on SOURCE and write it to a model folder."""
    output = check_free(output or Path(_stem(source) + ".ae"), overwrite=overwrite)
    from codeword.estimator import PRESETS, AutoEncoder

    if preset is not None and preset not in PRESETS:
        raise ParameterError(f"--preset must be one of {', '.join(PRESETS)}. Got {preset!r} instead.")
    ae = AutoEncoder(**({**PRESETS[preset]} if preset else {}) | parameters, verbose=not quiet)
    data = _load(source, split, label_column, size)
    started = time.perf_counter()
    with _lines_to_stderr(json_):
        ae.fit(data)
    seconds = time.perf_counter() - started
    ae.save(output, overwrite=overwrite)
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
    """Write the codes of SOURCE, one row of k numbers for each sample."""
    from codeword.outputs import check_output

    check_output(output, overwrite=overwrite)
    ae = _open(model, device)
    data = _load(source, split, label_column, size)
    names = [f"z{i}" for i in range(ae.n_components)]
    _stream(ae, data, ae.transform, output, (ae.n_components,), names, overwrite, quiet)
    _say({"output": str(output), "n": len(data), "k": ae.n_components}, json_, quiet)


@app.command(epilog="Example: codeword decode digits.ae codes.npy -o digits.npy")
def decode(
    model: Model,
    codes: Annotated[str, typer.Argument(help="Codes as `codeword encode` writes them.", show_default=False)],
    output: Annotated[
        Path, typer.Option("-o", "--output", help="Where the rows go: .npy, .npz, .csv or .parquet.")
    ] = Path("decoded.npy"),
    device: Device = "auto",
    overwrite: Overwrite = False,
    quiet: Quiet = False,
    json_: Json = False,
) -> None:
    """Write the rows that CODES stand for, in the units of the data."""
    from codeword.outputs import check_output

    check_output(output, overwrite=overwrite)
    ae = _open(model, device)
    data = replace(_load(codes, "train", None, None), names=None)
    shape = ae.sample_shape_
    names = _columns(ae)
    _stream(ae, data, ae.inverse_transform, output, shape, names, overwrite, quiet)
    _say({"output": str(output), "n": len(data), "sample_shape": list(shape)}, json_, quiet)


@app.command(epilog="Example: codeword reconstruct digits.ae mnist --samples 100,14234,6906 -o pairs.png")
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
    seed: Annotated[int, typer.Option(help="Seed of the choice of samples.")] = 0,
    split: Split = "train",
    label_column: LabelColumn = None,
    size: Size = None,
    device: Device = "auto",
    overwrite: Overwrite = False,
    quiet: Quiet = False,
    json_: Json = False,
) -> None:
    """Picture samples over their reconstructions, or write the reconstruction of every row."""
    from codeword.outputs import FORMATS, check_output

    check_output(output, overwrite=overwrite, formats=(*PICTURES, *FORMATS))
    ae = _open(model, device)
    data = _load(source, split, label_column, size)
    if output.suffix.lower() in FORMATS:
        _stream(ae, data, ae.reconstruct, output, ae.sample_shape_, _columns(ae), overwrite, quiet)
        _say({"output": str(output), "n": len(data)}, json_, quiet)
        return
    from codeword.plots import save
    from codeword.showing import choose, picture_reconstructions

    rows = _indices(samples, len(data)) if samples else choose(len(data), 10, seed)
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
    seed: Annotated[int, typer.Option(help="Seed of the choice of samples and of the map.")] = 0,
    split: Split = "train",
    label_column: LabelColumn = None,
    size: Size = None,
    device: Device = "auto",
    overwrite: Overwrite = False,
    quiet: Quiet = False,
    json_: Json = False,
) -> None:
    """Map the codes of SOURCE onto a plane, one colour a label."""
    from codeword.outputs import FORMATS, check_output, row_writer

    check_output(output, overwrite=overwrite, formats=(*PICTURES, *FORMATS))
    ae = _open(model, device)
    data = _load(source, split, label_column, size)
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
    """How much the codes keep of SOURCE, beside PCA with as many numbers fitted on the same rows."""
    from codeword.evaluation import evaluate as judge

    ae = _open(model, device)
    data = _load(source, split, label_column, size)
    ae.score(replace(data, x=data.x[:1], y=None))  # shape and names are checked in the model's own words
    figures = judge(ae, data.x)
    if json_:
        print(json.dumps(figures))
    else:
        from codeword.showing import evaluation_table

        print(evaluation_table(figures, f"{source} ({split})" if data.source == source else source))


@app.command(epilog="Example: codeword info digits.ae --json")
def info(model: Model, json_: Json = False) -> None:
    """What a model folder holds: the data it was fitted on, its parameters, its training."""
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


def _load(source: str, split: str, label_column: str | None, size: str | None) -> Data:
    from codeword.data import load

    return load(source, split, label_column=label_column, size=_size(size))


def _size(text: str | None) -> int | tuple[int, int] | None:
    if text is None:
        return None
    parts = text.lower().split("x")
    if len(parts) > 2 or not all(part.isdigit() and int(part) > 0 for part in parts):
        raise ParameterError(
            f"--size must be a number of pixels, or height x width such as 32x48. Got {text!r} instead."
        )
    height, width = (int(part) for part in (parts * 2)[:2])
    return height if len(parts) == 1 else (height, width)


def _stem(source: str) -> str:
    path = Path(source)
    return path.name.split(".")[0] or path.resolve().name


def _indices(text: str, n: int) -> list[int]:
    try:
        rows = [int(part) for part in text.split(",")]
    except ValueError:
        raise ParameterError(
            f"--samples must be whole numbers with commas between. Got {text!r} instead."
        ) from None
    bad = [row for row in rows if not 0 <= row < n]
    if bad:
        raise ParameterError(f"--samples: there is no sample {bad[0]}; the source has {n:,}, counted from 0")
    return rows


def _columns(ae: AutoEncoder) -> list[str]:
    names = getattr(ae, "feature_names_in_", None)
    return [f"x{i}" for i in range(ae.n_features_in_)] if names is None else [str(name) for name in names]


def _stream(
    ae: AutoEncoder,
    data: Data,
    function: Any,
    output: Path,
    shape: tuple[int, ...],
    names: list[str],
    overwrite: bool,
    quiet: bool,
) -> None:
    """Write `function` of every row, a block at a time."""
    from codeword.data.blocks import blocks
    from codeword.outputs import row_writer
    from codeword.progress import Progress

    with (
        row_writer(output, len(data), shape, names, overwrite=overwrite) as write,
        Progress(len(data), output.name, verbose=not quiet) as progress,
    ):
        for _, block in blocks(data.x):
            write(function(replace(data, x=block, y=None)))
            progress.rows(len(block))


def _say(figures: dict[str, Any], json_: bool, quiet: bool) -> None:
    if json_:
        print(json.dumps(figures))
    elif not quiet:
        print(f"wrote {figures['output']}")


@contextmanager
def _lines_to_stderr(wanted: bool) -> Iterator[None]:
    """Keep standard output for the JSON line alone."""
    if not wanted:
        yield
        return
    from contextlib import redirect_stdout

    with redirect_stdout(sys.stderr):
        yield


if __name__ == "__main__":
    main()
