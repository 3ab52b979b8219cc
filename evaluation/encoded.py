"""The places of metrics that need an encoder, such as CheXbert, RadGraph and BERTScore.

Encoders run in a child process (``evaluation.neural``) and hand over counts per example, like any
other family; here is what each family is called, how wide it is and which metrics read it. A metric
whose counts are not there stands in its block as ``unavailable: reason``. Shapes: n examples.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

import numpy as np

from evaluation.clinical import FIVE, FOURTEEN, TOP_FIVE, UncertainAs, macro_f1, micro_f1
from evaluation.controls import Outputs
from evaluation.measures import UNAVAILABLE, Measure
from evaluation.statistics import Floats, mean_of

RRG24_BERTSCORE = "BERTScore[distilbert-base-uncased,L5,rescaled]"
POLICIES: tuple[UncertainAs, ...] = ("negative", "positive")


@dataclass(frozen=True)
class EncodedSystem:
    """What encoders counted for one system: ``families`` by name, (n, K) in the order of
    ``example_ids``."""

    example_ids: Sequence[str]
    families: Mapping[str, Floats]


@dataclass(frozen=True)
class Encoded:
    """Everything that encoders counted.

    Args:
        systems: by control.
        versions: by encoder, what made its counts: code and digest of the weights.
        unavailable: by encoder, why there are no counts.
    """

    systems: Mapping[str, EncodedSystem] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)
    unavailable: Mapping[str, str] = field(default_factory=dict)

    def families(self, outputs: Outputs, control: str) -> dict[str, Floats]:
        """(N, K) counts by family with every row at its example's place; zero rows elsewhere."""
        system = self.systems.get(control)
        if system is None:
            return {}
        places = {name: place for place, name in enumerate(outputs.example_ids)}
        rows = np.array([places[name] for name in system.example_ids], dtype=np.intp)
        found = {}
        for name, counts in system.families.items():
            found[name] = np.zeros((len(places), counts.shape[1]))
            found[name][rows] = counts
        return found


@dataclass(frozen=True)
class Slot:
    """One metric's place: which encoder it needs, and how it is made of the counts."""

    encoder: str
    measure: Measure


def chexbert_name(kind: str, labels: int, policy: UncertainAs) -> str:
    """``CheXbert-micro-F1-14[uncertain=negative]`` and its like."""
    return f"CheXbert-{kind}-F1-{labels}[uncertain={policy}]"


def slots() -> list[Slot]:
    """Every metric that needs an encoder.

    Families: ``chexbert-negative`` and ``chexbert-positive`` hold ``clinical.confusion`` (n, 42);
    all others a value and a one (n, 2).
    """
    found = [Slot("CheXbert", item) for policy in POLICIES for item in _chexbert(policy)]
    found += [
        Slot(f"RadGraph-{model}", _mean(f"RadGraph-F1[{model},partial]", f"radgraph-{model}", True))
        for model in ("v1", "xl")
    ]
    found.append(Slot("BERTScore-distilbert", _mean(RRG24_BERTSCORE, "bertscore-distilbert", True)))
    found += [
        Slot("RadCliQ", _mean(f"RadCliQ-{version}", f"radcliq-{version}", False, "errors"))
        for version in ("v0", "v1")
    ]
    found.append(Slot("RaTEScore", _mean("RaTEScore", "ratescore", True)))
    return found


def _chexbert(policy: UncertainAs) -> list[Measure]:
    about = {
        "implementation": "CheXbert",
        "scale": "0-1",
        "level": "corpus",
        "uncertain_as": policy,
        "empty_output": "all unmentioned",
    }
    return [
        Measure(
            chexbert_name(kind, len(chosen), policy),
            f"chexbert-{policy}",
            partial(statistic, labels=chosen),
            True,
            {**about, "labels": ", ".join(TOP_FIVE) if chosen is FIVE else "CheXpert-14"},
            is_detail=True,
        )
        for chosen in (FOURTEEN, FIVE)
        for kind, statistic in (("micro", micro_f1), ("macro", macro_f1))
    ]


def _mean(name: str, family: str, higher_is_better: bool, scale: str = "0-1") -> Measure:
    about = {
        "implementation": name.partition("[")[0],
        "scale": scale,
        "level": "mean over reports",
        "empty_output": "scored as the encoder's module says",
    }
    return Measure(name, family, mean_of, higher_is_better, about, is_detail=True)


_GROUPS = {
    "CheXbert": "CheXbert-F1",
    "RadGraph-v1": "RadGraph-F1",
    "RadGraph-xl": "RadGraph-F1",
    "BERTScore-distilbert": "BERTScore",
    "RadCliQ": "RadCliQ",
    "RaTEScore": "RaTEScore",
}
"""The line in ``measures.UNAVAILABLE`` that speaks of each encoder."""


def why_absent(encoder: str, encoded: Encoded) -> str:
    """Why an encoder gave no counts: its own reason, or what it would need."""
    return encoded.unavailable.get(encoder) or UNAVAILABLE[_GROUPS[encoder]]


def available_measures(encoded: Encoded) -> list[Measure]:
    """The measures whose counts any system has, with the version of what made them."""
    there = {name for system in encoded.systems.values() for name in system.families}
    return [
        Measure(
            one.name,
            one.family,
            one.statistic,
            one.higher_is_better,
            {**one.about, "version": encoded.versions[slot.encoder]},
            one.is_detail,
        )
        for slot in slots()
        if (one := slot.measure).family in there
    ]


def still_unavailable(encoded: Encoded) -> dict[str, str]:
    """``measures.UNAVAILABLE`` without the metrics that encoders gave counts for."""
    given = {item.name for item in available_measures(encoded)}
    groups = {_GROUPS[slot.encoder] for slot in slots() if slot.measure.name in given}
    return {name: reason for name, reason in UNAVAILABLE.items() if name not in groups}
