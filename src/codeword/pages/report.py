"""The report: one HTML file that holds everything it shows and asks nothing of the network."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from codeword.base.files import writing
from codeword.pages.content import Content
from codeword.pages.decoder import Program, Unsupported, program_of
from codeword.pages.page import Page

if TYPE_CHECKING:
    from codeword.model.autoencoder import AutoEncoder

__all__ = ["MOST_BYTES", "Report", "make_report"]

MOST_BYTES = 8_000_000
"""Size of the file: what most mail servers let through, twice over."""


@dataclass(frozen=True, eq=False)
class Report:
    """A report that can be written.

    Parameters
    ----------
    html : str
    points, pictures : int
        How many samples are on the map, and how many of these have a picture.
    decoder : str or None
        The precision of the decoder's weights in the page; None where it does not run there.
    left_out : list of str
        What a reader might expect and does not find, and why.
    """

    html: str
    points: int
    pictures: int
    decoder: str | None
    left_out: list[str]

    @property
    def size(self) -> int:
        """The bytes of the file."""
        return len(self.html.encode())

    def save(self, path: str | os.PathLike[str], *, overwrite: bool = False) -> Path:
        """Write the file, whole or not at all.

        Raises
        ------
        InputError
            If `path` exists and `overwrite` is false, or its folder is missing.
        """
        with writing(path, overwrite=overwrite) as new:
            new.write_text(self.html, "utf-8")
        return Path(path)


def make_report(ae: AutoEncoder, content: Content, *, most_bytes: int = MOST_BYTES) -> Report:
    """Put what `gather` collected into a page.

    Where everything does not fit, the decoder's weights and the codes are rounded to half precision first,
    then samples go without a picture, then the decoder stays out.

    Parameters
    ----------
    ae : AutoEncoder
        The model.
    content : Content
    most_bytes : int, default=8,000,000

    Returns
    -------
    Report
    """
    try:
        program, reason = program_of(ae.model_, content.map.codes), ""
    except Unsupported as error:
        program, reason = None, str(error)
    page = Page(content, ae.model_.scaling)
    every, there = len(content.pictures.rows), len(content.map.rows)
    plans = _plans(program, content)
    for decoder, precision in plans:
        if decoder is not program:
            reason = f"with it this file would be larger than {most_bytes / 1e6:g} MB"
        how: dict[str, Any] = {"decoder": decoder, "reason": reason, "precision": precision}
        kept, size = every, len(page.render(every, **how).encode())
        if size > most_bytes:
            bare = len(page.render(0, **how).encode())
            kept = max(0, int(0.97 * (most_bytes - bare) / (size - bare) * every))
        # A page with few pictures is worth more than one that cannot decode, but not one without any.
        if kept == every if precision == "float32" else kept >= min(every, 100):
            break
    while True:
        left_out = list(content.left_out)
        if kept < there:
            left_out.append(f"Pictures: {kept:,} of the {there:,} samples on the map have one.")
        html = page.render(kept, **how, left_out=left_out)
        if kept == 0 or len(html.encode()) <= most_bytes:
            return Report(html, there, kept, None if decoder is None else precision, left_out)
        kept = kept * 9 // 10


def _plans(program: Program | None, content: Content) -> list[tuple[Program | None, str]]:
    """Try these until the page fits: a decoder or none, and the precision of its weights and of codes."""
    codes = content.map.codes
    plans: list[tuple[Program | None, str]] = [(program, "float32")]
    if float(np.abs(codes).max()) < np.finfo(np.float16).max:
        if program is not None and program.agrees(codes[:64], program.run(codes[:64]), "float16"):
            plans.append((program, "float16"))
        plans.append((None, "float16"))
    return plans
