"""Cross-modal retrieval: is a film's own text the nearest, and a text's own film?

One similarity matrix, one boolean matrix of what is relevant. Policies of relevance: ``instance``,
a film and the text of its own study; ``equal text``, also every text that reads the same, since
a stock normal report would otherwise be wrong a hundred times; ``distinct texts``, where each text
stands in the pool once, so that the stock report is neither. Ties go against the query: a
relevant candidate comes after all others of its score. Shapes: Q queries, C candidates.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from evaluation.signature import Signature
from evaluation.statistics import (
    Bootstrap,
    Floats,
    Interval,
    interval_of,
    make_bootstrap,
    mean_of,
    score_interval,
)

Bools = NDArray[np.bool_]
Ranks = NDArray[np.int64]
Policy = Literal["instance", "equal text", "distinct texts"]
Direction = Literal["image to text", "text to image"]

VERSION: Final = "3"
DEPTHS: Final = (1, 5, 10)
"""The K of R@K, as in the released model's utility (LLaVA-Rad reference, section 7)."""
PRECISION_DEPTHS: Final = (5, 10)
"""The K of P@K, which is told where a query may have many relevant candidates; P@1 is R@1."""
DIRECTIONS: Final[tuple[Direction, ...]] = ("image to text", "text to image")
POLICIES: Final[tuple[Policy, ...]] = ("instance", "equal text", "distinct texts")


def ranks(similarity: Floats, relevant: Bools) -> Ranks:
    """(Q,) the 1-based place of each query's best relevant candidate, ties against it.

    ``similarity`` and ``relevant`` are (Q, C); every query needs a relevant candidate.
    """
    assert relevant.any(axis=1).all(), "a query without a relevant candidate"
    best = np.where(relevant, similarity, -np.inf).max(axis=1, keepdims=True)
    ahead = (~relevant & (similarity >= best)).sum(axis=1)
    return np.asarray(ahead + 1, dtype=np.int64)


def chance_recall(relevant: Bools, depth: int) -> float:
    """R@depth of a random order: the mean chance that one of a query's relevant candidates is among
    the first, which is hypergeometric."""
    candidates, own = relevant.shape[1], relevant.sum(axis=1)
    if depth >= candidates:
        return 1.0
    missed = np.ones(len(own))
    for place in range(depth):
        missed *= np.clip(candidates - own - place, 0, None) / (candidates - place)
    return float((1.0 - missed).mean())


def blind_recall(relevant: Bools, depth: int) -> float:
    """R@depth of one order that is the same for every query, the best that knowing the answers
    gives: each place goes to the candidate that serves most queries not yet served.

    An encoder that has only learned which texts are common comes as far as this and no further.
    """
    served = np.zeros(len(relevant), dtype=np.bool_)
    for _ in range(min(depth, relevant.shape[1])):
        served |= relevant[:, (relevant & ~served[:, None]).sum(axis=0).argmax()]
    return float(served.mean())


def precisions(similarity: Floats, relevant: Bools, depth: int) -> Floats:
    """(Q,) the share of relevant ones among each query's first ``depth``, ties against them."""
    order = np.lexsort((relevant, -similarity), axis=1)[:, :depth]
    found: Floats = np.take_along_axis(relevant, order, axis=1).sum(axis=1) / depth
    return found


def chance_precision(relevant: Bools) -> float:
    """P@K of a random order, the same for every K: the mean share of relevant candidates."""
    return float(relevant.mean())


def blind_precision(relevant: Bools, depth: int) -> float:
    """P@depth of the candidates that are relevant to most queries, shown to every query."""
    most = np.sort(relevant.mean(axis=0))[::-1][:depth]
    return float(most.sum() / depth)


@dataclass(frozen=True)
class Pool:
    """N films and M texts of the same studies.

    ``text_of`` (N,) is each film's place among the texts; ``keys`` (M,) are equal for texts that
    read the same; subjects name the person of each film and of each text, studies the study of
    each text, of which one may have several (versions); ``section`` is the texts' own.
    """

    text_of: NDArray[np.intp]
    keys: tuple[str, ...]
    image_subjects: tuple[str, ...]
    text_subjects: tuple[str, ...]
    text_studies: tuple[str, ...]
    section: str

    def texts(self, policy: Policy) -> NDArray[np.intp]:
        """Places of the texts that stand in the pool: all, or the first of each that differs."""
        if policy != "distinct texts":
            return np.arange(len(self.keys), dtype=np.intp)
        firsts = np.unique(np.asarray(self.keys, dtype=str), return_index=True)[1]
        return np.asarray(np.sort(firsts), dtype=np.intp)

    def relevant(self, direction: Direction, policy: Policy) -> Bools:
        """(Q, C) for a direction."""
        if policy == "instance":
            own = np.arange(len(self.keys))
        else:
            own = np.unique(np.asarray(self.keys, dtype=str), return_inverse=True)[1]
        found: Bools = own[self.text_of][:, None] == own[self.texts(policy)]
        return found if direction == "image to text" else found.T

    def perfect(self, direction: Direction, policy: Policy) -> Floats:
        """(Q, C) similarity of an encoder that reads every film's text off the film: one where the
        candidate reads as the query does. Equal texts tie, so that under *instance* even it fails
        where another study's text reads the same."""
        own = np.unique(np.asarray(self.keys, dtype=str), return_inverse=True)[1]
        alike = own[self.text_of][:, None] == own[self.texts(policy)]
        return np.asarray(alike if direction == "image to text" else alike.T, dtype=np.float64)

    def subjects(self, direction: Direction, policy: Policy) -> tuple[str, ...]:
        """The person behind each query."""
        if direction == "image to text":
            return self.image_subjects
        return tuple(self.text_subjects[place] for place in self.texts(policy))


@dataclass(frozen=True)
class RetrievalScore:
    """One number of one encoder; ``chance`` is what a random order gives, ``blind`` the best order
    that looks at no query, ``ceiling`` what a perfect encoder reaches; all None for ranks."""

    encoder: str
    direction: Direction
    policy: Policy
    metric: str
    interval: Interval
    chance: float | None
    blind: float | None
    ceiling: float | None
    higher_is_better: bool
    queries: int
    candidates: int
    signature: Signature

    @property
    def beats_chance(self) -> bool | None:
        """Whether the interval lies above chance; None where there is no chance to beat."""
        if self.chance is None or self.interval.low is None:
            return None
        return self.interval.low > self.chance

    @property
    def beats_blind(self) -> bool | None:
        """The same beside the best order that looks at no query."""
        if self.blind is None or self.interval.low is None:
            return None
        return self.interval.low > self.blind


@dataclass(frozen=True)
class Encoded:
    """Unit embeddings of one encoder: images (N, E) and texts (M, E)."""

    name: str
    images: Floats
    texts: Floats


def score_retrieval(
    encoded: Encoded, pool: Pool, resamples: int, seed: int
) -> list[RetrievalScore]:
    """R@1, R@5, R@10, median and mean rank and MRR, both ways and under every policy, and P@5 and
    P@10 under *equal text*; signatures name the pool's section."""
    similarity = encoded.images @ encoded.texts.T
    return [
        score
        for direction in DIRECTIONS
        for policy in POLICIES
        for score in _scores(encoded.name, similarity, pool, (direction, policy), resamples, seed)
    ]


def _scores(
    name: str,
    similarity: Floats,
    pool: Pool,
    asked: tuple[Direction, Policy],
    resamples: int,
    seed: int,
) -> list[RetrievalScore]:
    """All metrics of one direction under one policy; ``similarity`` (N, M)."""
    direction, policy = asked
    scores = similarity[:, pool.texts(policy)]
    scores = scores if direction == "image to text" else scores.T
    relevant = pool.relevant(direction, policy)
    bootstrap = make_bootstrap(pool.subjects(direction, policy), resamples, seed)
    reached = _Reached(scores, pool.perfect(direction, policy), relevant, bootstrap)
    return [
        RetrievalScore(
            name,
            direction,
            policy,
            metric,
            interval,
            chance,
            blind,
            ceiling,
            higher,
            scores.shape[0],
            scores.shape[1],
            _signature(metric, direction, policy, pool, bootstrap, scores.shape),
        )
        for metric, interval, (chance, blind, ceiling), higher in reached.numbers(policy)
    ]


_Beside = tuple[float, float, float] | tuple[None, None, None]
"""Chance, the blind order's and the perfect encoder's."""
_NOTHING: Final = (None, None, None)


@dataclass(frozen=True)
class _Reached:
    """What one direction's queries reach, and what a perfect encoder's do; all (Q, C)."""

    similarity: Floats
    perfect: Floats
    relevant: Bools
    bootstrap: Bootstrap

    @cached_property
    def places(self) -> Ranks:
        return ranks(self.similarity, self.relevant)

    def numbers(self, policy: Policy) -> list[tuple[str, Interval, _Beside, bool]]:
        """Metric, interval, what stands beside it, and whether more is better."""
        found = [
            (f"R@{depth}", self._mean(self.places <= depth), self._beside(depth), True)
            for depth in DEPTHS
        ]
        if policy == "equal text":
            found += [self._precision(depth) for depth in PRECISION_DEPTHS]
        return [
            *found,
            ("MRR", self._mean(1.0 / self.places), _NOTHING, True),
            ("mean rank", self._mean(self.places), _NOTHING, False),
            ("median rank", self._median(), _NOTHING, False),
        ]

    def _precision(self, depth: int) -> tuple[str, Interval, _Beside, bool]:
        own = self._mean(precisions(self.similarity, self.relevant, depth))
        chance, blind = chance_precision(self.relevant), blind_precision(self.relevant, depth)
        ceiling = float(precisions(self.perfect, self.relevant, depth).mean())
        return f"P@{depth}", own, (chance, blind, ceiling), True

    def _beside(self, depth: int) -> _Beside:
        ceiling = float((ranks(self.perfect, self.relevant) <= depth).mean())
        return chance_recall(self.relevant, depth), blind_recall(self.relevant, depth), ceiling

    def _mean(self, values: Any) -> Interval:
        counts = np.stack([values, np.ones(len(values))], axis=-1).astype(np.float64)
        return score_interval(self.bootstrap, mean_of, counts)

    def _median(self) -> Interval:
        order = np.argsort(self.places, kind="stable")
        ordered = self.places[order].astype(np.float64)
        reached = np.cumsum(self.bootstrap.weights[:, order], axis=1)
        middle = np.argmax(reached >= reached[:, -1:] / 2, axis=1)
        return interval_of(np.float64(np.median(self.places)), ordered[middle])


def _signature(
    metric: str,
    direction: Direction,
    policy: Policy,
    pool: Pool,
    bootstrap: Bootstrap,
    shape: tuple[int, ...],
) -> Signature:
    return Signature(
        metric=metric,
        implementation="cxrflow retrieval",
        version=VERSION,
        scale="0-1" if metric.startswith(("R@", "P@", "MRR")) else "rank",
        level=f"mean over queries, {direction}, relevant: {policy}, ties against, pool {shape[1]}",
        section=pool.section,
        studies=len(set(pool.text_studies)),
        subjects=bootstrap.subjects,
        examples=shape[0],
        interval="bootstrap percentile 95%",
        resamples=bootstrap.resamples,
        seed=bootstrap.seed,
        unit="subject of the query; the pool stays",
        empty_output="embedded like any text",
        cleaner="none; texts are equal by words and single spaces",
        images=len(pool.text_of),
    )


def centred(embeddings: Floats) -> Floats:
    """Rows less their mean, of unit length, (N, E).

    For encoders that were not trained to put both kinds of input in one place: all images share a
    large component that no text has, and without its removal it alone decides.
    """
    moved = embeddings - embeddings.mean(axis=0)
    length = np.linalg.norm(moved, axis=1, keepdims=True)
    return np.asarray(np.divide(moved, length, out=np.zeros_like(moved), where=length > 0))


def score_rows(scores: Sequence[RetrievalScore]) -> list[dict[str, Any]]:
    """JSON values."""
    rows: list[dict[str, Any]] = []
    for item in scores:
        row = {name: value for name, value in vars(item).items() if name != "signature"}
        row |= {
            "interval": asdict(item.interval),
            "beats_chance": item.beats_chance,
            "beats_blind": item.beats_blind,
            "signature": item.signature.fields(),
        }
        rows.append(row)
    return rows


def tracked(scores: Sequence[RetrievalScore]) -> Mapping[str, float]:
    """Numbers by name, for a registry."""
    return {
        "/".join(("retrieval", s.encoder, s.direction, s.policy, s.metric)): s.interval.value
        for s in scores
        if s.interval.value is not None
    }
