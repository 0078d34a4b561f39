"""The commands: importing a module puts its commands into the application, in this order."""

from codeword.commands import learn, codes, judge, detect, uses, choose, export, pages, share  # noqa: I001

__all__ = ["choose", "codes", "detect", "export", "judge", "learn", "pages", "share", "uses"]
