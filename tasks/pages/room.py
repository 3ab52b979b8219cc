"""What all pages share: the data root, the guard, the serving process, how a page is answered."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any, Final, ParamSpec, TypeVar

from aiohttp import web

from infra.settings.environment import Environment
from infra.store import Store
from infra.tokens import Role
from tasks.pages.films import Films
from tasks.pages.guard import Guard, Visitor
from tasks.pages.library import Library
from tasks.pages.past import Past
from tasks.pages.serving import Serving
from tasks.pages.shown import render
from tasks.pages.talks import Talks
from tasks.serve.bodies import Held
from tasks.serve.limits import MIB, Limits

ArgumentsT = ParamSpec("ArgumentsT")
ResultT = TypeVar("ResultT")
LIMITS: Final = Limits()
"""As of the serving process, to which uploads go on; a form without a film is far below them."""
FORM_BYTES: Final = MIB // 2
"""Of a form without a film (our choice: 20,000 letters, each of four bytes, and again as much)."""


@dataclass
class Room:
    """All that handlers need."""

    store: Store
    environment: Environment
    guard: Guard
    serving: Serving
    limits: Limits = LIMITS
    held: Held = field(default_factory=lambda: Held(LIMITS.held_bytes))
    talks: Talks = field(default_factory=Talks)
    kept: dict[str, tuple[str, Any]] = field(default_factory=dict)
    making: dict[str, asyncio.Lock] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.library = Library(self.store)
        self.past = Past(self.store)
        self.films = Films(self.library)


ROOM = web.AppKey("room", Room)
VISITOR = web.RequestKey("visitor", Visitor)
WHO = web.RequestKey("who", str)
KEY = web.RequestKey("key", str)


async def work(
    do: Callable[ArgumentsT, ResultT], *args: ArgumentsT.args, **more: ArgumentsT.kwargs
) -> ResultT:
    """Reading files, in a thread: other visitors are answered meanwhile."""
    return await asyncio.to_thread(do, *args, **more)


def visitor_of(request: web.Request, wanted: Role = Role.VIEWER) -> Visitor:
    """Who asks, who may do this.

    Raises:
        Refused: 403.
    """
    visitor = request[VISITOR]
    request.app[ROOM].guard.require_role(visitor, wanted)
    return visitor


def page(
    request: web.Request, template: str, *, status: int = 200, **values: object
) -> web.Response:
    """A page, or 304 where the browser has this very one."""
    room, visitor = request.app[ROOM], request.get(VISITOR)
    told = {
        "visitor": visitor,
        "form_key": "" if visitor is None else room.guard.form_key(visitor),
        "here": request.path,
        "wants_tokens": room.guard.tokens is not None,
        "data_root": room.store.root.rstrip("/").rpartition("/")[2],
    }
    text = render(template, **told, **values)
    response = web.Response(text=text, content_type="text/html", charset="utf-8", status=status)
    return fresh(request, response, text.encode()) if status == 200 else response


def picture(request: web.Request, data: bytes, kind: str = "image/png") -> web.Response:
    """A picture, or 304."""
    return fresh(request, web.Response(body=data, content_type=kind), data)


def fresh(request: web.Request, response: web.Response, content: bytes) -> web.Response:
    """The response with an ETag of its content; 304 in its place where the browser has it."""
    tag = blake2b(content, digest_size=16).hexdigest()
    held = request.if_none_match or ()
    if request.method in ("GET", "HEAD") and any(one.value in (tag, "*") for one in held):
        response = web.Response(status=304)
    response.etag = tag
    return response


def go_to(place: str) -> web.Response:
    """On to a page of ours, after a form."""
    return web.Response(status=303, headers={"Location": place})


async def kept_while(room: Room, name: str, stamp: str, make: Callable[[], ResultT]) -> ResultT:
    """What takes seconds to make, made again only when the stamp has changed, and once for all who
    ask meanwhile."""
    async with room.making.setdefault(name, asyncio.Lock()):
        known = room.kept.get(name)
        if known is None or known[0] != stamp:
            known = (stamp, await work(make))
            room.kept[name] = known
    found: ResultT = known[1]
    return found


def query_of(request: web.Request) -> Mapping[str, str]:
    """The address's parameters, each once (the last)."""
    return dict(request.query)
