"""Which rows of a test set want which section, in the set's own order; no picture is read."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import pyarrow.compute as pc

from infra.errors import InputError
from sources.record import Split
from sources.rrg24_shards import find_shards, read_shard

SECTIONS: Final = ("findings", "impression")
"""The task's two, each with a leaderboard of its own."""


def asked_rows(root: Path, part: str) -> dict[str, list[str]]:
    """By section the study ids of the rows that want it; a row's id is its part and place.

    In the hidden test a section that is wanted reads ``to_generate``; elsewhere it is there.

    Args:
        part: ``test-hidden`` or ``test-public``; ``test`` where a tree does not tell which it is.

    Raises:
        InputError: the tree has no such part.
        SourceError: a shard cannot be read.
    """
    shards = find_shards(root)
    tests = [shard for shard in shards if shard.split is Split.TEST]
    chosen = [shard for shard in tests if shard.part == part]
    if not chosen:
        parts = ", ".join(dict.fromkeys(shard.part for shard in tests)) or "a test set, and none is"
        raise InputError(
            f"no shards of {part} in {root}", f"one of {parts}", "see 'cxr sources rrg24'"
        )
    asked: dict[str, list[str]] = {section: [] for section in SECTIONS}
    row = 0
    for shard in chosen:
        table = read_shard(shard)
        for section in SECTIONS:
            texts = pc.utf8_trim_whitespace(pc.fill_null(table[section], "")).to_pylist()
            asked[section] += [f"{part}/{row + at}" for at, text in enumerate(texts) if text]
        row += table.num_rows
    return asked
