"""The generation section of ``docs/benchmarks.md``."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from tests.bench.page import put_section, where_measured

if TYPE_CHECKING:
    from tests.bench.generation import Race

BARS = {"alone": 4.0, "padded": 1.2}
"""How many times as fast as each rival ours must be for the first traffic."""

_TEXT = """## Generation

{where} One process, {threads} thread(s), float32, random weights: width 512, 6 layers, vocabulary
32,000, 1,369 image tokens (518 px, patches of 14), {batch} requests in a batch. Command:
`python -m tests.bench.generation`.

Each answer ends at a length drawn like the findings of MIMIC-CXR (median 80 tokens, 12 to 256), for
random weights never stop by themselves; all sides obey the same lengths and wrote the same
ids{ties}. The sides take turns, round by round; ratios are medians of rounds
(least to most), bars in brackets.

| requests | tokens | ours | `generate`, padded batches | `generate`, one at a time |
|---|---|---|---|---|
{rows}

The first row is what a test set asks: {images} images, each shown for its own question and for
another's, and one blank image for all questions. Its image tokens are read {images} + 1 times
instead of {asked}. In the second row no two prompts share an image, and both sides read all of
them. In processor time the ratios are {cpu}.
"""


def write_page(races: Sequence[Race], batch: int, threads: int, page: Path) -> bool:
    """Write the section and say it; whether the first traffic meets both bars."""
    first = races[0]
    text = _TEXT.format(
        where=where_measured(),
        threads=threads,
        batch=batch,
        rows="\n".join(_row(race, barred=race is first) for race in races),
        images=first.images - 1,
        asked=first.requests,
        ties=_ties_told(races),
        cpu="; ".join(
            f"{race.cpu_ratio('padded'):.2f} and {race.cpu_ratio('alone'):.2f}" for race in races
        ),
    )
    put_section("generation", text, page)
    sys.stderr.write(text)
    return all(_median(first.ratios(rival)) >= bar for rival, bar in BARS.items())


def _ties_told(races: Sequence[Race]) -> str:
    ties = sum(race.ties for race in races)
    return f", but for {ties} that part at a draw between two equally likely tokens" * bool(ties)


def _row(race: Race, *, barred: bool) -> str:
    beside = [_beside(race, rival, barred=barred) for rival in ("padded", "alone")]
    return (
        f"| {race.title}: {race.requests} | {race.tokens:,} | {race.rate('ours'):.1f}/s "
        f"| {beside[0]} | {beside[1]} |"
    )


def _beside(race: Race, rival: str, *, barred: bool) -> str:
    ratios = race.ratios(rival)
    bar = f"; bar {BARS[rival]:g}" if barred else ""
    spread = f"{min(ratios):.2f} to {max(ratios):.2f}{bar}"
    return f"{race.rate(rival):.1f}/s, **{_median(ratios):.2f}×** ({spread})"


def _median(values: Sequence[float]) -> float:
    return sorted(values)[len(values) // 2]
