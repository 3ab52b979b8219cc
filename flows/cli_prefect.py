"""Prefect for a command: the server that is set, or a temporary one in the state folder."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from infra.orphans import watch_over_children
from infra.prefect_place import settle_prefect
from infra.settings.environment import Environment
from tasks.monitor.quiet import quiet_known_errors


@contextmanager
def prefect_at(environment: Environment) -> Iterator[None]:
    """Within the block flows may be imported and run; Prefect reads its settings on import.

    Raises:
        Stopped: somebody has cancelled the flow run.
    """
    settle_prefect(environment.state)
    from prefect.settings import (
        PREFECT_API_URL,
        PREFECT_FLOWS_HEARTBEAT_FREQUENCY,
        temporary_settings,
    )

    embedded = PREFECT_API_URL.value() is None
    if embedded:
        watch_over_children()
    from tasks.control.watch import told_of_request

    quiet_known_errors()
    # Nobody asks a temporary server who crashed, and each flow's heartbeat takes up to 1 s to end.
    heartbeats = {PREFECT_FLOWS_HEARTBEAT_FREQUENCY: None} if embedded else {}
    with temporary_settings(heartbeats), told_of_request():
        yield
