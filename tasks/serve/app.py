"""The server's routes, and what holds for all of them.

POST /v1/chat/completions   OpenAI's, with images as data URLs; streams too
GET  /v1/models             OpenAI's
POST /v1/findings           a form with a film: findings, or the answer to a question
POST /v1/drawings           a text: a film as PNG
GET  /health, /health/live, /health/ready, /metrics
POST /admin/reload          look at the alias now
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Awaitable, Callable

from aiohttp import web

from infra.log import LOGGER
from infra.tokens import Role
from tasks.serve.answer import chat, drawing, findings
from tasks.serve.chat_wire import event
from tasks.serve.front import ANSWERS, DRAWINGS, FRONT, KEY, STREAM, VERSION, WHO, Front, route_of
from tasks.serve.keeper import Keeper
from tasks.serve.metrics import CONTENT_TYPE
from tasks.serve.notice import NOTICE, notice_headers
from tasks.serve.refused import Refused, error_body

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
_STOPPING_SECONDS = 5  # what clients are told to wait while a server stops; our choice


def make_app(front: Front) -> web.Application:
    """The application."""
    app = web.Application(middlewares=[_tell, _let_in])
    app[FRONT] = front
    app.on_response_prepare.append(_mark)
    app.router.add_post("/v1/chat/completions", chat)
    app.router.add_post("/v1/findings", findings)
    app.router.add_post("/v1/drawings", drawing)
    app.router.add_get("/v1/models", models)
    app.router.add_get("/health", health)
    app.router.add_get("/health/ready", health)
    app.router.add_get("/health/live", live)
    app.router.add_get("/metrics", metrics)
    app.router.add_post("/admin/reload", reload)
    return app


_OPEN = frozenset({"/health", "/health/ready", "/health/live"})
"""Routes without a token: they tell nothing that is anybody's."""
_ROLES = {"/admin/reload": Role.OPERATOR}


@web.middleware
async def _tell(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Errors as JSON, a line in the log, and a count; of what was asked nothing is told."""
    begun = time.monotonic()
    request[KEY], request[WHO] = secrets.token_hex(8), "-"
    status = 499  # what nginx calls a client that did not wait
    try:
        response = await _answered(request, handler)
        status = response.status
        return response
    finally:
        seconds, route = time.monotonic() - begun, route_of(request)
        request.app[FRONT].metrics.count(route, status, seconds)
        told = (request[KEY], request[WHO], request.method, route, status, 1000 * seconds)
        LOGGER.info("%s %s %s %s %d %.0f ms", *told)


async def _answered(request: web.Request, handler: Handler) -> web.StreamResponse:
    try:
        return await handler(request)
    except Refused as refused:
        if STREAM in request:
            await request[STREAM].write(event(refused.body()))
            return request[STREAM]
        return web.json_response(refused.body(), status=refused.status, headers=refused.headers())
    except web.HTTPException as error:
        body = error_body(error.status, "http", error.reason)
        allowed = {"Allow": error.headers["Allow"]} if "Allow" in error.headers else None
        return web.json_response(body, status=error.status, headers=allowed)


@web.middleware
async def _let_in(request: web.Request, handler: Handler) -> web.StreamResponse:
    front, route = request.app[FRONT], route_of(request)
    if route in _OPEN:
        return await handler(request)
    request[WHO] = front.access.bearer(request, _ROLES.get(route, Role.VIEWER)).name
    if front.is_leaving and route != "/metrics":
        raise Refused(503, "stopping", "the server is stopping", after=_STOPPING_SECONDS)
    front.inside += 1
    try:
        return await handler(request)
    finally:
        front.inside -= 1


async def _mark(request: web.Request, response: web.StreamResponse) -> None:
    """What every answer says."""
    front = request.app[FRONT]
    part = DRAWINGS if route_of(request) == "/v1/drawings" else ANSWERS
    keeper = front.keepers.get(part)
    version = request.get(VERSION) or (None if keeper is None else keeper.version)
    response.headers.update(notice_headers(version, request.get(KEY, "")))
    response.headers["Server"] = "cxrflow"
    response.headers["Cache-Control"] = "no-store"
    response.headers["X-Content-Type-Options"] = "nosniff"
    if front.is_leaving:
        response.headers["Connection"] = "close"


async def models(request: web.Request) -> web.Response:
    """The models in service, as OpenAI lists them."""
    data = [
        {
            "id": keeper.version.name,
            "object": "model",
            "created": 0,
            "owned_by": "cxrflow",
            "version": keeper.version.number,
            "part": part,
            "notice": NOTICE,
        }
        for part, keeper in request.app[FRONT].keepers.items()
        if keeper.version is not None
    ]
    return web.json_response({"object": "list", "data": data})


async def live(_: web.Request) -> web.Response:
    """That this process answers."""
    return web.json_response({"status": "live", "notice": NOTICE})


async def health(request: web.Request) -> web.Response:
    """200 where every model answers, else 503; reasons are for operators."""
    front = request.app[FRONT]
    told = front.access.knows(request, Role.OPERATOR)
    parts = {part: _state(keeper, told) for part, keeper in front.keepers.items()}
    states = {part["state"] for part in parts.values()}
    status = "stopping" if front.is_leaving else "ready" if states == {"ready"} else "not-ready"
    body = {"status": status, "models": parts, "notice": NOTICE}
    return web.json_response(body, status=200 if status == "ready" else 503)


def _state(keeper: Keeper, told: bool) -> dict[str, object]:
    version, trouble = keeper.version, keeper.trouble
    child, loading = keeper.desk.child, keeper.loading
    found: dict[str, object] = {
        "state": "ready" if child is not None else "loading",
        "model": None if version is None else version.name,
        "version": None if version is None else version.number,
        "loading": None if loading is None else loading.number,
        "could_not_load": None if trouble is None else trouble.version or "the registry",
    }
    if told and trouble is not None:
        found["reason"] = trouble.reason
    if told and child is not None:
        found["device"] = child.facts.device
    return found


async def metrics(request: web.Request) -> web.Response:
    """Prometheus' text."""
    text = request.app[FRONT].metrics.text()
    return web.Response(body=text, headers={"Content-Type": CONTENT_TYPE})


async def reload(request: web.Request) -> web.Response:
    """Look at the aliases now; a version that could not be loaded is tried again."""
    front = request.app[FRONT]
    for keeper in front.keepers.values():
        await keeper.look(again=True)
    return web.json_response(
        {part: _state(keeper, told=True) for part, keeper in front.keepers.items()}
    )
