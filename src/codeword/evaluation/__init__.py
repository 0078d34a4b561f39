"""How much of the data the codes keep, beside PCA with as many numbers and the rows themselves."""

from codeword.evaluation.judging import evaluate

__all__ = ["evaluate"]
