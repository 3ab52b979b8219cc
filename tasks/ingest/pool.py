"""The process pool that all pieces of this process share; started on first use."""

from __future__ import annotations

import atexit
import multiprocessing
import threading
from concurrent.futures import Executor, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool

_LOCK = threading.Lock()
_POOLS: dict[int, ProcessPoolExecutor] = {}


def shared_pool(workers: int) -> Executor:
    """Processes started with ``spawn``: they inherit no thread, lock or connection."""
    with _LOCK:
        pool = _POOLS.get(workers)
        if pool is None or _is_broken(pool):
            context = multiprocessing.get_context("spawn")
            pool = _POOLS[workers] = ProcessPoolExecutor(workers, mp_context=context)
            atexit.register(pool.shutdown, wait=False, cancel_futures=True)
        return pool


def _is_broken(pool: ProcessPoolExecutor) -> bool:
    try:
        pool.submit(int)
    except BrokenProcessPool:
        return True
    return False
