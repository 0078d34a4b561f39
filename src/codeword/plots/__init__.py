"""Pictures: reconstructions under their originals, grids of samples, maps, curves of learning and of k.

Every figure is a `matplotlib.figure.Figure` with an Agg canvas of its own. pyplot is never imported, so no
window opens and no state is shared with the caller's own plots.
"""

from codeword.plots.curves import comparison_figure, history_figure
from codeword.plots.maps import map_figure
from codeword.plots.samples import reconstruction_figure, sample_figure
from codeword.plots.style import NO_LABEL, PALETTE, save

__all__ = [
    "NO_LABEL",
    "PALETTE",
    "comparison_figure",
    "history_figure",
    "map_figure",
    "reconstruction_figure",
    "sample_figure",
    "save",
]
