"""The routes that ask a model: let the ask in, wait for what is told, free its place."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

from aiohttp import web

from infra.served import Ask, Told
from infra.tracking_models import Version
from sources.drawing import VIEW_SENTENCES, drawing_prompt
from tasks.serve.bodies import read_upload, read_whole, room_for
from tasks.serve.chat_wire import ChatAsk, Reply, event, read_chat, usage
from tasks.serve.desk import Desk, Full, NotReady, Place
from tasks.serve.front import ANSWERS, DRAWINGS, FRONT, KEY, STREAM, VERSION
from tasks.serve.limits import Limits
from tasks.serve.notice import NOTICE
from tasks.serve.refused import Refused, bad, error_body

_SEEDS = 2**32
_SILENT_SECONDS = 60.0
"""A child says each half second how it is doing, and after each batch of films (our choice: one
takes less)."""
_PAUSE_SECONDS = 2  # what clients are told to wait while a child starts; our choice


@contextmanager
def _queue() -> Iterator[None]:
    """A desk's refusals as statuses."""
    try:
        yield
    except Full as full:
        message = f"all places are taken; ask again in {full.after} s"
        raise Refused(429, "overloaded", message, after=full.after) from None
    except NotReady:
        raise Refused(503, "not_ready", "no model answers now", after=_PAUSE_SECONDS) from None


def _desk(request: web.Request, part: str) -> Desk:
    """Where to ask; who finds no place is told so before anything is read.

    Raises:
        Refused: 404 no such model here, 429, 503.
    """
    keeper = request.app[FRONT].keepers.get(part)
    if keeper is None:
        raise Refused(404, "no_such_part", "no model that draws is served here; see --drawing")
    with _queue():
        keeper.desk.require_place()
    return keeper.desk


@asynccontextmanager
async def _asked(request: web.Request, desk: Desk, ask: Ask) -> AsyncIterator[Place]:
    """The ask on its way, for no longer than an answer may take.

    Raises:
        Refused: 429, 503, 504.
    """
    limits = request.app[FRONT].limits
    with _queue(), desk.place(ask) as place:
        try:
            async with asyncio.timeout(limits.answer_seconds):
                yield place
        except TimeoutError:
            _end_if_silent(place, limits)
            message = f"no answer within {limits.answer_seconds:g} s"
            raise Refused(504, "too_slow", message) from None


def _end_if_silent(place: Place, limits: Limits) -> None:
    """A child that has said nothing at all in that time will not speak any more."""
    child = place.child
    if child is not None:
        silent = asyncio.get_running_loop().time() - child.heard
        if silent > max(limits.answer_seconds, _SILENT_SECONDS):
            child.kill()


def _whole(request: web.Request, place: Place, told: Told) -> Told:
    """An answer that was given.

    Raises:
        Refused: it was not; with the child's own words.
    """
    if place.child is not None:
        request[VERSION] = place.child.version
    if told.event == "refused":
        raise Refused(400, told.reason, told.text)
    if told.event == "failed":
        lost = told.reason == "lost"
        raise Refused(503 if lost else 500, told.reason, told.text, after=1 if lost else None)
    return told


async def _last(place: Place) -> Told:
    async for told in place.told():
        if told.is_last:
            return told
    raise AssertionError("every ask ends")


async def chat(request: web.Request) -> web.StreamResponse:
    """OpenAI's chat completions."""
    front = request.app[FRONT]
    desk = _desk(request, ANSWERS)
    async with room_for(request, front.limits, front.held):
        asked = read_chat(await read_whole(request, front.limits), front.limits)
        _require_model(asked.model, front.keepers[ANSWERS].version)
        async with _asked(request, desk, asked.ask) as place:
            if asked.ask.streams:
                return await _stream(request, place, asked)
            told = _whole(request, place, await _last(place))
            return web.json_response(_reply(request).whole(told))


def _reply(request: web.Request) -> Reply:
    version = request.get(VERSION)
    return Reply(request[KEY], int(time.time()), str(version))


def _require_model(asked: str, served: Version | None) -> None:
    """A client that means another model, or another version, must not get this one's answer."""
    if served is None or asked in (served.name, str(served)):
        return
    message = f"another model than is served here; expected '{served.name}' or '{served}'"
    raise Refused(404, "model_not_found", message, parameter="model")


async def _stream(request: web.Request, place: Place, asked: ChatAsk) -> web.StreamResponse:
    """Server-sent events; what fails before the first is still a status."""
    response: web.StreamResponse | None = None
    async for told in place.told():
        if response is None:
            if told.is_last:
                _whole(request, place, told)
            assert place.child is not None
            request[VERSION] = place.child.version
            response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
            await response.prepare(request)
            request[STREAM] = response
            await response.write(event(_reply(request).chunk("", first=True)))
        for each in _events(request, place, told, asked):
            await response.write(each)
    assert response is not None, "every ask ends"
    await response.write_eof()
    return response


def _events(request: web.Request, place: Place, told: Told, asked: ChatAsk) -> Iterator[bytes]:
    reply = _reply(request)
    if told.event in ("text", "done") and not told.text.startswith(place.said):
        told = Told(told.number, "failed", "another version answers now; ask again", "lost")
    if told.event in ("refused", "failed"):
        yield event(error_body(500, told.reason, told.text))
        return
    grown, place.said = told.text[len(place.said) :], told.text
    if grown:
        yield event(reply.chunk(grown))
    if told.is_last:
        yield event(reply.end(told))
        if asked.counts:
            yield event(reply.counts(told))
        yield event("[DONE]")


async def findings(request: web.Request) -> web.Response:
    """Findings of an uploaded film, or the answer to a question about it."""
    front = request.app[FRONT]
    desk = _desk(request, ANSWERS)
    async with room_for(request, front.limits, front.held):
        ask = (await read_upload(request, front.limits)).ask()
        async with _asked(request, desk, ask) as place:
            told = _whole(request, place, await _last(place))
    version = request[VERSION]
    return web.json_response(
        {
            "findings" if ask.kind == "report" else "answer": told.text,
            "finish_reason": told.reason,
            "model": version.name,
            "version": version.number,
            "usage": usage(told),
            "notice": NOTICE,
        }
    )


async def drawing(request: web.Request) -> web.Response:
    """A film of a text, as PNG."""
    front = request.app[FRONT]
    desk = _desk(request, DRAWINGS)
    async with room_for(request, front.limits, front.held):
        ask = read_drawing(await read_whole(request, front.limits), front.limits)
        async with _asked(request, desk, ask) as place:
            told = _whole(request, place, await _last(place))
    return web.Response(body=told.film, content_type="image/png")


def read_drawing(raw: bytes, limits: Limits) -> Ask:
    """``{"prompt": …}`` as it is, or ``{"text": …, "view": "PA"}``; and perhaps a ``seed``.

    Raises:
        Refused: 400, with what is wrong.
    """
    try:
        body = json.loads(raw)
    except (ValueError, RecursionError):
        raise bad("a body that is no JSON", "a JSON object", "correct it", "body") from None
    known = {"prompt", "text", "view", "seed"}
    if (
        not isinstance(body, dict)
        or not set(body) <= known
        or ("prompt" in body) == ("text" in body)
    ):
        wanted = "prompt, or text and perhaps view; and perhaps seed"
        raise bad("another object", wanted, "correct it", "body")
    words, seed = body.get("prompt", body.get("text")), body.get("seed", 0)
    if not isinstance(words, str) or not words.strip() or len(words) > limits.text_letters:
        wanted = f"1 to {limits.text_letters} letters"
        raise bad("no text, or too long a one", wanted, "correct it", "prompt")
    if type(seed) is not int or not 0 <= seed < _SEEDS:
        raise bad("a bad seed", f"a whole number from 0 to {_SEEDS - 1}", "correct it", "seed")
    view = body.get("view", "PA")
    if view not in list(VIEW_SENTENCES):
        raise bad("another view", ", ".join(VIEW_SENTENCES), "correct it", "view")
    prompt = words if "prompt" in body else drawing_prompt(view, words)
    return Ask(0, "draw", prompt=prompt, seed=seed)
