"""Pages from templates, every text escaped, and how numbers, times and addresses are written."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote, urlencode

from jinja2 import Environment, PackageLoader, StrictUndefined

from evaluation.interval_text import interval_text, number_text
from infra.fingerprint import file_digest

STATIC: Final = Path(__file__).parent / "static"
STATIC_KINDS: Final = {
    "room.css": "text/css",
    "room.js": "text/javascript",
    "mark.svg": "image/svg+xml",
}
_DASH: Final = "–"
_MINUTE, _HOUR = 60.0, 3600.0


def render(template: str, **values: object) -> str:
    """The page as HTML; a name that the template uses and nobody gave is an error."""
    return _environment().get_template(template).render(**values)


@cache
def _environment() -> Environment:
    made = Environment(
        loader=PackageLoader("tasks.pages", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters |= {
        "whole": whole,
        "seconds": seconds,
        "moment": moment,
        "number": number_text,
        "interval": interval_text,
        "query": query,
        "path": path,
        "settings": settings_text,
        "money": money,
        "size": size_text,
        "words": lambda text: str(text).replace("_", " ").replace("-", " "),
    }
    made.globals |= {"static": static_address}
    return made


@cache
def static_address(name: str) -> str:
    """With a digest, so that a browser keeps the file until it changes."""
    return f"/static/{name}?{file_digest(STATIC / name)[:12]}"


def whole(value: float | None) -> str:
    """1,234; a dash where it is unknown."""
    return _DASH if value is None else f"{value:,.0f}"


def money(value: float | None) -> str:
    """US dollars."""
    return _DASH if value is None else f"${value:,.2f}"


def seconds(value: float | None) -> str:
    """4.2 s, 3 min 20 s, 2 h 5 min."""
    if value is None:
        return _DASH
    if value < 10:
        return f"{value:.1f} s"
    if value < _MINUTE:
        return f"{value:.0f} s"
    if value < _HOUR:
        return f"{int(value // _MINUTE)} min {int(value % _MINUTE)} s"
    return f"{int(value // _HOUR)} h {int(value % _HOUR // _MINUTE)} min"


def moment(value: datetime | str | None) -> str:
    """A time in UTC, to the minute."""
    if not value:
        return _DASH
    try:
        told = datetime.fromisoformat(value) if isinstance(value, str) else value
    except ValueError:
        return _DASH
    told = told.astimezone(UTC) if told.tzinfo is not None else told
    return f"{told:%Y-%m-%d %H:%M}"


def query(values: Mapping[str, Any]) -> str:
    """Parameters of an address."""
    return urlencode({name: value for name, value in values.items() if value not in (None, "")})


def path(text: str) -> str:
    """A folder's name inside an address."""
    return quote(text, safe="/")


def settings_text(settings: Mapping[str, Any]) -> str:
    """Settings as they are fingerprinted."""
    return json.dumps(settings, indent=2, ensure_ascii=False)


def size_text(value: float) -> str:
    """Bytes in units of 1024."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if value < 1024:
            return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1024
    return f"{value:.1f} TiB"
