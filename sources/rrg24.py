"""RRG24 / Interpret-CXR: five datasets' reports with all their views, as the shared task gave them.

Raw tree; the repositories of the Hugging Face hub in folders of the root, and for the MIMIC-CXR
member one's own MIMIC-CXR-JPG tree in the root or in a folder of it::

    rrg24-shared-task-bionlp/data/train-00000-of-00100.parquet  validation-….parquet
    interpret-cxr-test-public/data/test-….parquet
    interpret-cxr-test-hidden/data/test-….parquet          sections are the words to_generate
    mimic-cxr-jpg/mimic-cxr-2.0.0-metadata.csv(.gz)  mimic-cxr-2.0.0-split.csv(.gz)
    mimic-cxr-jpg/mimic_cxr_sectioned.csv  files/…

One row (invented), its images embedded::

    {"source": "CheXpert", "findings": "", "impression": "No acute process.",
     "images": [{"bytes": …, "path": …}], "images_path": ["train/patient99999/study1/…jpg"]}

Each row is a study, named by its part and row (``train/17``, ``test-hidden/3``); those of the
MIMIC-CXR member, which ``rrg24_mimic`` builds by the organisers' rules, have MIMIC-CXR's id. The
member's name is the study's ``site``, so that scores are told by member. Images keep their order;
an image's id is member and path, else its study's id and place. Parquet pictures are read in place
(``….parquet!images/17/0``).

A section that is to be generated is absent, and named by the source label ``to_generate`` at its
location: such studies are test without reference, there for a submission, and never scored.
Reports of PadChest and BIMCV-COVID19 are the publisher's translations from Spanish.

Views: of MIMIC-CXR from its metadata, of CheXpert and BIMCV-COVID19 as far as the path tells
(``_lateral``, ``vp-pa``), else UNKNOWN. Subjects: of MIMIC-CXR and CheXpert, from the path; the
publisher's split is by study, so one person may be in train and validate: the guard takes those
studies, and MIMIC-CXR's held-out persons, out of training (``subjects_of``).
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc

from infra.egress import Egress
from infra.errors import SourceError
from infra.licences import Use
from infra.tables import connect
from sources.assembly import assemble
from sources.card import Access, Card, Expected
from sources.mimic_cxr_tables import VIEWS
from sources.record import Level, Reading, Split
from sources.rrg24_mimic import (
    MEMBER,
    METADATA,
    build_mimic,
    differing_parts,
    read_positions,
)
from sources.rrg24_shards import DEPTHS, find_shards, read_shard
from sources.tables import query, sql_text

TO_GENERATE: Final = "to_generate"
_STATED: Final = {
    "PadChest": ((101_752, None), (2_641, None)),
    "BIMCV-COVID19": ((45_525, None), (1_202, None)),
    "CheXpert": ((45_491, 181_619), (1_112, 4_589)),
    "OpenI": ((3_252, 3_628), (85, 92)),
    MEMBER: ((148_374, 181_166), (3_799, 4_650)),
}
"""Findings and impressions of train and validation by member (source_formats 12)."""

CARD = Card(
    name="rrg24",
    title="RRG24 / Interpret-CXR (BioNLP at ACL 2024)",
    access=Access.AGREEMENT,
    licence="Hugging Face gate with CITI certificate; each member's own agreement applies",
    use=Use.RESEARCH,
    citation="Xu et al. 2024, arXiv 2409.16603 (RRG24 at BioNLP 2024)",
    llm_egress=Egress.NEVER,
    required=(tuple(DEPTHS),),
    language="en",
    has_reports=True,
    official_split=True,
    expected=Expected(
        studies=564_506,
        parts=tuple(
            (f"{member} {part} {section}", count)
            for member, parts in _STATED.items()
            for part, counts in zip(("train", "validation"), parts, strict=True)
            for section, count in zip(("findings", "impressions"), counts, strict=True)
            if count is not None
        ),
    ),
    subjects_of="mimic_cxr",
)
"""Counts: train 550,395 and validation 14,111 (source_formats 12). Of the tests, 1,063 hidden
findings are a third party's word; the other sizes are unverified (rrg24 2.2)."""

_FILMS: Final = pa.schema(
    [
        ("study", pa.int64()),
        *(
            (name, pa.string())
            for name in (
                *("study_id", "subject_id", "split", "member", "findings", "impression"),
                *("path", "uri", "dicom_id", "reason", "detail"),
            )
        ),
        ("place", pa.int64()),
    ]
)
"""One row per listed image, with its study's values; ``study`` and ``place`` give the order."""


def read(root: Path) -> Reading:
    """Read the shards' texts, and build the MIMIC-CXR member where its tree is there.

    Added reasons: image ``image-missing`` (a row without one), ``view-unranked`` and
    ``image-unknown`` (of the MIMIC-CXR member, left out by the organisers' rules).

    Raises:
        SourceError: a shard or table that cannot be read, or a part that is there twice.
    """
    CARD.require_files(root)
    tree = _find_tree(root)
    films = [_shard_films(root), _mimic_films(root, tree)]
    with connect() as connection:
        connection.register("films", pa.concat_tables(films))
        connection.register("positions", _positions(tree))
        connection.execute(_LISTED)
        return assemble(connection, CARD.name)


def doubts(root: Path) -> list[str]:
    """One line where the MIMIC-CXR member is absent, or is not the organisers' own.

    Raises:
        SourceError: a table of the member that cannot be read.
    """
    tree = _find_tree(root)
    if tree is None:
        return [
            f"rrg24: no {METADATA} below {root}, so the {MEMBER} member, two fifths of the "
            "training reports, is not there; link MIMIC-CXR-JPG into that folder: scores without "
            "it are not the shared task's"
        ]
    differs = differing_parts(build_mimic(tree))
    if not differs:
        return []
    parts = " and ".join(f"{part} ({digest[:12]}…)" for part, digest in differs.items())
    return [
        f"rrg24: the {MEMBER} member built from {tree} is not the organisers': {parts}; expected "
        "their digests, as MIMIC-CXR-JPG 2.0.0 whole and MIMIC-CXR's own sectioning script give: "
        "scores on it are not the shared task's"
    ]


def counted(reading: Reading) -> dict[str, int]:
    """What the card counts: studies and sections of train and validation, without the tests."""
    rows = query(_COUNTED, studies=reading.studies).to_pylist()
    lost = reading.rejected.filter(pc.equal(reading.rejected["level"], Level.STUDY))
    held = pc.sum(pc.starts_with(lost["row_id"], "test-")).as_py() or 0
    studies = sum(row["studies"] for row in rows) + lost.num_rows - held
    return (
        {"studies": studies}
        | dict.fromkeys(dict(CARD.expected.parts), 0)
        | {
            f"{row['member']} {row['part']} {section}": row[section]
            for row in rows
            for section in ("findings", "impressions")
        }
    )


_COUNTED: Final = f"""
    SELECT site AS member, if(split = '{Split.TRAIN}', 'train', 'validation') AS part,
        count(*) AS studies, count_if(len(list_filter(texts, lambda t: t.findings IS NOT NULL)) > 0)
            AS findings,
        count_if(len(list_filter(texts, lambda t: t.impression IS NOT NULL)) > 0) AS impressions
    FROM studies WHERE split <> '{Split.TEST}' GROUP BY ALL ORDER BY ALL
"""


def _find_tree(root: Path) -> Path | None:
    names = (METADATA, f"{METADATA}.gz")
    found = [path for name in names for depth in ("", "*/") for path in root.glob(depth + name)]
    return min(found, key=lambda path: (len(path.parts), path)).parent if found else None


def _shard_films(root: Path) -> pa.Table:
    """The films of all shards; row numbers count on from shard to shard of a part."""
    tables = [_FILMS.empty_table()]
    before: dict[str, int] = {}
    for number, shard in enumerate(find_shards(root)):
        rows = read_shard(shard)
        first = before.get(shard.part, 0)
        before[shard.part] = first + rows.num_rows
        counts = pc.list_value_length(rows["images"])
        names = rows["images_path"] if "images_path" in rows.column_names else None
        plain = pa.table(
            {
                "row": pa.array(range(rows.num_rows), pa.int64()),
                "images": pc.coalesce(counts, 0),
                "paths": names.cast(_NAMES)
                if names is not None
                else pa.nulls(rows.num_rows, _NAMES),
                **{name: rows[name] for name in ("source", "findings", "impression")},
            }
        )
        sql = _OF_SHARD.format(
            number=number,
            first=first,
            part=sql_text(shard.part),
            place=sql_text(shard.place),
            split=sql_text(shard.split),
        )
        tables.append(query(sql, rows=plain).select(_FILMS.names).cast(_FILMS))
    if len(tables) == 1:
        raise SourceError(f"no shards in {root}", "at least one", "see 'cxr sources rrg24'")
    return pa.concat_tables(tables)


_NAMES: Final = pa.list_(pa.string())
_OF_SHARD: Final = r"""
    WITH each AS (
        SELECT *, unnest(range(greatest(images, 1))) AS place,
            {part} || '/' || ({first} + "row") AS study_id FROM rows)
    SELECT {number}::BIGINT * 1000000000 + "row" AS study, study_id, {split} AS split,
        source AS member, findings, impression, place,
        nullif(trim(paths[place + 1]), '') AS path,
        {place} || '!images/' || "row" || '/' || place AS uri,
        coalesce(nullif(regexp_extract(path, 'files/p\d\d/p(\d+)/s\d+/', 1), ''),
            nullif(regexp_extract(path, '(patient\d+)/', 1), '')) AS subject_id,
        nullif(regexp_extract(path, 'files/p\d\d/p\d+/s\d+/([^/]+)\.jpg$', 1), '') AS dicom_id,
        CASE WHEN images = 0 THEN 'image-missing' END AS reason,
        CASE WHEN images = 0 THEN 'the row holds no image' END AS detail
    FROM each
"""


def _mimic_films(root: Path, tree: Path | None) -> pa.Table:
    """The films of the MIMIC-CXR member; none without its tree."""
    if tree is None:
        return _FILMS.empty_table()
    folder = "" if tree == root else f"{tree.relative_to(root).as_posix()}/"
    rows = []
    for number, study in enumerate(build_mimic(tree)):
        for place, film in enumerate((*study.films, *study.left_out)):
            is_listed = film.position is not None
            row = {
                "study": number - (1 << 40),  # before all shards
                "place": place,
                "study_id": study.study_id,
                "subject_id": study.subject_id,
                "split": str(study.split),
                "member": MEMBER,
                "findings": study.findings,
                "impression": study.impression,
                "path": study.path(film.image_id),
                "uri": f"{folder}{study.path(film.image_id)}",
                "dicom_id": film.image_id,
            }
            if film in study.left_out:
                row["reason"] = "view-unranked" if is_listed else "image-unknown"
                row["detail"] = (
                    "the organisers rank no such ViewPosition"
                    if is_listed
                    else "not in the metadata table"
                )
            rows.append(row)
    return pa.Table.from_pylist(rows, schema=_FILMS)


def _positions(tree: Path | None) -> pa.Table:
    """Columns ``dicom_id`` and ``view`` of MIMIC-CXR's metadata."""
    positions = read_positions(tree) if tree else {}
    views = [str(VIEWS.get(position, "UNKNOWN")) for position in positions.values()]
    return pa.table(
        {"dicom_id": pa.array(positions, pa.string()), "view": pa.array(views, pa.string())}
    )


def _section(name: str) -> str:
    """SQL: a section without white space at its ends; NULL where it is absent or to be written."""
    return f"nullif(nullif(trim({name}, E' \\t\\r\\n'), ''), '{TO_GENERATE}')"


def _asked(name: str) -> str:
    """SQL: the source label of a section that is to be written, or NULL."""
    return f"""CASE WHEN trim({name}, E' \\t\\r\\n') = '{TO_GENERATE}' THEN struct_pack(
        "name" := '{TO_GENERATE}', "value" := 'positive', "location" := '{name}',
        votes := NULL::SMALLINT, readers := NULL::SMALLINT) END"""


_LISTED: Final = f"""
    CREATE TEMP VIEW listed AS
    WITH told AS (
        SELECT *, {_section("findings")} AS found, {_section("impression")} AS summed,
            lower(path) AS low FROM films)
    SELECT row_number() OVER (ORDER BY study, place) - 1 AS "row",
        CASE WHEN uri IS NULL THEN NULL WHEN path IS NULL THEN study_id || '/' || place
            ELSE coalesce(member, '') || '/' || path END AS image_id,
        study_id, subject_id, split, member AS site, uri, reason, detail,
        CASE WHEN positions."view" IS NOT NULL THEN positions."view"
            WHEN regexp_matches(low, '_lateral\\.[a-z]+$|vp-l') THEN 'LATERAL'
            WHEN contains(low, 'vp-pa') THEN 'PA' WHEN contains(low, 'vp-ap') THEN 'AP'
            ELSE 'UNKNOWN' END AS "view",
        CASE WHEN found IS NOT NULL OR summed IS NOT NULL THEN [struct_pack(
            origin := CASE WHEN regexp_matches(lower(coalesce(member, '')), 'padchest|bimcv')
                THEN 'translated' ELSE 'radiologist' END,
            sectioned_by := 'publisher', "language" := 'en',
            indication := NULL::VARCHAR, technique := NULL::VARCHAR, comparison := NULL::VARCHAR,
            findings := found, impression := summed)] END AS texts,
        list_filter([{_asked("findings")}, {_asked("impression")}],
            lambda one: one IS NOT NULL) AS source_labels
    FROM told LEFT JOIN positions USING (dicom_id)
"""
