"""Requests on the wire once the openai client has shown where they go: plain aiohttp.

The openai client builds each request, its headers and its reply anew, which took three quarters of
a request's processor time. Only the body differs from one request of a model to the next.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass

import aiohttp
import httpx2

OF_ONE_REQUEST = frozenset(
    {
        *("accept-encoding", "connection", "content-length", "host", "transfer-encoding"),
        *("x-stainless-retry-count", "x-stainless-read-timeout"),
    }
)
"""Headers that belong to one request or one connection: aiohttp sets its own."""


LONGEST_REPLY = 16 * 2**20
"""Bytes of a body, unpacked; an answer has at most some 100 kB. Our choice, so that a body without
end, or one packed to a thousandth, does not fill the memory."""


class ConnectionLost(Exception):
    """No whole answer came."""


class Overlong(Exception):
    """The answer is longer than ``LONGEST_REPLY``; the rest of it was not read."""


async def read_whole(parts: AsyncIterator[bytes]) -> bytes:
    """A body from its parts.

    Raises:
        Overlong: it is too long for an answer.
    """
    body = bytearray()
    async for part in parts:
        body += part
        if len(body) > LONGEST_REPLY:
            raise Overlong
    return bytes(body)


@dataclass(frozen=True)
class RawReply:
    """A server's answer as it came; names of ``headers`` may be asked for in any case."""

    status: int
    content: bytes
    headers: Mapping[str, str]


@dataclass(frozen=True)
class Route:
    """Where a model's requests go, and with which headers."""

    url: str
    headers: Mapping[str, str]

    @classmethod
    def of(cls, request: httpx2.Request) -> Route:
        """The route that a request of the openai client took."""
        kept = {
            name: value
            for name, value in request.headers.multi_items()
            if name.lower() not in OF_ONE_REQUEST
        }
        return cls(str(request.url), kept)


class Wire:
    """Connections kept open from request to request; use it on one event loop only.

    Args:
        connections: the most that are open at once.
        may_use_proxy: whether a proxy that the environment names may stand in between.
    """

    def __init__(self, connections: int, *, may_use_proxy: bool) -> None:
        self._connections, self._may_use_proxy = connections, may_use_proxy
        self._session: aiohttp.ClientSession | None = None

    async def post(self, route: Route, question: bytes) -> RawReply:
        """Send one request; redirects are not followed: text goes to the declared host alone.

        Raises:
            ConnectionLost: the connection broke or was never made, or spoke no HTTP.
            Overlong: the body is longer than any answer.
        """
        if self._session is None:
            self._session = self._open()
        try:
            async with self._session.post(
                route.url, data=question, headers=route.headers, allow_redirects=False
            ) as answer:
                content = await read_whole(answer.content.iter_any())
                return RawReply(answer.status, content, answer.headers)
        except (aiohttp.ClientError, OSError):
            raise ConnectionLost from None

    def _open(self) -> aiohttp.ClientSession:
        """aiohttp wants a running loop; trusted is what the openai client trusts."""
        trusted = httpx2.create_ssl_context(trust_env=self._may_use_proxy)
        return aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=self._connections, ssl=trusted),
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(),  # the caller's clock covers the whole exchange
            trust_env=self._may_use_proxy,
        )

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()
