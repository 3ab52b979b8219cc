"""Trained recipes on one test set: every metric of each, and its difference from the first's.

The arithmetic is the ablation's: each recipe's model stands where a variant does, and the first one
where the baseline does. What is added is how each was asked, whether each beats its image-blind
controls, and in what the signatures of a metric's scores still differ.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

from evaluation.ablation import Ablation, Row, Variant, compare_variants
from evaluation.controls import IMAGE_BLIND
from evaluation.statistics import Interval

FORMAT: Final = 1
"""Raise when a reader of ``to_dict`` must change."""


@dataclass(frozen=True)
class Contender:
    """One recipe's model.

    Args:
        variant: its name, counts, and what training and answers took.
        way: how it was asked, by a short word.
        scores: the document of its scoring (``scores.json``).
    """

    variant: Variant
    way: Mapping[str, str]
    scores: Mapping[str, Any]


@dataclass(frozen=True)
class Control:
    """One metric of one model beside one of its image-blind controls; ``beats`` is None where
    chance may explain the difference."""

    recipe: str
    metric: str
    control: str
    value: Interval
    difference: Interval
    beats: bool | None


@dataclass(frozen=True)
class Apart:
    """A field of a metric's signature that is not one for all; values by recipe."""

    metric: str
    field: str
    values: Mapping[str, str]


@dataclass(frozen=True)
class Left:
    """Studies of the test set that not every model may be asked about, by reason and recipe."""

    reason: str
    recipe: str
    studies: int


@dataclass(frozen=True)
class OneSet:
    """The whole comparison; the first row of ``table`` is the model that others are held against.

    ``on`` is the host's set, ``dataset`` its sources. ``studies`` is how many its test split has,
    of which ``left`` tells those that no model was asked about. ``scales`` says by metric what the
    largest value is.
    """

    on: str
    dataset: str
    section: str
    table: Ablation
    ways: Mapping[str, Mapping[str, str]]
    controls: tuple[Control, ...]
    apart: tuple[Apart, ...]
    unavailable: Mapping[str, str]
    studies: int
    left: tuple[Left, ...]
    scales: Mapping[str, str]

    @property
    def first(self) -> str:
        """The recipe that the others are held against."""
        return self.table.rows[0].name

    @property
    def recipes(self) -> tuple[str, ...]:
        return tuple(row.name for row in self.table.rows)

    def of_control(self, recipe: str, metric: str) -> tuple[Control, ...]:
        """The controls of one model in one metric."""
        return tuple(
            each for each in self.controls if (each.recipe, each.metric) == (recipe, metric)
        )

    def row(self, recipe: str) -> Row:
        """One model's line of the table."""
        return next(row for row in self.table.rows if row.name == recipe)

    def tracked(self, recipe: str) -> dict[str, float]:
        """Numbers of one model for MLflow: its row of the table, then its controls'."""
        controls = {
            f"{each.control}/{each.metric}": each.value.value
            for each in self.controls
            if each.recipe == recipe
        }
        told = {name: value for name, value in controls.items() if value is not None}
        return self.table.tracked(self.row(recipe)) | told

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON; unknown numbers are None."""
        table = self.table.to_dict()
        rows = [
            {
                "recipe": row["name"],
                "way": dict(self.ways[row["name"]]),
                **{key: row[key] for key in ("cells", "apart", "seconds", "answer_seconds")},
                "memory_gib": row["memory_gib"],
            }
            for row in table["rows"]
        ]
        counted = ("examples", "subjects", "resamples", "seed")
        told = ("differences_surviving_holm", "differences_excluding_zero")
        return {
            "format": FORMAT,
            "on": self.on,
            "dataset": self.dataset,
            "section": self.section,
            "first": self.first,
            "metrics": list(self.table.metrics),
            "models": rows,
            **{key: table[key] for key in (*counted, *told)},
            "studies": self.studies,
            "left_out": [asdict(each) for each in self.left],
            "controls": [asdict(each) for each in self.controls],
            "signatures_apart": [asdict(each) for each in self.apart],
            "unavailable": dict(self.unavailable),
        }


def compare_on_one_set(
    where: tuple[str, str, str],
    contenders: Sequence[Contender],
    metrics: Sequence[str],
    studies: tuple[int, Sequence[Left]],
    resamples: int,
    seed: int,
) -> OneSet:
    """Hold every model against the first, on the studies that all were asked about.

    Args:
        where: the host's set, its sources, and the section that was written.
        metrics: none are all that stand in a scoring's main table.
        studies: of the host's test split, and those of them that were left out.
    """
    chosen = tuple(metrics) or _main_metrics(contenders)
    variants = [each.variant for each in contenders]
    on, dataset, section = where
    return OneSet(
        on,
        dataset,
        section,
        compare_variants(on, variants, chosen, resamples, seed),
        {each.variant.name: dict(each.way) for each in contenders},
        tuple(control for each in contenders for control in _controls(each, chosen)),
        tuple(_apart(contenders, chosen)),
        {name: why for each in contenders for name, why in each.variant.unavailable.items()},
        studies[0],
        tuple(studies[1]),
        {
            row["metric"]: row["signature"].get("scale", "0-1")
            for each in contenders
            for row in each.scores["scores"]
            if row["control"] == "none"
        },
    )


def _main_metrics(contenders: Sequence[Contender]) -> tuple[str, ...]:
    """Every metric that one of them has, but details of others."""
    names: dict[str, None] = {}
    for each in contenders:
        system = each.variant.system
        names |= {name: None for name, one in system.measures.items() if not one.is_detail}
    return tuple(names)


def _controls(contender: Contender, metrics: Sequence[str]) -> list[Control]:
    """What the scoring tells of controls, in the metrics' order."""
    values = {(row["metric"], row["control"]): _interval(row) for row in contender.scores["scores"]}
    found = []
    for row in contender.scores["differences"]:
        if row["metric"] in metrics and row["control"] in IMAGE_BLIND:
            difference = _interval(row)
            found.append(
                Control(
                    contender.variant.name,
                    row["metric"],
                    row["control"],
                    values[row["metric"], row["control"]],
                    difference,
                    difference.better(bool(row["higher_is_better"])),
                )
            )
    return sorted(found, key=lambda each: list(metrics).index(each.metric))


def _interval(row: Mapping[str, Any]) -> Interval:
    return Interval(row["value"], row["low"], row["high"])


def _apart(contenders: Sequence[Contender], metrics: Sequence[str]) -> list[Apart]:
    """Fields in which the models' signatures of one metric differ, in the metrics' order."""
    signatures = {
        each.variant.name: {
            row["metric"]: row["signature"]
            for row in each.scores["scores"]
            if row["control"] == "none"
        }
        for each in contenders
    }
    found = []
    for metric in metrics:
        held = {name: rows[metric] for name, rows in signatures.items() if metric in rows}
        for field in dict.fromkeys(field for one in held.values() for field in one):
            values = {name: str(one.get(field, "not told")) for name, one in held.items()}
            if len(set(values.values())) > 1:
                found.append(Apart(metric, field, values))
    return found
