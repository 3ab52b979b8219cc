"""The whole room: bound, answering, and left in good order."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from aiohttp import web

from infra.errors import InputError
from infra.settings.environment import Environment
from infra.tokens import TokenFile
from tasks.context import open_store
from tasks.pages.app import make_app
from tasks.pages.board_views import board_of, registered
from tasks.pages.guard import Guard
from tasks.pages.room import Room
from tasks.pages.serving import DEFAULT_URL, Serving
from tasks.serve.limits import Limits
from tasks.serve.site import listening
from tasks.serve.work import quiet_logger

DEFAULT_PORT: Final = 8090
_LEAVE_SECONDS: Final = 5.0
"""For pages under way once it is told to stop (our choice): an answer of a model may be lost."""


@dataclass(frozen=True)
class RoomOrder:
    """What a person wants shown.

    Args:
        serving: address of the serving process that answers questions.
        port: 0 takes a free one.
        names: names, beside addresses and this machine's own, that browsers reach it by.
        tls: a proxy with TLS stands before it.
        warms_up: read scores and registry at once, so that no visitor waits for what that imports.
    """

    environment: Environment
    host: str = "127.0.0.1"
    port: int = DEFAULT_PORT
    serving: str = DEFAULT_URL
    token_file: Path | None = None
    names: tuple[str, ...] = ()
    tls: bool = False
    warms_up: bool = False
    limits: Limits = field(default_factory=Limits)


def room_of(order: RoomOrder) -> Room:
    """Everything but the socket.

    Raises:
        InputError: there is no data root, the tokens are wrong, or tokens are wanted.
    """
    store = open_store(order.environment, make=False)
    if store.is_local and not store.exists(""):
        raise InputError(f"nothing at {store.root}", "a data root", "see 'cxr run --help'")
    tokens = None if order.token_file is None else TokenFile(order.token_file)
    guard = Guard(order.host, tokens, order.names, order.tls)
    serving = Serving(order.serving, order.limits.answer_seconds)
    return Room(store, order.environment, guard, serving, order.limits)


async def run_room(order: RoomOrder, on_ready: Callable[[str], None]) -> None:
    """Answer until SIGTERM or SIGINT."""
    loop, stop = asyncio.get_running_loop(), asyncio.Event()
    for sign in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(sign, stop.set)
    await room_until(stop, order, on_ready)


async def room_until(
    stop: asyncio.Event, order: RoomOrder, on_ready: Callable[[str], None]
) -> None:
    """Answer until ``stop`` is set.

    Args:
        on_ready: called with the URL.

    Raises:
        InputError: the port is taken, or as ``room_of``.
    """
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "10")  # a page waits for it
    room = room_of(order)
    async with _bound(room, order) as url:
        on_ready(url)
        warming = asyncio.create_task(_warm_up(room)) if order.warms_up else None
        await stop.wait()
        if warming is not None:
            warming.cancel()


async def _warm_up(room: Room) -> None:
    await board_of(room)
    await registered(room)


@asynccontextmanager
async def _bound(room: Room, order: RoomOrder) -> AsyncIterator[str]:
    runner = web.AppRunner(
        make_app(room),
        handler_cancellation=True,
        access_log=None,
        auto_decompress=False,
        keepalive_timeout=order.limits.idle_seconds,
        logger=quiet_logger(),
        shutdown_timeout=_LEAVE_SECONDS,
    )
    async with listening(runner, order.host, order.port) as url:
        yield url
