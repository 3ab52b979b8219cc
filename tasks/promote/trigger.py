"""Watch the registry for candidates, and start the evaluation of each that is new, once.

MLflow can send webhooks, but to no private address and from no SQLite; so the registry is asked.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

from infra.deliveries import Deliveries, Delivery
from infra.errors import CxrError
from infra.fingerprint import fingerprint
from infra.log import LOGGER
from infra.registry import Registry
from infra.settings.environment import Environment

CANDIDATE: Final = "candidate"
Start = Callable[[Delivery], str]
"""Starts the evaluation of what was delivered; says what came of it, on one line."""


def open_deliveries(environment: Environment) -> Deliveries:
    """The log of this place's state folder, about its registry."""
    path = environment.state / "registry-watch" / "deliveries.sqlite"
    return Deliveries(path, fingerprint(environment.tracking_uri))


def look(registry: Registry, deliveries: Deliveries) -> list[Delivery]:
    """Ask the registry once; enter and return what is new."""
    new = deliveries.notice(registry.aliased(CANDIDATE), time.time())
    for each in new:
        LOGGER.info("candidate of %s is version %d: noticed", each.model, each.version)
    return new


def candidate_of(delivery: Delivery) -> str:
    """What a registry event is about, for the log."""
    return f"candidate {delivery.model} version {delivery.version}"


def deliver_due(
    deliveries: Deliveries, start: Start, named: Callable[[Delivery], str] = candidate_of
) -> int:
    """Start the evaluation of everything that is due; how many were delivered.

    What fails by an error of ours waits and is tried again. Any other error is entered too, and
    raised.
    """
    done = 0
    while (delivery := deliveries.take(time.time())) is not None:
        what = named(delivery)
        try:
            detail = start(delivery)
        except CxrError as error:
            kept = deliveries.failed(delivery, str(error), time.time())
            LOGGER.warning("%s: attempt %d %s: %s", what, kept.attempts, kept.state, error)
            continue
        except BaseException as error:
            deliveries.failed(delivery, f"{type(error).__name__}", time.time())
            raise
        deliveries.delivered(delivery, detail, time.time())
        LOGGER.info("%s: delivered: %s", what, detail)
        done += 1
    return done
