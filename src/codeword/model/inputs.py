"""What a user hands over as rows, checked: those to fit on, and those for a model that is fitted."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_array, validate_data
from torch import Tensor

from codeword.base.errors import DataError
from codeword.base.text import listed
from codeword.data import Data
from codeword.data.columns import fitted_columns
from codeword.data.rows import PartFolder, Rows, Selected
from codeword.data.tables import is_table, mixed_table

if TYPE_CHECKING:
    from codeword.model.fitted import FittedModel


def training_data(X: Any) -> Data:
    """Rows to fit on, as numbers, with their names and columns.

    Values are looked at later, a block at a time, so that a memory map is not read here.

    Raises DataError if they are not numbers of shape (n, ...).
    """
    table = mixed_table(X)
    if table is not None:
        X = fitted_columns(table).transform(table)
    if isinstance(X, Data):
        return Data(_numbers(X.x), names=X.names, columns=X.columns)
    named = BaseEstimator()  # scikit-learn writes the names on an estimator
    validate_data(named, X, skip_check_array=True, ensure_2d=False)
    names = getattr(named, "feature_names_in_", None)
    return Data(_numbers(X), names=None if names is None else tuple(map(str, names)))


def matching_rows(model: FittedModel, X: Any, *, who: str = "AutoEncoder") -> Rows:
    """Rows for a fitted model, as numbers; a mixed table goes through the model's columns.

    Messages name `who` was asked.

    Raises DataError if their shape, names or columns are not those of the rows fitted on.
    """
    if model.columns is not None and is_table(X):
        X = model.columns.transform(X)
    if isinstance(X, Data):
        _check_columns(model, X)
        X = X.x
    x = _numbers(X)
    shape = x.shape[1:]
    if shape in (model.sample_shape, (model.n_features,)):
        return x
    if len(shape) != 1 or len(model.sample_shape) != 1:
        raise DataError(
            f"samples have shape {shape}, and the model was fitted on shape {model.sample_shape}: "
            f"give rows of that shape, or flat rows of {model.n_features} values"
        )
    raise DataError(
        f"X has {shape[0]} features, but {who} is expecting {model.n_features} features as input: give rows "
        "with the columns it was fitted on"
    )


def check_feature_names(estimator: BaseEstimator, model: FittedModel, X: Any) -> None:
    """Warn of missing column names and refuse others, as scikit-learn does, of rows that bring their own."""
    if not isinstance(X, Data) and (model.columns is None or not is_table(X)):
        validate_data(estimator, X, reset=False, skip_check_array=True, ensure_2d=False)


def _numbers(X: Any) -> Rows:
    """Something with shape and dtype that can be sliced; its values are not looked at."""
    if isinstance(X, Tensor):
        X = X.detach().cpu()
        X = (X.float() if X.dtype == torch.bfloat16 else X).numpy()  # NumPy has no bfloat16
    if type(X).__module__.startswith("torch.utils.data"):
        raise DataError(
            f"a {type(X).__name__} of torch is not rows: give the tensor or array that it is made of, such "
            "as dataset.tensors[0]"
        )
    if not isinstance(X, (np.memmap, PartFolder, Selected)):
        try:
            X = check_array(X, dtype="numeric", allow_nd=True, ensure_all_finite=False)
        except ValueError as error:
            raise DataError(" ".join(str(error).split())) from None
    if len(X.shape) < 2 or X.dtype.kind not in "fiub" or 0 in X.shape:
        raise DataError(
            f"x must be numbers of shape (n, ...), none of them 0; it is {X.dtype} of shape {X.shape}"
        )
    x: Rows = X
    return x


def _check_columns(model: FittedModel, data: Data) -> None:
    """Raise a DataError where the columns of a table that was loaded are not those of training."""
    known, found = model.columns, data.columns
    if found is not None and known is None:
        words = [each.name for each in found.columns_ if each.kind in ("category", "date")]
        raise DataError(
            f"{data.source}: the model was trained on numbers alone, and {listed(words)} "
            f"{'is' if len(words) == 1 else 'are'} none: leave out what was not there in training, or pass "
            "--label-column for what holds labels"
        )
    if found is not None and known is not None and known is not found and known.to_json() != found.to_json():
        raise DataError(
            "the rows were made by other columns than those of the model: give the table itself, or load it "
            "with columns=ae.columns_"
        )
    names, of_training = data.names or (), model.names or ()
    new = [name for name in names if name not in of_training]
    if of_training and len(new) == len(names) - len(of_training) > 0:
        raise DataError(
            f"column {new[0]!r} was not there in training: leave it out, or pass --label-column {new[0]} if "
            "it holds labels"
        )
    if len(names) == len(of_training):
        for stands, was in zip(names, of_training, strict=True):
            if stands != was:
                raise DataError(
                    f"the columns are not those of training: {stands!r} stands where {was!r} was; give the "
                    "same columns in the same order"
                )
