"""Films and texts that were embedded: which rows of a matrix are whose."""

from __future__ import annotations

import pyarrow as pa

_TEXT = pa.string()
_NAMES = [
    pa.field("example_id", _TEXT, nullable=False),
    pa.field("source", _TEXT, nullable=False),
    pa.field("study_id", _TEXT, nullable=False),
    pa.field("subject_id", _TEXT),
]
FILM_SCHEMA = pa.schema(
    [
        *_NAMES,
        pa.field("view", _TEXT, nullable=False),
        pa.field("text", pa.int32(), nullable=False),
    ]
)
"""One row for each film, in the order of its embedding; ``text`` is its text's row."""

TEXT_SCHEMA = pa.schema([*_NAMES, pa.field("target", _TEXT, nullable=False)])
"""One row for each text, in the order of its embedding; the example is its first film's."""
