"""Every metric of the project as one number per rated pair, and why others have none.

Corpus metrics are taken of each pair alone: BLEU is sentence BLEU with the same smoothing, and
rule14's F1 is a report's own (one where neither text asserts anything). Two controls come with
them: a metric that does no better than the difference in length is broken (evaluation_metrics 3.4).
Shapes: P pairs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from evaluation.cider import CIDER_PROFILE, cider_d
from evaluation.clinical import LabelMatrix, confusion, report_f1
from evaluation.judged import CATEGORIES, DETAILS, TIERS, read_judged
from evaluation.judges import mean_of_judges
from evaluation.labeler import label_reports
from evaluation.lexical import BLEU_PROFILE, bleu_counts, corpus_bleu
from evaluation.measures import UNAVAILABLE
from evaluation.meteor import METEOR_PROFILES, corpus_meteor
from evaluation.meteor_counts import open_meteor
from evaluation.meteor_program import MeteorProgram
from evaluation.rouge import ROUGE_PROFILE, rouge_l
from evaluation.statistics import Floats
from evaluation.validation.ratings import Pair, Ratings

Mask = np.ndarray[tuple[int], np.dtype[np.bool_]]
Target = Literal["significant", "all"]
TARGETS: tuple[Target, ...] = ("significant", "all")
"""What is counted: significant errors, or those of both tiers."""

NO_TEXTS = "needs reference and prediction beside the ratings"
CONTROL = "control"


@dataclass(frozen=True)
class PairMetric:
    """One metric.

    ``values`` (P,) are nan where there is none (no text, a judge's refusal). ``counts`` says which
    errors the values count, None for a metric in other units.
    """

    name: str
    values: Floats
    higher_is_better: bool
    counts: Target | None = None
    is_control: bool = False


def text_metrics(pairs: Sequence[Pair]) -> list[PairMetric]:
    """Lexical metrics, rule14 and the controls, for the pairs that have both texts."""
    has, references, told = _with_texts(pairs)
    if not references:
        return []
    bleu = bleu_counts(references, told)
    labels = LabelMatrix.of(label_reports(references)), LabelMatrix.of(label_reports(told))
    lengths = [len(a.split()) - len(b.split()) for a, b in zip(references, told, strict=True)]
    found: list[tuple[str, Floats, bool, bool]] = [
        (f"BLEU-1[{BLEU_PROFILE}, of one pair]", corpus_bleu(bleu, 1), True, False),
        (f"BLEU-4[{BLEU_PROFILE}, of one pair]", corpus_bleu(bleu), True, False),
        (f"CIDEr-D[{CIDER_PROFILE}]", cider_d(references, told), True, False),
        (f"ROUGE-L[{ROUGE_PROFILE}]", rouge_l(references, told), True, False),
        ("rule14-F1[of one pair]", report_f1(confusion(*labels, "negative")), True, False),
        (
            "rule14-F1[of one pair, uncertain=positive]",
            report_f1(confusion(*labels, "positive")),
            True,
            False,
        ),
        (f"length-difference[{CONTROL}]", np.abs(np.array(lengths, dtype=float)), False, True),
        (f"constant[{CONTROL}]", np.zeros(len(told)), False, True),
    ]
    return [
        PairMetric(name, _spread(values, has), higher, is_control=control)
        for name, values, higher, control in found
    ]


def meteor_metrics(pairs: Sequence[Pair], program: MeteorProgram) -> list[PairMetric]:
    """METEOR of each pair that has both texts, under every profile.

    Raises:
        MeteorFailed, Unavailable: see ``meteor_counts.Meteor.counts``.
    """
    has, references, told = _with_texts(pairs)
    if not references:
        return []
    with open_meteor(program) as meteor:
        counts = {name: meteor.counts(references, told, name) for name in METEOR_PROFILES}
    return [
        PairMetric(f"METEOR[{name}, of one pair]", _spread(corpus_meteor(each), has), True)
        for name, each in counts.items()
    ]


def _with_texts(pairs: Sequence[Pair]) -> tuple[Mask, list[str], list[str]]:
    """Which pairs have both texts (P,), and those pairs' references and predictions."""
    has = np.array([pair.reference is not None and pair.prediction is not None for pair in pairs])
    chosen = [pair for pair, there in zip(pairs, has, strict=True) if there]
    return (
        has,
        [pair.reference or "" for pair in chosen],
        [pair.prediction or "" for pair in chosen],
    )


def _spread(values: Floats, has: Mask) -> Floats:
    full = np.full(len(has), np.nan)
    full[has] = values
    return full


def outside_metrics(ratings: Ratings) -> list[PairMetric]:
    """Metrics whose values the file brought along."""
    return [
        PairMetric(f"{name}[given]", item.values, item.higher_is_better)
        for name, item in ratings.outside.items()
    ]


def judge_metrics(judged: pa.Table, pairs: Sequence[Pair]) -> list[PairMetric]:
    """CheXprompt of every judge, and their mean where there are several; see ``judged_ids``."""
    places = {name: place for place, name in enumerate(judged_ids(pairs))}
    judges = read_judged(judged, places)
    judges += mean_of_judges(judges)
    found = []
    for item in judges:
        missing = item.column("judged") == 0
        targets: tuple[tuple[str, Target], ...] = (
            ("significant errors", "significant"),
            ("errors", "all"),
        )
        for column, target in targets:
            values = np.where(missing, np.nan, item.column(column))
            name = f"chexprompt[{item.judge}]-{column.replace(' ', '-')}"
            found.append(PairMetric(name, values, False, target))
    return found


def judge_kinds(judged: pa.Table, pairs: Sequence[Pair]) -> dict[str, Floats]:
    """By judge the counts (P, T, K) of each kind and tier, nan where it gave none."""
    places = {name: place for place, name in enumerate(judged_ids(pairs))}
    found = {}
    for item in read_judged(judged, places):
        counts = item.counts[:, : len(DETAILS)].copy()
        counts[item.column("judged") == 0] = np.nan
        found[item.judge] = counts.reshape(len(pairs), len(TIERS), len(CATEGORIES))
    return found


def judge_failures(judged: pa.Table) -> dict[str, dict[str, int]]:
    """Pairs that a judge gave no counts for, by judge and reason; judges without any are absent."""
    failed = judged.filter(pc.is_valid(judged["failure"]))
    found: dict[str, dict[str, int]] = {}
    for row in failed.group_by(["judge", "failure"]).aggregate([([], "count_all")]).to_pylist():
        found.setdefault(row["judge"], {})[row["failure"]] = row["count_all"]
    return found


def judged_ids(pairs: Sequence[Pair]) -> list[str]:
    """The example id of each pair in a table of judged pairs."""
    return [f"{pair.study}/{pair.candidate}" for pair in pairs]


def unavailable_metrics(
    has_texts: bool, has_judge: bool, meteor: MeteorProgram | str
) -> dict[str, str]:
    """Metrics that get no number here, and why.

    Args:
        meteor: the program, or what it lacks.
    """
    found = dict(UNAVAILABLE)
    if isinstance(meteor, str):
        found["METEOR"] = meteor
    elif has_texts:
        del found["METEOR"]
    if not has_texts:
        names = ("BLEU", "ROUGE-L", "METEOR", "rule14-F1", "chexprompt")
        found |= dict.fromkeys(names, NO_TEXTS)
    elif not has_judge:
        found["chexprompt"] = "no judge was asked"
    return found
