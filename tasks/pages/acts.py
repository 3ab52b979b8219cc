"""What operators and promoters do from the pages: reload the serving process, promote, roll back.

Each act is the command's own: a promotion goes through the same gate and the same log.
"""

from __future__ import annotations

from aiohttp import web

from infra.errors import one_line
from infra.log import LOGGER
from infra.promotions import this_person
from infra.tokens import Role
from tasks.pages.board_views import REGISTRY
from tasks.pages.forms import Form, read_form
from tasks.pages.room import KEY, ROOM, go_to, page, work
from tasks.pages.shown import path
from tasks.promote.work import Order, open_registry, promote, rollback
from tasks.serve.refused import bad

_LONGEST_REASON = 500  # letters, for the log; our choice


def add_routes(router: web.UrlDispatcher) -> None:
    router.add_post("/serving/reload", reload)
    router.add_post("/champions/{model}/promote", promoted)
    router.add_post("/champions/{model}/rollback", rolled_back)


async def reload(request: web.Request) -> web.Response:
    """Have the serving process look at its aliases now."""
    form = await read_form(request, Role.OPERATOR)
    await request.app[ROOM].serving.reload(form.visitor.token)
    _note(request, form, "reload")
    return go_to("/ask")


async def promoted(request: web.Request) -> web.Response:
    """Judge a version against the champion, and promote it if it passes; a refusal is shown."""
    room, form = request.app[ROOM], await read_form(request, Role.PROMOTER)
    model, version = request.match_info["model"], _number(form, "version")
    order = Order(model, version)
    registry = await work(open_registry, room.environment)
    done = await work(promote, room.store, registry, order, _reason(form), _person(form))
    _note(request, form, "promote")
    if done.entry is None:
        return page(request, "gate.html.j2", model=model, outcome=done.outcome, status=409)
    return go_to(f"/champions/{path(model)}?done=promoted")


async def rolled_back(request: web.Request) -> web.Response:
    """Make the champion before the present one champion again."""
    room, form = request.app[ROOM], await read_form(request, Role.PROMOTER)
    model = request.match_info["model"]
    registry = await work(open_registry, room.environment)
    await work(rollback, registry, model, None, _reason(form), _person(form))
    _note(request, form, "rollback")
    return go_to(f"/champions/{path(model)}?done=rolled")


def _number(form: Form, name: str) -> str:
    told = form.texts.get(name, "")
    if not (told.isascii() and told.isdigit() and 0 < len(told) < 10):
        raise bad("no version", "a registered version's number", "use the page's form", name)
    return told


def _reason(form: Form) -> str:
    return one_line(form.texts.get("reason", ""))[:_LONGEST_REASON]


def _person(form: Form) -> str:
    """The token's name, and the process that acted for it."""
    return f"{form.visitor.bearer.name} by the pages of {this_person()}"


def _note(request: web.Request, form: Form, act: str) -> None:
    request.app[ROOM].kept.pop(REGISTRY, None)
    LOGGER.info("%s %s: %s", request[KEY], form.visitor.bearer.name, act)
