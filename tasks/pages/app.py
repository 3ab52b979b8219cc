"""The room's routes, and what holds for all of them.

GET  /                                   what is new
GET  /runs, /runs/ID                     runs and each run's funnel
GET  /scores, /scores/NAME               the leaderboard; one scored run
GET  /champions, /champions/MODEL        aliases, the log of promotions, the gate's evidence
GET  /cases, /cases/NAME, …/case         cases, filtered; one case with its film
GET  /lineage, /lineage/KIND/NAME        what came of what
GET  /ask, /ask/KEY, /draw               a film of yours; a conversation; films of texts
POST /enter, /leave, /ask…, /draw, /serving/reload, /champions/MODEL/promote|rollback
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Awaitable, Callable, Mapping
from http import HTTPStatus
from typing import Final

from aiohttp import web

from infra.errors import ArtifactError, CxrError, InputError
from infra.log import LOGGER
from tasks.pages import acts, ask_views, board_views, case_views, entry, lineage_views, run_views
from tasks.pages.room import KEY, ROOM, VISITOR, WHO, Room, page
from tasks.pages.shown import STATIC, STATIC_KINDS
from tasks.serve.front import route_of
from tasks.serve.notice import NOTICE, NOTICE_HEADER, REQUEST_HEADER
from tasks.serve.refused import Refused

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
"""A page fetches its own style, script and pictures, and nothing from elsewhere."""
HEADERS: Final[Mapping[str, str]] = {
    "Content-Security-Policy": _POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",  # with 'no-referrer' a form would come from "null"
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
    "Cache-Control": "private, no-cache",
    "Server": "cxrflow",
    NOTICE_HEADER: NOTICE,
}
_OPEN: Final = frozenset({"/enter", "/health", "/static/{name}"})
"""Routes without a token: they hold nothing of the data."""
_FOR_GOOD: Final = "public, max-age=31536000, immutable"


def make_app(room: Room) -> web.Application:
    """The application."""
    app = web.Application(middlewares=[_tell, _let_in], client_max_size=room.limits.body_bytes)
    app[ROOM] = room
    app.on_response_prepare.append(_mark)
    app.on_startup.append(_open)
    app.on_cleanup.append(_close)
    app.router.add_get("/static/{name}", static)
    app.router.add_get("/health", health)
    for views in (entry, run_views, board_views, case_views, lineage_views, ask_views, acts):
        views.add_routes(app.router)
    return app


async def _open(app: web.Application) -> None:
    await app[ROOM].serving.open()


async def _close(app: web.Application) -> None:
    await app[ROOM].serving.close()


@web.middleware
async def _tell(request: web.Request, handler: Handler) -> web.StreamResponse:
    """A line in the log for each request, without anything of what was asked or shown."""
    begun = time.monotonic()
    request[KEY], request[WHO] = secrets.token_hex(8), "-"
    status = 499  # what nginx calls a client that did not wait
    try:
        response = await _answered(request, handler)
        status = response.status
        return response
    finally:
        told = (request[KEY], request[WHO], request.method, route_of(request), status)
        LOGGER.info("%s %s %s %s %d %.0f ms", *told, 1000 * (time.monotonic() - begun))


async def _answered(request: web.Request, handler: Handler) -> web.StreamResponse:
    try:
        return await handler(request)
    except Refused as refused:
        return _refusal(request, refused.status, refused.message, refused.after)
    except web.HTTPException as error:
        if error.status < 400:
            raise
        response = _refusal(request, error.status, error.reason)
        if "Allow" in error.headers:
            response.headers["Allow"] = error.headers["Allow"]
        return response
    except InputError as error:
        return _refusal(request, 409, str(error))
    except ArtifactError as error:
        return _refusal(request, 500, str(error))
    except CxrError as error:
        return _refusal(request, 503, str(error))


def _refusal(
    request: web.Request, status: int, message: str, after: int | None = None
) -> web.Response:
    title = HTTPStatus(status).phrase if status in set(HTTPStatus) else "Refused"
    response = page(request, "refused.html.j2", status=status, title=title, message=message)
    if after is not None:
        response.headers["Retry-After"] = str(after)
    return response


@web.middleware
async def _let_in(request: web.Request, handler: Handler) -> web.StreamResponse:
    guard, route = request.app[ROOM].guard, route_of(request)
    guard.require_host(request)
    visitor = guard.visitor(request)
    if visitor is not None:
        request[VISITOR], request[WHO] = visitor, visitor.bearer.name
    elif route not in _OPEN:
        return entry.to_door(request)
    return await handler(request)


async def _mark(request: web.Request, response: web.StreamResponse) -> None:
    """What every answer says."""
    for name, value in HEADERS.items():
        response.headers.setdefault(name, value)
    response.headers["Server"] = "cxrflow"
    response.headers[REQUEST_HEADER] = request.get(KEY, "")
    if request.app[ROOM].guard.tls:
        response.headers["Strict-Transport-Security"] = "max-age=31536000"


async def static(request: web.Request) -> web.Response:
    """Style, script and mark: files of this package by their names, and no other."""
    name = request.match_info["name"]
    kind = STATIC_KINDS.get(name)
    if kind is None:
        raise Refused(404, "no_file", "there is no such file")
    data = (STATIC / name).read_bytes()
    headers = {"Cache-Control": _FOR_GOOD} if request.query_string else {}
    return web.Response(body=data, content_type=kind, charset="utf-8", headers=headers)


async def health(_: web.Request) -> web.Response:
    """That this process answers."""
    return web.json_response({"status": "live", "notice": NOTICE})
