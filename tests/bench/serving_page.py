"""The serving section of ``docs/benchmarks.md``."""

from __future__ import annotations

import statistics
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from tests.bench.page import put_section, where_measured

if TYPE_CHECKING:
    from tests.bench.serving import Measured

TIMES, REFUSED_SECONDS = 3.0, 0.1
"""The bars: throughput beside one answer at a time, and a 429's latency."""

_TEXT = """## Serving

{where} Load of the machine before: {load:.1f}. Server, child
and clients share the cores; the model has one thread. Random weights: width 256, 6 layers,
256 image tokens, answers of {tokens} tokens at the median; films of 512 px as PNG. Command:
`python -m tests.bench.serving`.

| what | figure | bar |
|---|---|---|
| answers a second, 64 clients, 16 at once | {together:.1f} | |
| answers a second, 64 clients, one at a time | {alone:.1f} | |
| times as many, round by round | **{ratio:.2f}** ({ratios}) | 3 |
| {clients} clients, 80 places: wrong, lost of {asks} answers | **{wrong}, {lost}** | 0, 0 |
| … answers a second; p50, p99 of those let in | {rate:.1f}; {p50:.2f} s, **{p99:.2f} s** | |
| … p50, p99 until an answer, refusals and waits among it | {until50:.1f} s, {until99:.1f} s | |
| … 429s; p50, p99, longest | {refusals}; {r50:.0f} ms, **{r99:.0f} ms**, {r100:.0f} ms | 100 ms |
| a swap under that load: wrong, lost of {swap_asks} | **{swap_wrong}, {swap_lost}** | 0, 0 |
| … answered by | {models} | both |

An answer is wrong where it differs by a letter from what the model answers that ask alone. A 429's
time is the client's: from when it begins to send some 200 KB to the status.
"""


def share(values: Sequence[float], part: float) -> float:
    """The value below which that part of all lies; 0 of none."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(part * len(ordered)))] if ordered else 0.0


def write_page(found: Measured, page: Path) -> bool:
    """Write the section and say it; whether all bars are met."""
    from tests.bench.serving import MEDIAN_TOKENS

    pairs = zip(found.together, found.one_at_a_time, strict=True)
    ratios = [many.rate / one.rate for many, one in pairs]
    over, swap = found.overload, found.swap
    text = _TEXT.format(
        where=where_measured(),
        load=found.load_before,
        tokens=MEDIAN_TOKENS,
        together=statistics.median(each.rate for each in found.together),
        alone=statistics.median(each.rate for each in found.one_at_a_time),
        ratio=statistics.median(ratios),
        ratios=", ".join(f"{ratio:.2f}" for ratio in ratios),
        clients=found.clients,
        asks=over.asks,
        wrong=over.wrong,
        lost=over.lost,
        rate=over.rate,
        p50=share(over.seconds, 0.5),
        p99=share(over.seconds, 0.99),
        until50=share(over.until, 0.5),
        until99=share(over.until, 0.99),
        refusals=len(over.refused),
        r50=1000 * share(over.refused, 0.5),
        r99=1000 * share(over.refused, 0.99),
        r100=1000 * max(over.refused, default=0.0),
        swap_asks=swap.asks,
        swap_wrong=swap.wrong,
        swap_lost=swap.lost,
        models=", ".join(f"{name}: {count}" for name, count in sorted(swap.models.items())),
    )
    put_section("serving", text, page)
    sys.stderr.write(text)
    wrong = sum(each.wrong + each.lost for each in (*found.together, *found.one_at_a_time))
    return (
        statistics.median(ratios) >= TIMES
        and wrong + over.wrong + over.lost + swap.wrong + swap.lost == 0
        and bool(over.refused)
        and share(over.refused, 0.99) < REFUSED_SECONDS
        and len(swap.models) == 2
    )
