"""What is known of each test example beside its text: what its scores can be sliced by."""

from __future__ import annotations

from collections.abc import Sequence

from infra.errors import InputError
from infra.tables import connect

Facts = tuple[str | None, ...]
"""One value for each of ``evaluation.slices.DIMENSIONS``; None where the source does not tell."""


def known_facts(shards: Sequence[str]) -> dict[str, Facts]:
    """By example id what the shards at these local paths tell of it."""
    from evaluation.slices import age_band

    query = (
        "SELECT example_id, source, images[1].view, subject_sex, subject_age, manufacturer, site "
        "FROM read_parquet($shards)"
    )
    with connect() as connection:
        rows = connection.execute(query, {"shards": list(shards)}).fetchall()
    return {
        example_id: (source, view, sex, age_band(age), manufacturer, site)
        for example_id, source, view, sex, age, manufacturer, site in rows
    }


def by_dimension(facts: Sequence[Facts]) -> dict[str, list[str]]:
    """One value for each example by dimension; ``unknown`` where it is not told."""
    from evaluation.slices import DIMENSIONS, UNKNOWN

    return {
        dimension: [own[place] or UNKNOWN for own in facts]
        for place, dimension in enumerate(DIMENSIONS)
    }


def example_facts(shards: Sequence[str], example_ids: Sequence[str]) -> dict[str, list[str]]:
    """By dimension one value for each example; ``unknown`` where the source does not tell.

    Args:
        shards: local paths of the shards that were tested on.

    Raises:
        InputError: an example is not in them.
    """
    known = known_facts(shards)
    missing = [example_id for example_id in example_ids if example_id not in known]
    if missing:
        raise InputError(
            f"{len(missing)} predictions without their example",
            "the examples that were predicted",
            "predict again",
        )
    return by_dimension([known[example_id] for example_id in example_ids])
