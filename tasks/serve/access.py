"""Who may do what: tokens beyond this machine, and on it no page of another site."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from aiohttp import web

from infra.errors import InputError
from infra.tokens import Bearer, Role, TokenFile
from tasks.serve.refused import Refused

_HOST: Final = re.compile(r"(?P<name>\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(?::[0-9]{1,5})?")
_HERE = Bearer("local", Role.PROMOTER)
"""Whoever asks from this machine where no token is wanted."""


@dataclass(frozen=True)
class Access:
    """The guard of one server.

    Args:
        host: that it is bound to.
        tokens: None lets in whoever asks from this machine.
    """

    host: str
    tokens: TokenFile | None

    def __post_init__(self) -> None:
        if self.tokens is None and not is_loopback(self.host):
            raise InputError(
                f"--host {self.host} without tokens",
                "a token file beyond this machine",
                "make one with 'cxr token' and give it as --token-file",
            )

    def bearer(self, request: web.Request, wanted: Role) -> Bearer:
        """Who asks.

        Raises:
            Refused: 401 nobody who is known, 403 not for this, or by a page of another site.
        """
        self._refuse_other_sites(request)
        found = self._known(request)
        if not found.role.may(wanted):
            message = f"'{found.name}' is a {found.role}; this takes a {wanted}"
            raise Refused(403, "not_allowed", message)
        return found

    def knows(self, request: web.Request, wanted: Role) -> bool:
        """Whether it is somebody of that role who asks."""
        try:
            return self.bearer(request, wanted) is not None
        except Refused:
            return False

    def _known(self, request: web.Request) -> Bearer:
        if self.tokens is None:
            return _HERE
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        found = self.tokens.bearer_of(token.strip()) if scheme.lower() == "bearer" else None
        if found is None:
            message = "no token that is known here; send 'Authorization: Bearer TOKEN'"
            raise Refused(401, "invalid_api_key", message)
        return found

    def _refuse_other_sites(self, request: web.Request) -> None:
        """A browser says which site a page is of; and a site may have its name lead to this
        machine, which only the name in ``Host`` tells."""
        origin = request.headers.get("Origin")
        if origin is not None and urlsplit(origin).netloc != request.host:
            raise Refused(403, "other_site", "a page of another site may not ask here")
        if self.tokens is None and not is_loopback(host_name(request)):
            raise Refused(
                403, "other_host", "without tokens this server answers to localhost alone"
            )


def host_name(request: web.Request) -> str:
    """The name in ``Host`` without its port; empty where it is no host: a lenient reader would take
    ``[::1].stranger`` for this machine."""
    found = _HOST.fullmatch(request.host)
    return "" if found is None else found["name"].strip("[]").lower().rstrip(".")


def is_loopback(host: str) -> bool:
    """Whether a name or address is this machine's own, to itself alone."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
