"""Codes put to work: `codeword sample`, `interpolate`, `traverse`, `neighbors`."""

from __future__ import annotations

__all__: list[str] = []
