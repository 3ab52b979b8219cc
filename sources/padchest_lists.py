"""PadChest's list cells, which are Python source text, taken apart in SQL.

The statements run in order over a table ``plain`` (study_id, names, sentences) and a table
``meanings`` (name, observation, value; see ``padchest_labels``). Items may carry a leading space
(``' pneumonia'``), may be empty, and hold places as ``'loc right'`` or ``'loc  right'``.
"""

from __future__ import annotations

from typing import Final

from sources.padchest_labels import DEVICES, EXCLUDE, NORMAL, SUBOPTIMAL
from sources.record import OBSERVATIONS
from sources.tables import sql_text

_QUOTED: Final = "''[^'']*''|\"[^\"]*\""
"""One item: Python quotes with double quotes only what holds an apostrophe."""
_USELESS: Final = f"({sql_text(EXCLUDE)}, {sql_text(SUBOPTIMAL)})"
_OBSERVATIONS: Final = ", ".join(sql_text(name) for name in OBSERVATIONS)
_DEVICES: Final = ", ".join(sql_text(name) for name in sorted(DEVICES))


def items_sql(column: str) -> str:
    """The trimmed items of a list cell, blanks left out: an expression of type VARCHAR[]."""
    found = f"regexp_extract_all(coalesce({column}, ''), '{_QUOTED}')"
    trimmed = f"list_transform({found}, lambda item: trim(item[2:-2]))"
    return f"list_filter({trimmed}, lambda item: item <> '')"


STUDY_NAMES: Final = f"""
CREATE TEMP TABLE study_names AS
WITH union_of_rows AS (
    SELECT study_id, list_distinct(flatten(list({items_sql("names")}))) AS names
    FROM plain WHERE study_id IS NOT NULL GROUP BY study_id
), split AS (
    SELECT study_id, names, list_filter(names, lambda n: n NOT IN {_USELESS}) AS telling,
        list_filter(names, lambda n: n NOT IN {_USELESS} AND n <> '{NORMAL}') AS abnormal
    FROM union_of_rows
)
SELECT study_id, CASE WHEN len(abnormal) > 0 THEN abnormal ELSE telling END AS names,
    list_contains(names, '{NORMAL}') AND list_has_all([{_DEVICES}], abnormal) AS is_normal,
    CASE WHEN len(names) = 0 OR len(telling) > 0 THEN NULL
        WHEN list_contains(names, '{EXCLUDE}') THEN 'label-exclude' ELSE 'label-suboptimal'
        END AS study_reason
FROM split
"""
"""At report level ``exclude`` and ``normal`` go where other labels exist, as the publisher's own
code does; ``suboptimal study`` goes with ``exclude`` (our choice). ``is_normal`` allows devices."""

LABELS: Final = f"""
CREATE TEMP TABLE study_labels AS
WITH observed AS (
    SELECT study_id, observation, min(meanings."value") AS "value"
    FROM (SELECT study_id, unnest(names) AS name FROM study_names) JOIN meanings USING (name)
    GROUP BY ALL
    UNION ALL
    SELECT study_id, 'No Finding', 'positive' FROM study_names WHERE is_normal
)
SELECT study_id, list(struct_pack(observation, "value")
    ORDER BY list_position([{_OBSERVATIONS}], observation)) AS labels
FROM observed GROUP BY study_id
"""
"""``min`` lets positive win over uncertain."""

PLACED: Final = rf"""
CREATE TEMP TABLE placed AS
WITH sentence AS (
    SELECT DISTINCT study_id, unnest(regexp_extract_all(sentences, '\[[^\[\]]*\]')) AS cell
    FROM plain WHERE study_id IS NOT NULL
), listed_items AS (
    SELECT study_id, cell, {items_sql("cell")} AS items FROM sentence
), item AS (
    SELECT study_id, cell, unnest(items) AS text, generate_subscripts(items, 1) AS nth
    FROM listed_items
), numbered AS (
    SELECT *, starts_with(text, 'loc ') AS is_place, count(*) FILTER (NOT starts_with(text, 'loc '))
        OVER (PARTITION BY study_id, cell ORDER BY nth) AS label FROM item
)
SELECT DISTINCT study_id, first(text) FILTER (NOT is_place) AS name,
    string_agg(trim(text[5:]), ', ' ORDER BY nth) FILTER (is_place) AS "location"
FROM numbered WHERE label > 0 GROUP BY study_id, cell, label
"""
"""In a sentence's list a label's places follow it; places before any label belong to none."""

SOURCE_LABELS: Final = """
CREATE TEMP TABLE study_source_labels AS
WITH named AS (SELECT study_id, unnest(names) AS name FROM study_names), with_place AS (
    SELECT DISTINCT study_id, name, "location" FROM named LEFT JOIN placed USING (study_id, name)
)
SELECT study_id, list(struct_pack("name" := name, "value" := 'positive', "location" := "location",
    votes := NULL::SMALLINT, readers := NULL::SMALLINT) ORDER BY name, "location") AS source_labels
FROM with_place GROUP BY study_id
"""

STATEMENTS: Final = (STUDY_NAMES, LABELS, PLACED, SOURCE_LABELS)
