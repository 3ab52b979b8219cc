"""What a replica's studies were drawn from, for scores that need to know what no report tells."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sources.record import View
from sources.replicas.truth import OBSERVATION_OF
from sources.replicas.truth_file import TRUTH_FILE
from tasks.context import Context
from tasks.ingest.replicas import PIECE

if TYPE_CHECKING:
    from evaluation.lateral import TrueStates


def true_states(context: Context) -> dict[tuple[str, str], TrueStates]:
    """By source and study of every replica in the run; nothing where films are shown one by one.

    A model that is shown each film alone is asked for what that film shows.
    """
    if context.examples.images != "study":
        return {}
    found: dict[tuple[str, str], TrueStates] = {}
    for step in context.graph.of_kind("replicas"):
        root = context.artifact(f"replicas/{step.name}").local_folder(PIECE)
        states = read_states(root / TRUTH_FILE)
        found |= {(step.name, study): each for study, each in states.items()}
    return found


def read_states(file: Path) -> dict[str, TrueStates]:
    """By study of one truth file, which observations hide from frontal films, which do not, and
    which of these no lateral film shows."""
    from evaluation.lateral import TrueStates  # numpy and more, that a cached run never pays

    lines = (json.loads(line) for line in file.read_text().splitlines())
    found = {}
    for row in lines:
        shown = _of(row["findings"], False)
        no_lateral = [finding["name"] for finding in row["findings"]]
        if View.LATERAL.value in row["views"]:
            no_lateral = row.get("frontal_only", [])
        frontal = shown & {OBSERVATION_OF[name] for name in no_lateral if name in OBSERVATION_OF}
        found[row["study_id"]] = TrueStates(_of(row["findings"], True), shown, frontal)
    return found


def _of(findings: Iterable[Mapping[str, Any]], lateral_only: bool) -> frozenset[str]:
    return frozenset(
        OBSERVATION_OF[each["name"]]
        for each in findings
        if each["lateral_only"] is lateral_only and each["name"] in OBSERVATION_OF
    )
