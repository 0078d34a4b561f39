"""How many numbers a code needs: `codeword compare`."""

from __future__ import annotations

__all__: list[str] = []
