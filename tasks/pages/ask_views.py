"""A film of yours, a conversation about it, and films of texts: all by the serving process.

What is uploaded stays in this process's memory, for those who sent it, and is never written.
"""

from __future__ import annotations

from typing import Final

from aiohttp import web

from sources.drawing import VIEW_SENTENCES
from tasks.pages.films import uploaded, windowed
from tasks.pages.forms import Form, read_form
from tasks.pages.guard import Visitor
from tasks.pages.marks import findings_of
from tasks.pages.room import ROOM, Room, go_to, page, picture, visitor_of, work
from tasks.pages.talks import Talk, Turn
from tasks.serve.refused import Refused, bad

_MOST_TURNS: Final = 60  # of a conversation (our choice); a tiny model's positions end far before
_MOST_DRAWN: Final = 24
_SEEDS: Final = 2**32


def add_routes(router: web.UrlDispatcher) -> None:
    router.add_get("/ask", ask)
    router.add_post("/ask", upload)
    router.add_get("/ask/{key}", talk)
    router.add_get("/ask/{key}/film.png", film)
    router.add_post("/ask/{key}", question)
    router.add_post("/ask/{key}/forget", forget)
    router.add_get("/draw", draw)
    router.add_post("/draw", drawing)
    router.add_get("/ask/{key}/drawn/{number}.png", drawn)


async def ask(request: web.Request) -> web.Response:
    """The form for a film, and one's own conversations."""
    room, visitor = request.app[ROOM], visitor_of(request)
    served = await room.serving.served(visitor.token)
    mine = [talk for talk in room.talks.of(visitor.key) if talk.turns]
    return page(request, "ask.html.j2", served=served, talks=mine, url=room.serving.url)


async def upload(request: web.Request) -> web.Response:
    """Take a film, ask for its report or put the first question, and show the conversation."""
    room = request.app[ROOM]
    form = await read_form(request)
    asked = form.text("question", room.limits)
    if not form.film and not asked:
        raise bad("no film and no question", "one of them", "choose a DICOM, PNG or JPEG", "image")
    shown = await work(uploaded, form.film) if form.film else None
    model = await _model(room, form.visitor)
    begun = room.talks.begin(form.visitor.key, form.film or None, shown)
    try:
        if form.film:
            await _report(room, form, begun)
        if asked:
            await _answer(room, form.visitor, begun, model, asked)
    except Refused:
        if not begun.turns:
            room.talks.end(begun.key, form.visitor.key)
        raise
    return go_to(f"/ask/{begun.key}")


async def _model(room: Room, visitor: Visitor) -> str:
    """The model that answers.

    Raises:
        Refused: 503, none does.
    """
    served = await room.serving.served(visitor.token)
    if not served.answers:
        raise Refused(503, "no_serving", served.trouble or "no model answers there")
    return served.answers.rpartition("/")[0]


async def _report(room: Room, form: Form, begun: Talk) -> None:
    """A model that writes no report is asked nothing here; a person asks it."""
    assert begun.film is not None
    token = form.visitor.token
    try:
        told = await room.serving.findings(token, begun.film, form.text("indication", room.limits))
    except Refused as refused:
        if refused.code == "question":
            return
        raise
    begun.turns.append(Turn("assistant", told.text, asks_report=True, model=told.model))


async def _answer(room: Room, visitor: Visitor, talk: Talk, model: str, asked: str) -> None:
    """One turn more. One answer at a time: turns stand in their order.

    Raises:
        Refused: as the serving process does; the question is not kept then.
    """
    if talk.is_busy:
        raise Refused(409, "busy", "the last question is not answered yet; wait for it")
    if len(talk.turns) >= _MOST_TURNS:
        raise Refused(409, "too_long", "this conversation is full; begin a new one")
    talk.is_busy = True
    try:
        said = [(turn.role, turn.text) for turn in talk.turns if not turn.asks_report]
        told = await room.serving.chat(visitor.token, model, [*said, ("user", asked)], talk.film)
    finally:
        talk.is_busy = False
    talk.turns.append(Turn("user", asked))
    talk.turns.append(Turn("assistant", told.text, to_draw=told.to_draw, model=told.model))


async def talk(request: web.Request) -> web.Response:
    """One conversation with its film."""
    room, visitor = request.app[ROOM], visitor_of(request)
    found = room.talks.find(request.match_info["key"], visitor.key)
    served = await room.serving.served(visitor.token)
    report = next((turn for turn in found.turns if turn.asks_report), None)
    return page(
        request,
        "talk.html.j2",
        talk=found,
        report=report,
        turns=[turn for turn in found.turns if not turn.asks_report],
        findings=findings_of(report.text) if report else (),
        served=served,
    )


async def question(request: web.Request) -> web.Response:
    """Put a question, and show the conversation again."""
    room = request.app[ROOM]
    form = await read_form(request)
    found = room.talks.find(request.match_info["key"], form.visitor.key)
    asked = form.text("question", room.limits)
    if not asked:
        raise bad("no question", "one", "write one", "question")
    await _answer(room, form.visitor, found, await _model(room, form.visitor), asked)
    return go_to(f"/ask/{found.key}#last")


async def forget(request: web.Request) -> web.Response:
    """Forget a conversation and its film now."""
    form = await read_form(request)
    request.app[ROOM].talks.end(request.match_info["key"], form.visitor.key)
    return go_to("/ask")


async def film(request: web.Request) -> web.Response:
    """The film of a conversation."""
    found = _talk(request)
    if found.shown is None:
        raise Refused(404, "no_film", "this conversation has no film")
    return picture(request, await work(windowed, found.shown, 128, 256))


async def draw(request: web.Request) -> web.Response:
    """The form for a text, and what was drawn."""
    room, visitor = request.app[ROOM], visitor_of(request)
    served = await room.serving.served(visitor.token)
    found = _drawer(room, visitor)
    return page(
        request,
        "draw.html.j2",
        served=served,
        talk=found,
        views=list(VIEW_SENTENCES),
        text=request.query.get("text", "")[:2000],
        seed=request.query.get("seed", "3")[:10],
        view=request.query.get("view", "PA"),
        url=room.serving.url,
    )


def _drawer(room: Room, visitor: Visitor) -> Talk | None:
    """Where a visitor's drawings are kept: a conversation without words."""
    return next((one for one in room.talks.of(visitor.key) if one.drawn and not one.turns), None)


async def drawing(request: web.Request) -> web.Response:
    """Have a text drawn."""
    room = request.app[ROOM]
    form = await read_form(request)
    text, view = form.text("text", room.limits), form.text("view", room.limits) or "PA"
    seed = form.text("seed", room.limits) or "3"
    if not text:
        raise bad("no text", "what the film should show", "write it", "text")
    if not (seed.isascii() and seed.isdigit() and len(seed) < 11 and int(seed) < _SEEDS):
        raise bad("a bad seed", f"a whole number below {_SEEDS}", "correct it", "seed")
    made, model = await room.serving.draw(form.visitor.token, text, view, int(seed))
    talk = _drawer(room, form.visitor) or room.talks.begin(form.visitor.key, None, None)
    talk.drawn.insert(0, (f"{text} ({view}, seed {seed}, {model})", made))
    del talk.drawn[_MOST_DRAWN:]
    return go_to("/draw#drawn")


async def drawn(request: web.Request) -> web.Response:
    """A film that was drawn here, counted from the newest."""
    found = _talk(request)
    number = request.match_info["number"]
    if not (number.isascii() and number.isdigit() and int(number[:4]) < len(found.drawn)):
        raise Refused(404, "no_film", "no such film was drawn")
    return picture(request, found.drawn[int(number[:4])][1])


def _talk(request: web.Request) -> Talk:
    visitor = visitor_of(request)
    return request.app[ROOM].talks.find(request.match_info["key"], visitor.key)
