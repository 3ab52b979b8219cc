"""Where a server of ours listens."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiohttp import web

from infra.errors import InputError


@asynccontextmanager
async def listening(
    runner: web.AppRunner, host: str, port: int, backlog: int = 128
) -> AsyncIterator[str]:
    """The URL at which an application is answered within the block.

    Args:
        port: 0 takes a free one.
        backlog: connections that the system keeps until they are taken; aiohttp's own.

    Raises:
        InputError: nothing can listen there.
    """
    await runner.setup()
    try:
        try:
            await web.TCPSite(runner, host, port, backlog=backlog).start()
        except OSError as error:
            why = os.strerror(error.errno or 0)
            raise InputError(
                f"{host}:{port}, which cannot be bound ({why})",
                "a free port of this machine",
                "choose another --port",
            ) from error
        shown = f"[{host}]" if ":" in host else host
        yield f"http://{shown}:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()
