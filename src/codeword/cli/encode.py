"""`codeword encode`."""

import os
from contextlib import redirect_stdout
from pathlib import Path
from typing import Literal

from typer import Option

from codeword.base.errors import ParameterError
from codeword.cli.app import MODEL, ROWS, SOURCE, Interrupted, Job, command


@command("encode digits.ae mnist --split test -o codes.csv", [*MODEL, *SOURCE, "overwrite"])
def encode(
    job: Job,
    output: str | None = Option(
        None,
        "-o",
        "--output",
        help="Where the codes go: .npy, .npz, .csv or .parquet; with --engine a folder.",
        metavar="PATH",
        show_default="codes.npy, with --engine codes",
    ),
    engine: Literal["ray"] | None = Option(
        None, help="Encode Parquet files on a cluster, into Parquet parts."
    ),
    keep: list[str] | None = Option(
        None, help="With --engine: a column to pass through; may be given again.", metavar="COLUMN"
    ),
    workers: int | None = Option(
        None, help="With --engine: processes; else as many as there is room for.", min=1
    ),
    gpus: float = Option(0.0, help="With --engine: of each process; 0.25 has four share a GPU.", min=0),
) -> None:
    """Write the codes of SOURCE.

    One row of k numbers for each sample. With --engine ray SOURCE is Parquet files, a folder of them or a
    pattern such as 's3://bucket/rows/*.parquet'; a second start goes on where the first stopped.
    """
    given: dict[str, object]
    if engine is None:
        given = {"--keep": keep, "--workers": workers, "--gpus": gpus}
        why = "is for a cluster: add --engine ray"
    else:
        given = {"--split": job.split != "train", "--size": job.size, "--device": job.device != "auto"}
        why = "does not go with --engine ray"
    for option in (name for name, value in given.items() if value):
        raise ParameterError(f"{option} {why}, or leave it out")
    if engine is None:
        from codeword.data.outputs import write_rows

        path = Path(output or "codes.npy")
        job.check(path, ROWS)
        k = job.fitted.n_components
        write_rows(job.fitted.transform, job.data, path, (k,), [f"z{i}" for i in range(k)], **job.flags)
        job.say({"output": str(path), "n": len(job.data), "k": k}, f"wrote {path}")
        return
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
                **job.flags,
            )
    except KeyboardInterrupt:
        raise Interrupted("interrupted; the same command goes on from the rows that are there") from None
    job.say({"output": without_secret(output), **facts}, f"wrote {without_secret(output)}")
