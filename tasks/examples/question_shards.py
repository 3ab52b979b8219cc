"""Write one piece of a plan of questions: shards of examples, what scores need, rejected rows.

Beside the files of ``packing`` a piece has ``questions.parquet`` (QUESTION_SCHEMA): one row for
each of its examples, in their order by split, without pixels.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final

import pyarrow as pa

from infra.parquet import write_table
from infra.pieces import BuiltPiece
from sources.catalog import get_source
from sources.example import Task
from sources.question import QUESTION_SCHEMA
from sources.record import Split
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

QUESTIONS_FILE: Final = "questions.parquet"

Asked = Mapping[tuple[str, str], Row]
"""Dialogues of one source by study and id."""


def pack_questions(plan: ExamplePlan, key: str, folder: Path) -> BuiltPiece:
    """Write the piece's files into ``folder``; see ``packing.pack_piece``.

    Raises:
        ArtifactError: an input file does not hold what it held when the plan was made.
    """
    rows = plan.piece(key).to_pylist()
    kept = [row for row in rows if row["reason"] is None]
    rejected = [row for row in rows if row["reason"] is not None]
    asked = _read_asked(kept)
    shards = write_shards(kept, partial(_values, asked, read_facts(kept)), plan.settings, folder)
    write_table(folder / QUESTIONS_FILE, _questions(asked, kept))
    write_table(folder / REJECTED_FILE, rejected_table(rejected, kept))
    return BuiltPiece((counted("questions", rows),), {"shards": shards})


def _read_asked(rows: Sequence[Row]) -> Asked:
    return {
        (study["study_id"], dialogue["dialogue_id"]): dialogue
        for path, group in by_file(rows, "study_file").items()
        for study in read_rows(path, ("study_id", "dialogues"), group)
        for dialogue in study["dialogues"]
    }


def _values(asked: Asked, facts: Mapping[str, Row], row: Row) -> dict[str, Any]:
    try:
        dialogue, study = asked[row["study_id"], row["dialogue_id"]], facts[row["study_id"]]
    except KeyError:
        raise moved(row) from None
    return {
        "example_id": example_id(row),
        "task": Task.VQA,
        **{name: row[name] for name in ("source", "study_id", "split")},
        "text_version": row["version"],
        "origin": get_source(row["source"]).card.questions_by,
        "indication": None,
        "turns": dialogue["turns"][:-1],
        "target": _answer(dialogue, row),
        **{name: study[name] for name in FACTS},
    }


def _answer(dialogue: Row, row: Row) -> str:
    return target_text(dialogue["turns"][-1]["text"], row["split"])


def _questions(asked: Asked, kept: Sequence[Row]) -> pa.Table:
    """QUESTION_SCHEMA of the kept rows, by split as the shards are."""
    order = {str(split): place for place, split in enumerate(Split)}
    table = [
        _question(asked[row["study_id"], row["dialogue_id"]], row)
        for row in sorted(kept, key=lambda row: order[row["split"]])
    ]
    return pa.Table.from_pylist(table, schema=QUESTION_SCHEMA)


def _question(dialogue: Row, row: Row) -> dict[str, Any]:
    return {
        "example_id": example_id(row),
        **{name: row[name] for name in ("source", "study_id", "dialogue_id", "split")},
        "image_ids": dialogue["image_ids"],
        "question": dialogue["turns"][-2]["text"],
        "answer": _answer(dialogue, row),
        "answers": dialogue["answers"],
        **{name: dialogue[name] for name in ("question_type", "question_form", "answer_type")},
    }
