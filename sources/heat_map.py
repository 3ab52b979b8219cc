"""Heat maps of sentences as they cross packages: one row per text, sentence, control and method."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

MAP_SCHEMA = pa.schema(
    [
        pa.field("example_id", pa.string(), nullable=False),
        pa.field("sentence", pa.int32(), nullable=False),
        pa.field("control", pa.string(), nullable=False),
        pa.field("image_source", pa.string()),
        pa.field("image_study_id", pa.string()),
        pa.field("image_example_id", pa.string()),
        pa.field("method", pa.string(), nullable=False),
        pa.field("rows", pa.int32(), nullable=False),
        pa.field("columns", pa.int32(), nullable=False),
        pa.field("scale", pa.float32(), nullable=False),
        pa.field("values", pa.list_(pa.float16()), nullable=False),
    ]
)
"""``values`` are row-major over the model's square crop, their maximum 1; times ``scale`` they are
the method's own numbers. ``sentence`` counts the asked ones of the text. The method of the empty
name holds the sentence's log-likelihood as its scale."""


class ShownFilm(NamedTuple):
    """Whose film a map was made of: the first image of that example. A study may have several
    films, and two sources may number their studies alike."""

    source: str
    study_id: str
    example_id: str


SENTENCE_SCHEMA = pa.schema(
    [
        pa.field("example_id", pa.string(), nullable=False),
        pa.field("sentence", pa.int32(), nullable=False),
        pa.field("start", pa.int32(), nullable=False),
        pa.field("end", pa.int32(), nullable=False),
    ]
)
"""Which characters of an example's text make up each asked sentence."""


def map_rows(
    example_id: str,
    control: str,
    film: ShownFilm | None,
    maps: Sequence[tuple[str, NDArray[np.float32]]],
) -> pa.Table:
    """MAP_SCHEMA rows of one text: (method, [S, R, C]) maps of its S sentences; no film: blank."""
    rows: list[dict[str, Any]] = []
    for method, values in maps:
        for sentence, heat in enumerate(values):
            scale = float(heat.max()) if method else float(heat.sum())
            shown = heat / scale if scale > 0 else np.zeros_like(heat)
            rows.append(
                {
                    "example_id": example_id,
                    "sentence": sentence,
                    "control": control,
                    "image_source": film.source if film else None,
                    "image_study_id": film.study_id if film else None,
                    "image_example_id": film.example_id if film else None,
                    "method": method,
                    "rows": heat.shape[0],
                    "columns": heat.shape[1],
                    "scale": scale,
                    "values": shown.astype(np.float16).ravel(),
                }
            )
    return pa.Table.from_pylist(rows, schema=MAP_SCHEMA)
