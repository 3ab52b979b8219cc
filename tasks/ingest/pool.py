"""The process pool that all pieces of this process share; started on first use."""

from __future__ import annotations

import atexit
import multiprocessing
import os
import signal
import threading
from concurrent.futures import Executor, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing.connection import wait

_LOCK = threading.Lock()
_POOLS: dict[int, ProcessPoolExecutor] = {}


def shared_pool(workers: int) -> Executor:
    """Processes started with ``spawn``: they inherit no thread, lock or connection."""
    with _LOCK:
        pool = _POOLS.get(workers)
        if pool is None or _is_broken(pool):
            context = multiprocessing.get_context("spawn")
            pool = _POOLS[workers] = ProcessPoolExecutor(
                workers, mp_context=context, initializer=_end_with_parent
            )
            atexit.register(pool.shutdown, wait=False, cancel_futures=True)
        return pool


def _is_broken(pool: ProcessPoolExecutor) -> bool:
    try:
        pool.submit(int)
    except BrokenProcessPool:
        return True
    return False


def _end_with_parent() -> None:
    """In a worker: end at once when the parent is gone; an orphan would wait for work for ever."""
    parent = multiprocessing.parent_process()
    assert parent is not None

    def watch() -> None:
        wait([parent.sentinel])
        os._exit(128 + signal.SIGHUP)

    threading.Thread(target=watch, daemon=True).start()
