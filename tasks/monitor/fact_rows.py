"""What a finished step comes to as facts: rows of the contract, from its artifact alone."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from infra.artifact import Artifact
from infra.bars import FIGURES
from infra.facts.contract import FactRows
from infra.fingerprint import fingerprint
from infra.pieces import Count, Piece, add_counts
from infra.step import Step

BY_SOURCE: Final = ("studies", "images", "reports", "dialogues")
"""Kinds whose step is named by its source; those of examples name it in each piece's key."""
_SCORES_FILE: Final = "scores.json"
_MODEL_ITSELF: Final = "none"  # the control of the model with its own image
_WHOLE: Final = "all"  # the group of answers that holds every question


@dataclass(frozen=True)
class Told:
    """What a step's rows say besides what its artifact tells.

    Args:
        attempts: tries of Prefect's.
        model: the registered model that a scored ability belongs to; empty for other steps.
    """

    run_id: str
    recipe: str
    scale: str
    attempts: int = 1
    model: str = ""

    def columns(self) -> dict[str, Any]:
        """Those of every table that tells the recipe."""
        return {**self.at(), "recipe": self.recipe, "scale": self.scale}

    def at(self) -> dict[str, Any]:
        """Those of every table."""
        return {"run_id": self.run_id, "recorded_at": datetime.now(UTC)}


def unfinished_rows(told: Told, step: Step | None, task: str, state: str, why: str) -> FactRows:
    """Rows of a step that failed, or of one that is under way and was killed if nothing follows.

    Args:
        step: None where no step was reached; the row then has the task's name.
    """
    row = {
        **told.columns(),
        "kind": "task" if step is None else step.kind,
        "name": task if step is None else step.name,
        "state": state,
        "why": why,
        "seconds": None,
        "checking_seconds": None,
        "attempts": told.attempts,
        **dict.fromkeys(("pieces", "built_pieces", "rows_in", "kept", "rejected")),
        "drift": "",
        "fingerprint": "" if step is None else step.fingerprint,
    }
    return {"steps": [row]}


def finished_rows(told: Told, artifact: Artifact) -> FactRows:
    """Rows of all tables; a stage's figures and scores only when they are new."""
    rows: FactRows = {"steps": [_step_row(told, artifact)]}
    counted = list(_by_source(artifact))
    rows["rows"] = [row for one in counted for row in _count_rows(told, artifact, *one)]
    rows["rejects"] = [row for one in counted for row in _reject_rows(told, artifact, *one[:2])]
    if artifact.built and artifact.step.kind == "stages":
        rows["stages"] = [_stage_row(told, artifact, piece) for piece in artifact.pieces]
    if artifact.built and artifact.step.kind == "scores":
        rows["scores"] = list(_score_rows(told, artifact))
    return rows


def earlier_score_rows(told: Told, artifact: Artifact) -> list[dict[str, Any]]:
    """Rows of scores that were made before facts were kept, at the time when they were made."""
    at = datetime.fromisoformat(artifact.created_at)
    return [{**row, "recorded_at": at} for row in _score_rows(told, artifact)]


def _step_row(told: Told, artifact: Artifact) -> dict[str, Any]:
    counts, step = artifact.counts, artifact.step
    return {
        **told.columns(),
        "kind": step.kind,
        "name": step.name,
        "state": _state(artifact),
        "why": artifact.reason,
        "seconds": artifact.seconds,
        "checking_seconds": artifact.checking_seconds,
        "attempts": told.attempts,
        "pieces": len(artifact.pieces),
        "built_pieces": len(artifact.built),
        "rows_in": sum(count.rows_in for count in counts),
        "kept": sum(count.kept for count in counts),
        "rejected": sum(sum(count.rejected.values()) for count in counts),
        "drift": ",".join(artifact.drift),
        "fingerprint": step.fingerprint,
    }


def _state(artifact: Artifact) -> str:
    return "cached" if artifact.cached else "built"


_Counted = tuple[str, tuple[Count, ...], tuple[Count, ...]]
"""A source, its counts over the artifact, and those of the pieces which this run built."""


def _by_source(artifact: Artifact) -> Iterator[_Counted]:
    pieces: dict[str, list[Piece]] = {}
    for piece in artifact.pieces:
        if artifact.step.kind in BY_SOURCE:
            pieces.setdefault(artifact.step.name, []).append(piece)
        elif artifact.step.kind == "examples":
            pieces.setdefault(piece.key.rpartition("-")[0], []).append(piece)
    for source, own in sorted(pieces.items()):
        new = [piece for piece in own if piece.key in artifact.built]
        yield source, _sum(own), _sum(new)


def _sum(pieces: Sequence[Piece]) -> tuple[Count, ...]:
    return add_counts([count for piece in pieces for count in piece.counts])


def _count_rows(
    told: Told,
    artifact: Artifact,
    source: str,
    counts: tuple[Count, ...],
    new: tuple[Count, ...],
) -> Iterator[dict[str, Any]]:
    handled = {count.unit: count.rows_in for count in new}
    for count in counts:
        yield {
            **told.at(),
            "source": source,
            "kind": artifact.step.kind,
            "unit": count.unit,
            "state": _state(artifact),
            "rows_in": count.rows_in,
            "kept": count.kept,
            "rejected": sum(count.rejected.values()),
            "handled": handled.get(count.unit, 0),
        }


def _reject_rows(
    told: Told, artifact: Artifact, source: str, counts: tuple[Count, ...]
) -> Iterator[dict[str, Any]]:
    for count in counts:
        for reason, number in count.rejected.items():
            if number:
                place = {"source": source, "kind": artifact.step.kind, "unit": count.unit}
                yield {**told.at(), **place, "reason": reason, "count": number}


def _stage_row(told: Told, artifact: Artifact, piece: Piece) -> dict[str, Any]:
    """A ready model that a stage took as it was has no losses, and nothing was measured."""
    facts, pace = piece.facts, piece.measured.get("throughput") or {}
    bar = pace.get("bar") or {}
    return {
        **told.columns(),
        "stage": artifact.step.name,
        "kind": artifact.step.settings["stage"]["kind"],
        "fingerprint": artifact.fingerprint,
        "device": pace.get("device"),
        "devices": pace.get("devices"),
        "steps": facts.get("steps"),
        "seconds": artifact.seconds,
        **{name: pace.get(name) for name in FIGURES},
        "first_loss": facts.get("first_loss"),
        "last_loss": facts.get("last_loss"),
        "validate_loss": facts.get("validate_loss"),
        "bar": bar.get("verdict"),
        "missed": ",".join(bar.get("missed", ())),
    }


def _part(row: Mapping[str, Any]) -> str:
    """Scores of answers name the group of all questions too."""
    group = row.get("group") or ""
    return "" if group == _WHOLE else group


def _score_rows(told: Told, artifact: Artifact) -> Iterator[dict[str, Any]]:
    """The model's own scores, without details and without controls."""
    document = json.loads(artifact.files(_SCORES_FILE)[0].read_text(encoding="utf-8"))
    for row in document["scores"]:
        if row["control"] != _MODEL_ITSELF or row.get("is_detail"):
            continue
        signature = row["signature"]
        yield {
            **told.columns(),
            "ability": artifact.step.name,
            "model": told.model,
            "fingerprint": artifact.fingerprint,
            "metric": row["metric"],
            "part": _part(row),
            "value": row["value"],
            "low": row["low"],
            "high": row["high"],
            "n": row.get("questions", signature.get("examples")),
            "higher_is_better": row["higher_is_better"],
            "signature": fingerprint(signature),
        }
