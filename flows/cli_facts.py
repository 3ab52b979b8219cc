"""The commands that show what runs did: as rows, and as numbers for Prometheus."""

from __future__ import annotations

import re
import signal
import sys
import threading
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any

import typer

from flows.cli_options import DataRoot, Json
from infra.errors import InputError

if TYPE_CHECKING:
    from infra.facts.contract import Kind
    from infra.settings.environment import Environment
    from infra.store import Store

_WIDEST = 40  # our choice: fingerprints and errors' names fit
_UNITS = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


def facts(
    kind: Annotated[
        list[str] | None,
        typer.Option(
            help="runs, steps, rows, rejects, llm, stages, scores, aliases or drift; repeatable "
            "[runs; all with --json]."
        ),
    ] = None,
    since: Annotated[
        str | None, typer.Option(help="Not older: 7d, 36h, or a date or time in UTC.")
    ] = None,
    data_root: DataRoot = None,
    as_json: Json = False,
) -> None:
    """Print facts: of runs, or of the kinds that are named; as JSON of all.

    Raises:
        InputError: no such kind, no such time, or no data root.
    """
    from infra.facts.contract import KINDS, document
    from infra.facts.files import read_facts
    from infra.settings.environment import load_environment

    chosen = tuple(map(_kind, kind or ())) or (KINDS if as_json else ("runs",))
    moment = None if since is None else _moment(since)
    store = _existing(load_environment(data_root=data_root))
    from tasks.monitor.recorded import settle_dead

    try:
        settle_dead(store)
    except InputError as error:  # who may only read shall read
        print(f"killed runs are not settled: {error}", file=sys.stderr)
    rows = {name: read_facts(store, name, moment) for name in chosen}
    if as_json:
        print(document(rows))
        return
    print("\n\n".join(_table(name, found) for name, found in rows.items()))


def metrics(
    host: Annotated[str, typer.Option(help="Address to listen at.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 takes a free one.")] = 9464,
    once: Annotated[bool, typer.Option("--once", help="Print the numbers and end.")] = False,
    data_root: DataRoot = None,
) -> None:
    """Answer Prometheus until interrupted; or print once what it would get."""
    from infra.settings.environment import load_environment
    from tasks.context import open_store
    from tasks.metrics.serve import metrics_endpoint, metrics_text

    environment = load_environment(data_root=data_root)
    store = open_store(environment)
    if once:
        print(metrics_text(store, environment), end="")
        return
    stop = threading.Event()
    for name in (signal.SIGINT, signal.SIGTERM):
        signal.signal(name, lambda *_: stop.set())
    with metrics_endpoint(store, environment, host, port) as bound:
        print(f"numbers of {store.root} at http://{host}:{bound}/metrics", flush=True)
        stop.wait()


def _existing(environment: Environment) -> Store:
    from tasks.context import open_store

    store = open_store(environment, make=False)
    if store.is_local and not store.exists(""):
        raise InputError(f"nothing at {store.root}", "a data root", "see 'cxr run --help'")
    return store


def _kind(name: str) -> Kind:
    from infra.facts.contract import KINDS

    for kind in KINDS:
        if kind == name:
            return kind
    raise InputError(f"facts of '{name}'", f"one of {', '.join(KINDS)}", "correct --kind")


def _moment(text: str) -> datetime:
    """``7d``, ``36h`` before now, or a date or time of ISO 8601 (UTC unless it says otherwise)."""
    ago = re.fullmatch(r"(\d{1,6})([mhdw])", text)
    if ago is not None:
        return datetime.now(UTC) - timedelta(**{_UNITS[ago[2]]: int(ago[1])})
    try:
        told = datetime.fromisoformat(text)
    except ValueError:
        raise InputError(
            f"the time '{text}'", "7d, 36h, 2026-11-29 or 2026-11-29T15:00", "correct --since"
        ) from None
    return told if told.tzinfo is not None else told.replace(tzinfo=UTC)


def _table(kind: Kind, rows: Sequence[Mapping[str, Any]]) -> str:
    """Columns of fixed width; those in which nothing stands are left out."""
    from infra.facts.contract import COLUMNS

    shown = [name for name in COLUMNS[kind] if any(row[name] not in (None, "") for row in rows)]
    lines = [shown, *([_cell(row[name]) for name in shown] for row in rows)]
    widths = [max(len(line[place]) for line in lines) for place in range(len(shown))]
    text = (
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in lines
    )
    return "\n".join([f"{kind}: {len(rows)} rows", *(text if rows else ())])


def _cell(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%d %H:%M:%S}"
    if isinstance(value, float):
        return f"{value:.6g}"
    text = str(value)
    return text if len(text) <= _WIDEST else f"{text[: _WIDEST - 1]}…"
