"""The auto-encoder as a scikit-learn estimator."""

from __future__ import annotations

import contextlib
import math
import numbers
import os
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils import check_random_state
from sklearn.utils.validation import _check_feature_names, check_array, check_is_fitted
from torch import Tensor

from codeword.baseline import PrincipalComponents
from codeword.batches import Batches, make_batches
from codeword.checkpoint import Checkpoint, digest
from codeword.data.blocks import Rows, blocks
from codeword.data.parts import PartFolder
from codeword.data.readers import Data
from codeword.data.scaling import KINDS, Scaling, Statistics, check_finite, describe
from codeword.distributed import World
from codeword.errors import DataError, InputError, ModelError, ParameterError
from codeword.files import recover, remove
from codeword.modelcard import model_card
from codeword.modelfolder import Folder, read_folder, write_folder
from codeword.networks import MLP, Network, Skip, Spec, build_network, resolve_architecture
from codeword.objectives import Objective, Reconstruction, resolve_objective
from codeword.parameters import from_json, to_json
from codeword.progress import Progress
from codeword.steps import mean_squared_error
from codeword.training import SCHEDULES, Plan, Run, fit, seeded

__all__ = ["PRESETS", "AutoEncoder"]

PRECISIONS = ("float32", "bfloat16")

PRESETS: dict[str, dict[str, Any]] = {
    "tutorial": {
        "n_components": 16,
        "network": MLP(hidden=(256,), activation="leaky_relu", linear_skip=False),
        "objective": "reconstruction",
        "epochs": 5,
        "batch_size": 32,
        "learning_rate": 1e-3,
        "schedule": "constant",
        "validation_fraction": 0.0,
    }
}
"""Named sets of parameters: `AutoEncoder(**PRESETS["tutorial"])` is the tutorial, network and training."""


class AutoEncoder(ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseEstimator):  # type: ignore[misc]
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
    sample_shape_ : tuple of int
        The shape of one sample of x.
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
            Numbers, all of them finite. A memory map larger than memory is read in shuffled blocks.
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
        self._check_parameters()
        x = self._check_rows(X, reset=True)
        device = self._device()
        world = World.join(device)
        self.seed_ = seed = self._seed(checkpoint, resume, world)
        seen = describe(x, missing=self._objective().takes_missing)
        self.scaling_ = Scaling.choose(self.scaling, x.dtype, self.sample_shape_, seen)
        mean = self.scaling_.scaled_mean(seen)
        self.baseline_ = PrincipalComponents.fit(x, self.scaling_, mean, self.n_components, seed)
        self.dtype_ = str(x.dtype)
        self.n_samples_ = len(x)
        with seeded(seed, torch.device("cpu")):
            self.network_ = self._build(self.baseline_).to(device)
        world.share(self.network_)
        held_out = self._held_out(len(x))
        train, validation = make_batches(x, self.scaling_, held_out, seed, device, world)
        plan = self._plan(train, seed, world)
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
                    starts_solved=self._starts_solved(),
                    progress=progress,
                    world=world,
                    on_epoch=on_epoch,
                    checkpoint=self._checkpoint(checkpoint, plan, seen, world),
                    resume=resume,
                )
        finally:
            self.network_.eval()
            self.best_epoch_ = run.best_epoch
            self.interrupted_ = run.interrupted
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
        x, objective = self._check_rows(X), self._objective()
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
        return self._collect(codes, len(x), (k or self.n_components,))

    def inverse_transform(self, X: Any, *, indices: bool = False) -> np.ndarray[Any, np.dtype[np.float32]]:
        """Decode codes (n, n_components) to rows (n, ...), float32, in the units and the shape of x.

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
        return self._collect(decoded, len(z), self.sample_shape_)

    def reconstruct(self, X: Any) -> np.ndarray[Any, np.dtype[np.float32]]:
        """The reconstruction of each row: `inverse_transform(transform(X))`, in one pass."""
        check_is_fitted(self)
        x = self._check_rows(X)
        decoded = self._each(x, lambda scaled: self._decode(self._encode(scaled)))
        return self._collect((self.scaling_.inverse(t) for t in decoded), len(x), self.sample_shape_)

    def score_samples(self, X: Any) -> np.ndarray[Any, np.dtype[np.float32]]:
        """Minus the mean squared error of each row in scaled units, shape (n,): low is unusual."""
        check_is_fitted(self)
        x = self._check_rows(X)
        errors = self._each(x, lambda scaled: -mean_squared_error(self._decode(self._encode(scaled)), scaled))
        return self._collect(errors, len(x), ())

    def score(self, X: Any, y: Any = None) -> float:
        """Minus the mean squared error over rows and features, in scaled units."""
        return float(self.score_samples(X).mean(dtype=np.float64))

    def save(self, path: str | os.PathLike[str], *, overwrite: bool = False) -> None:
        """Write the fitted model to a folder: JSON and safetensors, whole or not at all.

        Raises
        ------
        InputError
            If `path` exists and `overwrite` is false.
        """
        write_folder(path, self._to_folder(), overwrite=overwrite)
        checkpoint = getattr(self, "_checkpoint_path", None)
        if checkpoint is not None:
            remove(Path(checkpoint))

    @classmethod
    def load(cls, path: str | os.PathLike[str], *, network: Any = None, device: str = "auto") -> AutoEncoder:
        """Read a model folder.

        Parameters
        ----------
        path : path of a folder that `save` wrote
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
            return cls._from_folder(read_folder(path), network, device)
        except (KeyError, TypeError, IndexError, AttributeError, RuntimeError, ParameterError) as error:
            reason = (str(error).splitlines() or [""])[0]
            raise ModelError(f"{path}: the parts of the model do not fit together ({reason})") from None

    # -- the two directions, on flat tensors in scaled units ------------------------------------------------

    @torch.inference_mode()
    def _encode(self, scaled: Tensor) -> Tensor:
        return self._objective().encode(self.network_, scaled.to(self._place()))

    @torch.inference_mode()
    def _decode(self, codes: Tensor) -> Tensor:
        return self._objective().decode(self.network_, codes.to(self._place()))

    def _each(self, x: Rows, function: Callable[[Tensor], Tensor]) -> Iterator[Tensor]:
        """`function` of rows, a bounded number at a time; every pass cuts its rows alike."""
        for start, block in blocks(x):
            check_finite(block, start, missing=self.scaling_.missing)
            for first in range(0, len(block), self._chunk):
                scaled = self.scaling_.forward(block[first : first + self._chunk])
                yield function(scaled.to(self._place()))

    def _tensors(self, z: np.ndarray[Any, Any]) -> Iterator[Tensor]:
        yield from torch.split(torch.from_numpy(np.array(z)), self._chunk)

    @property
    def _chunk(self) -> int:
        return max(1, min(4096, (1 << 23) // self.n_features_in_))

    @staticmethod
    def _collect(
        parts: Iterator[Any], n: int, shape: tuple[int, ...]
    ) -> np.ndarray[Any, np.dtype[np.float32]]:
        out = np.empty((n, *shape), dtype=np.float32)
        start = 0
        for part in parts:
            out[start : start + len(part)] = part.cpu().numpy() if isinstance(part, Tensor) else part
            start += len(part)
        return out

    # -- fitting --------------------------------------------------------------------------------------------

    def _build(self, baseline: PrincipalComponents | None) -> Network:
        objective = self._objective()
        k = self.n_components
        spec = Spec(self.sample_shape_, k, objective.width(k), self.scaling_.bounded, objective.logits)
        network = build_network(self.network, spec, objective.extra(spec))
        architecture = resolve_architecture(self.network)
        if baseline is not None:
            if architecture is not None:
                architecture.start(network, baseline)
            objective.start(network, baseline)
        return network

    def _starts_solved(self) -> bool:
        """Whether the network starts as PCA, and PCA is a solution of what is minimised."""
        plain = type(self._objective()) is Reconstruction and self._objective().loss == "mse"
        return plain and isinstance(self.network_.encoder, Skip)

    def _checkpoint(
        self, path: str | os.PathLike[str] | None, plan: Plan, seen: Statistics, world: World
    ) -> Checkpoint | None:
        self._checkpoint_path = path
        if path is None:
            return None
        not_compared = ("device", "verbose", "random_state")
        settings = {k: v for k, v in to_json(self).items() if k not in not_compared}
        settings |= {"seed": plan.seed, "processes": world.size, "rows": seen.n}
        settings |= {
            "sample shape": list(self.sample_shape_),
            "the data's digest": digest(seen.mean, seen.variance),
        }
        return Checkpoint(path, settings, self._to_folder, world.first)

    def _held_out(self, n: int) -> int:
        """How many rows to hold out; at least one is left to train on."""
        if self.validation_fraction == "auto":
            return min(n // 10, 5_000)
        return min(int(n * float(self.validation_fraction)), n - 1)

    def _plan(self, train: Batches, seed: int, world: World) -> Plan:
        """The training's settings, with "auto" made into numbers."""
        n = train.n // world.size
        batch = (
            self.batch_size
            if self.batch_size != "auto"
            else min(256, max(32, 1 << round(math.log2(n / 40 + 1))))
        )
        updates = train.steps(int(batch))
        epochs = self.epochs if self.epochs != "auto" else max(10, min(500, -(-2000 // updates)))
        return Plan(
            int(epochs),
            int(batch),
            float(self.learning_rate),
            self.schedule,
            self.patience,
            self.precision,
            seed,
        )

    def _seed(self, checkpoint: str | os.PathLike[str] | None, resume: bool, world: World) -> int:
        """An integer stands for itself, so that a drawn seed, once known, can be given again."""
        if checkpoint is not None and world.first:
            recover(Path(checkpoint))
        world.wait()
        kept = checkpoint is not None and Path(checkpoint).exists()
        if kept and not resume:
            raise InputError(
                f"there is a checkpoint of a run that was stopped, {checkpoint}: go on with resume=True "
                "(--resume), or delete it to train from the start"
            )
        if isinstance(self.random_state, numbers.Integral):
            return int(self.random_state)
        if kept:
            return int(read_folder(str(checkpoint)).config["seed"])
        return world.from_first(int(check_random_state(self.random_state).randint(2**31 - 1)))

    def _device(self) -> torch.device:
        if self.device != "auto":
            try:
                return torch.empty(0, device=self.device).device
            except (RuntimeError, AssertionError, NotImplementedError, TypeError) as error:
                reason = str(error).splitlines()[0]
                raise ParameterError(
                    f"The 'device' parameter of AutoEncoder is {self.device!r}: {reason}"
                ) from None
        if torch.cuda.is_available():
            return torch.device("cuda", torch.cuda.current_device())
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")

    def _objective(self) -> Objective:
        return resolve_objective(self.objective)

    def _place(self) -> torch.device:
        return next(self.network_.parameters()).device

    # -- checks ---------------------------------------------------------------------------------------------

    def _check_parameters(self) -> None:
        def must(name: str, good: bool, what: str) -> None:
            if not good:
                value = getattr(self, name)
                raise ParameterError(
                    f"The {name!r} parameter of AutoEncoder must be {what}. Got {value!r} instead."
                )

        def whole(value: Any) -> bool:
            return isinstance(value, (int, np.integer)) and not isinstance(value, bool) and bool(value > 0)

        def real(value: Any) -> bool:
            return isinstance(value, numbers.Real) and not isinstance(value, bool)

        must("n_components", whole(self.n_components), "a positive integer")
        must("epochs", whole(self.epochs) or self.epochs == "auto", "a positive integer or 'auto'")
        must(
            "batch_size", whole(self.batch_size) or self.batch_size == "auto", "a positive integer or 'auto'"
        )
        must(
            "learning_rate",
            real(self.learning_rate) and 0 < self.learning_rate < math.inf,
            "a positive number",
        )
        must("schedule", self.schedule in SCHEDULES, f"one of {', '.join(SCHEDULES)}")
        must("scaling", self.scaling in KINDS, f"one of {', '.join(KINDS)}")
        must("precision", self.precision in PRECISIONS, f"one of {', '.join(PRECISIONS)}")
        must(
            "validation_fraction",
            self.validation_fraction == "auto"
            or (real(self.validation_fraction) and 0 <= float(self.validation_fraction) < 1),
            "a number from 0 up to, not including, 1, or 'auto'",
        )
        must("patience", self.patience is None or whole(self.patience), "a positive integer or None")
        seed = self.random_state
        must(
            "random_state",
            seed is None
            or isinstance(seed, np.random.RandomState)
            or (isinstance(seed, numbers.Integral) and 0 <= int(seed) < 1 << 63),
            "an integer from 0 up to, not including, 2**63, a RandomState or None",
        )
        resolve_objective(self.objective)
        resolve_architecture(self.network)

    def _check_rows(self, X: Any, *, reset: bool = False) -> Rows:
        """Rows as something with shape and dtype that can be sliced; their shape and names are checked.

        Values are looked at later, a block at a time, so that a memory map is not read here.
        """
        names = None
        if isinstance(X, Data):
            X, names = X.x, X.names
        if isinstance(X, Tensor):
            X = X.detach().cpu().numpy()
        if not isinstance(X, (np.memmap, PartFolder)):
            frame = X
            try:
                X = check_array(X, dtype="numeric", allow_nd=True, ensure_all_finite=False)
            except ValueError as error:
                raise DataError(" ".join(str(error).split())) from None
            if names is None:
                _check_feature_names(self, frame, reset=reset)
        if X.ndim < 2 or X.dtype.kind not in "fiub" or 0 in X.shape:
            raise DataError(
                f"x must be numbers of shape (n, ...), none of them 0; it is {X.dtype} of shape {X.shape}"
            )
        if names is not None:
            self._check_names(names, reset)
        shape = X.shape[1:]
        if reset:
            self.sample_shape_ = tuple(int(s) for s in shape)
            self.n_features_in_ = math.prod(self.sample_shape_)
            self._n_features_out = self.n_components
        elif shape not in (self.sample_shape_, (self.n_features_in_,)):
            if len(shape) == len(self.sample_shape_) == 1:
                raise DataError(
                    f"X has {shape[0]} features, but {type(self).__name__} is expecting "
                    f"{self.n_features_in_} features as input: give rows with the columns it was fitted on"
                )
            raise DataError(
                f"samples have shape {shape}, and the model was fitted on shape {self.sample_shape_}: "
                f"give rows of that shape, or flat rows of {self.n_features_in_} values"
            )
        return X  # type: ignore[no-any-return]

    def _check_names(self, names: tuple[str, ...], reset: bool) -> None:
        """Column names of a table that was read from a file."""
        if reset:
            self.feature_names_in_ = np.array(names, dtype=object)
            return
        known = getattr(self, "feature_names_in_", None)
        if known is None or len(known) != len(names) or list(known) == list(names):
            return
        first = next((a, b) for a, b in zip(known, names, strict=True) if a != b)
        raise DataError(
            f"the columns are not those of training: {first[1]!r} stands where {first[0]!r} was; "
            "give the same columns in the same order"
        )

    # -- saving ---------------------------------------------------------------------------------------------

    def _to_folder(self) -> Folder:
        check_is_fitted(self)
        names = getattr(self, "feature_names_in_", None)
        config = {
            "parameters": to_json(self),
            "data": {
                "n": self.n_samples_,
                "sample_shape": list(self.sample_shape_),
                "dtype": self.dtype_,
                "names": None if names is None else list(names),
            },
            "scaling": self.scaling_.kind,
            "seed": self.seed_,
        }
        tensors = {f"network.{name}": tensor for name, tensor in self.network_.state_dict().items()}
        tensors["scaling.offset"] = torch.from_numpy(self.scaling_.offset)
        tensors["scaling.scale"] = torch.from_numpy(self.scaling_.scale)
        for part in ("mean", "components", "deviations"):
            tensors[f"baseline.{part}"] = getattr(self.baseline_, part)
        return Folder(config, tensors, self.history_, model_card(config, self.history_))

    @classmethod
    def _from_folder(cls, folder: Folder, network: Any, device: str) -> AutoEncoder:
        data, tensors = folder.config["data"], folder.tensors
        ae: AutoEncoder = from_json(cls, folder.config["parameters"], network=network)
        ae.device = device
        ae._check_parameters()
        ae.sample_shape_ = tuple(data["sample_shape"])
        ae.n_features_in_ = math.prod(ae.sample_shape_)
        ae._n_features_out = ae.n_components
        ae.seed_ = folder.config["seed"]
        ae.n_samples_, ae.dtype_ = data["n"], data["dtype"]
        if data["names"] is not None:
            ae.feature_names_in_ = np.array(data["names"], dtype=object)
        offset, scale = (tensors.pop(f"scaling.{part}").numpy() for part in ("offset", "scale"))
        missing = ae._objective().takes_missing
        ae.scaling_ = Scaling(folder.config["scaling"], offset, scale, ae.sample_shape_, missing)
        parts = (tensors.pop(f"baseline.{part}") for part in ("mean", "components", "deviations"))
        ae.baseline_ = PrincipalComponents(ae.scaling_, *parts)
        with seeded(0, torch.device("cpu")):
            ae.network_ = ae._build(None)
        weights = {name.removeprefix("network."): tensor for name, tensor in tensors.items()}
        ae.network_.load_state_dict(weights)
        ae.network_.to(ae._device()).eval()
        ae.history_ = folder.history
        return ae

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
                self.network_.to(self._device())

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = ["float32"]
        tags.input_tags.two_d_array = True
        tags.input_tags.three_d_array = True
        tags.non_deterministic = self.random_state is None
        return tags
