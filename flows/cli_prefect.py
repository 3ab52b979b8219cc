"""Prefect for a command: the server that is set, or a temporary one in the state folder."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from infra.orphans import watch_over_children
from infra.prefect_place import settle_prefect
from infra.settings.environment import Environment
from infra.temporary_server import SERVER
from tasks.monitor.quiet import quiet_known_errors


@contextmanager
def prefect_at(environment: Environment, *modules: str) -> Iterator[None]:
    """Within the block flows may be imported and run; Prefect reads its settings on import.

    Args:
        modules: flows that the block imports; here they are while a temporary server starts.

    Raises:
        CxrError: the temporary server does not start.
        Stopped: somebody has cancelled the flow run.
    """
    if settle_prefect(environment.state):
        _begin()
    for module in ("tasks.control.watch", *modules):
        importlib.import_module(module)
    from prefect.settings import (
        PREFECT_API_URL,
        PREFECT_FLOWS_HEARTBEAT_FREQUENCY,
        PREFECT_SERVER_EPHEMERAL_ENABLED,
        PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS,
        temporary_settings,
    )

    from tasks.control.watch import told_of_request

    quiet_known_errors()
    settings: dict[Any, Any] = {}
    if PREFECT_API_URL.value() is None and PREFECT_SERVER_EPHEMERAL_ENABLED.value():
        _begin()
        SERVER.wait(PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS.value())
        # Nobody asks a temporary server who crashed, and a flow's heartbeat takes up to 1 s to end.
        settings = {PREFECT_API_URL: SERVER.url, PREFECT_FLOWS_HEARTBEAT_FREQUENCY: None}
    else:
        SERVER.stop()  # a file of Prefect's in the working folder names a server
    with temporary_settings(settings), told_of_request():
        yield


def _begin() -> None:
    """Start the temporary server, unless this process has one, and what ends it after a kill."""
    if not SERVER.runs:
        watch_over_children()
        SERVER.begin()
