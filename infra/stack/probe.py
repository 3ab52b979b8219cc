"""Whether a process of the stack answers."""

from __future__ import annotations

import asyncio
from contextlib import suppress

from infra.stack.place import LOOPBACK
from infra.stack.table import Service

_PATIENCE_SECONDS = 5.0
"""Our choice. The supervisor's own socket lets a caller in before the server is there to answer."""


async def is_up(service: Service) -> bool:
    """It answers its health path with 200, takes a connection, or has nothing to ask."""
    if service.port is None:
        return True
    try:
        return await asyncio.wait_for(_asked(service.port, service.health), _PATIENCE_SECONDS)
    except (OSError, TimeoutError, asyncio.IncompleteReadError):
        return False


async def _asked(port: int, path: str | None) -> bool:
    reader, writer = await asyncio.open_connection(LOOPBACK, port)
    try:
        if path is None:
            return True
        head = f"GET {path} HTTP/1.1\r\nHost: {LOOPBACK}:{port}\r\nConnection: close\r\n\r\n"
        writer.write(head.encode())
        await writer.drain()
        status = await reader.readline()
        return status.split()[1:2] == [b"200"]
    finally:
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()
