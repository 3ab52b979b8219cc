"""Start the ingestion of sources whose files have changed, once for each change.

The log is that of registry events: a source is what has changed, and the state of its folder what
it has changed to. Several watchers of one state folder share it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

from infra.deliveries import Deliveries, Delivery
from infra.errors import InputError
from infra.log import LOGGER
from infra.settings.environment import Environment
from sources.catalog import get_source
from tasks.arrivals.look import Rest
from tasks.backfill.work import Backfill
from tasks.context import Order
from tasks.deployed import start_once

DEPLOYMENT: Final = "backfill/backfill"
_FILES: Final = "files"
Start = Callable[[Delivery], str]
"""Starts the ingestion of what was delivered; says what came of it, on one line."""


def open_deliveries(environment: Environment) -> Deliveries:
    """The log of this place's state folder."""
    return Deliveries(environment.state / "file-watch" / "deliveries.sqlite", _FILES)


def require_sources(roots: Mapping[str, Path]) -> None:
    """Raise InputError unless there are some, all known."""
    if not roots:
        raise InputError(
            "no folder to watch", "a source's raw data", "set CXR_SOURCE_… or give --source"
        )
    for name in roots:
        get_source(name)


def look(rest: Rest, roots: Mapping[str, Path], deliveries: Deliveries) -> list[Delivery]:
    """Look once at every folder; enter and return what has changed and come to rest."""
    at_rest = rest.look(roots, time.monotonic())
    # Only what this watcher has just seen come to rest: another may have seen more since.
    new = deliveries.notice(at_rest, time.time(), is_all=False)
    for each in new:
        LOGGER.info("files of %s have changed: noticed", each.model)
    return new


def files_of(delivery: Delivery) -> str:
    """What an event is about, for the log."""
    return f"files of {delivery.model}"


def order_for(order: Order, delivery: Delivery) -> dict[str, Any]:
    """Parameters of the flow that ingests one source."""
    asked = Backfill(only=(delivery.model,))
    return {"order": order.model_dump(mode="json"), "asked": asked.model_dump(mode="json")}


def start_deployment(name: str, order: Order, delivery: Delivery) -> str:
    """Start a run of a deployment of ``backfill``; raises as ``start_once``."""
    key = f"{delivery.model} {delivery.version} {delivery.key}"
    return start_once(name, order_for(order, delivery), key, ["files", delivery.model])
