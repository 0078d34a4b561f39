"""The estimator, what it has learned, and where that is kept."""
