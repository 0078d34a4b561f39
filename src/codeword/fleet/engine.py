"""Ray, which starts workers, hands them units, and hands a dead worker's units to another."""

from __future__ import annotations

import importlib.util
import logging
import os
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from codeword.errors import CodewordError, InputError
from codeword.fleet.encoder import Encoder, Work
from codeword.fleet.job import Unit

__all__ = ["Pool", "check_ray", "on_ray"]

MOST_BLOCKS = 10_000
"""Of a job with more units, several are handed to a worker at once."""


@dataclass(frozen=True)
class Pool:
    """The workers: how many, or None for as many as the cluster carries, and what each takes of it."""

    workers: int | None = None
    cpus: float = 1.0
    gpus: float = 0.0


def check_ray() -> None:
    """Say early that Ray is not installed.

    Raises
    ------
    InputError
    """
    if importlib.util.find_spec("ray") is None:
        raise InputError("the engine 'ray' needs Ray, which is not installed: pip install 'codeword[ray]'")


def on_ray(work: Work, units: Sequence[Unit], pool: Pool) -> Iterator[dict[str, Any]]:
    """What became of each unit, in the order in which they end: see `Encoder`.

    Raises
    ------
    CodewordError
        If Ray cannot be started, or the workers cannot.
    """
    with _quiet(), _cluster():
        yield from _mapped(work, units, pool)


@contextmanager
def _quiet() -> Iterator[None]:
    """Ray's notices and deprecations are no concern of who waits for codes: what went wrong is said here."""
    loggers = [logging.getLogger(name) for name in ("ray", "ray.data")]
    levels = [logger.level for logger in loggers]
    # Read as Ray starts. Its core warns that what workers are made with may be lost, which it is not.
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import ray.data

        context = ray.data.DataContext.get_current()
        bars = context.enable_progress_bars
        context.enable_progress_bars = False
        for logger in loggers:
            logger.setLevel(logging.CRITICAL)
        try:
            yield
        finally:
            context.enable_progress_bars = bars
            for logger, level in zip(loggers, levels, strict=True):
                logger.setLevel(level)


@contextmanager
def _cluster() -> Iterator[None]:
    """The cluster that this process has joined, or RAY_ADDRESS names; else one on this machine."""
    import ray

    if ray.is_initialized():
        yield
        return
    address = os.environ.get("RAY_ADDRESS", "local")
    own: dict[str, Any] = {"include_dashboard": False} if address == "local" else {}
    if own:
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    try:
        with _no_stderr():  # on which its core says that it will say nothing
            ray.init(address=address, log_to_driver=False, logging_level=logging.CRITICAL, **own)
    except (ConnectionError, RuntimeError, ValueError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise CodewordError(f"Ray could not be started at {address!r}: {reason}") from None
    try:
        yield
    finally:
        ray.shutdown()


@contextmanager
def _no_stderr() -> Iterator[None]:
    """Keep what is no Python from writing to standard error."""
    kept, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)


class _Deaths:
    """How often each unit was begun: Ray begins a unit anew for as long as its worker dies."""

    def __init__(self) -> None:
        self.begun: dict[int, int] = {}

    def begin(self, number: int) -> int:
        self.begun[number] = self.begun.get(number, 0) + 1
        return self.begun[number]


@dataclass(frozen=True)
class _Count:
    """A worker's way to the count that outlives it."""

    actor: Any

    def __call__(self, number: int) -> int:
        import ray

        return int(ray.get(self.actor.begin.remote(number)))


def _mapped(work: Work, units: Sequence[Unit], pool: Pool) -> Iterator[dict[str, Any]]:
    """The units through a pool of workers.

    Ray Data moves units, not rows: a worker reads its rows where they lie and writes its part itself, so that
    a task done twice writes the same part twice. Rows that went through the engine would have to be counted
    after it. Ray Data keeps the pool of workers, gives a dead one's units to another, and takes machines that
    join the cluster.
    """
    import ray

    size = min(pool.workers or _carried(pool), len(units))
    deaths = ray.remote(num_cpus=0, max_restarts=-1, max_task_retries=-1)(_Deaths).remote()
    try:
        items = [dict(vars(unit)) for unit in units]
        rows = ray.data.from_items(items, override_num_blocks=min(len(items), MOST_BLOCKS))
        results = rows.map_batches(
            Encoder,
            fn_constructor_args=(work, _Count(deaths)),
            batch_size=1,
            compute=ray.data.ActorPoolStrategy(size=size),
            num_cpus=pool.cpus,
            num_gpus=pool.gpus or None,
        )
        for batch in results.iter_batches(batch_size=None, prefetch_batches=0):
            columns = {name: values.tolist() for name, values in batch.items()}
            for i in range(len(columns["number"])):
                yield {name: values[i] for name, values in columns.items()}
    except Exception as error:  # an engine's errors are of many types, and none is the user's mistake
        reason = (str(error).strip().splitlines() or [""])[-1]
        raise CodewordError(
            f"the engine stopped ({type(error).__name__}: {reason[:200]}); finished parts are in "
            f"{work.output.path}, and the same command goes on from them"
        ) from error


def _carried(pool: Pool) -> int:
    """How many workers the cluster has room for."""
    import ray

    there: dict[str, float] = ray.cluster_resources()  # type: ignore[no-untyped-call]
    asked = {"CPU": pool.cpus, "GPU": pool.gpus}
    return max(1, min(int(there.get(name, 0) / each) for name, each in asked.items() if each))
