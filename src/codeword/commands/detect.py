"""What is unusual: `codeword score`."""

from __future__ import annotations

__all__: list[str] = []
