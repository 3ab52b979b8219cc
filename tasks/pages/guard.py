"""Who may see and do what: names that the room answers to, tokens, sessions, forms of our own.

A browser sends its token once, in a form; from then on a cookie names the session, which this
process alone knows. Programs send ``Authorization: Bearer TOKEN`` with each request.
"""

from __future__ import annotations

import hmac
import ipaddress
import secrets
import socket
import time
from collections import OrderedDict
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Final
from urllib.parse import urlsplit

from aiohttp import web

from infra.errors import InputError
from infra.tokens import Bearer, Role, TokenFile
from tasks.serve.access import host_name, is_loopback
from tasks.serve.refused import Refused

COOKIE: Final = "cxr_room"
FORM_FIELD: Final = "form_key"
SESSION_SECONDS: Final = 12 * 3600.0
"""After the last request. Our choice: a working day."""
_MOST_SESSIONS: Final = 1000
"""Our choice: a department's readers; the one that was silent longest goes first."""
_LOCAL: Final = Bearer("local", Role.PROMOTER)
"""Whoever asks from this machine where no token is wanted."""


@dataclass(frozen=True)
class Visitor:
    """Who asks.

    Args:
        key: of the session; what only they may see again is kept under it.
        token: for the serving process; None where no token is wanted.
        by_cookie: whether a browser may have sent it unasked.
    """

    bearer: Bearer
    key: str
    token: str | None
    by_cookie: bool

    def may(self, role: str) -> bool:
        """For templates, which show only what a person may do."""
        return self.bearer.role.may(Role(role))


@dataclass
class _Session:
    token: str
    seen: float


@dataclass
class Guard:
    """The guard of one room.

    Args:
        host: that it is bound to.
        tokens: None lets in whoever asks from this machine.
        names: further names that browsers reach it by.
        tls: whether a proxy with TLS stands before it.
    """

    host: str
    tokens: TokenFile | None
    names: tuple[str, ...] = ()
    tls: bool = False
    _secret: bytes = field(default_factory=lambda: secrets.token_bytes(32), repr=False)
    _sessions: OrderedDict[str, _Session] = field(default_factory=OrderedDict, repr=False)

    def __post_init__(self) -> None:
        if self.tokens is None and not is_loopback(self.host):
            raise InputError(
                f"--host {self.host} without tokens",
                "a token file beyond this machine",
                "make one with 'cxr token' and give it as --token-file",
            )
        own = (self.host, *self.names, socket.gethostname())
        self._known = {name.lower().rstrip(".") for name in own}

    def require_host(self, request: web.Request) -> None:
        """A stranger's name may lead to this machine; its pages must not be read under that name.

        Raises:
            Refused: 403.
        """
        name = host_name(request)
        if is_loopback(name):
            return
        if self.tokens is None:
            raise Refused(403, "other_host", "without tokens these pages answer to localhost alone")
        if not (_is_address(name) or name in self._known):
            advice = "start 'cxr ui' with --name for every name that it is reached by"
            raise Refused(403, "other_host", f"these pages have another name; {advice}")

    def visitor(self, request: web.Request) -> Visitor | None:
        """Who asks; None is nobody that is known."""
        if self.tokens is None:
            return Visitor(_LOCAL, "local", None, by_cookie=True)
        scheme, _, told = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() == "bearer":
            bearer = self.tokens.bearer_of(told.strip())
            key = _digest(f"bearer {told.strip()}")
            return None if bearer is None else Visitor(bearer, key, told.strip(), by_cookie=False)
        return self._by_cookie(request.cookies.get(COOKIE, ""))

    def _by_cookie(self, name: str) -> Visitor | None:
        key = _digest(name)
        session, now = self._sessions.get(key), time.monotonic()
        if session is None or self.tokens is None:
            return None
        bearer = self.tokens.bearer_of(session.token)
        if bearer is None or now - session.seen > SESSION_SECONDS:
            del self._sessions[key]
            return None
        session.seen = now
        self._sessions.move_to_end(key)
        return Visitor(bearer, key, session.token, by_cookie=True)

    def require_role(self, visitor: Visitor, wanted: Role) -> None:
        """Raises:
        Refused: 403, this takes another role.
        """
        bearer = visitor.bearer
        if not bearer.role.may(wanted):
            message = f"'{bearer.name}' is a {bearer.role}; this takes a {wanted}"
            raise Refused(403, "not_allowed", message)

    def require_own_page(self, request: web.Request) -> None:
        """A browser says from whose page a form was sent.

        Raises:
            Refused: 403, another site's.
        """
        origin, site = request.headers.get("Origin"), request.headers.get("Sec-Fetch-Site")
        if (origin is not None and urlsplit(origin).netloc != request.host) or (
            site is not None and site not in ("same-origin", "none")
        ):
            raise Refused(403, "other_site", "a page of another site may not ask here")

    def form_key(self, visitor: Visitor) -> str:
        """What our own forms carry; no other page can know it."""
        return hmac.new(self._secret, visitor.key.encode(), sha256).hexdigest()

    def require_form(self, visitor: Visitor, told: str) -> None:
        """Raises:
        Refused: 403, the form is none of ours; programs with a token need none.
        """
        if visitor.by_cookie and not hmac.compare_digest(
            told.encode("utf-8", "surrogatepass"), self.form_key(visitor).encode()
        ):
            message = "the form is none of this room's, or of before it was started anew"
            raise Refused(403, "other_form", message)

    def enter(self, token: str) -> tuple[str, Bearer] | None:
        """Begin a session: the cookie's value; None where the token is nobody's."""
        bearer = None if self.tokens is None else self.tokens.bearer_of(token)
        if bearer is None:
            return None
        name = secrets.token_urlsafe(32)
        self._sessions[_digest(name)] = _Session(token, time.monotonic())
        while len(self._sessions) > _MOST_SESSIONS:
            self._sessions.popitem(last=False)
        return name, bearer

    def leave(self, request: web.Request) -> None:
        """End the session, if there is one."""
        self._sessions.pop(_digest(request.cookies.get(COOKIE, "")), None)


def _digest(text: str) -> str:
    return sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def _is_address(name: str) -> bool:
    """Whether it is an address: no name of a stranger's leads there."""
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def local_path(text: str) -> str:
    """A path of our own to go on to, or ``/``: no other site's, and nothing that ends a header."""
    plain = text.isascii() and text.isprintable() and "\\" not in text
    return text if plain and text.startswith("/") and not text.startswith("//") else "/"
