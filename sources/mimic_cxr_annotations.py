"""The PhysioNet LLaVA-Rad annotations: two findings per MIMIC-CXR study, by rules and by GPT-4.

Files ``chat_{train,dev,test}_MIMIC_CXR_all_gpt4extract_rulebased_v1.json`` in the folder
``llava-rad-mimic-cxr-annotation-1.0.0`` or in the root. They are not strict JSON (bare ``NaN``),
they repeat a study once per image and method, and the assistant's turn is no string where findings
are missing. One entry (invented, cut)::

    {"id": "10999999_50999999", "image": "mimic/p10/p10999999/s50999999/<dicom_id>.jpg",
     "generate_method": "gpt4", "reason": "Cough.", "impression": null, ..., "chexpert_labels":
     {"Atelectasis": NaN, ...}, "conversations": [{"from": "human", "value": "<image>\\n..."},
     {"from": "gpt", "value": "The lungs are clear."}]}

``indication`` is the entry's reason, else its indication, else its history.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import duckdb
import pyarrow as pa

from infra.errors import SourceError
from infra.tables import connect
from sources.record import REJECTED_SCHEMA, STUDY_SCHEMA, Origin, SectionedBy, Split
from sources.table_bytes import is_there
from sources.tables import literal_path

FOLDER: Final = "llava-rad-mimic-cxr-annotation-1.0.0"
_STEM: Final = "MIMIC_CXR_all_gpt4extract_rulebased_v1.json"
FILES: Final[dict[Split, str]] = {
    Split.TRAIN: f"chat_train_{_STEM}",
    Split.VALIDATE: f"chat_dev_{_STEM}",
    Split.TEST: f"chat_test_{_STEM}",
}
METHODS: Final[dict[str, SectionedBy]] = {
    "gpt4": SectionedBy.LLM,
    "rule-based": SectionedBy.RULES,
}
"""Both are the radiologist's words; GPT-4 took out comparisons with earlier images."""

_TEXTS_SCHEMA: Final = pa.schema(
    [pa.field("study_id", pa.string()), pa.field("texts", STUDY_SCHEMA.field("texts").type)]
)


@dataclass(frozen=True)
class Annotations:
    """What the files hold.

    Args:
        splits: those whose file is there.
        study_ids: those with a text, each once, in order.
        texts: of each of them a list of TEXT_TYPE, rules before LLM.
        rejected: REJECTED_SCHEMA rows, level text: ``id-unknown``, ``method-unknown``,
            ``findings-not-text``.
    """

    splits: frozenset[Split]
    study_ids: pa.Array
    texts: pa.Array
    rejected: pa.Table


def read_annotations(root: Path) -> Annotations | None:
    """The annotations under ``root``; None where there is no such file.

    Raises:
        SourceError: a file is not a JSON array of at least one entry.
    """
    found = {
        split: path
        for split, name in FILES.items()
        for path in (root / FOLDER / name, root / name)
        if is_there(path)
    }
    if not found:
        return None
    with connect() as connection:
        connection.execute(_EMPTY_ENTRIES)
        for path in found.values():
            _insert_entries(connection, path)
        texts = connection.sql(_TEXTS).to_arrow_table().cast(_TEXTS_SCHEMA)
        rejected = connection.sql(_REJECTED).to_arrow_table().cast(REJECTED_SCHEMA)
    study_ids, lists = (texts[name].combine_chunks() for name in texts.column_names)
    return Annotations(frozenset(found), study_ids, lists, rejected)


def _insert_entries(connection: duckdb.DuckDBPyConnection, path: Path) -> None:
    try:
        inserted = connection.execute(_INSERT_ENTRIES, [literal_path(path)]).fetchone()
    except duckdb.Error as error:
        raise _malformed(path, str(error)) from None
    except UnicodeDecodeError:  # of DuckDB's message, which quotes the bytes
        raise _malformed(path, "") from None
    if inserted == (0,):  # else its split's studies would lose their texts unseen
        raise _malformed(path, "")


def _malformed(path: Path, message: str) -> SourceError:
    place = re.search(r"at byte (\d+) in record/value (\d+)", message)
    where = f" (entry {place[2]}, byte {place[1]})" if place else ""
    return SourceError(
        f"no JSON array of entries in {path}{where}",
        "the annotation file as PhysioNet publishes it",
        "download the file again and compare its checksum with the publisher's",
    )


_FIELDS: Final = ("reason", "indication", "history", "impression")


def _text(value: str) -> str:
    """SQL: the value with single spaces if it is a JSON string that is not blank, else NULL."""
    return (
        f"CASE WHEN json_type({value}) = 'VARCHAR' "
        f"THEN nullif(trim(regexp_replace({value} ->> '$', '\\s+', ' ', 'g')), '') END"
    )


_EMPTY_ENTRIES: Final = f"""
    CREATE TEMP TABLE entries (id VARCHAR, image VARCHAR, method VARCHAR, findings VARCHAR,
        {", ".join(f"{name} VARCHAR" for name in _FIELDS)})
"""
_INSERT_ENTRIES: Final = f"""
    INSERT INTO entries
    SELECT id, image, generate_method, {_text("json_extract(conversations, '$[1].value')")},
        {", ".join(_text(name) for name in _FIELDS)}
    FROM read_json(?, format = 'array', columns = {{
        id: 'VARCHAR', image: 'VARCHAR', generate_method: 'VARCHAR', conversations: 'JSON',
        {", ".join(f"{name}: 'JSON'" for name in _FIELDS)}}})
"""
_METHOD_LIST: Final = ", ".join(f"'{name}'" for name in METHODS)
_SECTIONED_BY: Final = " ".join(f"WHEN '{name}' THEN '{by}'" for name, by in METHODS.items())
_GOOD: Final = rf"""
    SELECT *, split_part(id, '_', 2) AS study_id FROM entries
    WHERE regexp_full_match(id, '\d+_\d+') AND method IN ({_METHOD_LIST}) AND findings IS NOT NULL
"""
_TEXTS: Final = f"""
    WITH good AS ({_GOOD}), versions AS (
        SELECT study_id, method, arg_min(struct_pack(
            origin := '{Origin.RADIOLOGIST}', sectioned_by := CASE method {_SECTIONED_BY} END,
            "language" := 'en', indication := coalesce(reason, indication, history),
            technique := NULL::VARCHAR, comparison := NULL::VARCHAR, findings := findings,
            impression := impression), coalesce(image, '')) AS version
        FROM good GROUP BY study_id, method)
    SELECT study_id, list(version ORDER BY method DESC) AS texts FROM versions
    GROUP BY study_id ORDER BY study_id
"""
"""Of an entry that repeats, the one with the first image name is taken: the files give all
entries of a study and method the same text."""
_REJECTED: Final = rf"""
    WITH judged AS (
        SELECT DISTINCT coalesce(id, 'without id') AS row_id,
            CASE WHEN NOT coalesce(regexp_full_match(id, '\d+_\d+'), false) THEN 'id-unknown'
                WHEN NOT coalesce(method IN ({_METHOD_LIST}), false) THEN 'method-unknown'
                WHEN findings IS NULL THEN 'findings-not-text' END AS verdict
        FROM entries)
    SELECT 'mimic_cxr' AS source, 'text' AS level, row_id,
        CASE WHEN verdict <> 'id-unknown' THEN split_part(row_id, '_', 2) END AS study_id,
        verdict AS reason,
        CASE verdict WHEN 'id-unknown' THEN 'the id is not subject_study'
            WHEN 'method-unknown' THEN 'generate_method is neither gpt4 nor rule-based'
            ELSE 'the findings of the annotation are no text' END AS detail
    FROM judged WHERE verdict IS NOT NULL ORDER BY row_id, reason
"""
