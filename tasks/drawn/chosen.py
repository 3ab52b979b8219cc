"""Which training examples of a set get a drawn film, and what it is drawn from."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from hashlib import blake2b
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

from infra.settings.sections import DrawnSettings
from sources.drawing import PROMPT_SCHEMA, drawing_prompt
from sources.example import subject_place
from sources.learned_views import ViewCounts, is_learned

_VIEW: Final = "images.list.element.view"  # the path of a view inside Parquet's columns
_READ: Final = ("example_id", "source", "study_id", "subject_id", "target")
_SEED_BITS: Final = 63
"""A seed is a number that Parquet's and torch's signed 64 bits hold."""


def is_drawn(row: dict[str, Any], settings: DrawnSettings) -> bool:
    """Whether the row's subject is within the share; the same ones at every seed."""
    place = subject_place(row["source"], row["subject_id"], row["study_id"])
    return settings.share >= 1.0 or place < settings.share


def prompts_of(
    shards: Sequence[Path], settings: DrawnSettings, views: ViewCounts | None = None
) -> pa.Table:
    """PROMPT_SCHEMA: a prompt for each chosen example, by its id, from its view and its target.

    Args:
        shards: training shards of the set that is drawn of; an example has one film.
        views: what the stage that draws has been shown; a film of another view would be drawn as
            one of these, and teach what its view's sentence does not mean.
    """
    rows = [
        {
            "prompt_id": row["example_id"],
            "prompt": drawing_prompt(row["view"], row["target"]),
            "seed": seed_of(row["example_id"], settings.seed),
        }
        for path in shards
        for row in _rows(path)
        if is_drawn(row, settings) and is_learned(row["view"], views)
    ]
    return pa.Table.from_pylist(rows, schema=PROMPT_SCHEMA)


def _rows(path: Path) -> Iterator[dict[str, Any]]:
    """The short columns and the first film's view; no pixels are read."""
    with pq.ParquetFile(path) as file:
        for number in range(file.num_row_groups):
            table = file.read_row_group(number, columns=[*_READ, _VIEW])
            for row in table.to_pylist():
                yield {"view": row.pop("images")[0]["view"], **row}


def seed_of(example_id: str, seed: int) -> int:
    """What an example's first noise is drawn from: it does not depend on which others are drawn."""
    digest = blake2b(f"{seed}\t{example_id}".encode(), digest_size=8).digest()
    return int.from_bytes(digest) >> (64 - _SEED_BITS)
