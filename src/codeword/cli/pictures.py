"""Pictures of rows for commands: a model of a mixed table shows them in the table's own columns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from codeword.cli.app import Job
from codeword.cli.options import PICTURES
from codeword.cli.rows import columns, own_writer

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
) -> None:
    """Write a picture of some rows over their reconstructions; by default each with its number and error."""
    from codeword.plots import reconstruction_figure, save

    if titles is None:
        errors = -model.score_samples(data[rows])
        titles = [f"row {row}\nerror {error:.4f}" for row, error in zip(rows, errors, strict=True)]
    if getattr(model, "columns_", None) is not None:
        from codeword.cli.tabular import pairs_figure

        figure = pairs_figure(model, data[rows], [", ".join(title.split("\n")) for title in titles])
    else:
        x = rows_of(model, data, rows)
        x_hat = model.reconstruct(replace(data, x=x, y=None))
        figure = reconstruction_figure(
            x, x_hat, titles=titles, sample_shape=model.sample_shape_, names=data.names
        )
    save(figure, path, overwrite=overwrite)


def write_samples(
    job: Job, path: Path, groups: Any, line_titles: Sequence[Sequence[str]] | None = None, **words: Any
) -> None:
    """Write groups of samples (groups, n, *sample_shape), as a picture or as rows.

    `words` are what `sample_figure` writes around them. In a picture of a mixed table, where each row stands
    on a line, `line_titles` has one for each row of each group.
    """
    shape = job.model.sample_shape_
    rows = groups.reshape(-1, *shape)
    if path.suffix.lower() not in PICTURES:
        with own_writer(job.model, path, len(rows), overwrite=job.overwrite) as write:
            write(rows)
        return
    from codeword.plots import sample_figure, save

    if getattr(job.model, "columns_", None) is None:
        figure = sample_figure(rows, sample_shape=shape, names=columns(job.model), **words)
    else:
        from codeword.cli.tabular import rows_figure

        texts = None if line_titles is None else [text for group in line_titles for text in group]
        flat = texts and [", ".join(text.split()) for text in texts]
        figure = rows_figure(job.model, rows, titles=flat, group=groups.shape[1])
    save(figure, path, overwrite=job.overwrite)
