"""Learning curves: the losses of a fit, epoch by epoch."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from codeword.base.errors import ParameterError
from codeword.plots.style import RECONSTRUCTION, new_figure, require_count, styled

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["history_figure"]


def history_figure(
    train_loss: Sequence[float], validation_loss: Sequence[float | None] | None = None
) -> Figure:
    """Draw learning curves by epoch.

    Parameters
    ----------
    train_loss : sequence of n_epochs float
        The first is that of epoch 1.
    validation_loss : sequence of n_epochs float or None, default=None
        An epoch's may be None or NaN; its lowest is marked.

    Returns
    -------
    matplotlib.figure.Figure
        The loss axis is logarithmic where the curves span more than a factor of ten.

    Raises
    ------
    ParameterError
        If there is no epoch, or the two differ in length.
    """
    train = np.asarray(train_loss, dtype=np.float64)
    if train.ndim != 1 or len(train) == 0:
        raise ParameterError(
            f"train_loss must hold one number an epoch. Got the shape {train.shape} instead."
        )
    require_count(validation_loss, len(train), "validation_loss", "epochs")
    validation = np.full(len(train), np.nan)
    if validation_loss is not None:
        validation[:] = [math.nan if v is None else v for v in validation_loss]
    with styled():
        figure = new_figure(4.2, 2.6)
        _draw_history(figure.add_subplot(), train, validation)
        return figure


def _draw_history(axes: Axes, train: NDArray[np.float64], validation: NDArray[np.float64]) -> None:
    from matplotlib.ticker import MaxNLocator

    epochs = np.arange(1, len(train) + 1)
    marker = "o" if len(train) <= 30 else ""
    axes.plot(epochs, train, color="#4477AA", marker=marker, markersize=2.5, label="training")
    if np.isfinite(validation).any():
        axes.plot(epochs, validation, color=RECONSTRUCTION, marker=marker, markersize=2.5, label="validation")
        best = int(np.nanargmin(validation))
        axes.plot(
            epochs[best],
            validation[best],
            "o",
            markersize=7,
            markerfacecolor="none",
            markeredgecolor=RECONSTRUCTION,
            label=f"lowest: {validation[best]:.4g}, epoch {epochs[best]}",
        )
        axes.legend(loc="upper right")
    axes.set(xlabel="epoch", ylabel="loss")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    losses = np.concatenate([train, validation])
    losses = losses[np.isfinite(losses)]
    if len(losses) and losses.min() > 0 and losses.max() > 10 * losses.min():
        axes.set_yscale("log")
