"""What a user hands over as rows, checked."""

from __future__ import annotations

import math
import warnings
from typing import Any

import numpy as np
import torch
from sklearn.utils.validation import _check_feature_names, check_array
from torch import Tensor

from codeword.base.errors import DataError
from codeword.data import Data
from codeword.data.columns import Columns
from codeword.data.parts import PartFolder
from codeword.data.rows import Rows, Selected

__all__ = ["check_rows", "mixed_columns", "mixed_table"]


def check_rows(ae: Any, X: Any, *, reset: bool = False) -> Rows:
    """Rows as something with shape and dtype that can be sliced; their shape and names are checked.

    With `reset` they are those to fit on, and the estimator `ae` takes their shape and names over. Values are
    looked at later, a block at a time, so that a memory map is not read here.
    """
    names = None
    if not isinstance(X, Data):
        X = _from_columns(ae, X, reset)
    elif X.columns is None and reset:
        _forget_columns(ae)
    if isinstance(X, Data):
        _check_columns(ae, X, reset)
        X, names = X.x, X.names
    if isinstance(X, Tensor):
        X = X.detach().cpu()
        X = (X.float() if X.dtype == torch.bfloat16 else X).numpy()  # NumPy has no bfloat16
    if type(X).__module__.startswith("torch.utils.data"):
        raise DataError(
            f"a {type(X).__name__} of torch is not rows: give the tensor or array that it is made of, such "
            "as dataset.tensors[0]"
        )
    if not isinstance(X, (np.memmap, PartFolder, Selected)):
        frame = X
        try:
            X = check_array(X, dtype="numeric", allow_nd=True, ensure_all_finite=False)
        except ValueError as error:
            raise DataError(" ".join(str(error).split())) from None
        if names is None:
            _check_feature_names(ae, frame, reset=reset)
    if len(X.shape) < 2 or X.dtype.kind not in "fiub" or 0 in X.shape:
        raise DataError(
            f"x must be numbers of shape (n, ...), none of them 0; it is {X.dtype} of shape {X.shape}"
        )
    if names is not None:
        _check_names(ae, names, reset)
    shape = X.shape[1:]
    if reset:
        ae.sample_shape_ = tuple(int(s) for s in shape)
        ae.n_features_in_ = math.prod(ae.sample_shape_)
        ae._n_features_out = ae.n_components
    elif shape not in (ae.sample_shape_, (ae.n_features_in_,)):
        if len(shape) == len(ae.sample_shape_) == 1:
            known = set(getattr(ae, "feature_names_in_", ()))
            new = [name for name in names or () if name not in known] if known else []
            if len(new) == shape[0] - ae.n_features_in_ > 0:
                raise DataError(
                    f"column {new[0]!r} was not there in training: leave it out, or pass --label-column "
                    f"{new[0]} if it holds labels"
                )
            raise DataError(
                f"X has {shape[0]} features, but {type(ae).__name__} is expecting "
                f"{ae.n_features_in_} features as input: give rows with the columns it was fitted on"
            )
        raise DataError(
            f"samples have shape {shape}, and the model was fitted on shape {ae.sample_shape_}: "
            f"give rows of that shape, or flat rows of {ae.n_features_in_} values"
        )
    return X  # type: ignore[no-any-return]


def mixed_table(X: Any) -> Any:
    """A DataFrame with columns of words or dates as a pyarrow Table; None where X is anything else."""
    from codeword.data.mixed import mixed_frame

    return None if isinstance(X, (Data, np.ndarray, Tensor)) else mixed_frame(X)


def mixed_columns(table: Any) -> Columns:
    """`Columns` fitted on a mixed table, with a warning of what they leave out."""
    columns = Columns().fit(table)
    if columns.left_out_:
        warnings.warn(columns.left_out_text(), stacklevel=3)
    return columns


def _from_columns(ae: Any, X: Any, reset: bool) -> Any:
    """A mixed table as rows of numbers, by the estimator's columns or, on `reset`, columns of its own."""
    columns = getattr(ae, "columns_", None)
    if reset:
        table = mixed_table(X)
        if table is not None:
            return mixed_columns(table).transform(table)
        _forget_columns(ae)
        return X
    if columns is None or isinstance(X, np.ndarray) or not (hasattr(X, "columns") or hasattr(X, "schema")):
        return X
    return columns.transform(X)


def _forget_columns(ae: Any) -> None:
    if hasattr(ae, "columns_"):
        del ae.columns_


def _check_columns(ae: Any, data: Data, reset: bool) -> None:
    """Rows that columns have made are for the estimator that knows these columns."""
    if data.columns is None:
        return
    if reset:
        ae.columns_ = data.columns
        return
    known = getattr(ae, "columns_", None)
    if known is not data.columns and (known is None or known.to_json() != data.columns.to_json()):
        raise DataError(
            "the rows were made by other columns than those of the model: give the table itself, or what its "
            "columns_.transform makes of it"
        )


def _check_names(ae: Any, names: tuple[str, ...], reset: bool) -> None:
    """Column names of a table that was read from a file."""
    if reset:
        ae.feature_names_in_ = np.array(names, dtype=object)
        return
    known = getattr(ae, "feature_names_in_", None)
    if known is None or len(known) != len(names) or list(known) == list(names):
        return
    first = next((a, b) for a, b in zip(known, names, strict=True) if a != b)
    raise DataError(
        f"the columns are not those of training: {first[1]!r} stands where {first[0]!r} was; "
        "give the same columns in the same order"
    )
