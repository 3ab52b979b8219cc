"""What all handlers share: the models in service, the guard, the limits; and what a request is
called in the log."""

from __future__ import annotations

from dataclasses import dataclass

from aiohttp import web

from infra.tracking_models import Version
from tasks.serve.access import Access
from tasks.serve.bodies import Held
from tasks.serve.keeper import Keeper
from tasks.serve.limits import Limits
from tasks.serve.metrics import Metrics

ANSWERS, DRAWINGS = "answers", "drawings"


@dataclass
class Front:
    """All that handlers need.

    Args:
        keepers: of the model that answers and, perhaps, of the one that draws.
        is_leaving: finish what was let in, and let in no more.
        inside: requests that were let in and have not ended.
    """

    keepers: dict[str, Keeper]
    access: Access
    limits: Limits
    held: Held
    metrics: Metrics
    is_leaving: bool = False
    inside: int = 0


FRONT = web.AppKey("front", Front)
KEY = web.RequestKey("key", str)
WHO = web.RequestKey("who", str)
VERSION = web.RequestKey("version", Version)
STREAM = web.RequestKey("stream", web.StreamResponse)
"""Set once a stream has begun: from then on it is too late for a status."""


def route_of(request: web.Request) -> str:
    """The route's own name: a path that is none of ours may hold anything."""
    resource = request.match_info.route.resource
    return "none" if resource is None else resource.canonical
