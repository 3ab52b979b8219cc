"""The command that scores a file of pairs, whoever wrote them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from infra.errors import InputError
from infra.settings.environment import load_environment
from infra.settings.sections import ScoreSettings

SECTIONS = ("findings", "impression", "report")
"""What a signature may say that texts are; ``report`` is both sections in one text."""


@dataclass(frozen=True)
class PairsOrder:
    """What a person asks for; ``blocks`` empty means all that every scoring shows."""

    place: Path
    blocks: tuple[str, ...]
    section: str
    resamples: int
    seed: int
    cached: bool


def score_pairs_file(order: PairsOrder, data_root: str | None, *, as_json: bool) -> None:
    """Print the blocks as tables, or everything as JSON."""
    from evaluation.blocks import ALL_BLOCKS, BLOCKS
    from evaluation.metric_cache import MetricCache
    from evaluation.report_blocks import blocks_as_text, support_as_text
    from tasks.score.pairs import read_pairs, score_pairs

    if order.section not in SECTIONS:
        raise InputError(
            f"section '{order.section}'", f"one of {', '.join(SECTIONS)}", "correct --section"
        )
    for name in order.blocks:
        if name not in ALL_BLOCKS:
            raise InputError(f"block '{name}'", f"one of {', '.join(ALL_BLOCKS)}", "correct it")
    blocks = [ALL_BLOCKS[name] for name in dict.fromkeys(order.blocks or BLOCKS)]
    pairs = read_pairs(order.place)
    settings = ScoreSettings(bootstrap_resamples=order.resamples, seed=order.seed, judges=())
    environment = load_environment(data_root=data_root)
    cache = MetricCache.in_state(environment.state) if order.cached else None
    scores = score_pairs(pairs, settings, blocks, order.section, cache, environment)
    if as_json:
        print(json.dumps(scores.to_dict(), indent=1))
        return
    system = scores.systems["none"]
    print(f"{system.examples} pairs, {system.empty} with an empty prediction, ", end="")
    print(f"{scores.studies} studies, {scores.subjects} subjects\n")
    print(blocks_as_text(scores.blocks))
    print(f"\n{support_as_text(scores)}")
