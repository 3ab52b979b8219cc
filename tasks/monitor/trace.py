"""Follow one study through every artifact of a run, by reading only the pieces that may hold it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow.compute as pc
import pyarrow.parquet as pq

from infra.artifact import Artifact, read_artifact, require_sound
from infra.errors import InputError
from infra.step import Step
from sources.piece import piece_key, piece_number
from tasks.context import Context

_HIDDEN = ("pixels", "perceptual_hash", "images")
_TEXT = (
    "raw_report", "texts", "indication", "technique", "comparison", "findings", "impression",
    "target", "turns", "prediction", "reference", "dialogues", "question", "answer", "answers",
    "prompt",
)  # fmt: skip


def trace_study(
    context: Context, study_id: str, *, with_text: bool
) -> dict[str, list[dict[str, Any]]]:
    """Rows of the study by artifact folder and file; report text only if asked for.

    Raises:
        InputError: no artifact of this run holds the study.
        ArtifactError: a table that may hold it is damaged.
    """
    found: dict[str, list[dict[str, Any]]] = {}
    for step in context.graph.steps.values():
        artifact = read_artifact(context.store, step)
        if artifact is not None:
            found |= _rows_in(artifact, step, study_id, context.settings.sources.pieces, with_text)
    if not found:
        raise InputError(
            f"no row of study '{study_id}' under {context.store.root}",
            "a study_id as its publisher writes it",
            "check the recipe, scale and sources; 'cxr ingest' must have run",
        )
    return found


def _rows_in(
    artifact: Artifact, step: Step, study_id: str, pieces: int, with_text: bool
) -> dict[str, list[dict[str, Any]]]:
    number = piece_number(study_id, pieces)
    keys = (piece_key(number), f"-{number:04d}")
    found = {}
    for piece in artifact.pieces:
        per_study = step.kind in ("studies", "images", "reports", "dialogues", "examples")
        if per_study and not piece.key.endswith(keys):
            continue
        for file in piece.files:
            if file.name.endswith(".parquet"):
                require_sound(artifact.store, piece, file.name)
                path = artifact.store.local(f"{piece.folder}/{file.name}", file.digest)
                rows = _select(path, study_id, with_text)
                if rows:
                    found[f"{piece.folder}/{file.name}"] = rows
    return found


def _select(path: Path, study_id: str, with_text: bool) -> list[dict[str, Any]]:
    with pq.ParquetFile(path) as file:
        names = file.schema_arrow.names
        if "study_id" not in names:
            return []
        left_out = [*_HIDDEN, *(() if with_text else _TEXT)]
        table = file.read([name for name in names if name not in left_out])
    rows: list[dict[str, Any]] = table.filter(pc.equal(table["study_id"], study_id)).to_pylist()
    return rows


def trace_text(study_id: str, found: dict[str, list[dict[str, Any]]]) -> str:
    """The trace for a terminal: a line per artifact file, then its rows' fields."""
    lines = [f"study {study_id}"]
    for place, rows in found.items():
        lines.append(f"\n{place}  ({len(rows)} row{'s' if len(rows) != 1 else ''})")
        for row in rows:
            shown = {key: value for key, value in row.items() if value not in (None, [], "")}
            lines.append("  " + "  ".join(f"{key}={value}" for key, value in shown.items()))
    return "\n".join(lines)
