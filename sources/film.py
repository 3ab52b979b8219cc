"""Films by themselves, as whoever drew them leaves them, and what is read of films."""

from __future__ import annotations

import pyarrow as pa

FILM_SCHEMA = pa.schema(
    [
        pa.field("film_id", pa.string(), nullable=False),
        pa.field("prompt_id", pa.string(), nullable=False),
        pa.field("pixels", pa.large_binary(), nullable=False),
    ]
)
"""A drawn film: ``prompt_id`` is the example that it was asked for by, ``pixels`` an encoded 8-bit
grey PNG or JPEG."""

LABEL_SCHEMA = pa.schema(
    [
        pa.field("film_id", pa.string(), nullable=False),
        pa.field("targets", pa.list_(pa.float32()), nullable=False),
    ]
)
"""What a classifier is trained on: 1, 0, or null where a film's text does not say."""

READING_SCHEMA = pa.schema(
    [
        pa.field("film_id", pa.string(), nullable=False),
        pa.field("reader", pa.string(), nullable=False),
        pa.field("values", pa.list_(pa.float32()), nullable=False),
    ]
)
"""One row for each film and reader: an extractor's features, or a classifier's probabilities."""
