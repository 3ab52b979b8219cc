"""The whole server: bound, its models opened, its aliases watched, and left in good order."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import traceback
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from aiohttp import web

from infra.log import LOGGER
from infra.tokens import TokenFile
from infra.tracking_models import ModelShelf, Reference
from tasks.serve.access import Access
from tasks.serve.app import make_app
from tasks.serve.bodies import Held
from tasks.serve.desk import Desk
from tasks.serve.front import ANSWERS, DRAWINGS, Front
from tasks.serve.keeper import Hands, Keeper, Registered, Source, Unregistered
from tasks.serve.limits import Limits
from tasks.serve.metrics import Metrics
from tasks.serve.site import listening

_BACKLOG = 1024  # connections that the system keeps until they are taken; our choice
_LINGER_SECONDS = 2.0
"""To read what is left of a body that was refused, so that its sender sees why (our choice)."""


@dataclass(frozen=True)
class ServeOrder:
    """What a person wants served.

    Args:
        model: ``NAME@ALIAS``, ``NAME/VERSION``, or a registered model's folder.
        drawing: likewise, of a model that draws; None serves none.
        port: 0 takes a free one.
        copies: folder for models of an object store.
    """

    model: str
    drawing: str | None
    host: str
    port: int
    token_file: Path | None
    hands: Hands
    limits: Limits
    tracking_uri: str
    copies: Path


def source_of(named: str, order: ServeOrder) -> Source:
    """Where a model comes from."""
    if (Path(named) / "MLmodel").is_file():
        return Unregistered(Path(named).absolute())
    return Registered(ModelShelf(order.tracking_uri, order.copies), Reference.read(named))


def front_of(order: ServeOrder) -> Front:
    """Everything but the sockets; nothing is started.

    Raises:
        InputError: the models' names or the tokens are wrong, or tokens are wanted.
    """
    tokens = None if order.token_file is None else TokenFile(order.token_file)
    access, hands = Access(order.host, tokens), order.hands
    waiting = order.limits.waiting
    keepers = {ANSWERS: Keeper(source_of(order.model, order), Desk(waiting), hands)}
    if order.drawing is not None:
        draws = Hands(True, hands.slots, hands.openings, hands.device)
        keepers[DRAWINGS] = Keeper(source_of(order.drawing, order), Desk(waiting), draws)
    limits = order.limits
    return Front(keepers, access, limits, Held(limits.held_bytes), Metrics(keepers))


async def run_server(order: ServeOrder, on_ready: Callable[[str, Front], None]) -> None:
    """Serve until SIGTERM or SIGINT; as ``serve_until``."""
    loop, stop = asyncio.get_running_loop(), asyncio.Event()
    for sign in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(sign, stop.set)
    await serve_until(stop, order, on_ready)


async def serve_until(
    stop: asyncio.Event, order: ServeOrder, on_ready: Callable[[str, Front], None]
) -> None:
    """Serve until ``stop`` is set; then finish what was let in.

    Args:
        on_ready: called with the URL once every model answers.

    Raises:
        CxrError: the port is taken, or a model cannot be loaded.
    """
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "10")  # a look that fails is taken again
    front = front_of(order)
    async with _bound(order, front) as url, _watched(front, stop) as is_open:
        if is_open:
            on_ready(url, front)
            await stop.wait()
            await _leave(front)


async def _leave(front: Front) -> None:
    LOGGER.warning("stopping: %d requests are inside", front.inside)
    front.is_leaving = True
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(front.limits.leave_seconds):
            while front.inside:
                await asyncio.sleep(0.02)


@asynccontextmanager
async def _bound(order: ServeOrder, front: Front) -> AsyncIterator[str]:
    runner = web.AppRunner(
        make_app(front),
        handler_cancellation=True,
        access_log=None,
        auto_decompress=False,
        keepalive_timeout=order.limits.idle_seconds,
        lingering_time=_LINGER_SECONDS,
        logger=quiet_logger(),
        shutdown_timeout=1.0,
    )
    async with listening(runner, order.host, order.port, _BACKLOG) as url:
        yield url


async def _open(keepers: Iterable[Keeper]) -> None:
    await asyncio.gather(*(keeper.open() for keeper in keepers))


@asynccontextmanager
async def _watched(front: Front, stop: asyncio.Event) -> AsyncIterator[bool]:
    """With all models open, unless a signal came first."""
    keepers = front.keepers.values()
    opening = asyncio.create_task(_open(keepers))
    stopping = asyncio.create_task(stop.wait())
    watching: list[asyncio.Task[None]] = []
    try:
        await asyncio.wait([opening, stopping], return_when=asyncio.FIRST_COMPLETED)
        if opening.done():
            opening.result()
            seconds = front.limits.poll_seconds
            watching = [asyncio.create_task(keeper.watch(seconds)) for keeper in keepers]
        yield opening.done()
    finally:
        for task in (opening, stopping, *watching):
            task.cancel()
        await asyncio.gather(opening, stopping, *watching, return_exceptions=True)
        for keeper in keepers:
            await keeper.close()


def quiet_logger() -> logging.Logger:
    """For the HTTP library: of an unforeseen error its kind and place, not its words, which may be
    somebody's."""
    logger = logging.getLogger(f"{LOGGER.name}.serve")
    if not any(isinstance(each, _WithoutWords) for each in logger.filters):
        logger.addFilter(_WithoutWords())
    return logger


class _WithoutWords(logging.Filter):
    def filter(self, record: logging.LogRecord) -> bool:
        error = record.exc_info[1] if isinstance(record.exc_info, tuple) else None
        if error is not None:
            record.msg, record.args = f"defect: {_place_of(error)}", ()
            record.exc_info = record.exc_text = None
        return True


def _place_of(error: BaseException) -> str:
    frames = traceback.extract_tb(error.__traceback__)
    where = f" at {Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else ""
    return f"{type(error).__name__}{where}"
