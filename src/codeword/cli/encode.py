"""`codeword encode`."""

from __future__ import annotations

import os
from contextlib import redirect_stdout
from pathlib import Path
from typing import Annotated

import typer

from codeword.base.errors import ParameterError
from codeword.cli.app import Interrupted, Job, command

__all__: list[str] = []


@command(example="encode digits.ae mnist --split test -o codes.csv", reads=("model", "source"), writes=True)
def encode(
    job: Job,
    output: Annotated[
        str | None,
        typer.Option(
            "-o",
            "--output",
            help="Where the codes go: .npy, .npz, .csv or .parquet; with --engine a folder.",
            metavar="PATH",
            show_default="codes.npy, with --engine codes",
        ),
    ] = None,
    engine: Annotated[
        str | None,
        typer.Option(help="ray: encode Parquet files on a cluster, into Parquet parts.", show_default=False),
    ] = None,
    keep: Annotated[
        list[str] | None,
        typer.Option(
            help="With --engine: a column to pass through; may be given again.",
            metavar="COLUMN",
            show_default=False,
        ),
    ] = None,
    workers: Annotated[
        int | None,
        typer.Option(
            help="With --engine: processes; else as many as there is room for.", min=1, show_default=False
        ),
    ] = None,
    gpus: Annotated[
        float, typer.Option(help="With --engine: of each process; 0.25 has four share a GPU.", min=0)
    ] = 0.0,
) -> None:
    """Write the codes of SOURCE.

    One row of k numbers for each sample. With --engine ray SOURCE is Parquet files, a folder of them or a
    pattern such as 's3://bucket/rows/*.parquet'; a second start goes on where the first stopped.
    """
    if engine is None:
        _refuse(
            "is for a cluster: add --engine ray",
            {"--keep": bool(keep), "--workers": workers is not None, "--gpus": gpus > 0},
        )
        _encode(job, Path(output or "codes.npy"))
        return
    if engine != "ray":
        raise ParameterError(f"--engine must be ray. Got {engine!r} instead.")
    _refuse(
        "does not go with --engine ray",
        {"--split": job.split != "train", "--size": job.size is not None, "--device": job.device != "auto"},
    )
    from codeword.export.ray import encode_parts, without_secret

    output = output or "codes"
    try:
        with open(os.devnull, "w") as nowhere, redirect_stdout(nowhere):  # where Ray tells of dead workers
            facts = encode_parts(
                job.folder,
                job.source,
                output,
                keep=keep or [],
                label_column=job.label_column,
                workers=workers,
                gpus_per_worker=gpus,
                overwrite=job.overwrite,
                verbose=not job.quiet,
            )
    except KeyboardInterrupt:
        raise Interrupted("interrupted; the same command goes on from the rows that are there") from None
    job.say({"output": without_secret(output), **facts}, f"wrote {without_secret(output)}")


def _refuse(why: str, given: dict[str, bool]) -> None:
    for option in (name for name, there in given.items() if there):
        raise ParameterError(f"{option} {why}, or leave it out")


def _encode(job: Job, output: Path) -> None:
    from codeword.data.outputs import check_output, write_rows

    check_output(output, overwrite=job.overwrite)
    k = job.model.n_components
    names = [f"z{i}" for i in range(k)]
    write_rows(
        job.model.transform, job.data, output, (k,), names, overwrite=job.overwrite, verbose=not job.quiet
    )
    job.say({"output": str(output), "n": len(job.data), "k": k}, f"wrote {output}")
