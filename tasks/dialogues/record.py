"""One dialogue that a language model wrote from a report, as every later step reads it."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from typing import Any

import pyarrow as pa

from sources.record import DIALOGUE_TYPE, Dialogue, View


@dataclass(frozen=True)
class WrittenDialogue:
    """A dialogue of one study, and which model wrote it at what price.

    Args:
        route: ``converse`` or ``request``.
        dialogue: its one image is the film that is asked about, or that shall be drawn.
        view: of that film.
        question_types: one for each answer of the dialogue, in order.
        report_version: the text version that it was written from.
    """

    source: str
    study_id: str
    route: str
    dialogue: Dialogue
    view: View
    question_types: tuple[str, ...]
    report_version: str
    prompt_version: str
    model: str
    request_hash: str
    input_tokens: int
    output_tokens: int
    cost_usd: float | None


_TEXT = pa.string()
WRITTEN_SCHEMA = pa.schema(
    [
        *(pa.field(name, _TEXT, nullable=False) for name in ("source", "study_id", "route")),
        *(DIALOGUE_TYPE.field(place) for place in range(DIALOGUE_TYPE.num_fields)),
        pa.field("view", _TEXT, nullable=False),
        pa.field("question_types", pa.list_(_TEXT)),
        *(
            pa.field(name, _TEXT, nullable=False)
            for name in ("report_version", "prompt_version", "model", "request_hash")
        ),
        pa.field("input_tokens", pa.int32()),
        pa.field("output_tokens", pa.int32()),
        pa.field("cost_usd", pa.float64()),
    ]
)
"""A Dialogue's fields stand between the study and what is known of how it came to be."""
assert {item.name for item in (*fields(WrittenDialogue), *fields(Dialogue))} - {"dialogue"} == set(
    WRITTEN_SCHEMA.names
)


def dialogues_to_table(written: list[WrittenDialogue]) -> pa.Table:
    """Rows of WRITTEN_SCHEMA, in the given order."""
    return pa.Table.from_pylist([_row(item) for item in written], schema=WRITTEN_SCHEMA)


def _row(item: WrittenDialogue) -> dict[str, Any]:
    row = asdict(item)
    return {**row, **row.pop("dialogue")}
