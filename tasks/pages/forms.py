"""Forms that browsers send: read within limits, and held to be our own."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import parse_qsl

from aiohttp import BodyPartReader, web
from aiohttp.http import HttpProcessingError

from infra.tokens import Role
from tasks.pages.guard import FORM_FIELD, Visitor
from tasks.pages.room import FORM_BYTES, ROOM, visitor_of
from tasks.serve.bodies import read_whole, room_for, too_large
from tasks.serve.limits import Limits
from tasks.serve.refused import Refused, bad

_PARTS = 16  # most parts of a form (our choice)


@dataclass
class Form:
    """What was sent: texts by name, and at most one film."""

    visitor: Visitor
    texts: dict[str, str] = field(default_factory=dict)
    film: bytes = b""

    def text(self, name: str, limits: Limits) -> str:
        """One text, trimmed.

        Raises:
            Refused: 400, it is too long.
        """
        told = self.texts.get(name, "").strip()
        if len(told) > limits.text_letters:
            wanted = f"{limits.text_letters} letters at most"
            raise bad(f"too long a text in '{name}'", wanted, "shorten it", name)
        return told


async def read_form(request: web.Request, wanted: Role = Role.VIEWER) -> Form:
    """A form of ours, of somebody who may send it.

    Raises:
        Refused: 400 no form, 403 another's or not allowed, 408 too slow, 413 too large, 429 full.
    """
    room = request.app[ROOM]
    visitor = visitor_of(request, wanted)
    room.guard.require_own_page(request)
    is_upload = request.content_type == "multipart/form-data"
    limits = room.limits if is_upload else _narrow(room.limits)
    async with room_for(request, limits, room.held):
        if is_upload:
            form = await _read_parts(request, Form(visitor), limits)
        else:
            form = Form(visitor, dict(await _read_fields(request, limits)))
    room.guard.require_form(visitor, form.texts.get(FORM_FIELD, ""))
    return form


def _narrow(limits: Limits) -> Limits:
    return Limits(body_bytes=min(FORM_BYTES, limits.body_bytes), body_seconds=limits.body_seconds)


async def read_fields(request: web.Request) -> Mapping[str, str]:
    """The texts of a small form, whosoever sends it.

    Raises:
        Refused: 400 no form, 408 too slow, 413 too large.
    """
    room = request.app[ROOM]
    limits = _narrow(room.limits)
    async with room_for(request, limits, room.held):
        return await _read_fields(request, limits)


async def _read_fields(request: web.Request, limits: Limits) -> Mapping[str, str]:
    if request.content_type != "application/x-www-form-urlencoded":
        raise bad(f"the type {request.content_type}", "a form", "send a form", "Content-Type")
    raw = await read_whole(request, limits)
    try:
        told = parse_qsl(raw.decode("utf-8"), keep_blank_values=True, max_num_fields=_PARTS)
    except (ValueError, UnicodeDecodeError):
        raise bad("a form that cannot be read", "a form in UTF-8", "send it anew", "body") from None
    return dict(told)


async def _read_parts(request: web.Request, form: Form, limits: Limits) -> Form:
    try:
        async with asyncio.timeout(limits.body_seconds):
            left = limits.body_bytes
            async for part in await request.multipart():
                if not isinstance(part, BodyPartReader):
                    raise bad("a form within a form", "plain parts", "send them apart", "body")
                content = await _read_part(part, left, limits)
                left -= len(content)
                _keep(form, part.name or "", content)
    except TimeoutError:
        message = f"the form took longer than {limits.body_seconds:g} s"
        raise Refused(408, "too_slow", message) from None
    except (ValueError, HttpProcessingError):
        raise bad("a form that cannot be read", "a form", "send it anew", "body") from None
    return form


async def _read_part(part: BodyPartReader, room: int, limits: Limits) -> bytes:
    content = bytearray()
    while chunk := await part.read_chunk(2**16):
        content += chunk
        if len(content) > room:
            raise too_large(limits)
    return bytes(content)


def _keep(form: Form, name: str, content: bytes) -> None:
    if len(form.texts) >= _PARTS:
        raise bad("too many parts", f"{_PARTS} at most", "send fewer", "body")
    if name == "image":
        if form.film:
            raise bad("several films", "one", "send them apart", "image")
        form.film = content
        return
    try:
        form.texts[name] = content.decode("utf-8")
    except UnicodeDecodeError:
        raise bad("a text that is not UTF-8", "UTF-8", "correct it", "body") from None
