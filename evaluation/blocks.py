"""Comparability blocks: which numbers stand beside which published tables, as data.

Numbers of one name differ by tokenizer, case, stemmer, weights and policy, so a block lists metrics
with their profiles, in the order of the table that they are compared with, and says how that table
prints them (evaluation_metrics 1.14 and 3.1). A metric that cannot be computed here keeps its place
as ``unavailable: reason``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from evaluation.encoded import POLICIES, RRG24_BERTSCORE, chexbert_name
from evaluation.measures import lexical_measures, profile_measures
from evaluation.meteor import METEOR_PROFILES, meteor_name
from evaluation.statistics import Floats

Unit = Literal["study", "subject"]


@dataclass(frozen=True)
class Convention:
    """How a paper makes its intervals; ``centre`` is what it prints in the value's place."""

    unit: Unit
    resamples: int
    seed: int
    centre: Literal["median"] = "median"


@dataclass(frozen=True)
class Block:
    """One table: metric names in order; ``scale`` is that of the paper's numbers.

    ``overall`` names a metric that is the plain mean of the others, None where there is none.
    ``convention`` is None where the paper gives no intervals.
    """

    name: str
    title: str
    note: str
    metrics: tuple[str, ...]
    scale: Literal["0-1", "0-100"]
    convention: Convention | None = None
    overall: str | None = None


RRG24_OVERALL = "RRG24-overall"
RRG24_PARTS = (
    "BLEU-4[coco-split-cased]",
    "ROUGE-L[rouge-score-stem]",
    RRG24_BERTSCORE,
    chexbert_name("micro", 5, "positive"),
    "RadGraph-F1[xl,partial]",
)
"""The leaderboard does not say its label set, average and reward level; ViLMedic stops early on
micro-F1 over five labels, and partial is the usual level: our choice follows them."""

LLAVA_RAD = Block(
    "llava_rad",
    "Beside LLaVA-Rad and MAIRA",
    "Findings, 0-100. Their test set: 2,461 frontal studies of MIMIC-CXR's test split. They draw "
    "studies 500 times with seed 3 and print the median of the draws for CheXbert and RadGraph.",
    (
        *(measure.name for measure in lexical_measures()),
        *(
            chexbert_name(kind, labels, policy)
            for policy in POLICIES
            for labels in (14, 5)
            for kind in ("micro", "macro")
        ),
        "RadGraph-F1[v1,partial]",
    ),
    "0-100",
    Convention("study", 500, 3),
)
RRG24 = Block(
    "rrg24",
    "Beside RRG24's leaderboard",
    "0-100, without intervals there. Overall is the plain mean of the five. Which labels, average "
    "and RadGraph level the leaderboard takes is not stated: five labels, micro and partial here.",
    (*RRG24_PARTS, RRG24_OVERALL),
    "0-100",
    overall=RRG24_OVERALL,
)
OFFLINE = Block(
    "offline",
    "Always available",
    "Needs no weights. rule14 is a rule-based labeler, neither CheXpert nor CheXbert.",
    (
        "rule14-micro-F1",
        "rule14-macro-F1",
        "rule14-micro-F1-5",
        "rule14-macro-F1-5",
        "ROUGE-L[rouge-score-nostem]",
        "BLEU-1[sacrebleu-13a-cased]",
        "BLEU-4[sacrebleu-13a-cased]",
    ),
    "0-100",
)
PROFILES = Block(
    "profiles",
    "The same texts under every lexical profile",
    "For a look at other lines of work; only 'cxr score --block profiles' computes it.",
    (
        *(measure.name for measure in profile_measures()),
        *(meteor_name(profile) for profile in METEOR_PROFILES),
    ),
    "0-1",
)

BLOCKS: dict[str, Block] = {block.name: block for block in (LLAVA_RAD, RRG24, OFFLINE)}
"""What every scoring shows."""
ALL_BLOCKS: dict[str, Block] = {**BLOCKS, PROFILES.name: PROFILES}


def rrg24_overall(parts: Floats) -> Floats:
    """(...) the plain mean of (..., 5) parts, all on one scale (8 of 8 leaderboard rows agree)."""
    assert parts.shape[-1] == len(RRG24_PARTS)
    return np.asarray(parts.mean(axis=-1))
