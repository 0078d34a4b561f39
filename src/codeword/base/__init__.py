"""The ground: errors, files, progress, text, version."""
