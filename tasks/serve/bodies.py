"""Bodies of requests: no larger, no slower and no more at once than the limits say."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field

from aiohttp import BodyPartReader, web
from aiohttp.http import HttpProcessingError

from infra.served import Ask
from tasks.serve.limits import MIB, Limits
from tasks.serve.refused import Refused, bad

_PARTS = 16
"""Most parts of an upload (our choice): films of one study and two texts."""
_FILM_NAMES = ("image", "file")


@dataclass
class Held:
    """Bytes of bodies that are in memory, until their answers are given."""

    most: int
    now: int = 0

    @contextmanager
    def room(self, size: int) -> Iterator[None]:
        """Hold room for a body.

        Raises:
            Refused: 429, there is none.
        """
        if self.now + size > self.most:
            raise Refused(429, "overloaded", "too much is being sent at once; wait", after=1)
        self.now += size
        try:
            yield
        finally:
            self.now -= size


@dataclass
class Upload:
    """What a form of ``/v1/findings`` held."""

    films: list[bytes] = field(default_factory=list)
    texts: dict[str, str] = field(default_factory=dict)

    def ask(self) -> Ask:
        """A question, where one is put, else a report.

        Raises:
            Refused: 400, there is no film.
        """
        if not self.films:
            raise bad("no film", "a part 'image': DICOM, PNG or JPEG", "send one", "image")
        question = " ".join(self.texts.get("question", "").split())
        turns = (("user", question),) if question else ()
        told = self.texts.get("indication", "").strip() or None
        kind = "talk" if question else "report"
        return Ask(0, kind, turns, indication=told, films=tuple(self.films))  # type: ignore[arg-type]


@asynccontextmanager
async def room_for(request: web.Request, limits: Limits, held: Held) -> AsyncIterator[None]:
    """For as long as a request's body is in memory.

    Raises:
        Refused: 413 too large, 415 compressed, 429 no room.
    """
    if request.headers.get("Content-Encoding", "identity") != "identity":
        raise Refused(415, "compressed", "a compressed body; expected it as it is")
    size = request.content_length
    if size is not None and size > limits.body_bytes:
        raise too_large(limits)
    with held.room(limits.body_bytes if size is None else size):
        yield


def too_large(limits: Limits) -> Refused:
    """A body beyond the limit."""
    message = f"the body is larger than {limits.body_bytes // MIB} MiB"
    return Refused(413, "too_large", message)


async def read_whole(request: web.Request, limits: Limits) -> bytes:
    """The body.

    Raises:
        Refused: 408 too slow, 413 too large.
    """
    body = bytearray()
    async with _in_time(limits):
        async for part in request.content.iter_any():
            body += part
            if len(body) > limits.body_bytes:
                raise too_large(limits)
    return bytes(body)


@asynccontextmanager
async def _in_time(limits: Limits) -> AsyncIterator[None]:
    try:
        async with asyncio.timeout(limits.body_seconds):
            yield
    except TimeoutError:
        message = f"the body took longer than {limits.body_seconds:g} s"
        raise Refused(408, "too_slow", message) from None


async def read_upload(request: web.Request, limits: Limits) -> Upload:
    """The parts of a form.

    Raises:
        Refused: 400 another form or part, 408 too slow, 413 too large.
    """
    if request.content_type != "multipart/form-data":
        wanted = "multipart/form-data with a part 'image'"
        raise bad(f"the type {request.content_type}", wanted, "send a form", "Content-Type")
    upload, size = Upload(), 0
    try:
        async with _in_time(limits):
            async for part in await request.multipart():
                if not isinstance(part, BodyPartReader):
                    raise bad("a form within a form", "plain parts", "send them apart", "body")
                content = await _read_part(part, limits.body_bytes - size, limits)
                size += len(content)
                _keep(upload, part.name or "", content, limits)
    except (ValueError, HttpProcessingError):  # no boundary, no part's head, an end too early
        wanted = "multipart/form-data"
        raise bad("a form that cannot be read", wanted, "send it anew", "body") from None
    return upload


async def _read_part(part: BodyPartReader, room: int, limits: Limits) -> bytes:
    content = bytearray()
    while chunk := await part.read_chunk(2**16):
        content += chunk
        if len(content) > room:
            raise too_large(limits)
    return bytes(content)


def _keep(upload: Upload, name: str, content: bytes, limits: Limits) -> None:
    if len(upload.films) + len(upload.texts) >= _PARTS:
        raise bad("too many parts", f"{_PARTS} at most", "send fewer", "body")
    if name in _FILM_NAMES:
        upload.films.append(content)
        return
    if name not in ("indication", "question") or name in upload.texts:
        wanted = "image, indication and question, each text once"
        raise bad("a part of another name, or twice", wanted, "rename it", "body")
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError:
        raise bad(f"a text in '{name}' that is not UTF-8", "UTF-8", "correct it", name) from None
    if len(text) > limits.text_letters:
        wanted = f"{limits.text_letters} letters at most"
        raise bad(f"too long a text in '{name}'", wanted, "shorten it", name)
    upload.texts[name] = text
