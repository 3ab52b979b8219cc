"""Dask and Ray as plain executors; imported by ``infra.workers`` where they are asked for.

A cluster of our own shows no dashboard. Dask's listens on loopback behind TLS of its own; Ray's
cannot be kept to loopback, so it wants a token that this process alone and its workers know. What a
lost worker had begun is begun again on another one by both, a few times.
"""

from __future__ import annotations

import atexit
import logging
import os
import secrets
from collections.abc import Callable
from concurrent.futures import Executor, Future
from typing import Any, Final, ParamSpec, TypeVar

from infra.errors import InputError, WorkerLost

P = ParamSpec("P")
T = TypeVar("T")

CONNECT_SECONDS: Final = 30
"""Our choice: who waits longer has named a wrong address."""
OBJECT_STORE_BYTES: Final = 128 << 20
"""Ray's shared memory. Pieces pass as files, so what travels is small; Ray's least is 75 MiB."""
LOOPBACK: Final = "127.0.0.1"


def start_dask(count: int, address: str | None) -> Executor:
    """An executor over a scheduler that is there, or over ``count`` processes of our own.

    Raises:
        InputError: nobody answers at the address.
    """
    import dask
    from distributed import Client, LocalCluster

    dask.config.set({"logging.distributed": "critical"})  # errors are raised; logs would quote them
    if address is None:
        cluster = LocalCluster(  # type: ignore[no-untyped-call]
            n_workers=count, threads_per_worker=1, processes=True, host=LOOPBACK,
            dashboard_address=f"{LOOPBACK}:0", security=True, silence_logs=logging.CRITICAL,
        )  # fmt: skip
        client = Client(cluster, set_as_default=False)  # type: ignore[no-untyped-call]
        atexit.register(cluster.close)
    else:
        try:
            client = Client(  # type: ignore[no-untyped-call]
                address, timeout=CONNECT_SECONDS, set_as_default=False
            )
        except (OSError, TimeoutError, ValueError) as error:
            raise _unreached("dask", address, error) from None
    atexit.register(client.close)
    return _DaskExecutor(client)


class _DaskExecutor(Executor):
    """``Client.get_executor`` for calls that are not pure: each is its own."""

    def __init__(self, client: Any) -> None:
        self._client, self._executor = client, client.get_executor(pure=False)

    def submit(self, function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        future: Future[T] = self._executor.submit(_call, function, args, kwargs)
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        self._executor.shutdown(wait and not cancel_futures)
        cluster = self._client.cluster
        self._client.close()
        if cluster is not None:
            cluster.close()


def start_ray(count: int, address: str | None) -> Executor:
    """An executor over a cluster that is there, or over ``count`` processes of our own.

    Raises:
        InputError: nobody answers at the address.
    """
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"  # nothing calls home
    if address is None:
        os.environ["RAY_AUTH_MODE"], os.environ["RAY_AUTH_TOKEN"] = "token", secrets.token_hex(32)
    import ray

    quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR}
    if address is not None:
        try:
            ray.init(address=address, **quiet)
        except (ConnectionError, TimeoutError, ValueError, RuntimeError) as error:
            raise _unreached("ray", address, error) from None
    else:
        ray.init(
            num_cpus=count, include_dashboard=False, object_store_memory=OBJECT_STORE_BYTES, **quiet
        )
    return _RayExecutor(ray.remote(_call))


class _RayExecutor(Executor):
    def __init__(self, call: Any) -> None:
        self._call = call

    def submit(self, function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        return _RayFuture(self._call.remote(function, args, kwargs))

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        del wait, cancel_futures
        import ray

        ray.shutdown()


class _RayFuture(Future[T]):
    """Ray's own cannot be cancelled: it would be told the result all the same."""

    def __init__(self, reference: Any) -> None:
        super().__init__()
        self._reference = reference
        reference.future().add_done_callback(self._take)

    def cancel(self) -> bool:
        import ray

        ray.cancel(self._reference)
        return True

    def _take(self, done: Future[T]) -> None:
        from ray.exceptions import TaskCancelledError

        error = done.exception()
        if isinstance(error, TaskCancelledError):
            super().cancel()
            self.set_running_or_notify_cancel()
        elif error is not None:
            self.set_exception(error)
        else:
            self.set_result(done.result())


def _call(function: Callable[..., T], args: tuple[Any, ...], kwargs: dict[str, Any]) -> T:
    return function(*args, **kwargs)


def _unreached(runner: str, address: str, error: Exception) -> InputError:
    return InputError(
        f"nobody of {runner} at {address} ({type(error).__name__})",
        f"the address of a running {runner} cluster",
        "correct CXR_RUNNER_ADDRESS, or unset it for workers on this machine",
    )


def told_by_cluster(error: BaseException, runner: str) -> BaseException:
    """A lost worker as WorkerLost; what the work raised without the cluster's wrapping."""
    kind = type(error).__module__.partition(".")[0]
    if kind == "distributed":
        return WorkerLost(runner, f"it says {type(error).__name__}")
    if kind == "ray":
        from ray.exceptions import RayTaskError

        if isinstance(error, RayTaskError):
            cause: BaseException = error.cause
            return cause
        return WorkerLost(runner, f"it says {type(error).__name__}")
    return error
