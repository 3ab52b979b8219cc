"""The leaderboard of data roots: what was measured there, and what was published."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from infra.errors import InputError
from infra.settings.environment import load_environment
from infra.store import IN_THE_WAY, ON_USE, Store, explained_place, make_folder
from tasks.context import open_store
from tasks.leaderboard.runs import Run, find_runs

if TYPE_CHECKING:
    from evaluation.leaderboard import Entry, Standing, Table
    from evaluation.published import System

PAGE_FILE: Final = "leaderboard.html"
TABLE_FILE: Final = "leaderboard.json"
_WHOLE: Final = "all"
"""The group of scores of answers that holds every question."""
_TASKS: Final = ("findings", "impression", "vqa", "generate")
"""Their order; others come after them."""
_APART: Final = frozenset(
    {"metric", "version", "labels", "uncertain_as", "section", "examples"}  # compared by name
    | {"scale"}  # brought to one
    | {"studies", "subjects", "images", "max_new_tokens"}  # of the system and its examples
    | {"interval", "resamples", "seed", "unit"}  # of the interval, not of the value
)
"""Fields of a signature that are no detail of a standing."""


@dataclass(frozen=True)
class Leaderboard:
    """Everything found and published; ``unavailable`` says by run and metric why there is none."""

    roots: tuple[str, ...]
    systems: tuple[System, ...]
    runs: tuple[Run, ...]
    older: int
    tables: tuple[Table, ...]
    unavailable: dict[str, dict[str, str]]

    def runs_of(self, recipe: str) -> tuple[Run, ...]:
        return tuple(run for run in self.runs if run.recipe == recipe)

    def of(self, measures: Sequence[str]) -> tuple[Table, ...]:
        """The tables of those measures, all without any.

        Raises:
            InputError: there is no such measure.
        """
        known = {table.measure for table in self.tables}
        for name in measures:
            if name not in known:
                like = get_close_matches(name, sorted(known), cutoff=0.0)
                known_ones = f"one that is here, such as {', '.join(like)}"
                raise InputError(f"measure '{name}'", known_ones, "correct it")
        return tuple(each for each in self.tables if not measures or each.measure in measures)

    @property
    def headlines(self) -> tuple[Table, ...]:
        """Tables with one of the reproduced systems in them, measured or published, in which
        something was published or which need no weights: the rest is detail."""
        return tuple(table for table in self.tables if _is_headline(table))

    def to_dict(self, tables: Sequence[Table]) -> dict[str, Any]:
        """Plain values for JSON (docs/leaderboard.md)."""
        from evaluation.leaderboard import FORMAT
        from evaluation.published import quoted_tables

        return {
            "format": FORMAT,
            "roots": list(self.roots),
            "systems": [self._system_row(system) for system in self.systems],
            "other_runs": [_run_row(run) for run in self.runs if run.recipe is None],
            "older_runs": self.older,
            "tables": [table.to_dict() for table in tables],
            "quoted": quoted_tables(),
            "unavailable": self.unavailable,
        }

    def _system_row(self, system: System) -> dict[str, Any]:
        runs = self.runs_of(system.recipe)
        return {
            "recipe": system.recipe,
            "title": system.title,
            "paper": system.paper,
            "status": status_of(runs),
            "runs": [_run_row(run) for run in runs],
            "published_figures": self.published_figures(system.recipe),
        }

    def published_figures(self, recipe: str) -> int:
        """How many figures of the system itself were published."""
        return sum(
            entry.kind == "published" and entry.recipe == recipe
            for table in self.tables
            for entry in table.entries
        )


NOT_RUN: Final = "not run here"
HEADLINES: Final = frozenset(
    {"rule14-micro-F1", "rule14-macro-F1", "closed-accuracy", "Frechet-relative"}
    | {"prompted-finding-AUROC-macro", "prompted-side-accuracy", "prompted-view-accuracy"}
    | {"MS-SSIM-of-pairs"}
)
"""Measures that no paper prints and that need no weights: what a recipe's bars are made of."""


def status_of(runs: Sequence[Run]) -> str:
    """``scored`` or ``not run here``."""
    return "scored" if runs else NOT_RUN


def _is_headline(table: Table) -> bool:
    ours = any(entry.recipe is not None for entry in table.entries)
    published = any(entry.kind == "published" for entry in table.entries)
    return ours and (published or table.measure in HEADLINES)


def _run_row(run: Run) -> dict[str, Any]:
    return {
        "system": run.system,
        "root": run.root,
        "run": run.name,
        "created_at": run.created_at,
        "scale": run.scale,
        "ability": run.ability,
        "variant": run.variant or None,
        "changes": list(run.changes),
        "dataset": run.test.dataset,
        "test_set": run.test.digest,
    }


def open_roots(given: Sequence[str]) -> list[Store]:
    """The data roots that a person names, each once, or the environment's.

    Raises:
        InputError: a root that is named is not there.
    """
    stores: dict[str, Store] = {}
    for root in given or (None,):
        environment = load_environment(data_root=root)
        store = open_store(environment, make=False)
        if root is not None and not store.exists(""):
            raise InputError(
                f"no data root {root}", "a folder or URL that cxr wrote into", "correct the path"
            )
        place = os.path.realpath(store.root) if store.is_local else store.root
        stores.setdefault(place, store)
    return list(stores.values())


def leaderboard(stores: Sequence[Store], *, older: bool = False) -> Leaderboard:
    """All of these data roots.

    Args:
        older: also runs that one of the same settings and raw data, by newer code, replaced.

    Raises:
        ArtifactError: a score is damaged; no rank may come of it.
    """
    from evaluation.leaderboard import tables_of
    from evaluation.published import published_entries, systems

    found = [run for store in stores for run in find_runs(store)]
    runs = _marked(found if older else _newest(found))
    entries = [entry for run in runs for entry in _entries(run)]
    told = systems()
    order = {system.recipe: place for place, system in enumerate(told)}
    entries.sort(key=lambda entry: order.get(entry.recipe or "", len(order)))
    return Leaderboard(
        tuple(store.root for store in stores),
        told,
        tuple(runs),
        len(found) - len(runs),
        tuple(sorted(tables_of([*entries, *published_entries()]), key=_place)),
        {run.name: dict(run.scores["unavailable"]) for run in runs},
    )


def _place(table: Table) -> tuple[int, bool]:
    """By task, headlines first; sorting keeps the rest in its order."""
    place = _TASKS.index(table.task) if table.task in _TASKS else len(_TASKS)
    return place, not _is_headline(table)


def _newest(runs: Sequence[Run]) -> list[Run]:
    """The newest of those that the same settings and raw data made: code that was changed since
    makes them anew, and nothing else does."""
    kept: dict[tuple[str, ...], Run] = {}
    for run in sorted(runs, key=lambda each: each.created_at, reverse=True):
        kept.setdefault((run.root, run.ability, run.configuration), run)
    return list(kept.values())


_MARK: Final = 8
"""Characters of a fingerprint that tell two runs of one name apart, as a digest's elsewhere."""


def _marked(runs: Sequence[Run]) -> list[Run]:
    """Runs whose name another one of the test set has bear the scores' fingerprint too."""
    names = Counter((run.system, run.test.digest) for run in runs)
    return [
        replace(run, mark=f"scores {run.name.rpartition('-')[2][:_MARK]}")
        if names[run.system, run.test.digest] > 1
        else run
        for run in runs
    ]


def _entries(run: Run) -> Iterator[Entry]:
    from evaluation.leaderboard import Entry, measure_of

    controls: dict[tuple[str, str, int], dict[str, float]] = {}
    for row in run.scores["scores"]:
        if row["control"] != "none" and row["value"] is not None:
            beside = controls.setdefault(_of_examples(row), {})
            beside[row["control"]] = row["value"]
    for row in run.scores["scores"]:
        if row["control"] != "none" or row["value"] is None or row.get("is_detail", False):
            continue
        group = row.get("group", _WHOLE)
        of_group = "" if group == _WHOLE else f", {group}"  # brackets of a type are no profile
        metric = row["metric"] + of_group
        yield Entry(
            system=run.system,
            recipe=run.recipe,
            kind="ablation" if run.variant else "measured",
            task=_task_of(row["signature"]),
            measure=measure_of(row["metric"]) + of_group,
            value=row["value"],
            low=row["low"],
            high=row["high"],
            scale=row["signature"]["scale"],
            higher_is_better=row["higher_is_better"],
            standing=_standing(run, metric, row["signature"]),
            run=run.name,
            controls=controls.get(_of_examples(row), {}),
        )


def _of_examples(row: dict[str, Any]) -> tuple[str, str, int]:
    """A control of fewer examples (studies of several films, say) stands beside no score of all."""
    return row["metric"], row.get("group", _WHOLE), row["signature"]["examples"]


def _task_of(signature: dict[str, Any]) -> str:
    """What was asked: a section of text, answers, or films."""
    section = str(signature["section"])
    if section == "answer":
        return "vqa"
    return "generate" if section.startswith("films") else section


def _standing(run: Run, metric: str, signature: dict[str, Any]) -> Standing:
    from evaluation.leaderboard import NO_LABELS, Standing

    told = {
        "metric": metric,
        "version": signature["version"],
        "labels": signature.get("labels", NO_LABELS),
        "uncertain_as": signature.get("uncertain_as", NO_LABELS),
        "dataset": run.test.dataset,
        "split": run.test.split,
        "section": signature["section"],
        "n": str(signature["examples"]),
        "test_set": run.test.digest,
    }
    details = {name: str(value) for name, value in signature.items() if name not in _APART}
    return Standing(told, details)


def write_leaderboard(found: Leaderboard, folder: Path) -> None:
    """The page and the document, with every table."""
    from evaluation.leaderboard_page import render_leaderboard

    make_folder(folder)
    document = found.to_dict(found.tables)
    page = render_leaderboard(document, {table.measure for table in found.headlines})
    with explained_place(str(folder / TABLE_FILE), (*ON_USE, *IN_THE_WAY)):
        (folder / TABLE_FILE).write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
        (folder / PAGE_FILE).write_text(page, encoding="utf-8")
