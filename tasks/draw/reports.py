"""Have the recipe's report model write about drawn and real films, in the same words.

No indication is told with either: a drawn film has none, and a real film's would tell part of its
report.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

from infra.launch import Event
from infra.parent import run_in_child
from infra.parquet import write_table
from infra.runs import GenerateRun
from infra.settings.film_ability import reporter_of
from sources.example import EXAMPLE_SCHEMA, Task, request_turn
from sources.record import Origin, Split
from tasks.context import Context
from tasks.draw.films import TRAINED
from tasks.draw.readings import REAL, Films, weights_digest
from tasks.predict.work import PREDICTIONS_FILE
from tasks.train.work import PIECE

if TYPE_CHECKING:
    from evaluation.drawn_scores import Reported

NO_REPORTER: Final = "the recipe has no ability that writes reports"
REPORTS_SCHEMA: Final = pa.schema(
    [
        pa.field("example_id", pa.string(), nullable=False),
        pa.field("study_id", pa.string(), nullable=False),
        pa.field("control", pa.string(), nullable=False),
        pa.field("prediction", pa.string(), nullable=False),
        pa.field("reference", pa.string(), nullable=False),
    ]
)
"""What the report model wrote: ``control`` is ``none`` for a drawn film and ``real`` for a real
one."""


def write_reports(
    context: Context, films: Films, scratch: Path, on_event: Callable[[Event], None]
) -> tuple[Reported, pa.Table] | None:
    """What was written, for scores and as REPORTS_SCHEMA; None where there is no report model."""
    from evaluation.drawn_scores import Reported

    settings = context.settings
    reporter = reporter_of(context.asked.films, settings.abilities)
    if reporter is None:
        return None
    asked = settings.abilities[reporter]
    model = context.artifact(f"stages/{asked.stage}")
    shard = scratch / "asked.parquet"
    scratch.mkdir(parents=True, exist_ok=True)
    write_table(shard, _asked(films, context, reporter))
    run = GenerateRun(
        model=model.local_folder(PIECE),
        generate=asked.generate,
        examples=(shard,),
        output=scratch / "written",
        scratch=scratch / "parts",
    )
    processes = context.environment.processes_per_node
    run_in_child("models.generate", run, scratch, on_event, processes=processes)
    told = pq.read_table(run.output / PREDICTIONS_FILE, columns=["example_id", "prediction"])
    written = dict(zip(*(column.to_pylist() for column in told.columns), strict=True))
    rows = [
        {**_reference(row), "control": kind, "prediction": written[f"{kind}:{row['example_id']}"]}
        for kind in (TRAINED, REAL)
        for row in films.prompts
    ]
    drawn, real = (
        tuple(row["prediction"] for row in rows if row["control"] == kind)
        for kind in (TRAINED, REAL)
    )
    references = tuple(row["reference"] for row in films.prompts)
    found = Reported(references, drawn, real, films.units, weights_digest(model, PIECE))
    return found, pa.Table.from_pylist(rows, schema=REPORTS_SCHEMA)


def _reference(row: Mapping[str, Any]) -> dict[str, Any]:
    return {name: row[name] for name in ("example_id", "study_id", "reference")}


def _asked(films: Films, context: Context, reporter: str) -> pa.Table:
    """An example for each film, asked for a report without an indication."""
    examples = context.settings.sets[context.settings.abilities[reporter].examples]
    turn = request_turn(Task(examples.task), None, examples.request)
    rows = [
        {
            "example_id": f"{kind}:{row['example_id']}",
            "task": str(examples.task),
            **{name: row[name] for name in ("source", "study_id", "subject_id")},
            "split": str(Split.TEST),
            "text_version": "drawn",
            "origin": str(Origin.SYNTHESIZED),
            "images": [
                {
                    "image_id": row["film_id"],
                    "view": row["view"],
                    "pixels": row["pixels"] if kind == TRAINED else films.real[row["example_id"]],
                    "width": row["width"],
                    "height": row["height"],
                }
            ],
            "indication": None,
            "turns": [{"role": turn.role, "text": turn.text}],
            "target": row["reference"],
        }
        for kind in (TRAINED, REAL)
        for row in films.prompts
    ]
    return pa.Table.from_pylist(rows, schema=EXAMPLE_SCHEMA)
