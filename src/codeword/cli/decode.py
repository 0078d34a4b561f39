"""`codeword decode`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from codeword.base.errors import DataError
from codeword.cli.app import Job, command
from codeword.cli.options import FORMATS, Output

if TYPE_CHECKING:
    from codeword.data import Data

__all__: list[str] = []


@command(
    example="decode digits.ae codes.npy -o digits.npy",
    reads=("model",),
    writes=Output("decoded.npy", "Where the rows go: .npy, .npz, .csv or .parquet.", FORMATS),
)
def decode(
    job: Job,
    codes: Annotated[
        str,
        typer.Argument(help="Codes as `codeword encode` writes them.", metavar="CODES", show_default=False),
    ],
) -> None:
    """Write the rows that CODES stand for.

    They are in the units and the shape of the data that the model was trained on.
    """
    from codeword.data import load

    data = load(codes, missing=job.model.takes_missing)
    k = job.model.n_components
    if data.sample_shape != (k,):
        raise DataError(
            f"{codes} has rows of shape {data.sample_shape}, and this model's codes have {k} numbers"
        )

    def rows_of(part: Data) -> Any:
        return job.model.model_.inverse_transform(part.x)

    job.write_rows(rows_of, data)
    job.wrote(n=len(data), sample_shape=list(job.model.sample_shape_))
