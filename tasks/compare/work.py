"""Compare two scored models, slice one, or list its errors."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from infra.errors import InputError
from tasks.compare.errors import ErrorTable, error_table
from tasks.compare.scored import Scored, test_shards
from tasks.score.facts import example_facts

if TYPE_CHECKING:
    from evaluation.compare import Comparison
    from evaluation.slices import Slices

_SHOWN = 5
"""Examples that improved and worsened most, each; ids of a group of errors (our choice)."""


def compare_scored(own: Scored, other: Scored, resamples: int, seed: int) -> Comparison:
    """The second model less the first.

    Raises:
        InputError: they were not tested on the same examples and references.
    """
    from evaluation.compare import compare_systems
    from evaluation.paired import why_not_paired

    first, second = own.system(), other.system()
    apart = why_not_paired(first, second)
    if apart is not None:
        raise InputError(
            f"{own.name} and {other.name} with {apart}",
            "two models tested on the same examples",
            "evaluate both with one set of examples",
        )
    return compare_systems(first, second, resamples, seed, shown=_SHOWN)


def slice_scored(
    scored: Scored, dimensions: Sequence[str], metrics: Sequence[str], resamples: int, seed: int
) -> Slices:
    """Scores by group.

    Raises:
        InputError: an unknown dimension or metric.
    """
    from evaluation.slices import DIMENSIONS, slice_scores

    system = scored.system()
    require_known("dimension", dimensions, DIMENSIONS)
    require_known("metric", metrics, system.measures)
    facts = example_facts(test_shards(scored.predictions), system.outputs.example_ids)
    chosen = {name: facts[name] for name in dimensions or DIMENSIONS}
    return slice_scores(system, chosen, tuple(dict.fromkeys(metrics)), resamples, seed)


def require_known(what: str, given: Iterable[str], known: Iterable[str]) -> None:
    """Refuse names that there are not.

    Raises:
        InputError: one is unknown; all that are known are told.
    """
    names = list(known)
    for name in given:
        if name not in names:
            raise InputError(f"{what} '{name}'", f"one of {', '.join(names)}", "see --help")


def list_errors(scored: Scored) -> ErrorTable:
    """Every error of a model by kind, finding and side."""
    rows = scored.rows().select(["example_id", "reference", "prediction"]).to_pylist()
    pairs = ((row["example_id"], row["reference"], row["prediction"]) for row in rows)
    return error_table(pairs, _SHOWN)


def texts_of(scored: Scored, wanted: Iterable[str]) -> dict[str, tuple[str, str]]:
    """Reference and prediction by example id: report text, for those who ask for it."""
    chosen = set(wanted)
    return {
        row["example_id"]: (row["reference"], row["prediction"])
        for row in scored.rows().select(["example_id", "reference", "prediction"]).to_pylist()
        if row["example_id"] in chosen
    }
