"""Studies that a champion has never met: not in what it was made of, nor of subjects it learned."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from datetime import date
from functools import partial
from typing import Any, Final

import pyarrow as pa

from infra.artifact import Artifact, OnPiece, checked_files, ignore_progress
from infra.tables import connect
from sources.record import Split
from tasks.drift.plan import DriftPlan
from tasks.examples.plan import ExamplePlan, plan_examples
from tasks.examples.work import example_inputs, pack_planned
from tasks.ingest.studies import STUDIES_FILE
from tasks.promote.lineage import Model

KNOWN: Final = "known-to-the-champion"
LEARNED: Final = "subject-learned-from"
WINDOW: Final = "outside-the-window"
VERSION: Final = "another-text-version"


def pack_recent(plan: DriftPlan, on_piece: OnPiece = ignore_progress) -> Artifact:
    """Shards of the recent studies, all of the split ``test``, whatever their own would be."""
    return pack_planned(plan.shown, partial(_recent, plan), on_piece)


def _recent(plan: DriftPlan) -> ExamplePlan:
    """The recipe's plan over all studies, with a reason for each that is not recent."""
    shown = plan.shown
    inputs = example_inputs(shown, shown.asked.examples)
    found = plan_examples(inputs, shown.examples, shown.settings.sources.pieces)
    facts = _facts([str(file.path) for file in inputs.studies])
    known = _known(plan.champion)
    learned = _learned_subjects(plan.champion)
    reasons, details = [], []
    for row in _with_version_ranks(found.rows.to_pylist()):
        reason = row["reason"]
        if reason is None:
            reason = _why_not(row, facts, known, learned, plan)
        reasons.append(reason)
        details.append(row["detail"] if row["reason"] else _DETAILS.get(reason or ""))
    rows = found.rows
    for name, column in (
        ("reason", pa.array(reasons, pa.string())),
        ("detail", pa.array(details, pa.string())),
        ("split", pa.array([str(Split.TEST)] * rows.num_rows, pa.string())),
    ):
        rows = rows.set_column(rows.column_names.index(name), name, column)
    return replace(found, rows=rows.combine_chunks())


_DETAILS: Final = {
    KNOWN: "found a study that the champion was made or judged with; expected a new one",
    LEARNED: "found a study of a subject that the champion learned from; expected another's",
    WINDOW: "found a study of another day, or of none; expected one of the window",
    VERSION: "found a second text of the study; expected one, for the model answers once",
}
Key = tuple[str, str]


def _why_not(
    row: dict[str, Any],
    facts: dict[Key, tuple[str | None, date | None]],
    known: set[Key],
    learned: set[Key],
    plan: DriftPlan,
) -> str | None:
    key = (row["source"], row["study_id"])
    subject, day = facts[key]
    if key in known:
        return KNOWN
    if subject is not None and (row["source"], subject) in learned:
        return LEARNED
    since, until = plan.asked.since, plan.asked.until
    if (since and (day is None or day < since)) or (until and (day is None or day > until)):
        return WINDOW
    return VERSION if row["rank"] else None


def _with_version_ranks(rows: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Rows with ``rank``: 0 of the first kept text version of an image, then 1, ….

    Versions sort by name: what was kept comes before what was structured or translated.
    """
    seen: Counter[tuple[str, str, str | None]] = Counter()
    for row in rows:
        key = (row["source"], row["study_id"], row["image_id"])
        yield {**row, "rank": seen[key]}
        seen[key] += row["reason"] is None


def _facts(files: list[str]) -> dict[Key, tuple[str | None, date | None]]:
    """Subject and day of each study."""
    if not files:
        return {}
    query = "SELECT source, study_id, subject_id, acquired_on FROM read_parquet($files)"
    with connect() as connection:
        rows = connection.execute(query, {"files": files}).fetchall()
    return {(source, study): (subject, day) for source, study, subject, day in rows}


def _known(champion: Model) -> set[Key]:
    """Studies of all artifacts that the champion was made of; its test set is among them."""
    files = [
        str(path)
        for artifact in champion.of_kind("studies")
        for path in checked_files(artifact, STUDIES_FILE)
    ]
    return set(_facts(files))


def _learned_subjects(champion: Model) -> set[Key]:
    files = [str(path) for path in champion.learned_shards]
    if not files:
        return set()
    query = (
        "SELECT DISTINCT source, subject_id FROM read_parquet($files) WHERE subject_id IS NOT NULL"
    )
    with connect() as connection:
        rows = connection.execute(query, {"files": files}).fetchall()
    return {(source, subject) for source, subject in rows}
