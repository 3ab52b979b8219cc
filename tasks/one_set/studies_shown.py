"""A few of the common studies with what each model wrote about them, for the page.

Report text and films of a gated source never leave the data root; the page lies under it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from infra.fingerprint import fingerprint
from infra.tables import connect
from sources.record import Split
from tasks.one_set.plan import ComparisonPlan
from tasks.score.page import as_png, prediction_files, rows_of
from tasks.train.work import example_files

if TYPE_CHECKING:
    from evaluation.one_set_page import ShownStudy

SHOWN: Final = 6
"""Studies on the page. Our choice: what a person reads."""


def shown_studies(plan: ComparisonPlan) -> list[ShownStudy]:
    """Some studies, drawn by a hash of their ids alone: no model's answers choose them."""
    from evaluation.one_set_page import ShownStudy

    shown = {model.recipe: model.shown for model in plan.models}
    first = plan.models[0].shown
    shards = [str(path) for path in example_files(first, Split.TEST)]
    chosen = _chosen(shards)
    films = rows_of(shards, chosen, "true")
    written = {
        recipe: rows_of(prediction_files(context), chosen, "control = 'none'")
        for recipe, context in shown.items()
    }
    return [
        ShownStudy(
            films[name]["source"],
            films[name]["study_id"],
            as_png(films[name]["images"][0]["pixels"]),
            films[name]["target"],
            {recipe: rows[name]["prediction"] for recipe, rows in written.items()},
        )
        for name in chosen
    ]


def _chosen(shards: list[str]) -> list[str]:
    query = "SELECT example_id FROM read_parquet($files)"
    with connect() as connection:
        rows = connection.execute(query, {"files": shards}).fetchall()
    return sorted((row[0] for row in rows), key=lambda name: fingerprint([name]))[:SHOWN]
