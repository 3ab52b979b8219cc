"""Write one piece of a plan of written dialogues: shards of examples, and the rejected rows.

The last answer is the example's target, all turns before it are its turns: a stage with
``learn = "answers"`` learns every answer of a conversation.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from infra.parquet import write_table
from infra.pieces import BuiltPiece
from infra.settings.sections import ExampleSettings
from sources.example import Task
from sources.record import Origin
from tasks.examples.packing import (
    FACTS,
    REJECTED_FILE,
    Row,
    by_file,
    counted,
    example_id,
    moved,
    read_facts,
    read_rows,
    rejected_table,
    target_text,
    write_shards,
)
from tasks.examples.plan import ExamplePlan

Turns = Mapping[str, Sequence[Mapping[str, str]]]
"""Turns of one source's dialogues by id."""


def pack_conversations(plan: ExamplePlan, key: str, folder: Path) -> BuiltPiece:
    """Write the piece's files into ``folder``; see ``packing.pack_piece``.

    Raises:
        ArtifactError: an input file does not hold what it held when the plan was made.
    """
    rows = plan.piece(key).to_pylist()
    kept = [row for row in rows if row["reason"] is None]
    rejected = [row for row in rows if row["reason"] is not None]
    values = partial(_values, _read_turns(kept), read_facts(kept), plan.settings)
    shards = write_shards(kept, values, plan.settings, folder)
    write_table(folder / REJECTED_FILE, rejected_table(rejected, kept))
    return BuiltPiece((counted("dialogues", rows),), {"shards": shards})


def _read_turns(rows: Sequence[Row]) -> Turns:
    return {
        written["dialogue_id"]: written["turns"]
        for path, group in by_file(rows, "dialogue_file").items()
        for written in read_rows(path, ("dialogue_id", "turns"), group)
    }


def _values(
    turns: Turns, facts: Mapping[str, Row], settings: ExampleSettings, row: Row
) -> dict[str, Any]:
    try:
        said, study = turns[row["dialogue_id"]], facts[row["study_id"]]
    except KeyError:
        raise moved(row) from None
    return {
        "example_id": example_id(row),
        "task": Task(settings.task),
        **{name: row[name] for name in ("source", "study_id", "split")},
        "text_version": row["version"],
        "origin": Origin.SYNTHESIZED,
        "indication": None,
        "turns": said[:-1],
        "target": target_text(said[-1]["text"], row["split"]),
        **{name: study[name] for name in FACTS},
    }
