"""A step of the finetune stage beside the plain LLaVA recipe, on this machine's processor.

    python -m tests.bench.training [--rounds 5] [--batch 4]

Every round trains each side on the same new batch, in an order that turns, so that the machine's
drift meets all of them. Sides must agree in their losses, or no speed is told.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from models.data import Sample
from tests.bench.environments import HOUSE, say
from tests.bench.page import REPORT, put_section, where_measured
from tests.bench.training_sides import (
    LORA,
    SHAPES,
    WAYS,
    Side,
    Way,
    World,
    useful_tokens,
)

BAR = 1.3
"""Useful tokens a second, ours over the plain recipe's."""

WARM_UP = 1
AGREEMENT = 1e-4
"""Largest relative difference of losses (our choice: rounding in float32 stays ten times below)."""


@dataclass(frozen=True)
class Turn:
    """One side's step in one round."""

    seconds: float
    cpu_seconds: float
    useful: int
    places: int
    loss: float

    @property
    def rate(self) -> float:
        """Useful tokens a second."""
        return self.useful / self.seconds


Rounds = list[dict[Way, Turn]]


def measure(rounds: int, batch_size: int, world: World | None = None) -> Rounds:
    """Train every side for WARM_UP rounds that do not count and ``rounds`` that do.

    Raises:
        SystemExit: the sides' losses differ.
    """
    world = world or World((rounds + WARM_UP) * batch_size)
    sides = [Side(world, way) for way in WAYS]
    found = []
    for number in range(rounds + WARM_UP):
        samples = world.samples[number * batch_size :][:batch_size]
        turn = number % len(sides)
        taken = {side.way: train(side, samples) for side in (*sides[turn:], *sides[:turn])}
        check_agreement(taken)
        found.append(taken)
    return found[WARM_UP:]


def train(side: Side, samples: Sequence[Sample]) -> Turn:
    """One step on those samples, timed from the batch's tensors on."""
    batch = side.batch(samples)
    started, cpu_started = time.perf_counter(), time.process_time()
    loss = side.step(batch)
    seconds, cpu_seconds = time.perf_counter() - started, time.process_time() - cpu_started
    return Turn(seconds, cpu_seconds, useful_tokens(batch), batch["input_ids"].numel(), loss)


def check_agreement(taken: dict[Way, Turn]) -> None:
    """Stop unless all sides had the same loss on as many useful tokens."""
    losses = [turn.loss for turn in taken.values()]
    if max(losses) - min(losses) > AGREEMENT * min(losses):
        raise SystemExit(f"the sides' losses differ: {losses}")
    assert len({turn.useful for turn in taken.values()}) == 1


def ratios(rounds: Rounds, way: Way) -> list[float]:
    """A side's rate over the plain recipe's, round by round, sorted."""
    return sorted(taken[way].rate / taken[WAYS[0]].rate for taken in rounds)


def row(rounds: Rounds, way: Way) -> str:
    """One row of the table."""
    found = ratios(rounds, way)
    rate = statistics.median(taken[way].rate for taken in rounds)
    by_cpu = statistics.median(
        taken[WAYS[0]].cpu_seconds / taken[way].cpu_seconds for taken in rounds
    )
    return (
        f"| {way.name} | {rate:,.0f} | **{statistics.median(found):.2f}** "
        f"({found[0]:.2f} to {found[-1]:.2f}) | {by_cpu:.2f} |"
    )


def report(rounds: Rounds, batch_size: int) -> str:
    """The section, in Markdown."""
    ratio = statistics.median(ratios(rounds, WAYS[-1]))
    padding = 1 - sum(each[WAYS[0]].useful for each in rounds) / sum(
        each[WAYS[0]].places for each in rounds
    )
    first, last = rounds[0][WAYS[-1]].loss, rounds[-1][WAYS[-1]].loss
    language = SHAPES.language
    return "\n".join(
        [
            "## A training step",
            "",
            "`python -m tests.bench.training` trains the finetune stage's network (LoRA of rank",
            f"{LORA.rank} and the projector, float32) on batches of {batch_size} invented chests:",
            f"{SHAPES.vision.patches:,} image tokens, a language model {language.width} wide and",
            f"{language.layers} deep, a vocabulary of {language.vocabulary:,}. Each round trains",
            "all sides on the same batch. A rate is useful tokens (no padding, image tokens",
            f"counted) a second, the median over {len(rounds)} rounds; a ratio is the median of",
            "the rounds' ratios, with their range. The ratio of processor times, which other work",
            "on the machine disturbs less, stands beside it. The losses of all sides agree within",
            f"{AGREEMENT:g} in every round (from {first:.3f} to {last:.3f}). The plain",
            f"recipe padded {padding:.1%} of its places.",
            "",
            f"{where_measured()} PyTorch used {torch.get_num_threads()} threads.",
            "",
            "| side | useful tokens/s | over the plain recipe | by CPU time |",
            "|---|---|---|---|",
            *[row(rounds, way) for way in WAYS],
            "",
            f"Bar: {BAR:g}; {'met' if ratio >= BAR else 'MISSED'}.",
        ]
    )


def main() -> None:
    """Measure, write the page's section, and fail below the bar."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--no-page", action="store_true", help="only say what was found")
    options = parser.parse_args()
    rounds = measure(options.rounds, options.batch)
    text = report(rounds, options.batch)
    say(text)
    if not options.no_page:
        put_section("a training step", text)
        say(f"written: {REPORT.relative_to(HOUSE)}")
    if statistics.median(ratios(rounds, WAYS[-1])) < BAR:
        raise SystemExit("the bar was missed")


if __name__ == "__main__":
    main()
