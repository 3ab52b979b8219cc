"""Counts of pairs of texts, family by family: all that lexical and rule14 scores are computed from.

A family is what one or more metrics sum over examples; its counts depend on one pair of texts alone
and so can be cached (``metric_cache``). CIDEr's weights come from all references, so that its
version holds a digest of them. Shapes: n pairs, K counts.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from evaluation import labeler_rules
from evaluation.chrf import CHRF_PROFILE, CHRF_REVISION, chrf_counts
from evaluation.cider import CIDER_PROFILES, CIDER_REVISION, cider, cider_d
from evaluation.clinical import LabelMatrix
from evaluation.labeler import label_reports
from evaluation.lexical import (
    BLEU_PROFILE,
    BLEU_PROFILES,
    BLEU_REVISION,
    LARGEST_ORDER,
    REXRANK_PROFILE,
    bleu_counts,
    rexrank_bleu2,
)
from evaluation.metric_cache import MetricCache
from evaluation.parts import Parts
from evaluation.rouge import (
    COCO_PROFILE,
    ROUGE_PROFILE,
    ROUGE_REVISION,
    STEMMED_PROFILE,
    rouge_l,
    rouge_l_sum,
    rouge_n,
)
from evaluation.statistics import Floats
from sources.record import OBSERVATIONS

Count = Callable[..., Floats]
"""From references and predictions; of a family that weighs by a corpus also ``corpus``."""


@dataclass(frozen=True)
class Family:
    """One kind of counts: ``count`` gives (n, width) from n references and n predictions.

    ``version`` changes with whatever changes a count. One that ``reads_all_references`` takes its
    weights from all references of the test set, whichever of them a system has written for.
    """

    name: str
    version: str
    width: int
    count: Count
    reads_all_references: bool = False

    def of(
        self,
        references: Sequence[str],
        predictions: Sequence[str],
        cache: MetricCache | None,
        corpus: Sequence[str] | None = None,
        parts: Parts | None = None,
    ) -> Floats:
        """(n, width) counts of n pairs, from the cache where they are there.

        Args:
            corpus: all references of the test set, where the pairs are some of it.
            parts: who counts many pairs; those that are weighed by the corpus are counted here.
        """
        count, told = self.count, self.version
        if parts is not None and not self.reads_all_references:
            count = partial(parts.count, self.name)
        if self.reads_all_references:
            corpus = references if corpus is None else corpus
            count, told = partial(count, corpus=corpus), f"{told}-{_digest(corpus)}"
        if cache is None:
            return count(references, predictions)
        return cache.counts(self.name, told, self.width, (references, predictions), count)


def _digest(texts: Sequence[str]) -> str:
    """Of all references, in any order."""
    hashed = hashlib.blake2b(digest_size=8)
    for text in sorted(texts):
        hashed.update(text.encode("utf-8", "surrogatepass") + b"\0")
    return hashed.hexdigest()


def _code(*modules: str) -> str:
    """Digest of this package's modules that make a count: rules that were edited without raising
    their revision must not find counts of the old ones."""
    folder = Path(__file__).parent
    hashed = hashlib.blake2b(digest_size=4)
    for name in modules:
        hashed.update((folder / f"{name}.py").read_bytes())
    return hashed.hexdigest()


def label_codes(references: Sequence[str], predictions: Sequence[str]) -> Floats:
    """(n, 28) rule14's class numbers: the reference's fourteen, then the prediction's."""
    sides = (LabelMatrix.of(label_reports(texts)).codes for texts in (references, predictions))
    return np.concatenate(list(sides), axis=1).astype(np.float64)


def split_codes(counts: Floats) -> tuple[LabelMatrix, LabelMatrix]:
    """Both sides' labels from ``label_codes``."""
    true, told = np.split(counts.astype(np.int8), 2, axis=1)
    return LabelMatrix(true), LabelMatrix(told)


def _ones(score: Callable[..., Floats]) -> Count:
    """Counts (n, 2) whose ``mean_of`` is the mean of a value per pair."""

    def count(references: Sequence[str], predictions: Sequence[str], **named: Any) -> Floats:
        values = score(references, predictions, **named)
        return np.stack([values, np.ones_like(values)], axis=-1)

    return count


def bleu_family(profile: str) -> str:
    """Name of a BLEU profile's counts; ``bleu`` is LLaVA-Rad's."""
    return "bleu" if profile == BLEU_PROFILE else f"bleu {profile}"


def rouge_family(profile: str, kind: str = "L") -> str:
    """Name of a ROUGE profile's values; ``rouge`` is LLaVA-Rad's ROUGE-L."""
    plain = (profile, kind) == (ROUGE_PROFILE, "L")
    return "rouge" if plain else f"rouge-{kind.lower()} {profile}"


LABELS = Family(
    "rule14",
    f"{labeler_rules.REVISION}-{_code('labeler', 'labeler_rules', 'clinical')}",
    2 * len(OBSERVATIONS),
    label_codes,
)
CHRF = Family("chrf", f"{CHRF_PROFILE}-{CHRF_REVISION}-{_code('chrf')}", 18, chrf_counts)


def _bleu_families() -> list[Family]:
    told = f"{BLEU_REVISION}-{version('sacrebleu')}-{_code('lexical', 'tokens')}"
    return [
        Family(bleu_family(name), told, 2 + 2 * LARGEST_ORDER, partial(bleu_counts, profile=name))
        for name in BLEU_PROFILES
    ]


def _valued_families() -> list[Family]:
    """Families of a value and a one."""
    rouge = f"{ROUGE_REVISION}-{_code('rouge')}"
    stemmed = f"{rouge}-nltk-{version('nltk')}"
    found = [
        Family(rouge_family(name), told, 2, _ones(partial(rouge_l, profile=name)))
        for name, told in (
            (ROUGE_PROFILE, rouge),
            (STEMMED_PROFILE, stemmed),
            (COCO_PROFILE, rouge),
        )
    ]
    found += [
        Family(rouge_family(name, str(n)), told, 2, _ones(partial(rouge_n, order=n, profile=name)))
        for name, told in ((ROUGE_PROFILE, rouge), (STEMMED_PROFILE, stemmed))
        for n in (1, 2)
    ]
    found += [
        Family(rouge_family(name, "Lsum"), told, 2, _ones(partial(rouge_l_sum, profile=name)))
        for name, told in ((ROUGE_PROFILE, rouge), (STEMMED_PROFILE, stemmed))
    ]
    rexrank = f"{BLEU_REVISION}-{_code('lexical', 'tokens')}"
    found.append(Family(REXRANK_PROFILE, rexrank, 2, _ones(rexrank_bleu2)))
    weighted = f"{CIDER_REVISION}-{_code('cider', 'tokens')}"
    for kind, score in (("cider-d", cider_d), ("cider", cider)):
        for name in CIDER_PROFILES:
            count = _ones(partial(score, profile=name))
            found.append(Family(f"{kind} {name}", weighted, 2, count, True))
    return found


FAMILIES: dict[str, Family] = {
    family.name: family for family in [*_bleu_families(), *_valued_families(), CHRF]
}
"""Every family of lexical counts by name; rule14's come from ``LABELS``."""


def known_family(name: str) -> Family:
    """The family of that name, rule14's among them."""
    return LABELS if name == LABELS.name else FAMILIES[name]
