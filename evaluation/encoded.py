"""What encoders such as CheXbert, RadGraph and BERTScore counted, and the names of their metrics.

Encoders run in a child process (``evaluation.neural``) and hand over counts per example, like any
other family; ``measures_neural`` says which metrics read them. Shapes: n examples of a system, N of
all.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from evaluation.clinical import UncertainAs
from evaluation.controls import Outputs
from evaluation.statistics import Floats

RRG24_BERTSCORE = "BERTScore[distilbert-base-uncased,L5,rescaled]"
POLICIES: tuple[UncertainAs, ...] = ("negative", "positive")


def chexbert_name(kind: str, labels: int, policy: UncertainAs) -> str:
    """``CheXbert-micro-F1-14[uncertain=negative]`` and its like."""
    return f"CheXbert-{kind}-F1-{labels}[uncertain={policy}]"


def chexbert_family(policy: UncertainAs) -> str:
    """Name of CheXbert's confusion counts (n, 42) under one policy; all other families hold a value
    and a one (n, 2)."""
    return f"chexbert-{policy}"


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
        about: by encoder that was run, the fields of its metrics' signatures that only it knows:
            ``version`` of the code, ``weights`` (sha256), ``tokenizer``, perhaps ``model``.
        unavailable: by encoder, why there are no counts.
    """

    systems: Mapping[str, EncodedSystem] = field(default_factory=dict)
    about: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    unavailable: Mapping[str, str] = field(default_factory=dict)

    @property
    def versions(self) -> dict[str, str]:
        """By encoder, what made its counts: code and weights."""
        return {name: f"{own['version']} {own['weights']}" for name, own in self.about.items()}

    def joined(self, other: Encoded) -> Encoded:
        """Both together; what both counted of one system is of the same examples in one order."""
        systems = {**self.systems, **other.systems}
        for name in self.systems.keys() & other.systems.keys():
            one, more = self.systems[name], other.systems[name]
            assert list(one.example_ids) == list(more.example_ids), name
            systems[name] = EncodedSystem(one.example_ids, {**one.families, **more.families})
        return Encoded(
            systems, {**self.about, **other.about}, {**self.unavailable, **other.unavailable}
        )

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
