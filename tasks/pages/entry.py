"""The door: a token once, a session from then on; and the first page."""

from __future__ import annotations

from urllib.parse import quote

from aiohttp import web

from tasks.leaderboard.work import Leaderboard
from tasks.pages.board_views import board_of, headline_rows, registered
from tasks.pages.forms import read_fields, read_form
from tasks.pages.guard import COOKIE, local_path
from tasks.pages.room import ROOM, VISITOR, WHO, go_to, page, work
from tasks.serve.refused import Refused

_SHOWN_RUNS = 5


def add_routes(router: web.UrlDispatcher) -> None:
    router.add_get("/", home)
    router.add_get("/enter", door)
    router.add_post("/enter", enter)
    router.add_post("/leave", leave)


def to_door(request: web.Request) -> web.Response:
    """Nobody that is known: a browser is shown the door, a program is told.

    Raises:
        Refused: 401.
    """
    if request.method != "GET" or "text/html" not in request.headers.get("Accept", ""):
        message = "no token that is known here; send 'Authorization: Bearer TOKEN'"
        raise Refused(401, "invalid_api_key", message)
    return go_to(f"/enter?to={quote(request.path_qs, safe='')}")


async def door(request: web.Request) -> web.Response:
    """The form for a token."""
    to = local_path(request.query.get("to", "/"))
    return go_to(to) if VISITOR in request else page(request, "door.html.j2", to=to, wrong=False)


async def enter(request: web.Request) -> web.Response:
    """Begin a session, and go on to where one wanted to."""
    room = request.app[ROOM]
    room.guard.require_own_page(request)
    told = await read_fields(request)
    to = local_path(told.get("to", "/"))
    entered = room.guard.enter(told.get("token", "").strip())
    if entered is None:
        return page(request, "door.html.j2", to=to, wrong=True, status=403)
    name, bearer = entered
    request[WHO] = bearer.name
    response = go_to(to)
    response.set_cookie(
        COOKIE, name, httponly=True, samesite="Lax", secure=room.guard.tls, path="/"
    )
    return response


async def leave(request: web.Request) -> web.Response:
    """End the session."""
    await read_form(request)
    request.app[ROOM].guard.leave(request)
    response = go_to("/enter")
    response.del_cookie(COOKIE, path="/")
    return response


async def home(request: web.Request) -> web.Response:
    """What is new: last runs, champions, headline scores."""
    room = request.app[ROOM]
    runs = await work(room.past.runs)
    found = await board_of(room)
    models = await registered(room)
    return page(
        request,
        "home.html.j2",
        runs=runs[:_SHOWN_RUNS],
        count=len(runs),
        models=models,
        headlines=headline_rows(found),
        scored=len(found.runs) if isinstance(found, Leaderboard) else 0,
        newest=room.library.of("scores")[:1],
    )
