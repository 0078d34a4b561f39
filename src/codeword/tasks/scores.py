"""How far rows are from those a model was trained on: by their errors, and by their codes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from codeword.base.errors import ModelError
from codeword.data.rows import Rows
from codeword.tasks.rarity import Rarity, decoder_map, usual
from codeword.training.steps import mean_squared_error

if TYPE_CHECKING:
    from codeword.model.fitted import FittedModel

__all__ = ["Scorer", "shares"]

WORST = np.finfo(np.float64).max / 4
"""The size of a score that overflowed: the row is as unusual as can be."""

Values = NDArray[np.float64]


class Scorer:
    """Scores rows by a fitted model and what it remembers of the rows it was trained on.

    Nothing here depends on rows to calibrate on: the level of p-values would be off otherwise.

    Parameters
    ----------
    model : FittedModel
    n_neighbors : int
        See `OutlierDetector`.

    Raises
    ------
    ModelError
        If the model has no codes of the rows it was trained on.
    """

    def __init__(self, model: FittedModel, n_neighbors: int) -> None:
        known = model.training_codes
        if known is None:
            raise ModelError(
                "this model was saved without codes of the rows it was trained on, and nothing tells which "
                "codes are rare: train it again"
            )
        self.model, self.known = model, known
        parts = torch.split(torch.from_numpy(known.codes.copy()), model.chunk)
        pairs = ((z.numpy(), model.decode(z).cpu().numpy()) for z in parts)
        self.rarity = Rarity(known.codes, decoder_map(pairs, model.n_components), n_neighbors)
        self.usual_error = usual(known.errors)

    def rows(self, x: Rows) -> Iterator[tuple[Tensor, Tensor, Values, Values]]:
        """Rows and reconstructions (m, d), in scaled units, errors (m,) and rarity (m,), block by block."""
        yield from self.model.each(x, self._look)

    @torch.inference_mode()
    def _look(self, scaled: Tensor) -> tuple[Tensor, Tensor, Values, Values]:
        codes = self.model.encode(scaled)
        x_hat = self.model.decode(codes)
        errors = mean_squared_error(x_hat, scaled).double().cpu().numpy()
        return scaled, x_hat, errors, self.rarity(codes.cpu().numpy())

    def combined(self, errors: Values, rarity: Values) -> Values:
        """The score of each row, shape (n,): above -1 where usual, as a rule, and low where not."""
        with np.errstate(over="ignore"):
            scores = -(errors / self.usual_error + rarity / self.rarity.usual) / 2
        return np.nan_to_num(scores, nan=-WORST, neginf=-WORST).clip(min=-WORST)

    def scores(self, x: Rows) -> Values:
        """The score of each row of `x`, shape (n,)."""
        return np.concatenate([self.combined(errors, rarity) for _, _, errors, rarity in self.rows(x)])

    def held_scores(self) -> Values:
        """The scores of the rows that the model held out from training, shape (h,)."""
        errors: Any = self.known.held_errors.astype(np.float64)
        return self.combined(errors, self.rarity(self.known.held_codes))

    @property
    def parts(self) -> int:
        """How many shares a row has: one for each value or, of a mixed table, for each of its own columns."""
        columns = self.model.columns
        return self.model.n_features if columns is None else len(columns.names)

    def shares(self, scaled: Tensor, x_hat: Tensor) -> Tensor:
        """The share of each value, or of a mixed table's own columns, in its row's error: (m, parts)."""
        each = shares(scaled, x_hat)
        columns = self.model.columns
        if columns is None:
            return each
        owners = torch.tensor(columns.layout.owners, device=each.device)
        return each.new_zeros(len(each), self.parts).index_add_(1, owners, each)


def shares(x: Tensor, x_hat: Tensor) -> Tensor:
    """The share of each value in the squared error of its row, (m, d); none of what is missing."""
    off = torch.where(x.isnan(), 0.0, (x_hat.float() - x).abs())
    most = torch.finfo(off.dtype).max
    off = off.nan_to_num_(nan=most, posinf=most)
    squares = off.div_(off.amax(dim=1, keepdim=True).clamp_min(torch.finfo(off.dtype).tiny)).square_()
    # The largest is 1, unless all are 0.
    return squares.div_(squares.sum(dim=1, keepdim=True).clamp_min(1.0))
