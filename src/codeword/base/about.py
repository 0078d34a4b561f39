"""What this library is called by others."""

__version__ = "0.1.0"
