"""Who does a step's pieces: threads, processes, a Dask or a Ray cluster, by one setting of a place.

What they do is the same function of the same arguments, and who asked puts the results in order, so
that artifacts are equal byte for byte. They are started at the first piece of work: a run that has
all its pieces starts none. All of a process share them, and they end with it. Pieces are written in
the data root's scratch folder, which workers on other machines must see at the same path.
"""

from __future__ import annotations

import atexit
import multiprocessing
import threading
from collections.abc import Callable
from concurrent.futures import Executor, Future, ProcessPoolExecutor
from concurrent.futures import ThreadPoolExecutor as Threads
from concurrent.futures.process import BrokenProcessPool
from importlib.util import find_spec
from typing import TYPE_CHECKING, Final, Literal, ParamSpec, TypeVar

from infra.errors import InputError, WorkerLost
from infra.launch import end_with_starter

if TYPE_CHECKING:
    from infra.settings.environment import Environment

P = ParamSpec("P")
T = TypeVar("T")

Runner = Literal["threads", "processes", "dask", "ray"]
NEEDS: Final[dict[Runner, str]] = {"dask": "distributed", "ray": "ray"}
"""Packages of the extras with the runner's name."""

_LOCK = threading.Lock()
_Place = tuple[Runner, int, str | None]
_STARTED: dict[_Place, Executor] = {}


class Workers(Executor):
    """An executor of one kind, shared by all who ask for the same.

    A pool or cluster that lost a worker is replaced at the next piece of work, unless it mends
    itself, as Dask's and Ray's do.

    Args:
        count: threads or processes; of a cluster that is already there, nothing.
        address: a cluster that is already there; None starts one on this machine's loopback.

    Raises:
        InputError: the runner's package is not installed.
    """

    def __init__(self, runner: Runner, count: int, address: str | None = None) -> None:
        require_installed(runner)
        self._place = (runner, count, address)

    def submit(self, function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Have a worker call the function.

        The future's ``result`` raises WorkerLost where the worker died of it.
        """
        with _LOCK:
            try:
                inner = _started(self._place).submit(function, *args, **kwargs)
            except BrokenProcessPool:
                del _STARTED[self._place]
                inner = _started(self._place).submit(function, *args, **kwargs)
        return _Told(inner, self._place[0])


def require_installed(runner: Runner) -> None:
    """Raise InputError where the runner's package is not here."""
    package = NEEDS.get(runner)
    if package is not None and find_spec(package) is None:
        raise InputError(
            f"CXR_RUNNER={runner} without the package {package}",
            "it to be installed",
            f"pip install 'cxrflow[{runner}]', or take threads or processes",
        )


def _started(place: _Place) -> Executor:
    found = _STARTED.get(place)
    if found is None:
        found = _STARTED[place] = _start(*place)
    return found


def _start(runner: Runner, count: int, address: str | None) -> Executor:
    if runner in NEEDS:
        from infra.clusters import start_dask, start_ray  # seconds that other runners never pay

        return (start_dask if runner == "dask" else start_ray)(count, address)
    pool: Executor
    if runner == "threads":
        pool = Threads(count, "pieces")
    else:  # spawn: they inherit no thread, lock or connection
        context = multiprocessing.get_context("spawn")
        pool = ProcessPoolExecutor(count, mp_context=context, initializer=end_with_starter)
    atexit.register(pool.shutdown, wait=False, cancel_futures=True)
    return pool


class _Told(Future[T]):
    """What came of another future, in our own words."""

    def __init__(self, inner: Future[T], runner: Runner) -> None:
        super().__init__()
        self._inner, self._runner = inner, runner
        inner.add_done_callback(self._tell)

    def cancel(self) -> bool:
        """Whether it had not begun; a future that is under way ends by itself."""
        return self._inner.cancel()

    def _tell(self, inner: Future[T]) -> None:
        if inner.cancelled():
            super().cancel()
            self.set_running_or_notify_cancel()
        elif (error := inner.exception()) is not None:
            self.set_exception(_in_our_words(error, self._runner))
        else:
            self.set_result(inner.result())


def _in_our_words(error: BaseException, runner: Runner) -> BaseException:
    """A lost worker as WorkerLost; what the work itself raised as it raised it."""
    if isinstance(error, BrokenProcessPool):
        return WorkerLost(runner, "a process was killed or ran out of memory")
    if runner in NEEDS:
        from infra.clusters import told_by_cluster

        return told_by_cluster(error, runner)
    return error


def close_workers() -> None:
    """End all of them now; who asks again gets new ones."""
    with _LOCK:
        while _STARTED:
            _, pool = _STARTED.popitem()
            pool.shutdown(wait=True)


def workers_of(environment: Environment) -> Workers:
    """Those that the place names."""
    return Workers(environment.runner, environment.workers, environment.runner_address)
