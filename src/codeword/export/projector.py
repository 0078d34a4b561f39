"""A folder that `tensorboard --logdir` opens in its Embedding Projector."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from codeword.base.files import check_free, check_own, writing
from codeword.base.progress import Progress
from codeword.data.display import cells_of
from codeword.export.points import Points
from codeword.plots.sprites import LARGEST_SHEET, SMALLEST, Sheet

__all__ = ["FILES", "check_folder", "write_projector"]

FILES = ("tensors.tsv", "metadata.tsv", "sprite.png", "projector_config.pbtxt")

MOST_SHOWN = 100_000
"""Points that the projector fetches (`LIMIT_NUM_POINTS`)."""

MOST_COLUMNS = 64
"""Of a table, beside its codes: the projector keeps each cell as a string in the browser."""

AXES = 3
"""The projector opens on three principal components, and shows no point of a tensor that has fewer."""


def check_folder(folder: Path, *, overwrite: bool) -> None:
    """Say early that `folder` cannot be written.

    Raises
    ------
    InputError
        If it exists and `overwrite` is false, it holds files that are not of this format, or the folder to
        make it in is missing.
    """
    check_free(folder, overwrite=overwrite)
    check_own(folder, FILES, "a folder for TensorBoard's projector")


def write_projector(
    points: Points, folder: str | Path, *, overwrite: bool = False, verbose: bool = False
) -> dict[str, Any]:
    """Write points as a folder for TensorBoard's Embedding Projector, whole or not at all.

    The format is that of TensorBoard's guide (tensorflow.org/tensorboard/tensorboard_projector_plugin) and of
    its plugin's own reader (tensorboard/plugins/projector/projector_plugin.py, projector_config.proto):

    - `tensors.tsv`: a line of codes for each point, tabs between, no header; nine digits, so that float32
      comes back to the bit. Codes of one or two numbers get columns of zeros up to three, which move no
      distance;
    - `metadata.tsv`: a header, as a file of more than one column has, then a line for each point: its label,
      where there are labels, its row in the source, its error, and the columns of a table of up to 64. A tab
      ends a cell and a line end a point: within a label each run of them, and of blanks, becomes one blank;
    - `sprite.png`, for images: thumbnails row by row, as many rows as columns, at most 8,192 pixels a side.
      They are square, as the projector draws them, and are made smaller, down to 8 pixels, where there are
      many;
    - `projector_config.pbtxt`, which names the three.

    Parameters
    ----------
    points : Points
    folder : path
    overwrite, verbose : bool, default=False

    Returns
    -------
    dict
        `thumbnail`, pixels a side of each, or None without a sprite; `notes`, a line for all that was left
        out.

    Raises
    ------
    InputError
        As `check_folder`.
    """
    folder = Path(folder)
    check_folder(folder, overwrite=overwrite)
    n = len(points)
    notes = []
    if n > MOST_SHOWN:
        notes.append(f"TensorBoard shows the first {MOST_SHOWN:,} of {n:,} points: take fewer with --points")
    size, without = _thumbnail(points)
    if without:
        notes.append(without)
    names = points.display.names
    if len(names) > MOST_COLUMNS:
        notes.append(
            f"metadata.tsv leaves out the table's {len(names):,} columns: {MOST_COLUMNS} is the most"
        )
        names = ()
    with (
        writing(folder, overwrite=overwrite) as new,
        Progress(n, folder.name, verbose=verbose) as progress,
    ):
        new.mkdir()
        sheet: Sheet | None = None
        with (
            open(new / "tensors.tsv", "w", encoding="utf-8", newline="\n") as tensors,
            open(new / "metadata.tsv", "w", encoding="utf-8", newline="\n") as metadata,
        ):
            metadata.write("\t".join(_header(points, names)) + "\n")
            for part, block in points.blocks():
                np.savetxt(tensors, _wide(points.codes[part]), fmt="%.9g", delimiter="\t")
                metadata.writelines(_lines(points, part, block if names else None))
                if size is not None:
                    images = points.display.pixels(block)
                    sheet = sheet or Sheet(n, images[0], size)
                    sheet.put(part.start, images)
                progress.rows(len(block))
        if sheet is not None:
            (new / "sprite.png").write_bytes(sheet.png())
        (new / "projector_config.pbtxt").write_text(_config(points, size), "utf-8")
    return {"thumbnail": size, "notes": notes}


def _thumbnail(points: Points) -> tuple[int | None, str | None]:
    """Pixels a side of each thumbnail, or None and why there is no sprite."""
    if points.display.kind != "image":
        return None, "no sprite: the samples are no images"
    first = points.display.pixels(np.zeros((1, *points.display.shape)))[0]
    size = Sheet.size_for(len(points), *first.shape[:2])
    if size is None:
        return None, (
            f"no sprite: {len(points):,} thumbnails of {SMALLEST} pixels a side do not fit into "
            f"{LARGEST_SHEET:,} x {LARGEST_SHEET:,}; take fewer with --points"
        )
    return size, None


def _wide(codes: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.pad(codes, ((0, 0), (0, max(0, AXES - codes.shape[1]))))


def _header(points: Points, names: tuple[str, ...]) -> list[str]:
    """The names of the columns, none twice: the projector keeps a point's cells by their names."""
    header = [] if points.y is None else ["label"]
    for name in ("row", "error", *map(_clean, names)):
        while name in header:
            name += "_source"
        header.append(name)
    return header


def _lines(points: Points, part: slice, block: NDArray[Any] | None) -> Iterator[str]:
    labels = None if points.y is None else points.y[part].tolist()
    flat = None if block is None else block.reshape(len(block), -1).tolist()
    if block is not None and points.display.columns is not None:
        flat = cells_of(points.display.columns, block)
    for i, (row, error) in enumerate(zip(points.rows[part], points.errors[part], strict=True)):
        cells = [] if labels is None else [_clean(labels[i])]
        cells += [str(row), f"{error:.9g}"]
        if flat is not None:
            cells += [_cell(value) for value in flat[i]]
        yield "\t".join(cells) + "\n"


def _cell(value: Any) -> str:
    if isinstance(value, float):
        return "" if value != value else f"{value:.9g}"
    return "" if value is None else _clean(value)


def _clean(text: object) -> str:
    """On one line, without tabs."""
    return " ".join(str(text).split())


def _config(points: Points, size: int | None) -> str:
    n, k = len(points), max(AXES, points.codes.shape[1])
    sprite = (
        ""
        if size is None
        else (
            '  sprite {\n    image_path: "sprite.png"\n'
            f"    single_image_dim: {size}\n    single_image_dim: {size}\n  }}\n"
        )
    )
    return (
        'embeddings {\n  tensor_name: "codes"\n'
        f"  tensor_shape: {n}\n  tensor_shape: {k}\n"
        '  tensor_path: "tensors.tsv"\n  metadata_path: "metadata.tsv"\n'
        f"{sprite}}}\n"
    )
