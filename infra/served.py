"""What passes between the process that speaks HTTP and a model's child, and its bytes on a socket.

A frame is two lengths (4 bytes each, big-endian), a JSON object, and the bytes of films. Both ends
are processes of one program on one machine; nothing is unpickled all the same.
"""

from __future__ import annotations

import asyncio
import json
import socket
import struct
import threading
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

_LENGTHS = struct.Struct(">II")
_LARGEST_HEAD = 2**26
"""Bytes (our choice): above any text that the HTTP process lets in."""

Outcome = Literal["text", "done", "refused", "failed"]


@dataclass(frozen=True)
class Ask:
    """One request to a model.

    Args:
        number: of this request among all of its HTTP process.
        kind: ``report`` asks for the recipe's section, ``talk`` for an answer to the last of
            ``turns``, ``draw`` for a film of ``prompt``.
        turns: (role, text), the user's and the assistant's in turn.
        films: published files: DICOM, PNG or JPEG.
        most_tokens: of the answer; None, or more than the recipe's own, takes that.
        streams: tell the text so far while it is written.
    """

    number: int
    kind: Literal["report", "talk", "draw"]
    turns: tuple[tuple[str, str], ...] = ()
    indication: str | None = None
    prompt: str = ""
    seed: int = 0
    most_tokens: int | None = None
    streams: bool = False
    films: tuple[bytes, ...] = ()


@dataclass(frozen=True)
class Told:
    """What a child says of one request; ``done``, ``refused`` and ``failed`` are the last.

    Args:
        text: all of the answer so far; of a refusal, why.
        reason: an answer's ``stop`` or ``length``, a refusal's code.
        film: PNG.
    """

    number: int
    event: Outcome
    text: str = ""
    reason: str = ""
    prompt_tokens: int = 0
    tokens: int = 0
    film: bytes = b""

    @property
    def is_last(self) -> bool:
        return self.event != "text"


@dataclass(frozen=True)
class Facts:
    """What a child says of its model once it is ready.

    Args:
        reports: whether it writes a report unasked; else it wants a question.
        most_films: that it is shown at once.
        slots: requests that it works at together.
    """

    draws: bool
    device: str
    slots: int
    reports: bool = False
    most_films: int = 0


@dataclass(frozen=True)
class Busy:
    """How a child is doing; counts since its start, but for ``waiting`` and ``live``."""

    waiting: int = 0
    live: int = 0
    steps: int = 0
    tokens: int = 0


Message = Ask | Told | Facts | Busy


@dataclass(frozen=True)
class Cancel:
    """Nobody waits for that request any more."""

    number: int


_KINDS: Mapping[str, type[Any]] = {each.__name__: each for each in (Ask, Told, Facts, Busy, Cancel)}


def encode(message: Message | Cancel) -> bytes:
    """One frame."""
    films: tuple[bytes, ...] = ()
    if isinstance(message, Ask):
        films, message = message.films, replace(message, films=())
    elif isinstance(message, Told):
        films, message = (message.film,), replace(message, film=b"")
    head = {**asdict(message), "frame": type(message).__name__}
    head.pop("films", None)
    head.pop("film", None)
    told = json.dumps(head | {"lengths": [len(film) for film in films]}).encode()
    return b"".join((_LENGTHS.pack(len(told), sum(map(len, films))), told, *films))


def _decode(head: bytes, body: bytes) -> Message | Cancel:
    values = json.loads(head)
    kind, lengths = _KINDS[values.pop("frame")], values.pop("lengths")
    films, start = [], 0
    for length in lengths:
        films.append(body[start : start + length])
        start += length
    if kind is Ask:
        values |= {"films": tuple(films), "turns": tuple(map(tuple, values["turns"]))}
    elif kind is Told:
        values["film"] = films[0]
    message: Message | Cancel = kind(**values)
    return message


def _lengths(read: bytes) -> tuple[int, int]:
    head, body = _LENGTHS.unpack(read)
    assert head <= _LARGEST_HEAD, f"a frame whose head has {head} bytes"
    return head, body


async def read_frame(reader: asyncio.StreamReader) -> Message | Cancel | None:
    """The next frame; None where the other end is gone."""
    try:
        head, body = _lengths(await reader.readexactly(_LENGTHS.size))
        return _decode(await reader.readexactly(head), await reader.readexactly(body))
    except (asyncio.IncompleteReadError, ConnectionError):
        return None


class Line:
    """The child's end of the socket; any of its threads may speak."""

    def __init__(self, end: socket.socket) -> None:
        self._end, self._speaks = end, threading.Lock()

    def say(self, message: Message) -> None:
        """Send one frame.

        Raises:
            OSError: the other end is gone.
        """
        frame = encode(message)
        with self._speaks:
            self._end.sendall(frame)

    def hear(self) -> Message | Cancel | None:
        """The next frame; None where the other end is gone."""
        lengths = self._read(_LENGTHS.size)
        if lengths is None:
            return None
        head_size, body_size = _lengths(lengths)
        head, body = self._read(head_size), self._read(body_size)
        return None if head is None or body is None else _decode(head, body)

    def _read(self, size: int) -> bytes | None:
        room = bytearray(size)
        view, at = memoryview(room), 0
        while at < size:
            try:
                got = self._end.recv_into(view[at:])
            except ConnectionError:
                return None
            if not got:
                return None
            at += got
        return bytes(room)
