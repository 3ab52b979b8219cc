"""The page about the leaderboard: ``leaderboard.html``, one file that fetches nothing."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final

from evaluation.interval_text import interval_text, number_text
from evaluation.templating import render_page

Row = Mapping[str, Any]
TITLES: Final = {
    "findings": "Findings",
    "impression": "Impression",
    "vqa": "Questions and answers",
    "generate": "Drawn films",
}
FIELD_NAMES: Final = {"uncertain_as": "uncertain", "test_set": "test set"}
"""How fields of a standing are called where others read them; the rest go by their own names."""
NOT_TOLD: Final = "none"
CONTROLS: Final = {
    "shuffled": "another's",
    "blank": "blank film",
    "majority": "majority",
    "untrained": "untrained",
    "without-first": "first film black",
    "first-alone": "first film alone",
}
"""Controls as a person reads them: another's film or prompt, a blank film, the commonest training
answer, an untrained model, and of several films some."""
OTHER_TEST_SETS: Final = (
    "A number measured here and a published one are on different test sets, a replica's on "
    "phantoms with templated reports: neither is above or below the other. What the same model "
    "reaches without looking stands under each number measured here."
)
_FULL: Final = {"0-1": 1.0, "0-100": 100.0}
"""Scales whose values have a bar."""


def render_leaderboard(document: Row, headlines: Collection[str]) -> str:
    """The page as HTML, from what ``leaderboard.json`` holds.

    Args:
        headlines: measures that are shown at once; the others are folded away.
    """
    entries = [e for table in document["tables"] for g in table["groups"] for e in g["entries"]]
    published = sum(entry["kind"] == "published" for entry in entries)
    sets = [run["dataset"] for system in document["systems"] for run in system["runs"]]
    return render_page(
        "leaderboard.html.j2",
        document=document,
        measured=len(entries) - published,
        published=published,
        other_test_sets=OTHER_TEST_SETS,
        replicas=sorted({name for name in sets if "replica" in name}),
        tasks=[_task(document, name, headlines) for name in _names(document)],
    )


def _names(document: Row) -> list[str]:
    """Tasks in the order of the tables."""
    return list(dict.fromkeys(table["task"] for table in document["tables"]))


def _task(document: Row, name: str, headlines: Collection[str]) -> dict[str, Any]:
    tables = [_table(table) for table in document["tables"] if table["task"] == name]
    return {
        "id": f"task-{name.replace(' ', '-')}",
        "title": TITLES.get(name, name.capitalize()),
        "headlines": [table for table in tables if table["measure"] in headlines],
        "more": [table for table in tables if table["measure"] not in headlines],
    }


def _table(table: Row) -> dict[str, Any]:
    groups = [_group(group, table["scale"]) for group in table["groups"]]
    return {**table, "groups": groups, "apart": [_apart(each) for each in table["not_ranked"]]}


def _group(group: Row, scale: str) -> dict[str, Any]:
    told, *rest = standing_parts(group["signature"], group["details"])
    return {
        "name": group["group"],
        "told": told,
        "place": " · ".join([*rest, *([group["quoted"]] if group["quoted"] else [])]),
        "untold": named(group["untold"]),
        "entries": [
            {
                **entry,
                "text": interval_text(entry, scale),
                "width": _width(entry["value"], scale),
                "beside": controls_text(entry["controls"], scale),
            }
            for entry in group["entries"]
        ],
    }


def controls_text(controls: Mapping[str, float], scale: str) -> str:
    """What controls reach, on one line; empty where there is none."""
    told = (f"{CONTROLS[name]} {number_text(value, scale)}" for name, value in controls.items())
    return ", ".join(told)


def _width(value: float, scale: str) -> str | None:
    """Percent of a bar, for a share."""
    full = _FULL.get(scale)
    return None if full is None else f"{100.0 * min(max(value / full, 0.0), 1.0):.1f}"


def standing_parts(told: Mapping[str, str | None], details: Mapping[str, str]) -> list[str]:
    """What all entries of a group share, the metric first; what is not told is left out."""

    def of(name: str, form: str = "{}") -> list[str]:
        value = told.get(name)
        return [] if value is None or value == NOT_TOLD else [form.format(value)]

    size = told.get("n")
    place = " ".join([*of("dataset"), *of("split")])
    return [
        *of("metric"),
        *of("version", "version {}"),
        *of("labels"),
        *of("uncertain_as", "uncertain as {}"),
        *([place] if place else []),
        *of("section"),
        *([f"n {int(size):,}"] if size is not None else []),
        *([f"test set {str(told['test_set'])[:8]}"] if told.get("test_set") else []),
        *([details["protocol"]] if "protocol" in details else []),
    ]


def named(fields: Sequence[str]) -> str:
    """Fields as a person reads them."""
    return ", ".join(FIELD_NAMES.get(name, name.replace("_", " ")) for name in fields)


def reasons(differ: Sequence[str], untold: Sequence[str]) -> str:
    """Why two groups are not ranked together."""
    parts = [f"other {named(differ)}"] if differ else []
    return "; ".join([*parts, *([f"not told: {named(untold)}"] if untold else [])])


def _apart(refusal: Row) -> str:
    one, other = refusal["groups"]
    return f"{one} with {other}: {reasons(refusal['differ'], refusal['untold'])}"
