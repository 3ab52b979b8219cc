"""Which written dialogues become examples, by ids alone: conversations with their film, and
requests for a film, which have none.

One row per dialogue of a set's route. Its study's split is its own. A request is held out like a
film: its study's person and picture may not stand in a more protected split, whether or not the
picture is shown, for what it asks to be drawn is that picture.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import duckdb

from infra.settings.dialogues import ROUTE_OF_TASK
from infra.settings.sections import ExampleSettings
from tasks.dialogues.record import WRITTEN_SCHEMA
from tasks.examples.filters import RULES, Rule, first_match, rule_parameters
from tasks.examples.leakage import LEAKAGE_RULES, SUBJECT_TWINS
from tasks.examples.plan import ExampleInputs, ExamplePlan, InputFile, opened, planned

_OF_STUDY: Final = ("no-split", "held-out-of-other-source")
CONVERSATION_RULES: Final[tuple[Rule, ...]] = (
    *(rule for rule in RULES if rule.reason in _OF_STUDY),
    Rule(
        "film-not-stored",
        "A conversation is about its film; a request for one needs none.",
        "$task = 'dialogue' AND file IS NULL",
        "'the film of the dialogue is not stored'",
    ),
    *(rule for rule in RULES if rule.reason == "view-not-wanted"),
    *LEAKAGE_RULES,
)
"""In the order they are asked. That the text of a held-out dialogue is a model's is no rule here,
as it is for reports: no radiologist has written any (docs/dialogues.md)."""


def plan_conversations(
    inputs: ExampleInputs, settings: ExampleSettings, pieces: int
) -> ExamplePlan:
    """Filter and guard the dialogues of one route; studies without one are no row.

    Args:
        pieces: into how many pieces each source is cut, by a stable hash of the study.

    Raises:
        ArtifactError: the inputs do not fit together (an id twice, an image of no study).
    """
    with opened(inputs, pieces) as connection:
        _open_written(connection, inputs.dialogues)
        task, route = settings.task, ROUTE_OF_TASK[settings.task]
        values = rule_parameters(settings) | {"task": task, "route": route}
        del values["section"]  # DuckDB refuses a parameter that the query does not name
        rows = planned(connection.sql(_QUERY, params=values))
    shown = ("source", "study_id", "dialogue_id", "version", "split")
    return ExamplePlan(rows, settings, inputs.pixel_digests, shown)


def _open_written(connection: duckdb.DuckDBPyConnection, files: Sequence[InputFile]) -> None:
    """The view ``written`` over the pieces of dialogues; without pieces it is empty."""
    if not files:
        connection.register("nothing", WRITTEN_SCHEMA.empty_table())
        scan = connection.table("nothing").project("*, NULL::VARCHAR AS filename")
    else:
        scan = connection.read_parquet(sorted(str(file.path) for file in files), filename=True)
    scan.project(
        "source, study_id, route, dialogue_id, image_ids[1] AS image_id, view, "
        "report_version AS version, sha256(to_json(turns)) AS dialogue_digest, "
        "filename AS dialogue_file"
    ).create_view("written")


_QUERY: Final = f"""
    WITH subject_twins AS ({SUBJECT_TWINS}),
    candidate AS (
        SELECT key, written.*, study.split, subject_id, subject_age, subject_sex, manufacturer,
               site, study.file AS study_file, image.file, image.file_row, subject_twin, image_twin
        FROM (SELECT * FROM written WHERE route = $route) AS written
        JOIN study USING (source, study_id) JOIN piece USING (source, study_id)
        LEFT JOIN (SELECT source, study_id, image_id, file, file_row FROM image) AS image
            USING (source, study_id, image_id)
        LEFT JOIN image_twins USING (source, study_id, image_id)
        LEFT JOIN subject_twins USING (source, study_id)
    ),
    judged AS (
        SELECT *, {first_match(CONVERSATION_RULES, "reason")} AS reason,
               {first_match(CONVERSATION_RULES, "detail")} AS detail
        FROM candidate
    )
    SELECT key, source, study_id, image_id, dialogue_id, version, split, reason, detail,
           study_file, dialogue_file,
           CASE WHEN $task = 'dialogue' AND file IS NOT NULL
                THEN [struct_pack(image_id := image_id, file := file, row := file_row)]
                ELSE [] END AS films,
           []::STRUCT(image_id VARCHAR, reason VARCHAR)[] AS left_out,
           CASE WHEN reason IS NULL THEN sha256(to_json([dialogue_digest, subject_id,
                subject_age::VARCHAR, subject_sex, manufacturer, site])) END AS row_digest
    FROM judged
    ORDER BY key, source, study_id, dialogue_id
"""
