"""The auto-encoder as a scikit-learn estimator."""

from __future__ import annotations

import contextlib
import os
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils.validation import check_array, check_is_fitted

from codeword.base.errors import DataError, ModelError, ParameterError
from codeword.base.files import remove
from codeword.base.progress import Progress
from codeword.data.scaling import Scaling, check_finite, describe
from codeword.model.fitted import collect
from codeword.model.folder import read_folder, write_folder
from codeword.model.hub import is_address, local, push
from codeword.model.inputs import check_rows
from codeword.model.plan import (
    check_parameters,
    choose_device,
    choose_seed,
    held_out,
    make_network,
    make_plan,
    scaling_of,
    starts_solved,
)
from codeword.model.reference import Reference
from codeword.model.saving import from_folder, make_checkpoint, to_folder
from codeword.model.special import SpecialMethods
from codeword.networks.pca import PrincipalComponents
from codeword.training.batches import make_batches
from codeword.training.distributed import World
from codeword.training.loop import Run, fit, seeded
from codeword.training.steps import mean_squared_error

__all__ = ["AutoEncoder"]


class AutoEncoder(SpecialMethods, ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """Learn compact codes of unlabelled rows, and the way back.

    Parameters
    ----------
    n_components : int, default=16
        k, the numbers in a code.
    network : "auto", str, architecture, or (encoder, decoder), default="auto"
        The two maps: an architecture such as `MLP(hidden=(512, 256))`, its name, or two torch modules of your
        own, which take rows in scaled units, flat or in the shape of a sample, to (n, k) and back. Modules
        are copied, and trained from the weights they come with.
    objective : str or objective, default="reconstruction"
        What is minimised.
    scaling : {"auto", "pixels", "unit", "standard", "none"}, default="auto"
        What the network sees. `pixels`: values from 0 to 255, divided by 255. `unit`: values from 0 to 1, as
        they are. `standard`: each feature with mean 0 and variance 1. `none`: any values as they are. `auto`
        takes `pixels` for uint8, else `unit` where all values lie in [0, 1], else `standard`.
    epochs : int or "auto", default="auto"
        Passes over the rows. `auto` makes more of them where rows are few.
    batch_size : int or "auto", default="auto"
        Rows to an update; on several processes, rows of each process.
    learning_rate : float, default=0.004
        Adam's, at its peak.
    schedule : {"cosine", "constant"}, default="cosine"
        `cosine` rises over the first tenth of the updates, then falls to zero.
    validation_fraction : float in [0, 1) or "auto", default="auto"
        Rows held out from training; `auto` is a tenth, but at most 5,000 rows. The weights of the epoch with
        the least loss on them are kept; where that is not clearly below the start's, as on few rows, the
        start's, which is PCA.
    patience : int or None, default=None
        Stop after so many epochs without a better held-out loss.
    precision : {"float32", "bfloat16"}, default="float32"
        Of the matrix products in training; weights, codes and reconstructions stay float32.
    device : "auto" or a torch device, default="auto"
        `auto` takes CUDA, then MPS, then the CPU.
    random_state : int, RandomState or None, default=None
        The same integer gives the same weights on the same machine.
    verbose : bool, default=False
        Show a line for each epoch, and a bar on a terminal.

    Attributes
    ----------
    history_ : list of dict
        One for each epoch: `epoch`, `train_loss`, `validation_loss`, `seconds`.
    network_ : Network
        The trained torch modules, `.encoder` and `.decoder`, on flat rows in scaled units.
    scaling_ : Scaling
    baseline_ : PrincipalComponents
        PCA with the same k, fitted on the same rows.
    reference_ : Reference or None
        Codes and errors of up to 10,000 of the rows trained on, and of rows held out, that new codes are
        drawn from and new rows are judged by. Saved with the model.
    columns_ : Columns
        Where x was a mixed table: what makes rows of numbers of it, and the table's own columns of these.
    sample_shape_ : tuple of int
        The shape of one sample of x; of a mixed table, of the row of numbers that is made of it.
    n_features_in_ : int
        d, the values in a sample.
    feature_names_in_ : ndarray of str
        Where x had column names.

    Examples
    --------
    >>> from codeword import AutoEncoder, load
    >>> digits = load("digits")
    >>> ae = AutoEncoder(n_components=8, epochs=5, random_state=0)
    >>> ae.fit_transform(digits.x).shape
    (1438, 8)
    """

    def __init__(
        self,
        n_components: int = 16,
        *,
        network: Any = "auto",
        objective: Any = "reconstruction",
        scaling: str = "auto",
        epochs: int | str = "auto",
        batch_size: int | str = "auto",
        learning_rate: float = 0.004,
        schedule: str = "cosine",
        validation_fraction: float | str = "auto",
        patience: int | None = None,
        precision: str = "float32",
        device: str = "auto",
        random_state: Any = None,
        verbose: bool = False,
    ) -> None:
        self.n_components = n_components
        self.network = network
        self.objective = objective
        self.scaling = scaling
        self.epochs = epochs
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.schedule = schedule
        self.validation_fraction = validation_fraction
        self.patience = patience
        self.precision = precision
        self.device = device
        self.random_state = random_state
        self.verbose = verbose

    def fit(
        self,
        X: Any,
        y: Any = None,
        *,
        on_epoch: Callable[[dict[str, Any]], None] | None = None,
        checkpoint: str | os.PathLike[str] | None = None,
        resume: bool = False,
    ) -> AutoEncoder:
        """Learn from rows.

        Parameters
        ----------
        X : Data, ndarray, memory map, tensor or DataFrame of shape (n, ...)
            Numbers, all of them finite. A memory map larger than memory is read in shuffled blocks. A
            DataFrame or pyarrow Table with columns of words or dates goes through `Columns`, and may have
            missing cells; from then on the model takes such tables, and gives them back.
        y : ignored
        on_epoch : callable, optional
            Called with each row of the history as it is made.
        checkpoint : path, optional
            A folder in which the run is kept as it goes, so that it survives a kill. `save` removes it.
        resume : bool, default=False
            Go on from the checkpoint, if there is one; the weights end the same, byte for byte, as those of a
            run that was not stopped.

        Returns
        -------
        self
            After Ctrl-C too, with a warning and the best weights so far.

        Raises
        ------
        DataError, ParameterError
        InputError
            If there is a checkpoint and `resume` is false, or it was made with other settings.
        TrainingError
            If training diverged; the estimator then has the weights from before.
        """
        check_parameters(self)
        x = check_rows(self, X, reset=True)
        device = choose_device(self.device)
        self._world = world = World.join(device)
        self._checkpoint_path = checkpoint
        self.seed_ = seed = choose_seed(self, checkpoint, resume, world)
        seen = describe(x, missing=self._objective().takes_missing, world=world)
        self.scaling_ = Scaling.choose(scaling_of(self), x.dtype, self.sample_shape_, seen)
        mean = self.scaling_.scaled_mean(seen)
        self.baseline_ = PrincipalComponents.fit(x, self.scaling_, mean, self.n_components, seed)
        self.dtype_ = str(x.dtype)
        self.n_samples_ = len(x)
        with seeded(seed, torch.device("cpu")):
            self.network_ = make_network(self, self.baseline_).to(device)
        world.share(self.network_)
        train, validation = make_batches(x, self.scaling_, held_out(self, len(x)), seed, device, world)
        plan = make_plan(self, train, seed, world)
        run = Run()
        self.history_ = run.history
        try:
            with Progress(
                plan.epochs * train.n, "training", verbose=self.verbose and world.first
            ) as progress:
                fit(
                    self.network_,
                    self._objective(),
                    train,
                    validation,
                    plan,
                    run=run,
                    starts_solved=starts_solved(self),
                    progress=progress,
                    world=world,
                    on_epoch=on_epoch,
                    checkpoint=make_checkpoint(self, checkpoint, plan, x, seen, world),
                    resume=resume,
                )
        finally:
            self.network_.eval()
            self.best_epoch_ = run.best_epoch
            self.interrupted_ = run.interrupted
        self.reference_ = Reference.of(self._encode, self._decode, self.n_components, train, validation, seed)
        if run.interrupted:
            warnings.warn(
                f"training was interrupted after {run.epoch} of {plan.epochs} epochs; "
                "the estimator has the best weights that it had reached",
                stacklevel=2,
            )
        return self

    def transform(self, X: Any, *, k: int | None = None, indices: bool = False) -> np.ndarray[Any, Any]:
        """Encode rows (n, ...) to codes, ndarray of shape (n, n_components), float32.

        Parameters
        ----------
        X : array-like of shape (n, ...)
        k : int, optional
            The first so many numbers of each code, (n, k); for an objective that orders them, as `nested`.
        indices : bool, default=False
            The integers that stand for each code, (n, ...) int64; for an objective with discrete codes.
        """
        check_is_fitted(self)
        x, objective = check_rows(self, X), self._objective()
        if indices:
            with torch.inference_mode():
                return np.concatenate(
                    [t.cpu().numpy() for t in self._each(x, lambda t: objective.indices(self.network_, t))]
                )
        if k is not None and not (objective.ordered and 0 < k <= self.n_components):
            raise ParameterError(
                f"k={k!r}: codes can be cut only to between 1 and n_components numbers, and only where the "
                "objective orders them, as objective='nested' does"
            )
        codes = self._each(x, lambda scaled: self._encode(scaled)[:, :k])
        return collect(codes, len(x), (k or self.n_components,))

    def inverse_transform(self, X: Any, *, indices: bool = False) -> Any:
        """Decode codes (n, n_components) to rows (n, ...), float32, in the units and the shape of x.

        Of a mixed table they are a DataFrame of its own columns: see `Columns.inverse_transform`.

        With `indices`, X is the integers that `transform(..., indices=True)` gave. Codes of an objective that
        orders them may be cut to their first columns.
        """
        check_is_fitted(self)
        objective = self._objective()
        if indices:
            chosen = torch.from_numpy(np.array(X, dtype=np.int64)).to(self._place())
            X = objective.lookup(self.network_, chosen).detach().cpu().numpy()
        z = check_array(X, dtype=np.float32, ensure_all_finite=False)
        check_finite(z)
        if objective.ordered and z.shape[1] < self.n_components:
            z = np.pad(z, ((0, 0), (0, self.n_components - z.shape[1])))
        if z.shape[1] != self.n_components:
            raise DataError(
                f"the codes have {z.shape[1]} columns, and this model's have {self.n_components}: "
                "give codes that this model made"
            )
        decoded = (self.scaling_.inverse(self._decode(part)) for part in self._tensors(z))
        return self._given_back(collect(decoded, len(z), self.sample_shape_))

    def reconstruct(self, X: Any) -> Any:
        """The reconstruction of each row: `inverse_transform(transform(X))`, in one pass."""
        check_is_fitted(self)
        x = check_rows(self, X)
        decoded = self._each(x, lambda scaled: self._decode(self._encode(scaled)))
        rows = collect((self.scaling_.inverse(t) for t in decoded), len(x), self.sample_shape_)
        return self._given_back(rows, getattr(X, "index", None))

    def score_samples(self, X: Any) -> np.ndarray[Any, np.dtype[np.float32]]:
        """Minus the mean squared error of each row in scaled units, shape (n,): low is unusual."""
        check_is_fitted(self)
        x = check_rows(self, X)
        errors = self._each(x, lambda scaled: -mean_squared_error(self._decode(self._encode(scaled)), scaled))
        return collect(errors, len(x), ())

    def score(self, X: Any, y: Any = None) -> float:
        """Minus the mean squared error over rows and features, in scaled units."""
        return float(self.score_samples(X).mean(dtype=np.float64))

    def save(self, path: str | os.PathLike[str], *, overwrite: bool = False) -> None:
        """Write the fitted model to a folder: JSON and safetensors, whole or not at all.

        A path `hf://user/name` is a repository on the Hugging Face Hub (`pip install 'codeword[hub]'`).

        Raises
        ------
        InputError
            If `path` exists and `overwrite` is false, or the Hub cannot be reached or refuses.
        """
        if is_address(path):
            push(to_folder(self), path, overwrite=overwrite)
        else:
            write_folder(path, to_folder(self), overwrite=overwrite)
        checkpoint = getattr(self, "_checkpoint_path", None)
        if checkpoint is not None and not self.interrupted_:
            remove(Path(checkpoint))
            self._checkpoint_path = None

    @classmethod
    def load(cls, path: str | os.PathLike[str], *, network: Any = None, device: str = "auto") -> AutoEncoder:
        """Read a model folder.

        Parameters
        ----------
        path : path of a folder that `save` wrote, or hf://user/name or hf://user/name@revision
        network : (encoder, decoder), optional
            Needed if the model was fitted with torch modules of your own: their code is not in the folder,
            only their weights.
        device : "auto" or a torch device, default="auto"

        Raises
        ------
        ModelError
            If the folder is missing, damaged, or was written by a later version.
        """
        try:
            ae: AutoEncoder = from_folder(cls, read_folder(local(path)), network, device)
        except (KeyError, TypeError, IndexError, AttributeError, RuntimeError, ParameterError) as error:
            reason = (str(error).splitlines() or [""])[0]
            raise ModelError(f"{path}: the parts of the model do not fit together ({reason})") from None
        return ae

    # -- what scikit-learn and pickle ask --------------------------------------------------------------------

    def __getstate__(self) -> dict[str, Any]:
        """Pickled on one machine, opened on another: the network travels on the CPU."""
        state: dict[str, Any] = dict(super().__getstate__())
        if "network_" in state:
            import copy

            state["network_"] = copy.deepcopy(state["network_"]).cpu()
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        if hasattr(self, "network_"):
            with contextlib.suppress(ParameterError):
                self.network_.to(choose_device(self.device))

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = ["float32"]
        tags.input_tags.two_d_array = True
        tags.input_tags.three_d_array = True
        tags.non_deterministic = self.random_state is None
        return tags
