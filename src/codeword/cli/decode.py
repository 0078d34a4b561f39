"""`codeword decode`."""

from typer import Argument

from codeword.base.errors import DataError
from codeword.cli.app import MODEL, ROWS, Job, command


@command(
    "decode digits.ae codes.npy -o digits.npy",
    MODEL,
    writes=("decoded.npy", ROWS, "Where the rows go: .npy, .npz, .csv or .parquet."),
)
def decode(
    job: Job, codes: str = Argument(help="Codes as `codeword encode` writes them.", metavar="CODES")
) -> None:
    """Write the rows that CODES stand for.

    They are in the units and the shape of the data that the model was trained on.
    """
    from codeword.data import load

    model = job.fitted
    data = load(codes, missing=model.takes_missing)
    if data.sample_shape != (model.n_components,):
        raise DataError(
            f"{codes} has rows of shape {data.sample_shape}, and this model's codes have "
            f"{model.n_components} numbers"
        )
    job.write_rows(lambda part: model.inverse_transform(part.x), data)
    job.wrote(n=len(data), sample_shape=list(model.sample_shape))
