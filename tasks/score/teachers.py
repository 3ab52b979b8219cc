"""Which language models stand behind the texts that a judge looks at."""

from __future__ import annotations

from collections.abc import Sequence

from infra.tables import connect
from sources.record import Split
from tasks.context import Context
from tasks.reports.work import REPORTS_FILE
from tasks.train.work import example_files

REFERENCES = "the references"
TRAINING_TEXT = "text that the scored model learned from"


def teachers_of(context: Context) -> list[tuple[str, str]]:
    """Each model that wrote a test example's reference or a training example's text, with which."""
    paths = [
        str(path)
        for name in context.source_names
        for path in context.artifact(f"reports/{name}").files(REPORTS_FILE)
    ]
    found = []
    for split, wrote in ((Split.TEST, REFERENCES), (Split.TRAIN, TRAINING_TEXT)):
        examples = [str(path) for path in example_files(context, split)]
        found += [(model, wrote) for model in _writers(paths, examples)]
    return found


def _writers(reports: Sequence[str], examples: Sequence[str]) -> list[str]:
    if not reports or not examples:
        return []
    with connect() as connection:
        rows = connection.execute(
            "SELECT DISTINCT model FROM read_parquet($reports) AS report SEMI JOIN (SELECT source, "
            "study_id, text_version AS version FROM read_parquet($examples)) "
            "USING (source, study_id, version) WHERE model IS NOT NULL ORDER BY model",
            {"reports": list(reports), "examples": list(examples)},
        ).fetchall()
    return [str(model) for (model,) in rows]
