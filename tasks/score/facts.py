"""What is known of each test example beside its text: what its scores can be sliced by."""

from __future__ import annotations

from collections.abc import Sequence

import duckdb

from infra.errors import InputError


def example_facts(shards: Sequence[str], example_ids: Sequence[str]) -> dict[str, list[str]]:
    """By dimension one value for each example; ``unknown`` where the source does not tell.

    Args:
        shards: local paths of the shards that were tested on.

    Raises:
        InputError: an example is not in them.
    """
    from evaluation.slices import DIMENSIONS, UNKNOWN, age_band

    rows = duckdb.execute(
        "SELECT example_id, source, images[1].view, subject_sex, subject_age, manufacturer, site "
        "FROM read_parquet($shards)",
        {"shards": list(shards)},
    ).fetchall()
    known = {
        example_id: (source, view, sex, age_band(age), manufacturer, site)
        for example_id, source, view, sex, age, manufacturer, site in rows
    }
    missing = [example_id for example_id in example_ids if example_id not in known]
    if missing:
        raise InputError(
            f"{len(missing)} predictions without their example",
            "the examples that were predicted",
            "predict again",
        )
    return {
        dimension: [known[example_id][place] or UNKNOWN for example_id in example_ids]
        for place, dimension in enumerate(DIMENSIONS)
    }
