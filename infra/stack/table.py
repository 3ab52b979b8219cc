"""The process table: every server of the stack, what it needs, and how one sees that it is up.

postgres ─► databases ─┬► prefect ─┬► deploy ─► watch-files (where CXR_SOURCE_… names raw data)
objects ─► metrics     ├► mlflow   ├► worker-cpu
                       │           └► worker-gpu
prometheus             └ (MLflow's artifacts lie in objects)
"""

from __future__ import annotations

import os
import shutil
import signal
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from infra.fingerprint import HOUSE
from infra.orphans import MARK
from infra.stack.addresses import DATA_BUCKET, MODEL_BUCKET, NOT_OURS, addresses, prefect_login
from infra.stack.databases import database_url
from infra.stack.place import LOOPBACK, Place
from infra.stack.postgres import account_for, programs, server_command, server_environment

RAW_DATA = "CXR_SOURCE_"
"""What variables begin with that name a source's folder."""
POOLS = {"cpu": 2, "gpu": 1}
"""Work pools and how many runs one worker takes at once. Our choice: runs that need no accelerator
may go side by side; a trainer has the machine's accelerator to itself."""
_CXR = (sys.executable, "-c", "from flows.cli import main; main()")
"""The command, by its module's name: nothing here knows what it does."""
FD = "{fd}"
"""In a command: the number of the listening socket that the supervisor keeps."""
LEASES_SURVIVE = {
    "PREFECT_SERVER_CONCURRENCY_LEASE_STORAGE": (
        "prefect.server.concurrency.lease_storage.filesystem"
    )
}
"""Runs hold leases on their slots. By default the server keeps those in memory; one that was killed
would then have every run stopped that cannot renew its own."""


@dataclass(frozen=True)
class Service:
    """One process.

    Args:
        needs: names of those that must be up first.
        port: where it listens; None if it does not.
        health: path that answers 200 once it is up; None tries to connect, or (without a port)
            takes it for up at once.
        once: it does its work and ends with 0; only then are those that need it started.
        stop: the signal that ends it.
        outlived: its children go on when it is killed, as a worker's runs do.
    """

    name: str
    command: tuple[str, ...]
    environment: Mapping[str, str] = field(repr=False)
    needs: tuple[str, ...] = ()
    port: int | None = None
    health: str | None = None
    once: bool = False
    stop: signal.Signals = signal.SIGTERM
    outlived: bool = False

    @property
    def takes_socket(self) -> bool:
        return FD in self.command


PAGES_ASK_NOBODY: Final = {
    "PREFECT_SERVER_UI_V2_ENABLED": "false",
    "PREFECT_SERVER_UI_SHOW_PROMOTIONAL_CONTENT": "false",
}
"""Prefect's newer pages have every browser ask a maker of statistics for settings, even where
analytics are turned off (seen in Chromium, 3.x)."""


def table(place: Place, deploy: Sequence[str]) -> tuple[Service, ...]:
    """All processes of a stack, in the order of their needs.

    Args:
        deploy: the command that registers pools and deployments with Prefect.

    Raises:
        InputError: PostgreSQL's programs are not there or cannot be used.
    """
    shared = {**_own_environment(), **addresses(place), MARK: place.mark}
    services = [
        _postgres(place),
        _module(
            "databases",
            shared,
            "infra.stack.databases",
            str(place.root),
            needs=("postgres",),
            once=True,
        ),
        _module(
            "objects",
            shared,
            "infra.stack.object_store",
            str(place.root / "objects"),
            FD,
            DATA_BUCKET,
            MODEL_BUCKET,
            port=place.ports["objects"],
            health="/health",
        ),
        _prefect(place, shared),
        _mlflow(place, shared),
        # While Prefect starts it imports the flows, and then waits in the socket's queue.
        Service("deploy", tuple(deploy), shared, needs=("databases",), once=True),
    ]
    services += [_worker(place, name, most, shared) for name, most in POOLS.items()]
    return (*services, *_metrics(place, shared), *_watch_files(shared), *_prometheus(place, shared))


def _own_environment() -> dict[str, str]:
    """This process's, without what would lead a server elsewhere."""
    dropped = ("PREFECT_", "MLFLOW_", "AWS_")
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(dropped) and name not in NOT_OURS
    }
    # The working directory is another one, and a checkout need not be installed to be run.
    path = os.pathsep.join(filter(None, [str(HOUSE), os.environ.get("PYTHONPATH")]))
    return {**kept, "PYTHONPATH": path, "PYTHONUNBUFFERED": "1"}


def _module(
    name: str,
    environment: Mapping[str, str],
    *words: str,
    needs: tuple[str, ...] = (),
    port: int | None = None,
    health: str | None = None,
    once: bool = False,
    outlived: bool = False,
) -> Service:
    command = (sys.executable, "-m", *words)
    return Service(name, command, environment, needs, port, health, once, outlived=outlived)


def _postgres(place: Place) -> Service:
    account = account_for([programs() / "postgres", place.root])
    return Service(
        "postgres",
        server_command(place, account),
        server_environment(),  # unmarked: it is found by its own file of its process
        port=place.ports["postgres"],
        stop=signal.SIGINT,  # 'fast': it ends sessions, writes all out and leaves
    )


def _prefect(place: Place, shared: Mapping[str, str]) -> Service:
    own = {
        "PREFECT_SERVER_DATABASE_CONNECTION_URL": database_url(place, "prefect", "asyncpg"),
        "PREFECT_SERVER_API_AUTH_STRING": prefect_login(place),
        "PREFECT_SERVER_METRICS_ENABLED": "true",
        **LEASES_SURVIVE,
        "PREFECT_UI_API_URL": f"{place.url('prefect')}/api",
        **PAGES_ASK_NOBODY,
        "PREFECT_SERVER_LOGGING_LEVEL": "WARNING",
    }
    app = "prefect.server.api.server:create_app"
    return _module(
        "prefect",
        {**shared, **own},
        "infra.stack.serve_app",
        app,
        FD,
        "factory",
        needs=("databases",),
        port=place.ports["prefect"],
        health="/api/health",
    )


def _mlflow(place: Place, shared: Mapping[str, str]) -> Service:
    """The application that ``mlflow server`` would start four times, and what it would tell it."""
    own = {
        "_MLFLOW_SERVER_FILE_STORE": database_url(place, "mlflow", "psycopg2"),
        "_MLFLOW_SERVER_REGISTRY_STORE": database_url(place, "mlflow", "psycopg2"),
        "_MLFLOW_SERVER_ARTIFACT_ROOT": f"s3://{MODEL_BUCKET}/artifacts",
        "_MLFLOW_SGI_NAME": "uvicorn",
        "MLFLOW_FLASK_SERVER_SECRET_KEY": place.passwords["mlflow"],
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
    }
    return _module(
        "mlflow",
        {**shared, **own},
        "infra.stack.serve_app",
        "mlflow.server.fastapi_app:app",
        FD,
        needs=("databases", "objects"),
        port=place.ports["mlflow"],
        health="/health",
    )


def _worker(place: Place, pool: str, most: int, shared: Mapping[str, str]) -> Service:
    name = f"worker-{pool}"
    own = {
        "PREFECT_WORKER_QUERY_SECONDS": "3",
        "PREFECT_WORKER_WEBSERVER_HOST": LOOPBACK,
        "PREFECT_WORKER_WEBSERVER_PORT": str(place.ports[name]),
    }
    words = ("prefect", "worker", "start", "--type", "process", "--pool", pool)
    more = ("--name", f"{pool}-1", "--limit", str(most), "--with-healthcheck")
    needs = ("deploy", "objects", "mlflow")
    return _module(
        name,
        {**shared, **own},
        *words,
        *more,
        needs=needs,
        port=place.ports[name],
        health="/health",
        outlived=True,
    )


def _metrics(place: Place, shared: Mapping[str, str]) -> list[Service]:
    """Numbers of runs and models, for Prometheus."""
    port = place.ports["metrics"]
    command = (*_CXR, "metrics", "--port", str(port))
    needs = ("objects", "mlflow")
    return [Service("metrics", command, shared, needs, port=port, health="/metrics")]


def _watch_files(shared: Mapping[str, str]) -> list[Service]:
    """Watches raw data, where the environment says that there is any."""
    if not any(name.startswith(RAW_DATA) and value for name, value in shared.items()):
        return []
    command = (*_CXR, "watch-files", "--deployment", "backfill/backfill")
    return [Service("watch-files", command, shared, needs=("deploy",))]


def _prometheus(place: Place, shared: Mapping[str, str]) -> list[Service]:
    """Prometheus, if the operating system has it."""
    program = shutil.which("prometheus")
    if program is None:
        return []
    folder = place.root / "prometheus"
    command = (
        program,
        f"--config.file={folder / 'prometheus.yml'}",
        f"--storage.tsdb.path={folder / 'data'}",
        f"--web.listen-address={LOOPBACK}:{place.ports['prometheus']}",
    )
    plain = {name: shared[name] for name in ("PATH", MARK) if name in shared}
    return [
        Service("prometheus", command, plain, port=place.ports["prometheus"], health="/-/ready")
    ]
