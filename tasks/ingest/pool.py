"""The process pool that all pieces of this process share; started on first use."""

from __future__ import annotations

import atexit
import multiprocessing
import threading
from collections.abc import Callable
from concurrent.futures import Executor, Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import ParamSpec, TypeVar

from infra.launch import end_with_starter

P = ParamSpec("P")
T = TypeVar("T")

_LOCK = threading.Lock()
_POOLS: dict[int, ProcessPoolExecutor] = {}


class SharedPool(Executor):
    """Processes started at the first piece of work: a run that finds all its pieces starts none.

    ``spawn``: they inherit no thread, lock or connection. A pool whose worker died is replaced.
    """

    def __init__(self, workers: int) -> None:
        self._workers = workers

    def submit(self, function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Have a process call the function."""
        with _LOCK:
            try:
                return _pool(self._workers).submit(function, *args, **kwargs)
            except BrokenProcessPool:
                del _POOLS[self._workers]
                return _pool(self._workers).submit(function, *args, **kwargs)


def _pool(workers: int) -> ProcessPoolExecutor:
    pool = _POOLS.get(workers)
    if pool is None:
        context = multiprocessing.get_context("spawn")
        pool = _POOLS[workers] = ProcessPoolExecutor(
            workers, mp_context=context, initializer=end_with_starter
        )
        atexit.register(pool.shutdown, wait=False, cancel_futures=True)
    return pool
