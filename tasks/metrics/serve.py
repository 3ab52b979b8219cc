"""The endpoint that Prometheus asks."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from prometheus_client import CollectorRegistry, generate_latest, start_http_server

from infra.errors import InputError
from infra.settings.environment import Environment
from infra.store import Store
from tasks.metrics.house import YOUNG_SECONDS, House

REGISTRY_SECONDS: Final = 60.0
"""Between looks at the model registry. Our choice: aliases move a few times a week."""
_PATIENCE_SECONDS = 2.0
"""At the end, for a look under way; MLflow asks a silent server again for minutes. Our choice."""


@contextmanager
def metrics_endpoint(
    store: Store,
    environment: Environment,
    host: str,
    port: int,
    young_seconds: float = YOUNG_SECONDS,
) -> Iterator[int]:
    """Answers scrapes within the block, at any path; the port, a free one where 0 is asked for.

    Args:
        young_seconds: how long new counters stand at zero.

    Raises:
        InputError: nothing can listen there.
    """
    house, registry = House(store, environment, young_seconds), CollectorRegistry()
    registry.register(house)
    generate_latest(registry)  # a first scrape must not wait for years of facts
    try:
        server, thread = start_http_server(port, host, registry)
    except OSError as error:
        raise InputError(
            f"{host}:{port} where nothing can listen ({error.strerror})",
            "an address of this machine and a free port",
            "give another --host or --port",
        ) from error
    try:
        with _regularly(house.look_at_registry):
            yield int(server.server_port)
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@contextmanager
def _regularly(look: Callable[[], None]) -> Iterator[None]:
    stop = threading.Event()

    def run() -> None:
        look()
        while not stop.wait(REGISTRY_SECONDS):
            look()

    thread = threading.Thread(target=run, name="registry", daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(_PATIENCE_SECONDS)


def metrics_text(store: Store, environment: Environment) -> str:
    """What one scrape would say."""
    registry = CollectorRegistry()
    registry.register(House(store, environment))
    return generate_latest(registry).decode()
