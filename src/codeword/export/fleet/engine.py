"""Ray, which starts workers, hands them units, and hands a dead worker's units to another."""

from __future__ import annotations

import importlib.util
import logging
import os
import re
import socket
import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch

from codeword.base.errors import CodewordError, InputError
from codeword.export.fleet.encoder import Encoder, Work
from codeword.export.fleet.job import Unit

__all__ = ["Pool", "check_ray", "on_ray"]

ANSWER_SECONDS = 10
"""To wait for a cluster's first sign of life."""

MOST_BLOCKS = 10_000
"""Of a job with more units, several are handed to a worker at once."""


NO_GPU = "the cluster has no GPU: leave out --gpus (gpus_per_worker), or join one that has, with RAY_ADDRESS"


@dataclass(frozen=True)
class Pool:
    """The workers: how many, or None for as many as the cluster carries, and what each takes of it."""

    workers: int | None = None
    cpus: float = 1.0
    gpus: float = 0.0


def check_ray(gpus: float = 0.0) -> None:
    """Say early, before anything is changed, that Ray is not installed, or what it would wait for in vain.

    Raises
    ------
    InputError
        If it is not installed, or each worker is to have `gpus` of this machine, which has none.
    CodewordError
        If nobody answers at RAY_ADDRESS.
    """
    if importlib.util.find_spec("ray") is None:
        raise InputError("the engine 'ray' needs Ray, which is not installed: pip install 'codeword[ray]'")
    loaded = sys.modules.get("ray")
    if loaded is None or not loaded.is_initialized():
        _check_answers(_address())
        if gpus and _address() == "local" and not torch.cuda.is_available():
            raise InputError(NO_GPU)


def on_ray(work: Work, units: Sequence[Unit], pool: Pool) -> Iterator[dict[str, Any]]:
    """What became of each unit, in the order in which they end: see `Encoder`.

    Raises
    ------
    InputError
        If no machine has room for a worker.
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
    address = _address()
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


def _address() -> str:
    return os.environ.get("RAY_ADDRESS", "").strip() or "local"


def _check_answers(address: str) -> None:
    """Say at once that nobody is at host:port: Ray would ask for minutes without a word."""
    found = re.fullmatch(r"(?:ray://)?\[?([^\[\]/]+?)\]?:(\d{1,5})", address)
    if found is None:
        return
    try:
        socket.create_connection((found[1], int(found[2])), timeout=ANSWER_SECONDS).close()
    except (OSError, OverflowError, UnicodeError) as error:
        raise CodewordError(
            f"Ray could not be started at {address!r}: nothing answers there ({error}); start that cluster, "
            "or unset RAY_ADDRESS for one on this machine"
        ) from None


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

    carried = _carried(pool)
    size = min(pool.workers or carried, len(units))
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
    """How many workers the machines of the cluster have room for.

    Raises
    ------
    InputError
        If none has room for one: Ray would wait for such a machine, without a word.
    """
    import ray

    there: list[dict[str, float]] = [
        node["Resources"]
        for node in ray.nodes()  # type: ignore[no-untyped-call]
        if node["Alive"]
    ]
    asked = {name: each for name, each in (("CPU", pool.cpus), ("GPU", pool.gpus)) if each}
    room = sum(min(int(node.get(name, 0) / each) for name, each in asked.items()) for node in there)
    if room:
        return room
    most = {name: max((node.get(name, 0) for node in there), default=0) for name in asked}
    if pool.gpus and not most["GPU"]:
        raise InputError(NO_GPU)
    needs = " and ".join(f"{each:g} {name}" for name, each in asked.items())
    has = " and ".join(f"{most[name]:g} {name}" for name in asked)
    raise InputError(
        f"a worker is to have {needs}, and no machine of the cluster has: the most are {has}; ask for less"
    )
