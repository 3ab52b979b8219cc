"""Published figures, from ``published.toml`` beside this file: facts, each with where it stands."""

from __future__ import annotations

import math
import tomllib
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final

from evaluation.leaderboard import COMPARED, PROTOCOL, Entry, Standing

FILE: Final = Path(__file__).with_name("published.toml")
_OF_METRIC: Final[tuple[str, ...]] = ("metric", "version", "labels", "uncertain_as")
_OF_TABLE: Final[tuple[str, ...]] = ("dataset", "split", "section", "n")


@dataclass(frozen=True)
class System:
    """One of the reproduced systems: what it is called, and where it was published."""

    recipe: str
    title: str
    paper: str


@cache
def _document() -> dict[str, Any]:
    return tomllib.loads(FILE.read_text(encoding="utf-8"))


def systems() -> tuple[System, ...]:
    """The systems that recipes reproduce, in the order of the file."""
    return tuple(System(recipe, **told) for recipe, told in _document()["systems"].items())


def published_entries() -> list[Entry]:
    """Every figure that a table gives, in the order of the file."""
    document = _document()
    return [
        entry
        for table in document["tables"]
        for row in table["rows"]
        for entry in _entries(table, row, document["metrics"])
    ]


def _entries(table: dict[str, Any], row: dict[str, Any], metrics: dict[str, Any]) -> list[Entry]:
    keys = table["metrics"]
    ends = row.get("ends", [[] for _ in keys])
    return [
        _entry(table, row, metrics[key], value, own)
        for key, value, own in zip(keys, row["values"], ends, strict=True)
        if not math.isnan(value)
    ]


def _entry(
    table: dict[str, Any],
    row: dict[str, Any],
    metric: dict[str, Any],
    value: float,
    ends: list[float],
) -> Entry:
    low, high = ends or (None, None)
    return Entry(
        system=row["system"],
        recipe=row.get("recipe"),
        kind="published",
        task=table["task"],
        measure=metric["measure"],
        value=float(value),
        low=low,
        high=high,
        scale=metric["scale"],
        higher_is_better=metric.get("higher_is_better", True),
        standing=_standing(table, row, metric),
        quoted_from=table["quoted_from"],
    )


def _standing(table: dict[str, Any], row: dict[str, Any], metric: dict[str, Any]) -> Standing:
    given = {name: metric[name] for name in _OF_METRIC if name in metric}
    given |= {name: table[name] for name in _OF_TABLE if name in table}
    details = {PROTOCOL: row["apart"]} if "apart" in row else {}
    told = {name: str(given[name]) for name in COMPARED if name in given}
    return Standing(told, details, within=table["id"])


def quoted_tables() -> dict[str, dict[str, str]]:
    """By table's id where it stands, and what a reader of its figures should know."""
    return {
        each["id"]: {"quoted_from": each["quoted_from"], "note": each.get("note", "")}
        for each in _document()["tables"]
    }
