"""The auto-encoder as a scikit-learn estimator."""

from __future__ import annotations

import contextlib
import copy
import os
import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import sklearn
import torch
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted

from codeword.base.errors import InputError, ModelError, ParameterError, out_of_memory
from codeword.base.files import recover, remove
from codeword.base.progress import Progress
from codeword.base.text import shortened
from codeword.data.rows import Rows
from codeword.data.scaling import Scaling, describe
from codeword.model.fitted import FittedModel, TrainingCodes
from codeword.model.folder import from_folder, make_checkpoint, read_folder, to_folder, write_folder
from codeword.model.hub import check, is_address, local, push
from codeword.model.inputs import check_feature_names, training_data
from codeword.model.parameters import from_json
from codeword.model.plan import (
    check_parameters,
    choose_device,
    held_out_rows,
    make_network,
    make_plan,
    network_spec,
    scaling_kind,
    starts_as_pca,
)
from codeword.networks.pca import PrincipalComponents
from codeword.objectives import Nested, Variational, resolve_objective
from codeword.training.batches import make_batches
from codeword.training.distributed import ProcessGroup
from codeword.training.loop import Trainer, seeded


def _learned(name: str) -> Any:
    """A part of `model_` as an attribute, which is not there before `fit` nor where there is none."""

    def get(self: AutoEncoder) -> Any:
        value = getattr(self.model_, name)
        if value is None and name in ("columns", "names"):
            raise AttributeError(f"this model was not fitted on a table with {name}")
        return np.array(value, dtype=object) if name == "names" else value

    return property(get)


if TYPE_CHECKING:

    class _Estimator:
        """What scikit-learn's bases give: they bring no types."""

        def __init_subclass__(cls, *, auto_wrap_output_keys: tuple[str, ...] | None = ()) -> None: ...
        def get_params(self, deep: bool = True) -> dict[str, Any]: ...
        def set_params(self, **parameters: Any) -> Self: ...
        def set_output(self, *, transform: str | None = None) -> Self: ...
        def fit_transform(self, X: Any, y: Any = None, **parameters: Any) -> Any: ...
        def get_feature_names_out(self, input_features: Any = None) -> np.ndarray[Any, Any]: ...
        def __getstate__(self) -> dict[str, Any]: ...
        def __setstate__(self, state: dict[str, Any]) -> None: ...
        def __sklearn_tags__(self) -> Any: ...

else:

    class _Estimator(ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseEstimator):
        """scikit-learn's bases."""


class _Encoder(_Estimator, auto_wrap_output_keys=None):
    """`transform` without scikit-learn's wrapper, which would give codes that were cut too many names."""

    model_: FittedModel

    def _fitted(self, X: Any = None) -> FittedModel:
        """The fitted model, for rows whose column names are those it was fitted on."""
        check_is_fitted(self)
        if X is not None:
            check_feature_names(self, self.model_, X)
        return self.model_

    def transform(self, X: Any, *, k: int | None = None, indices: bool = False) -> Any:
        """Encode rows (n, ...) to codes, ndarray of shape (n, n_components), float32.

        Parameters
        ----------
        X : array-like of shape (n, ...)
        k : int, optional
            The first so many numbers of each code, (n, k); for an objective that orders them, as `nested`.
        indices : bool, default=False
            The integers that stand for each code, (n, ...) int64; for an objective with discrete codes.
        """
        model = self._fitted(X)
        codes = model.indices(X) if indices else model.transform(X, k=k)
        # What `set_output` has asked for, or else the whole process.
        asked = getattr(self, "_sklearn_output_config", {}).get("transform")
        container = asked or sklearn.get_config()["transform_output"]
        if container == "default" or codes.ndim != 2:
            return codes
        name = type(self).__name__.lower() + ("_index" if indices else "")
        names = [f"{name}{i}" for i in range(codes.shape[1])]
        if container == "polars":
            import polars

            return polars.DataFrame(codes, schema=names, orient="row")
        import pandas

        return pandas.DataFrame(codes, columns=names, index=getattr(X, "index", None))


class AutoEncoder(_Encoder):
    """Learn compact codes of unlabeled rows, and the way back.

    Parameters
    ----------
    n_components : int, default=16
        k, the numbers in a code.
    network : "auto", str, architecture, or (encoder, decoder), default="auto"
        The two maps: an architecture such as `MLP(hidden=(512, 256))`, its name, or two torch modules of your
        own, which take rows in scaled units, flat or in the shape of a sample, to (n, k) and back. Modules
        are copied, and trained from the weights they come with.
    objective : str or objective, default="reconstruction"
        What is minimized.
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
    model_ : FittedModel
        All that was learned, typed; the other attributes are parts of it.
    network_ : Network
        The trained torch modules, `.encoder` and `.decoder`, on flat rows in scaled units.
    scaling_ : Scaling
    baseline_ : PrincipalComponents
        PCA with the same k, fitted on the same rows.
    training_codes_ : TrainingCodes or None
        Codes and errors of up to 10,000 of the rows trained on, and of rows held out, that new codes are
        drawn from and new rows are judged by. Saved with the model.
    history_ : list of dict
        One for each epoch: `epoch`, `train_loss`, `validation_loss`, `seconds`.
    best_epoch_ : int
        The epoch whose weights were kept; 0 for the start.
    seed_ : int
        The seed that was given or drawn.
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
        random_state: int | np.random.RandomState | None = None,
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

    _checkpoint: str | os.PathLike[str] | None = None

    network_ = _learned("network")
    scaling_ = _learned("scaling")
    baseline_ = _learned("baseline")
    training_codes_ = _learned("training_codes")
    history_ = _learned("history")
    best_epoch_ = _learned("best_epoch")
    interrupted_ = _learned("interrupted")
    seed_ = _learned("seed")
    columns_ = _learned("columns")
    sample_shape_ = _learned("sample_shape")
    n_features_in_ = _learned("n_features")
    feature_names_in_ = _learned("names")

    @property
    def takes_missing(self) -> bool:
        """Whether rows may hold NaN, to be reconstructed."""
        fitted = hasattr(self, "model_")
        return bool((self.model_.objective if fitted else resolve_objective(self.objective)).takes_missing)

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
            If training diverged.
        Whatever is raised, the estimator is as it was before.
        """
        check_parameters(self)
        data = training_data(X)
        x: Rows = data.x
        layout = None if data.columns is None else data.columns.layout
        objective = resolve_objective(self.objective, layout)
        device = choose_device(self.device)
        group = ProcessGroup.join(device)
        seed = self._choose_seed(checkpoint, resume, group)
        seen = describe(x, missing=objective.takes_missing, group=group)
        kind = scaling_kind(self.scaling, data.columns)
        scaling = Scaling.choose(kind, x.dtype, data.sample_shape, seen)
        baseline = PrincipalComponents.fit(x, scaling, scaling.scaled_mean(seen), self.n_components, seed)
        with seeded(seed, torch.device("cpu")):
            spec = network_spec(self.n_components, objective, scaling, data.sample_shape)
            network = make_network(self.network, objective, spec, baseline).to(device)
        group.broadcast_weights(network)
        model = FittedModel(
            self.get_params(deep=False),
            network,
            objective,
            scaling,
            baseline,
            data.sample_shape,
            str(x.dtype),
            len(x),
            seed,
            [],
            data.names,
            data.columns,
        )
        held_out = held_out_rows(self.validation_fraction, len(x))
        train, validation = make_batches(x, scaling, held_out, seed, device, group)
        plan = make_plan(self, train, seed, group)
        with Progress(plan.epochs * train.n, "training", verbose=self.verbose and group.is_main) as progress:
            trainer = Trainer(
                network,
                objective,
                train,
                validation,
                plan,
                model.history,
                starts_as_pca=starts_as_pca(network, objective),
                progress=progress,
                on_epoch=on_epoch,
                checkpoint=make_checkpoint(model, checkpoint, plan, x, seen, group),
            )
            trainer.fit(resume=resume)
        network.eval()
        codes = TrainingCodes.of(model, train, validation)
        # Set once, here: a fit that fails leaves the estimator as it was.
        self.model_ = replace(
            model, training_codes=codes, best_epoch=trainer.best_epoch, interrupted=trainer.interrupted
        )
        self._checkpoint = checkpoint
        if trainer.interrupted:
            warnings.warn(
                f"training was interrupted after {trainer.epoch} of {plan.epochs} epochs; "
                "the estimator has the best weights that it had reached",
                stacklevel=2,
            )
        return self

    def _choose_seed(
        self, checkpoint: str | os.PathLike[str] | None, resume: bool, group: ProcessGroup
    ) -> int:
        """The seed of a run: an integer stands for itself, so that a drawn seed, once known, can be given."""
        if checkpoint is not None and group.is_main:
            recover(Path(checkpoint))
        group.barrier()
        kept = checkpoint is not None and group.all_equal(Path(checkpoint).exists())
        if kept and not resume:
            raise InputError(
                f"there is a checkpoint of a run that was stopped, {checkpoint}: go on with resume=True "
                "(--resume), or delete it to train from the start"
            )
        if isinstance(self.random_state, (int, np.integer)):
            return int(self.random_state)
        if kept:
            return int(read_folder(str(checkpoint)).config["seed"])
        return int(group.broadcast(check_random_state(self.random_state).randint(2**31 - 1)))

    # -- codes and rows -------------------------------------------------------------------------------------

    def inverse_transform(self, X: Any, *, indices: bool = False) -> Any:
        """Decode codes (n, n_components) to rows (n, ...), float32, in the units and the shape of x.

        Of a mixed table they are a DataFrame of its own columns: see `Columns.inverse_transform`.

        With `indices`, X is the integers that `transform(..., indices=True)` gave. Codes of an objective that
        orders them may be cut to their first columns.
        """
        model = self._fitted()
        return self._in_own_columns(model.inverse_transform(model.codes_of(X) if indices else X))

    def reconstruct(self, X: Any) -> Any:
        """The reconstruction of each row: `inverse_transform(transform(X))`, in one pass."""
        return self._in_own_columns(self._fitted(X).reconstruct(X), getattr(X, "index", None))

    def _in_own_columns(self, rows: np.ndarray[Any, Any], index: Any = None) -> Any:
        """Rows of numbers as they are or, of a mixed table, as its own columns."""
        columns = self.model_.columns
        return rows if columns is None else columns.inverse_transform(rows, index=index)

    def score_samples(self, X: Any) -> np.ndarray[Any, np.dtype[np.float32]]:
        """Minus the mean squared error of each row in scaled units, shape (n,): low is unusual."""
        return self._fitted(X).score_samples(X)

    def score(self, X: Any, y: Any = None) -> float:
        """Minus the mean squared error over rows and features, in scaled units."""
        return float(self.score_samples(X).mean(dtype=np.float64))

    # -- what some objectives can do besides ----------------------------------------------------------------

    def sample(self, n: int = 1, *, prior: str = "auto", random_state: int | None = None) -> Any:
        """Generate new samples (n, ...), float32, in the units and the shape of x.

        Of a mixed table they are a DataFrame of its own columns.

        Parameters
        ----------
        n : int, default=1
        prior : {"auto", "normal", "mixture"}, default="auto"
            What codes are drawn from: the standard normal distribution, or a mixture of ten normal
            distributions fitted to codes of rows trained on (Ghosh et al. 2020, section 4). `auto` takes
            `normal` for objectives that make codes so: variational, wasserstein and adversarial.
        random_state : int or None, default=None

        Raises
        ------
        ParameterError
        ModelError
            If the model was saved without codes, and they are needed.
        """
        return self.inverse_transform(self._fitted().draw_codes(n, prior=prior, random_state=random_state))

    def log_likelihood(self, X: Any, n_samples: int = 100) -> np.ndarray[Any, np.dtype[np.float32]]:
        """A lower bound of log p(x) of each row, shape (n,), in nats, for values in scaled units.

        For `objective="variational"`: the importance-weighted bound of Burda et al. (2015, eq. 8), which
        rises to log p(x) with `n_samples`; the same call gives the same numbers.

        Raises
        ------
        ParameterError
            If the objective is not a likelihood.
        """
        model = self._fitted(X)
        objective = model.objective
        if not isinstance(objective, Variational):
            raise ParameterError(
                f"log_likelihood is for objective='variational'. Got {self.objective!r} instead."
            )
        with seeded(model.seed, model.device):
            each = model.each(X, lambda x: objective.log_likelihood(model.network, x, n_samples))
            return np.concatenate([part.cpu().numpy() for part in each])

    def latent_metrics(self, X: Any) -> dict[str, list[float]]:
        """Metrics of the codes of rows that only the objective knows.

        Returns
        -------
        dict
            - ``kl_per_dimension``, of variational models: the mean over rows of the KL divergence of each
              number's posterior from the prior, in nats.
            - ``codebook_use``, of vector-quantized ones: the share of each codebook's entries, or of each
              number's levels, that occurs.
        """
        return self._fitted(X).latent_metrics(X)

    def error_curve(self, X: Any) -> np.ndarray[Any, np.dtype[np.float64]]:
        """The mean squared error of rows from the first 1, 2, …, n_components numbers of their codes.

        For `objective="nested"`, whose one training gives every k; shape (n_components,), in scaled units.

        Raises
        ------
        ParameterError
            If the objective does not order the numbers of a code.
        """
        model = self._fitted(X)
        objective = model.objective
        if not isinstance(objective, Nested):
            raise ParameterError(f"error_curve is for objective='nested'. Got {self.objective!r} instead.")
        total, n = np.zeros(model.n_components), 0
        for size, errors in model.each(
            X, lambda x: (len(x), objective.errors_by_length(model.network, x).cpu().numpy())
        ):
            total, n = total + size * errors, n + size
        return total / n

    # -- on disk --------------------------------------------------------------------------------------------

    def save(self, path: str | os.PathLike[str], *, overwrite: bool = False) -> None:
        """Write the fitted model to a folder: JSON and safetensors, whole or not at all.

        A path `hf://user/name` is a repository on the Hugging Face Hub (`pip install 'codeword[hub]'`).

        Raises
        ------
        InputError
            If `path` exists and `overwrite` is false, or the Hub cannot be reached or refuses.
        """
        folder = to_folder(self._fitted())
        if is_address(path):
            push(folder, path, check(path, overwrite=overwrite))
        else:
            write_folder(path, folder, overwrite=overwrite)
        if self._checkpoint is not None and not self.model_.interrupted:
            remove(Path(self._checkpoint))
            self._checkpoint = None

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
        target = choose_device(device)
        folder = read_folder(local(path))
        try:
            ae: AutoEncoder = from_json(cls, folder.config["parameters"], network=network)
            ae.device = device
            check_parameters(ae)
            ae.model_ = from_folder(folder, ae.get_params(deep=False))
        except (LookupError, TypeError, AttributeError, RuntimeError, ParameterError) as error:
            if out_of_memory(error):
                raise
            reason = shortened(error)
            raise ModelError(f"{path}: the parts of the model do not fit together ({reason})") from None
        ae.network_.to(target)
        return ae

    # -- what scikit-learn and pickle ask --------------------------------------------------------------------

    def __getstate__(self) -> dict[str, Any]:
        """Pickled on one machine, opened on another: the network travels on the CPU."""
        state: dict[str, Any] = dict(super().__getstate__())
        if "model_" in state:
            model: FittedModel = state["model_"]
            state["model_"] = replace(model, network=copy.deepcopy(model.network).cpu())
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        if "model_" in state:
            with contextlib.suppress(ParameterError):
                self.model_.network.to(choose_device(self.device))

    @property
    def _n_features_out(self) -> int:
        return self.model_.n_components

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = ["float32"]
        tags.input_tags.two_d_array = True
        tags.input_tags.three_d_array = True
        tags.non_deterministic = self.random_state is None
        return tags
