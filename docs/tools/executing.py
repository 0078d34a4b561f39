"""Notebooks run from their scripts, and made into pages of the site with what they showed."""

from __future__ import annotations

import base64
import tempfile
from functools import cache
from typing import Any

import jupytext
import nbclient

__all__ = ["executed"]

QUIET = "--log-level=40"
"""A kernel tells of its port at each start."""

SECONDS = 60
"""The longest that one cell may take."""


@cache
def executed(script: str, name: str) -> tuple[str, dict[str, bytes]]:
    """Run a notebook in a kernel of its own, in an empty folder.

    Parameters
    ----------
    script : str
        The notebook as jupytext's py:percent.
    name : str
        What its pictures are named after.

    Returns
    -------
    page : str
        Markdown: texts, code, and after each piece of code what it printed and showed.
    pictures : dict of str to bytes
        PNG files by name.

    Raises
    ------
    RuntimeError
        If a cell wrote to standard error, as a warning does.
    nbclient.exceptions.CellExecutionError
        If a cell failed.
    """
    notebook = jupytext.reads(script, fmt="py:percent")
    with tempfile.TemporaryDirectory() as folder:
        nbclient.NotebookClient(
            notebook,
            timeout=SECONDS,
            kernel_name="python3",
            resources={"metadata": {"path": folder}},
            extra_arguments=[QUIET],
        ).execute()
    parts: list[str] = []
    pictures: dict[str, bytes] = {}
    for number, cell in enumerate(notebook.cells):
        if cell.cell_type != "code":
            parts.append(cell.source)
            continue
        parts.append(f"```python\n{cell.source}\n```")
        for output in cell.outputs:
            parts.append(shown(output, f"{name}-{number}", pictures))
    return "\n\n".join(parts) + "\n", pictures


def shown(output: Any, name: str, pictures: dict[str, bytes]) -> str:
    """One output as Markdown; a picture is put among the others."""
    if output.output_type == "stream":
        if output.name == "stderr":
            raise RuntimeError(f"{name} wrote to standard error: {output.text}")
        return text(output.text)
    data = output.get("data", {})
    if "image/png" in data:
        file = f"{name}-{len(pictures)}.png"
        pictures[file] = base64.b64decode(data["image/png"])
        return f"![What the cell above drew]({file})"
    if "text/html" in data and "<table" in data["text/html"]:
        return str(data["text/html"])
    return text(data.get("text/plain", ""))


def text(words: str) -> str:
    """What was printed, as it stands."""
    return "```text\n" + words.rstrip("\n") + "\n```"
