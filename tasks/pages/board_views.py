"""Scores and champions: the leaderboard, one scored run, models with their log and evidence."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from typing import Any, Final

from aiohttp import web

from evaluation.leaderboard_page import NOT_TOLD, TITLES, controls_text
from infra.errors import ArtifactError, CxrError
from infra.tokens import Role
from tasks.leaderboard.work import HEADLINES, Leaderboard, leaderboard
from tasks.pages.champions import ShownModel, find_model, models
from tasks.pages.library import Kept
from tasks.pages.room import ROOM, Room, kept_while, page, visitor_of, work
from tasks.score.work import PAGE_FILE, SCORES_FILE
from tasks.serve.refused import Refused

_FULL: Final = {"0-1": 1.0, "0-100": 100.0}
"""Scales whose values have a bar."""
REGISTRY: Final = "registry"
_REGISTRY_SECONDS: Final = 5.0
"""Between two looks at MLflow (our choice): aliases move a few times a week, and a look takes a
second."""
_OWN_SANDBOX: Final = "sandbox; default-src 'none'; style-src 'unsafe-inline'; img-src data:"
"""A page that a run wrote has its style in it; it is shown without script and without an origin."""


def add_routes(router: web.UrlDispatcher) -> None:
    router.add_get("/scores", scores)
    router.add_get("/scores/{name}", scored)
    router.add_get("/scores/{name}/report", report)
    router.add_get("/champions", champions)
    router.add_get("/champions/{model}", champion)


async def board_of(room: Room) -> Leaderboard | str:
    """The leaderboard of this data root; or why there is none."""
    stamp = await work(room.library.stamp)
    try:
        return await kept_while(room, "board", stamp, lambda: leaderboard([room.store]))
    except ArtifactError as error:
        return str(error)


async def registered(room: Room) -> list[ShownModel] | str:
    """Registered models, as they were some seconds ago at most; or why nobody can tell."""
    stamp = f"{time.monotonic() // _REGISTRY_SECONDS}"
    try:
        return await kept_while(
            room, REGISTRY, stamp, lambda: models(room.environment, room.library)
        )
    except CxrError as error:
        return str(error)


def headline_rows(found: Leaderboard | str) -> list[dict[str, Any]]:
    """Every headline's own numbers with a bar, by task."""
    if isinstance(found, str):
        return []
    return [
        _row(entry.system, table, group, placed)
        for table in found.headlines
        if table.measure in HEADLINES
        for group in table.groups
        for placed in group.entries
        for entry in (placed.entry,)
        if entry.kind != "published"
    ]


def _row(system: str, table: Any, group: Any, placed: Any) -> dict[str, Any]:
    entry = placed.entry
    value, low, high = entry.on(table.scale)
    full = _FULL.get(table.scale)
    return {
        "task": TITLES.get(table.task, table.task.capitalize()),
        "measure": table.measure,
        "scale": table.scale,
        "higher": table.higher_is_better,
        "system": system,
        "kind": entry.kind,
        "ours": entry.recipe is not None,
        "rank": placed.rank,
        "of": len(group.entries),
        "group": group.name,
        "policy": _policy(group.standing.told.get("uncertain_as")),
        "value": {"value": value, "low": low, "high": high},
        "bar": None if full is None or value is None else _share(value, low, high, full),
        "beside": controls_text(entry.controls_on(table.scale), table.scale),
        "run": entry.run if entry.kind != "published" else None,
        "quoted": entry.quoted_from,
    }


def _policy(uncertain_as: str | None) -> str:
    """What becomes of doubts, where a measure has a rule for them."""
    return "" if uncertain_as in (None, NOT_TOLD) else f"uncertain as {uncertain_as}"


def _share(value: float, low: float | None, high: float | None, full: float) -> dict[str, float]:
    """Places on a bar of 0-100."""

    def at(number: float | None) -> float:
        return 100 * min(max((value if number is None else number) / full, 0.0), 1.0)

    return {"value": at(value), "low": at(low), "high": at(high)}


async def scores(request: web.Request) -> web.Response:
    """Headline measures with published figures beside, and all scored runs."""
    room = request.app[ROOM]
    found = await board_of(room)
    tables = [] if isinstance(found, str) else [_table(table) for table in found.headlines]
    systems = {} if isinstance(found, str) else {run.name: run.system for run in found.runs}
    return page(
        request,
        "scores.html.j2",
        trouble=found if isinstance(found, str) else "",
        tables=tables,
        systems=systems,
        artifacts=await work(room.library.of, "scores"),
    )


def _table(table: Any) -> dict[str, Any]:
    rows = [
        _row(placed.entry.system, table, group, placed)
        for group in table.groups
        for placed in group.entries
    ]
    task = TITLES.get(table.task, table.task.capitalize())
    return {
        "task": task, "measure": table.measure, "scale": table.scale,
        "higher": table.higher_is_better, "rows": rows,
    }  # fmt: skip


async def scored(request: web.Request) -> web.Response:
    """All numbers of one scored run, beside those of its controls."""
    room = request.app[ROOM]
    kept = await work(room.library.get, f"scores/{request.match_info['name']}")
    told = await work(_read_scores, room, kept)
    return page(
        request,
        "scored.html.j2",
        kept=kept,
        groups=_by_metric(told),
        unavailable=told.get("unavailable", {}),
        labels=_labels(told),
        has_report=bool(await work(room.library.file, kept, PAGE_FILE)),
    )


def _read_scores(room: Room, kept: Kept) -> dict[str, Any]:
    path = room.library.file(kept, SCORES_FILE)
    if path is None:
        raise Refused(404, "no_scores", "this artifact holds no scores")
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return found


def _by_metric(told: Mapping[str, Any]) -> list[dict[str, Any]]:
    """One row for each measure, with the model's number and each control's."""
    rows: dict[tuple[str, str], dict[str, Any]] = {}
    for row in told["scores"]:
        group = str(row.get("group") or "")
        found = rows.setdefault(
            (row["metric"], group),
            {
                "metric": row["metric"], "group": group, "own": None, "controls": {},
                "scale": row["signature"]["scale"], "detail": bool(row.get("is_detail")),
                "higher": row["higher_is_better"], "signature": row["signature"],
            },
        )  # fmt: skip
        if row["control"] == "none":
            found["own"] = row
            full, value = _FULL.get(row["signature"]["scale"]), row["value"]
            has_bar = full is not None and value is not None
            found["bar"] = _share(value, row["low"], row["high"], full or 1.0) if has_bar else None
        else:
            found["controls"][row["control"]] = row["value"]
    return [row for row in rows.values() if row["own"] is not None]


def _labels(told: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The model's scores by observation, most frequent first; none where answers were scored."""
    labels = told.get("labels")
    own = labels.get("none", ()) if isinstance(labels, Mapping) else ()
    return sorted(own, key=lambda row: -row.get("support", 0))


async def report(request: web.Request) -> web.Response:
    """The page that the run itself wrote."""
    room = request.app[ROOM]
    kept = await work(room.library.get, f"scores/{request.match_info['name']}")
    path = await work(room.library.file, kept, PAGE_FILE)
    if path is None:
        raise Refused(404, "no_report", "this run wrote no page")
    headers = {"Content-Security-Policy": _OWN_SANDBOX}
    text = await work(path.read_text, encoding="utf-8")
    return web.Response(text=text, content_type="text/html", charset="utf-8", headers=headers)


async def champions(request: web.Request) -> web.Response:
    """All registered models, their champions and candidates."""
    found = await registered(request.app[ROOM])
    trouble = found if isinstance(found, str) else ""
    shown = [] if isinstance(found, str) else found
    return page(request, "champions.html.j2", models=shown, trouble=trouble)


async def champion(request: web.Request) -> web.Response:
    """One model: versions, the log, the gate's checks, and what a promoter may do."""
    room = request.app[ROOM]
    found = await registered(room)
    if isinstance(found, str):
        raise Refused(503, "no_registry", found)
    model = find_model(found, request.match_info["model"])
    may = visitor_of(request).bearer.role.may(Role.PROMOTER)
    done = request.query.get("done", "")
    said = {"promoted": "Promoted.", "rolled": "Rolled back."}.get(done, "")
    return page(request, "champion.html.j2", model=model, may_promote=may, said=said)
