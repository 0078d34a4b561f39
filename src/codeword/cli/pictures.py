"""Pictures of rows for commands, each in the way that the model's samples are shown."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from codeword.cli.app import Job
from codeword.cli.options import PICTURES
from codeword.data.outputs import row_writer

if TYPE_CHECKING:
    from codeword.data import Data
    from codeword.model.autoencoder import AutoEncoder

__all__ = ["rows_of", "save_reconstructions", "write_samples"]


def rows_of(model: AutoEncoder, data: Data, rows: Sequence[int]) -> Any:
    """Some rows in the shape of the model's samples."""
    import numpy as np

    return np.stack([np.asarray(data.x[row]) for row in rows]).reshape(len(rows), *model.sample_shape_)


def save_reconstructions(
    model: AutoEncoder,
    data: Data,
    rows: Sequence[int],
    path: Path,
    *,
    overwrite: bool,
    titles: Sequence[str] | None = None,
    display: str | None = None,
) -> None:
    """Write a picture of some rows over their reconstructions; by default each with its number and error."""
    from codeword.plots import reconstruction_figure, save

    fitted, chosen = model.model_, data[rows]
    x_hat = fitted.reconstruct(chosen)
    if titles is None:
        found = -fitted.score_samples(chosen)
        titles = [f"row {row}\nerror {error:.4f}" for row, error in zip(rows, found, strict=True)]
    x = rows_of(model, data, rows)
    errors = fitted.scaling.forward(x_hat) - fitted.scaling.forward(x)
    shown = fitted.display(names=data.names, rows=x, kind=display)
    figure = reconstruction_figure(x, x_hat, titles=titles, display=shown, errors=errors.numpy())
    save(figure, path, overwrite=overwrite)


def write_samples(job: Job, path: Path, groups: Any, **words: Any) -> None:
    """Write groups of samples (groups, n, *sample_shape), as a picture or as rows.

    `words` are what `sample_figure` writes around them.
    """
    rows = groups.reshape(-1, *job.model.sample_shape_)
    if path.suffix.lower() not in PICTURES:
        how: dict[str, Any] = {"columns": job.model.model_.columns, "overwrite": job.overwrite}
        with row_writer(path, len(rows), rows.shape[1:], job.model.model_.names, **how) as write:
            write(rows)
        return
    from codeword.plots import sample_figure, save

    figure = sample_figure(rows, display=job.model.model_.display(rows=rows, kind=job.display), **words)
    save(figure, path, overwrite=job.overwrite)
