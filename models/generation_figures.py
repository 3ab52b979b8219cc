"""How fast a run of generation was: of each rank, and of all ranks together.

Useful tokens are generated ids, the end token among them; prompts and padding are not counted.
"""

from __future__ import annotations

import resource
from collections.abc import Sequence

import torch

from models.decoding import Work

Figures = dict[str, float]


def figures_of_rank(work: Work, tokens: int, seconds: float) -> Figures:
    """One rank's work since it began to answer."""
    return {
        "tokens": tokens,
        "seconds": seconds,
        "openings": work.openings,
        "steps": work.steps,
        "busy": work.busy,
        "room": work.room,
        "peak_memory_bytes": _peak_memory_bytes(),
    }


def figures_of_all(ranks: Sequence[Figures]) -> dict[str, object]:
    """What is told of the run: it lasted as long as its slowest rank.

    Figures are of this start alone: a run that goes on after a kill counts what it did since, and
    one that found all answers done tells no rate.
    """
    tokens = sum(each["tokens"] for each in ranks)
    seconds = max(each["seconds"] for each in ranks)
    room = sum(each["room"] for each in ranks)
    return {
        "tokens_per_second": round(tokens / seconds, 1) if tokens else None,
        "busy_share": round(sum(each["busy"] for each in ranks) / room, 3) if room else None,
        "openings_read": int(sum(each["openings"] for each in ranks)),
        "peak_memory_bytes": int(max(each["peak_memory_bytes"] for each in ranks)),
    }


def _peak_memory_bytes() -> int:
    """Of this process: the GPU's where there is one, else resident memory."""
    if torch.cuda.is_available() and torch.cuda.max_memory_allocated():
        return torch.cuda.max_memory_allocated()
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
