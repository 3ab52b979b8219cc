"""Runs, and each run's funnel: rows in, rejected with reasons, out; per step how it went."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from aiohttp import web

from infra.facts.contract import FactRows
from tasks.pages.cases import whole
from tasks.pages.past import PastRun
from tasks.pages.room import ROOM, page, work

RUNS_ON_A_PAGE: Final = 30  # our choice: a screen and a half
_LEVELS: Final = ("studies", "images", "reports", "dialogues", "examples")
"""Steps that count rows of a source, in the order in which rows go through them."""


@dataclass(frozen=True)
class Level:
    """One bar of a funnel; shares are of the widest bar of the source, 0-100."""

    kind: str
    unit: str
    rows_in: int
    kept: int
    state: str
    kept_width: float
    lost_width: float
    reasons: tuple[tuple[str, int], ...]


@dataclass(frozen=True)
class SourceFunnel:
    """What became of one source's rows."""

    source: str
    levels: tuple[Level, ...]


def funnels(facts: FactRows) -> tuple[SourceFunnel, ...]:
    """By source, in the order in which they were counted."""
    sources = list(dict.fromkeys(row["source"] for row in facts.get("rows", ())))
    return tuple(SourceFunnel(source, tuple(_levels(facts, source))) for source in sources)


def _levels(facts: FactRows, source: str) -> Iterable[Level]:
    rows = [row for row in facts["rows"] if row["source"] == source]
    widest = max((row["rows_in"] or 0 for row in rows), default=0) or 1
    for row in sorted(rows, key=lambda row: _place(row["kind"])):
        rejects = [
            (reject["reason"], int(reject["count"]))
            for reject in facts.get("rejects", ())
            if all(reject[name] == row[name] for name in ("source", "kind", "unit"))
        ]
        rows_in, kept = int(row["rows_in"] or 0), int(row["kept"] or 0)
        yield Level(
            row["kind"],
            row["unit"],
            rows_in,
            kept,
            row["state"],
            100 * kept / widest,
            100 * (rows_in - kept) / widest,
            tuple(sorted(rejects, key=lambda pair: (-pair[1], pair[0]))),
        )


def _place(kind: str) -> int:
    return _LEVELS.index(kind) if kind in _LEVELS else len(_LEVELS)


def step_rows(steps: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Steps as they began, each once, with the share of the longest one's time, 0-100."""
    latest = {(row["kind"], row["name"]): dict(row) for row in steps}
    longest = max((row["seconds"] or 0.0 for row in latest.values()), default=0.0) or 1.0
    for row in latest.values():
        row["width"] = 100 * (row["seconds"] or 0.0) / longest
        row["folder"] = f"{row['kind']}/{row['name']}-{row['fingerprint']}"
    return list(latest.values())


def add_routes(router: web.UrlDispatcher) -> None:
    router.add_get("/runs", runs)
    router.add_get("/runs/{run_id}", run)


async def runs(request: web.Request) -> web.Response:
    """All runs, newest first, a page at a time."""
    room = request.app[ROOM]
    number = whole(request.query.get("page") or "1", "page")
    found = await work(room.past.runs)
    pages = max(1, -(-len(found) // RUNS_ON_A_PAGE))
    shown = found[RUNS_ON_A_PAGE * (number - 1) : RUNS_ON_A_PAGE * number]
    damaged = await work(room.library.damaged)
    return page(
        request, "runs.html.j2", runs=shown, count=len(found), number=number, pages=pages,
        damaged=damaged,
    )  # fmt: skip


async def run(request: web.Request) -> web.Response:
    """One run."""
    room = request.app[ROOM]
    found = await work(room.past.run, request.match_info["run_id"])
    facts = await work(room.past.facts, found)
    held = await work(room.library.all)
    return page(
        request,
        "run.html.j2",
        run=found.row,
        steps=step_rows(facts.get("steps", ())),
        funnels=funnels(facts),
        calls=facts.get("llm", ()),
        stages=_stages(found, facts),
        scores=facts.get("scores", ()),
        held=frozenset(held),
        scored={name.rpartition("-")[2]: name for name in held if name.startswith("scores/")},
    )


def _stages(found: PastRun, facts: FactRows) -> list[dict[str, Any]]:
    del found
    return [
        {**row, "folder": f"stages/{row['stage']}-{row['fingerprint']}"}
        for row in facts.get("stages", ())
    ]
