"""How many numbers a code needs: several objectives, k and seeds in one table, and one recommendation."""

from codeword.comparison.choice import Recommendation, recommend
from codeword.comparison.folder import PICTURE, RESULTS, TABLE, check_folder
from codeword.comparison.outcome import Comparison
from codeword.comparison.runs import compare

__all__ = [
    "PICTURE",
    "RESULTS",
    "TABLE",
    "Comparison",
    "Recommendation",
    "check_folder",
    "compare",
    "recommend",
]
