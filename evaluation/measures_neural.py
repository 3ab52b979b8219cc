"""Metrics that need published weights or METEOR: names, arithmetic, signatures, or why not.

Names tell what makes numbers of one name differ (evaluation_metrics 1.5-1.9): the policy for
uncertain labels, RadGraph's weights and level, BERTScore's encoder, layer and rescaling.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final

from evaluation.clinical import FIVE, FOURTEEN, TOP_FIVE, UncertainAs, macro_f1, micro_f1
from evaluation.encoded import Encoded, chexbert_family, chexbert_name
from evaluation.encoders import (
    BERTSCORE,
    CHEXBERT,
    RADCLIQ_BERTSCORE,
    RADGRAPH,
    RADGRAPH_XL,
    RATESCORE,
)
from evaluation.measures import OWN, UNAVAILABLE, Measure
from evaluation.meteor import METEOR_PROFILES, corpus_meteor, meteor_family, meteor_name
from evaluation.radcliq import PARTS, RADCLIQ_REVISION
from evaluation.statistics import mean_of

BERTSCORE_LAYER: Final = 5
"""Of both encoders, as ViLMedic, RadEval and RadCliQ take it (evaluation_metrics 1.5)."""

BASELINES: Final = {"distilbert-base-uncased": 0.66620487, "distilroberta-base": 0.8473319}
"""F1 of unrelated sentences at that layer, by bert-score's tables (evaluation_metrics 1.5)."""

RADCLIQ_ENCODERS: Final = (RADGRAPH, RADCLIQ_BERTSCORE, CHEXBERT)
"""What RadCliQ is made of, in the order of its parts; BLEU-2 needs no weights."""


@dataclass(frozen=True)
class Slot:
    """One metric's place: which encoders it needs, and how it is made of their counts."""

    encoders: tuple[str, ...]
    measure: Measure


def available_measures(encoded: Encoded) -> list[Measure]:
    """Every measure whose encoders were run, signed with their weights."""
    return [_signed(slot, encoded.about) for slot in slots() if not _lacking(slot, encoded)]


def still_unavailable(encoded: Encoded) -> dict[str, str]:
    """By name of each other metric what is missing, and where to put it."""
    lacking = [slot for slot in slots() if _lacking(slot, encoded)]
    own = {slot.measure.name: why_absent(slot, encoded) for slot in lacking}
    told = {*_GROUPS.values(), "RadCliQ"}
    rest = {name: why for name, why in UNAVAILABLE.items() if name not in told}
    return own | rest


def why_absent(slot: Slot, encoded: Encoded) -> str:
    """Why a metric has no counts: its encoders' reasons, or what they would need."""
    reasons = [
        encoded.unavailable.get(one) or UNAVAILABLE[_GROUPS[one]]
        for one in (_lacking(slot, encoded) or slot.encoders)
    ]
    return "; ".join(dict.fromkeys(reasons))


_GROUPS: Final = {
    CHEXBERT: "CheXbert-F1",
    RADGRAPH: "RadGraph-F1",
    RADGRAPH_XL: "RadGraph-F1",
    BERTSCORE: "BERTScore",
    RADCLIQ_BERTSCORE: "BERTScore",
    RATESCORE: "RaTEScore",
    **{meteor_name(profile): "METEOR" for profile in METEOR_PROFILES},
}
"""The line in ``measures.UNAVAILABLE`` that speaks of each encoder where none is run."""


def _lacking(slot: Slot, encoded: Encoded) -> list[str]:
    return [encoder for encoder in slot.encoders if encoder not in encoded.about]


def _signed(slot: Slot, about: Mapping[str, Mapping[str, str]]) -> Measure:
    """The measure with version, weights and tokenizer of its encoders in its signature."""
    measure, own = slot.measure, [about[encoder] for encoder in slot.encoders]
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


def slots() -> list[Slot]:
    """Every metric that needs an encoder, in the order of the tables."""
    return [
        *_chexbert("negative"),
        *_chexbert("positive"),
        *_radgraph(),
        _bertscore("distilbert-base-uncased", BERTSCORE, "bertscore"),
        _bertscore("distilroberta-base", RADCLIQ_BERTSCORE, "radcliq_bertscore"),
        _semb(),
        *_radcliq(),
        _ratescore(),
        *(_meteor(profile) for profile in METEOR_PROFILES),
    ]


def _chexbert(policy: UncertainAs) -> list[Slot]:
    about = {
        "implementation": f"{OWN}, CheXbert's network",
        "scale": "0-1",
        "level": "corpus",
        "uncertain_as": policy,
        "empty_output": "all unmentioned",
    }
    return [
        Slot(
            (CHEXBERT,),
            Measure(
                chexbert_name(kind, len(chosen), policy),
                chexbert_family(policy),
                partial(statistic, labels=chosen),
                True,
                {**about, "labels": ", ".join(TOP_FIVE) if chosen is FIVE else "CheXpert-14"},
                is_detail=policy == "positive",
            ),
        )
        for chosen in (FOURTEEN, FIVE)
        for kind, statistic in (("micro", micro_f1), ("macro", macro_f1))
    ]


def _radgraph() -> list[Slot]:
    named = (
        ("v1", "partial", False),
        ("v1", "yu", True),  # RadCliQ's part, told beside it
        ("xl", "partial", False),
        ("xl", "simple", True),
        ("xl", "complete", True),
        ("xl", "yu", True),
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


def _bertscore(model: str, encoder: str, family: str) -> Slot:
    about = {
        "implementation": f"{OWN}, bert-score's arithmetic",
        "layer": str(BERTSCORE_LAYER),
        "idf": "off",
        "rescale": f"baseline {BASELINES[model]}",
        "empty_output": "0, the level of unrelated texts",
    }
    name = f"BERTScore[{model},L{BERTSCORE_LAYER},rescaled]"
    return _mean(name, family, about, encoder)


def _semb() -> Slot:
    about = {
        "implementation": f"{OWN}, cosine of CheXbert's [CLS] vectors",
        "empty_output": "0",
    }
    return _mean("SembScore", "semb_score", about, CHEXBERT)


def _radcliq() -> list[Slot]:
    about = {
        "implementation": f"{OWN}, of {', '.join(PARTS)}",
        "version": str(RADCLIQ_REVISION),
        "scale": "errors per report, fitted; lower is better",
        "level": "mean over reports",
        "empty_output": "every part is 0",
    }
    return [
        Slot(
            RADCLIQ_ENCODERS,
            Measure(f"RadCliQ-{version}", f"radcliq_{version}", mean_of, False, about),
        )
        for version in ("v0", "v1")
    ]


def _ratescore() -> Slot:
    about = {
        "implementation": f"{OWN}, RaTEScore's networks and weights 'long', own sentence splitter",
        "empty_output": "0; 0.5 where a side has words but no entity",
    }
    return _mean("RaTEScore", "ratescore", about, RATESCORE)


def _meteor(profile: str) -> Slot:
    """Of the three profiles COCO's own is in the main table."""
    about = {
        "implementation": "METEOR 1.5's program, as COCO calls it (en, rank, -norm)",
        "case": "lower",
        "scale": "0-1",
        "level": "corpus",
        "empty_output": "0, counts for recall",
    }
    name = meteor_name(profile)
    is_detail = profile != "coco-ptb"
    return Slot(
        (name,), Measure(name, meteor_family(profile), corpus_meteor, True, about, is_detail)
    )


def _mean(
    name: str, family: str, about: Mapping[str, str], encoder: str, *, is_detail: bool = False
) -> Slot:
    """A mean over reports of a number per report."""
    told = {"scale": "0-1", "level": "mean over reports", **about}
    return Slot((encoder,), Measure(name, family, mean_of, True, told, is_detail))
