"""Whether a source's text may leave for an endpoint; asked before any byte is sent.

``never`` means loopback or an endpoint that the operator declares ``local``; ``zero-retention``
admits also endpoints declared so; ``any`` admits all. Nothing declared means ``none``.
"""

from __future__ import annotations

import re
from enum import StrEnum
from ipaddress import ip_address
from urllib.parse import urlsplit

from infra.errors import EgressRefused


class Egress(StrEnum):
    """A source's rule."""

    NEVER = "never"
    ZERO_RETENTION = "zero-retention"
    ANY = "any"


class Guarantee(StrEnum):
    """What the operator declares about an endpoint."""

    LOCAL = "local"
    ZERO_RETENTION = "zero-retention"
    NONE = "none"


def is_plain_url(url: str) -> bool:
    """Whether all readers of the URL see one host in it, over http or https.

    Backslashes, blanks and control characters are read differently from library to library, and
    the guard and the connection must not disagree.
    """
    if not re.fullmatch(r"[\x21-\x5b\x5d-\x7e]+", url):
        return False
    try:
        parts = urlsplit(url)
        parts.port  # noqa: B018  a bad port is found when it is read
        (parts.hostname or "").encode("idna")  # as the look-up of its address does: no empty label
    except ValueError:
        return False
    return parts.scheme in ("http", "https") and bool(parts.hostname)


def is_loopback(url: str) -> bool:
    """Whether the URL's host is this machine by its literal address or the name localhost."""
    host = urlsplit(url).hostname or ""
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def check_egress(source: str, rule: Egress, url: str, guarantee: Guarantee) -> None:
    """Raise EgressRefused unless text of ``source`` may be sent to ``url``."""
    if rule is Egress.ANY or guarantee is Guarantee.LOCAL or is_loopback(url):
        return
    if rule is Egress.ZERO_RETENTION and guarantee is Guarantee.ZERO_RETENTION:
        return
    admitted = "local" if rule is Egress.NEVER else "local or zero-retention"
    raise EgressRefused(
        f"endpoint {urlsplit(url).hostname} with guarantee '{guarantee}' for source {source}",
        f"an endpoint that is {admitted} (the card's llm_egress is '{rule}')",
        "use a local server, or declare CXR_LLM_GUARANTEE if your contract says so",
    )
