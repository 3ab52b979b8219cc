"""Metrics that need published weights: names, arithmetic and signatures, or why there is none.

Names tell what makes numbers of one name differ (evaluation_metrics 1.5-1.9): the policy for
uncertain labels, RadGraph's weights and level, BERTScore's encoder, layer and rescaling.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final

from evaluation.clinical import FIVE, TOP_FIVE, UncertainAs, macro_f1, micro_f1
from evaluation.encoders import (
    BERTSCORE,
    CHEXBERT,
    RADCLIQ_BERTSCORE,
    RADGRAPH,
    RADGRAPH_XL,
    RATESCORE,
)
from evaluation.measures import OWN, Measure
from evaluation.neural_table import NeuralReadings, chexbert_family
from evaluation.radcliq import PARTS, RADCLIQ_REVISION
from evaluation.statistics import Statistic, mean_of

BERTSCORE_LAYER: Final = 5
"""Of both encoders, as ViLMedic, RadEval and RadCliQ take it (evaluation_metrics 1.5)."""

BASELINES: Final = {"distilbert-base-uncased": 0.66620487, "distilroberta-base": 0.8473319}
"""F1 of unrelated sentences at that layer, by bert-score's tables (evaluation_metrics 1.5)."""

RADCLIQ_ENCODERS: Final = (RADGRAPH, RADCLIQ_BERTSCORE, CHEXBERT)
"""What RadCliQ is made of, in the order of its parts; BLEU-2 needs no weights."""


@dataclass(frozen=True)
class _Named:
    """A measure before its signature's fields that only the run encoders know."""

    measure: Measure
    encoders: tuple[str, ...]


def neural_measures(readings: NeuralReadings) -> list[Measure]:
    """Every measure whose encoders were run, signed with their weights."""
    about = readings.about
    return [
        _signed(named, about) for named in _all() if all(one in about for one in named.encoders)
    ]


def neural_unavailable(readings: NeuralReadings) -> dict[str, str]:
    """By name of each other measure what is missing, and where to put it."""
    found = {}
    for named in _all():
        reasons = [readings.missing.get(one) for one in named.encoders if one not in readings.about]
        if reasons:
            told = dict.fromkeys(reason or "its encoder was not run" for reason in reasons)
            found[named.measure.name] = "; ".join(told)
    return found


def _signed(named: _Named, about: Mapping[str, Mapping[str, str]]) -> Measure:
    """The measure with version, weights and tokenizer of its encoders in its signature."""
    measure, own = named.measure, [about[encoder] for encoder in named.encoders]
    fields = {
        "version": " ".join([measure.about.get("version", ""), *_each(own, "version")]).strip(),
        "weights": " ".join(f"sha256:{one}" for one in _each(own, "weights")),
        "tokenizer": "; ".join(_each(own, "tokenizer")),
    }
    models = _each(own, "model")
    told = {**measure.about, **fields} | ({"model": " ".join(models)} if models else {})
    return Measure(
        measure.name,
        measure.family,
        measure.statistic,
        measure.higher_is_better,
        told,
        measure.is_detail,
    )


def _each(about: Sequence[Mapping[str, str]], name: str) -> list[str]:
    return [one[name] for one in about if name in one]


def _all() -> list[_Named]:
    """Every neural measure in the order of the tables."""
    return [
        *_chexbert("negative"),
        *_chexbert("positive"),
        *_radgraph(),
        _bertscore("distilbert-base-uncased", BERTSCORE, "bertscore"),
        _bertscore("distilroberta-base", RADCLIQ_BERTSCORE, "radcliq_bertscore"),
        _semb(),
        *_radcliq(),
        _ratescore(),
    ]


def _chexbert(policy: UncertainAs) -> list[_Named]:
    about = {
        "implementation": f"{OWN}, CheXbert's network",
        "scale": "0-1",
        "level": "corpus",
        "uncertain_as": policy,
        "empty_output": "all unmentioned",
    }
    five = ", ".join(TOP_FIVE)
    statistics: dict[str, tuple[Statistic, str]] = {
        "micro-F1-14": (micro_f1, "CheXpert-14"),
        "macro-F1-14": (macro_f1, "CheXpert-14"),
        "micro-F1-5": (partial(micro_f1, labels=FIVE), five),
        "macro-F1-5": (partial(macro_f1, labels=FIVE), five),
    }
    return [
        _Named(
            Measure(
                f"CheXbert-{title}[uncertain={policy}]",
                chexbert_family(policy),
                statistic,
                True,
                {**about, "labels": labels},
            ),
            (CHEXBERT,),
        )
        for title, (statistic, labels) in statistics.items()
    ]


def _radgraph() -> list[_Named]:
    named = (
        ("v1", "partial", False),
        ("v1", "yu", True),  # RadCliQ's part, told beside it
        ("xl", "simple", False),
        ("xl", "partial", False),
        ("xl", "complete", False),
        ("xl", "yu", False),
    )
    return [
        _mean(
            f"RadGraph-F1[{weights},{level}]",
            f"radgraph_{weights}_{level}",
            {
                "implementation": f"{OWN}, RadGraph's network",
                "case": "relations lower" if level == "complete" else "kept",
                "empty_output": "0, also beside an empty reference",
            },
            RADGRAPH if weights == "v1" else RADGRAPH_XL,
            is_detail=is_detail,
        )
        for weights, level, is_detail in named
    ]


def _bertscore(model: str, encoder: str, family: str) -> _Named:
    about = {
        "implementation": f"{OWN}, bert-score's arithmetic",
        "layer": str(BERTSCORE_LAYER),
        "idf": "off",
        "rescale": f"baseline {BASELINES[model]}",
        "empty_output": "0, the level of unrelated texts",
    }
    name = f"BERTScore[{model},L{BERTSCORE_LAYER},rescaled]"
    return _mean(name, family, about, encoder)


def _semb() -> _Named:
    about = {
        "implementation": f"{OWN}, cosine of CheXbert's [CLS] vectors",
        "empty_output": "0",
    }
    return _mean("SembScore", "semb_score", about, CHEXBERT)


def _radcliq() -> list[_Named]:
    about = {
        "implementation": f"{OWN}, of {', '.join(PARTS)}",
        "version": str(RADCLIQ_REVISION),
        "scale": "errors per report, fitted; lower is better",
        "level": "mean over reports",
        "empty_output": "every part is 0",
    }
    return [
        _Named(
            Measure(f"RadCliQ-{version}", f"radcliq_{version}", mean_of, False, about),
            RADCLIQ_ENCODERS,
        )
        for version in ("v0", "v1")
    ]


def _ratescore() -> _Named:
    about = {
        "implementation": f"{OWN}, RaTEScore's networks and weights 'long', own sentence splitter",
        "empty_output": "0; 0.5 where a side has words but no entity",
    }
    return _mean("RaTEScore", "ratescore", about, RATESCORE)


def _mean(
    name: str, family: str, about: Mapping[str, str], encoder: str, *, is_detail: bool = False
) -> _Named:
    """A mean over reports of a number per report."""
    told = {"scale": "0-1", "level": "mean over reports", **about}
    return _Named(Measure(name, family, mean_of, True, told, is_detail), (encoder,))
