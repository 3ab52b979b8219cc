"""Measure an evaluation of 2,461 pairs against its bars, beside the plain packages in a loop.

    python -m tests.bench.evaluation [--pairs 2461]

The texts are two wordings of synthetic chests (or another chest's, one time in four). The command
is ``cxr score`` in a process of its own, which prints LLaVA-Rad's, RRG24's and the offline block
with 500 resamples: first without a cache, then with one that is filled. The rival computes the same
numbers as papers' scripts do, on the same pairs: sacrebleu's own bootstrap, rouge-score, and
scikit-learn's F1 in a loop over resamples of rule14's labels.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from sources.replicas.truth import ReplicaSpec, draw_cohort
from tasks.validate.planted import words
from tests.bench.page import put_section, where_measured

HOUSE = Path(__file__).resolve().parents[2]
PAIRS = 2461
"""LLaVA-Rad's test set (evaluation_metrics 7.2)."""
RESAMPLES = 500
FIRST_BAR_S, CACHED_BAR_S = 20.0, 1.0
STUDIES_PER_SUBJECT = 2.0
COMMAND = "from flows.cli import main; main()"


@dataclass(frozen=True)
class Pairs:
    """Texts and whose they are."""

    references: list[str]
    predictions: list[str]
    subjects: list[str]


def synthetic_pairs(count: int, seed: int = 0) -> Pairs:
    """Reports of ``count`` made-up chests; three of four predictions are another wording of the
    same chest, the fourth is the next chest's."""
    chests = draw_cohort(
        ReplicaSpec(count, seed), "evaluation bench", studies_per_subject=STUDIES_PER_SUBJECT
    )
    others = [*chests[1:], chests[0]]
    both = enumerate(zip(chests, others, strict=True))
    told = [other if at % 4 == 0 else one for at, (one, other) in both]
    return Pairs(
        [words(one, 0) for one in chests],
        [words(one, 1) for one in told],
        [str(one.person) for one in chests],
    )


def write_pairs(pairs: Pairs, path: Path) -> None:
    """As ``cxr score`` reads them."""
    table = {
        "reference": pairs.references,
        "prediction": pairs.predictions,
        "subject": pairs.subjects,
    }
    pq.write_table(pa.table(table), path)


class Took(NamedTuple):
    """Seconds on the clock and of the processor, those of child processes too."""

    wall: float
    processor: float

    def __str__(self) -> str:
        return f"{self.wall:7.2f} s ({self.processor:6.2f} s of one core)"


def timed(work: Callable[[], object]) -> Took:
    """What one call took."""
    began, before = time.perf_counter(), os.times()
    work()
    after = os.times()
    used = (two - one for one, two in zip(before[:4], after[:4], strict=True))
    return Took(time.perf_counter() - began, sum(used))


def run_command(pairs: Path, state: Path) -> None:
    """``cxr score`` on one core, from start to exit."""
    subprocess.run(
        [sys.executable, "-c", COMMAND, "score", str(pairs), "--json"],
        cwd=HOUSE,
        env={**os.environ, "OMP_NUM_THREADS": "1", "CXR_STATE_DIR": str(state)},
        stdout=subprocess.DEVNULL,
        check=True,
    )


def ours(folder: Path) -> None:
    """The same in this process, where everything is imported already."""
    from evaluation.blocks import BLOCKS
    from evaluation.metric_cache import MetricCache
    from infra.settings.sections import ScoreSettings
    from tasks.score.pairs import read_pairs, score_pairs

    path = folder / "pairs.parquet"
    settings = ScoreSettings(bootstrap_resamples=RESAMPLES, seed=3, judges=())
    blocks = list(BLOCKS.values())
    score_pairs(read_pairs(path), settings, blocks, "findings", MetricCache(folder / "cache"))


def rival(pairs: Pairs, resamples: int = RESAMPLES) -> None:
    """What a script of the field does for the same numbers."""
    from rouge_score.rouge_scorer import RougeScorer
    from sacrebleu.metrics.bleu import BLEU
    from sklearn.metrics import f1_score

    from evaluation.clinical import LabelMatrix
    from evaluation.labeler import label_reports

    for order in (1, 4):
        BLEU(max_ngram_order=order).corpus_score(
            pairs.predictions, [pairs.references], n_bootstrap=resamples
        )
    random = np.random.default_rng(3)
    for stem in (False, True):
        scorer = RougeScorer(["rougeL"], use_stemmer=stem)
        both = zip(pairs.references, pairs.predictions, strict=True)
        values = np.array([scorer.score(r, p)["rougeL"].fmeasure for r, p in both])
        size = len(values)
        _ = [values[random.integers(0, size, size)].mean() for _ in range(resamples)]
    sides = [LabelMatrix.of(label_reports(t)) for t in (pairs.references, pairs.predictions)]
    for policy in ("negative", "positive"):
        true, told = (side.positive(policy) for side in sides)
        for _ in range(resamples):
            rows = random.integers(0, len(true), len(true))
            for average in ("micro", "macro"):
                f1_score(true[rows], told[rows], average=average, zero_division=0)


_TEXT = """## An evaluation

{where}
`python -m tests.bench.evaluation` scores {pairs:,} made-up pairs in LLaVA-Rad's, RRG24's and
the offline block, lexical metrics and rule14, with {resamples} resamples. Seconds on the clock, in
brackets of one core. The rival is a script that calls the plain packages in a loop for the same
numbers.

| what | took | bar |
|---|---:|---:|
{rows}

Bars are for the evaluation. Python's start and imports make up most of the command that finds all
in the cache; a quarter of a second of them is pandas, which pyarrow imports.
"""


def main() -> None:
    """Measure, write the section of the page, and print it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=PAIRS)
    pairs = synthetic_pairs(parser.parse_args().pairs)
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        write_pairs(pairs, folder / "pairs.parquet")
        first = timed(lambda: run_command(folder / "pairs.parquet", folder / "state"))
        again = timed(lambda: run_command(folder / "pairs.parquet", folder / "state"))
        inside = timed(lambda: ours(folder))
        cached = min(timed(lambda: ours(folder)) for _ in range(3))
    beside = timed(lambda: rival(pairs))
    ratio = beside.processor / inside.processor
    rows = [
        f"| whole command, nothing cached | {first} | {FIRST_BAR_S:.0f} s |",
        f"| whole command, all cached | {again} | |",
        f"| without imports, nothing cached ({ratio:.1f} x the rival) | {inside} | |",
        f"| without imports, all cached | {cached} | {CACHED_BAR_S:.0f} s |",
        f"| sacrebleu, rouge-score, scikit-learn | {beside} | |",
    ]
    text = _TEXT.format(
        where=where_measured(),
        pairs=len(pairs.references),
        resamples=RESAMPLES,
        rows="\n".join(rows),
    )
    put_section("evaluation", text)
    sys.stdout.write(text)
    if first.processor > FIRST_BAR_S or cached.processor > CACHED_BAR_S:
        raise SystemExit("a bar was missed")


if __name__ == "__main__":
    main()
