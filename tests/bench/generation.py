"""Our decoder beside Hugging Face's ``generate``: alone and in padded batches, in turn.

    python -m tests.bench.generation [--images 12] [--batch 16] [--rounds 1] [--threads 1]

Writes its section of ``docs/benchmarks.md``. Two kinds of traffic: a test set with its image-blind
controls, as ``models.generate`` answers it, and as many prompts that all show images of their own.
All sides must write the same ids, but for draws between two equally likely tokens.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from transformers import LlavaForConditionalGeneration

from models.decoding import Request
from tests.bench.generation_page import write_page
from tests.bench.generation_world import (
    Shape,
    Traffic,
    ask_alone,
    ask_ours,
    ask_padded,
    build_model,
    draw_requests,
    parted_at_ties,
)
from tests.bench.page import REPORT

SIDES = ("ours", "padded", "alone")


@dataclass(frozen=True)
class Timing:
    """One side's round: wall and processor seconds."""

    wall: float
    cpu: float


@dataclass(frozen=True)
class Race:
    """All rounds of one traffic: seconds by side, one value a round, and the tokens of a round."""

    title: str
    requests: int
    images: int
    tokens: int
    timings: dict[str, tuple[Timing, ...]]
    ties: int = 0
    """Answers of a rival that part from ours at a draw between two tokens, over all rounds."""

    def rate(self, side: str) -> float:
        """Generated tokens per second of wall time, the median over rounds."""
        return self.tokens / statistics.median(each.wall for each in self.timings[side])

    def ratios(self, rival: str) -> list[float]:
        """How many times as fast ours was, round by round, in wall time."""
        pairs = zip(self.timings[rival], self.timings["ours"], strict=True)
        return [theirs.wall / ours.wall for theirs, ours in pairs]

    def cpu_ratio(self, rival: str) -> float:
        """The same in processor time, the median: less moved by what else the machine does."""
        pairs = zip(self.timings[rival], self.timings["ours"], strict=True)
        return statistics.median(theirs.cpu / ours.cpu for theirs, ours in pairs)


def race(
    model: LlavaForConditionalGeneration,
    title: str,
    requests: Sequence[Request],
    batch: int,
    rounds: int,
) -> Race:
    """Each round asks every side once, beginning with another side each time.

    Raises:
        AssertionError: two sides wrote different ids, and not for a draw between two tokens.
    """
    sides: dict[str, Callable[[], list[tuple[int, ...]]]] = {
        "ours": lambda: ask_ours(model, requests, batch),
        "padded": lambda: ask_padded(model, requests, batch),
        "alone": lambda: ask_alone(model, requests),
    }
    timings: dict[str, list[Timing]] = {side: [] for side in SIDES}
    expected: list[tuple[int, ...]] = []
    ties = 0
    for number in range(rounds):
        first = number % len(SIDES)
        for side in (*SIDES[first:], *SIDES[:first]):
            wall, cpu = time.perf_counter(), time.process_time()
            found = sides[side]()
            timings[side].append(Timing(time.perf_counter() - wall, time.process_time() - cpu))
            expected = expected or found
            parted = parted_at_ties(model, requests, expected, found)
            assert all(parted), f"{title}: {side} wrote other ids in round {number + 1}"
            ties += len(parted)
            say(f"{title}, round {number + 1}, {side}: {timings[side][-1].wall:.1f} s")
    return Race(
        title,
        len(requests),
        len({request.pixels.tobytes() for request in requests}),
        sum(len(ids) for ids in expected),
        {side: tuple(each) for side, each in timings.items()},
        ties,
    )


def measure(shape: Shape, traffic: Traffic, batch: int, rounds: int) -> list[Race]:
    """Both kinds of traffic, after a warm-up of every side."""
    model = build_model(shape)
    with_controls = draw_requests(shape, traffic)
    apart = draw_requests(shape, replace(traffic, controls=1, seed=1))
    for ask in (lambda some: ask_ours(model, some, 2), lambda some: ask_padded(model, some, 2)):
        ask(draw_requests(shape, Traffic(2, 1, longest=12)))
    return [
        race(model, "a test set and its two controls", with_controls, batch, rounds),
        race(model, "every prompt an image of its own", apart, batch, rounds),
    ]


def say(text: str) -> None:
    """A line on stderr."""
    sys.stderr.write(f"{text}\n")


def main(arguments: Sequence[str], shape: Shape | None = None, page: Path = REPORT) -> int:
    """Measure and write; 1 if a bar is missed."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--images", type=int, default=12)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--tokens", type=int, default=80, help="median of an answer's tokens")
    told = parser.parse_args(arguments)
    before = torch.get_num_threads()
    torch.set_num_threads(told.threads)
    try:
        traffic = Traffic(told.images, 3, told.tokens)
        races = measure(shape or Shape(), traffic, told.batch, told.rounds)
    finally:
        torch.set_num_threads(before)
    return 0 if write_page(races, told.batch, told.threads, page) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
