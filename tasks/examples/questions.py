"""Which questions become examples, by ids alone: each with the films that its publisher asks about.

One row per dialogue of the studies. A question's split is its own, else its study's; a study whose
films are shown by questions of several splits stands in the most protected one. Beside the rules
of persons and pictures, a question leaves when one that it is tied to, or one that shows the same
film, is held out.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import duckdb

from infra.settings.sections import ExampleSettings
from tasks.examples.filters import RULES, Rule, first_match, rule_parameters
from tasks.examples.leakage import (
    DIALOGUE_RULE,
    DIALOGUE_TWINS,
    HELD_OUT_FILM_RULE,
    LEAKAGE_RULES,
    SUBJECT_TWINS,
)
from tasks.examples.plan import ExampleInputs, ExamplePlan, InputFile, opened, planned

VERSION: Final = "keep"
"""The text version of a question: as its publisher wrote it."""

QUESTION_RULES: Final[tuple[Rule, ...]] = (
    *(rule for rule in RULES if rule.reason in ("no-split", "held-out-of-other-source")),
    Rule(
        "film-not-stored",
        "A question is about its films; without one of them it cannot be answered.",
        "stored < greatest(asked, 1)",
        "stored || ' of its ' || asked || ' films are stored'",
    ),
    Rule(
        "more-films-than-shown",
        "A question about what changed cannot be answered from one of its films: what is learned "
        "of it is to guess.",
        "asked > $most_images",
        "asked || ' films are asked about, of which ' || $most_images || ' would be shown'",
    ),
    Rule(
        "not-answered",
        "What is learned is the last answer; a dialogue that ends otherwise has none.",
        "NOT answered",
        "'the dialogue ends without an answer to a question'",
    ),
)


def question_rules(settings: ExampleSettings) -> tuple[Rule, ...]:
    """In the order they are asked; the last is left out where the recipe allows films on both
    sides."""
    own = () if settings.films_on_both_sides else (HELD_OUT_FILM_RULE,)
    return (*QUESTION_RULES, *LEAKAGE_RULES, DIALOGUE_RULE, *own)


def plan_questions(inputs: ExampleInputs, settings: ExampleSettings, pieces: int) -> ExamplePlan:
    """Filter and guard the questions of all studies; studies without one are no row.

    Args:
        pieces: into how many pieces each source is cut, by a stable hash of the study.

    Raises:
        ArtifactError: the inputs do not fit together (an id twice, an image of no study).
    """
    with opened(inputs, pieces) as connection:
        _open_dialogues(connection, inputs.studies)
        query = _plan_query(question_rules(settings))
        values = rule_parameters(settings) | {"most_images": settings.most_images}
        rows = planned(connection.sql(query, params=_used(values, query)))
    shown = ("source", "study_id", "dialogue_id", "split")
    return ExamplePlan(rows, settings, inputs.pixel_digests, shown)


def _used(values: dict[str, object], query: str) -> dict[str, object]:
    """DuckDB refuses a parameter that the query does not name."""
    return {name: value for name, value in values.items() if f"${name}" in query}


_DIALOGUES: Final = """
    SELECT source, study_id, coalesce(one.split, split) AS split, one.dialogue_id AS dialogue_id,
           one."group" AS "group", one.image_ids AS image_ids,
           len(one.turns) > 1 AND one.turns[-1].role = 'assistant' AS answered,
           sha256(to_json(one)) AS dialogue_digest
    FROM (SELECT source, study_id, split, unnest(dialogues) AS one FROM rows)
"""


def _open_dialogues(connection: duckdb.DuckDBPyConnection, files: Sequence[InputFile]) -> None:
    """The view ``dialogue`` over the studies' pieces; without pieces it is empty."""
    if not files:
        connection.execute(
            "CREATE VIEW dialogue AS SELECT NULL::VARCHAR AS source, NULL::VARCHAR AS study_id, "
            'NULL::VARCHAR AS split, NULL::VARCHAR AS dialogue_id, NULL::VARCHAR AS "group", '
            "NULL::VARCHAR[] AS image_ids, true AS answered, '' AS dialogue_digest WHERE false"
        )
        return
    paths = sorted(str(file.path) for file in files)
    connection.read_parquet(paths).project("source, study_id, split, dialogues").create_view("rows")
    connection.execute(f"CREATE VIEW dialogue AS {_DIALOGUES}")


_SHOWN: Final = """
    SELECT source, study_id, dialogue_id, count(*) AS asked, count(file) AS stored,
           list(struct_pack(image_id := image_id, file := file, row := file_row) ORDER BY place)
               FILTER (file IS NOT NULL) AS films,
           first(image_twin ORDER BY place) FILTER (image_twin IS NOT NULL) AS image_twin,
           max(rank) AS rank
    FROM (
        SELECT wanted.*, image.file, image.file_row, image_twin,
               list_position(['train', 'validate', 'test'], study.split) AS rank
        FROM (
            SELECT source, study_id, dialogue_id, unnest(image_ids) AS image_id,
                   generate_subscripts(image_ids, 1) AS place
            FROM dialogue
        ) AS wanted
        LEFT JOIN image ON image.source = wanted.source AND image.image_id = wanted.image_id
            AND (place > 1 OR image.study_id = wanted.study_id)
        LEFT JOIN study ON study.source = wanted.source
            AND study.study_id = coalesce(image.study_id, wanted.study_id)
        LEFT JOIN image_twins ON image_twins.source = image.source
            AND image_twins.study_id = image.study_id AND image_twins.image_id = image.image_id
    )
    GROUP BY source, study_id, dialogue_id
"""
"""The films of each question in their order; ``rank`` is of the most protected study among them.

The first film is the study's own; further ones may be of another study, and image ids are unique
in a source."""


def _plan_query(rules: tuple[Rule, ...]) -> str:
    return f"""
        WITH subject_twins AS ({SUBJECT_TWINS}),
        dialogue_twins AS ({DIALOGUE_TWINS}),
        shown AS ({_SHOWN}),
        candidate AS (
            SELECT key, dialogue.* EXCLUDE ("group", image_ids), films, subject_id,
                   coalesce(asked, 0) AS asked, coalesce(stored, 0) AS stored,
                   subject_age, subject_sex, manufacturer, site, study.file AS study_file,
                   subject_twin, image_twin, dialogue_twin,
                   ['train', 'validate', 'test'][rank] AS study_split
            FROM dialogue JOIN study USING (source, study_id) JOIN piece USING (source, study_id)
            LEFT JOIN shown USING (source, study_id, dialogue_id)
            LEFT JOIN subject_twins USING (source, study_id)
            LEFT JOIN dialogue_twins USING (source, study_id, dialogue_id)
        ),
        judged AS (
            SELECT *, {first_match(rules, "reason")} AS reason,
                   {first_match(rules, "detail")} AS detail
            FROM candidate
        )
        SELECT key, source, study_id, NULL::VARCHAR AS image_id, dialogue_id,
               '{VERSION}' AS version, split, reason, detail, study_file, films,
               []::STRUCT(image_id VARCHAR, reason VARCHAR)[] AS left_out,
               CASE WHEN reason IS NULL THEN sha256(to_json([dialogue_digest, subject_id,
                    subject_age::VARCHAR, subject_sex, manufacturer, site])) END AS row_digest
        FROM judged
        ORDER BY key, source, study_id, dialogue_id
    """
