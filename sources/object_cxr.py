"""object-CXR: 10 thousand frontal films, half of them with foreign objects; no reports.

Raw tree (each zip may also lie unpacked, as the folder of its name)::

    train.zip      members train/<name>.jpg
    dev.zip        members dev/<name>.jpg
    train.csv      one row per image
    dev.csv

Two rows (invented); the second column's cell is blank where there is no object. The first column
is called ``image_name`` by every loader and ``image_path`` by the documentation::

    00001.jpg,0 120 340 180 410;2 10 10 40 12 38 55;1 600 700 650 760
    00002.jpg,

Objects are joined by ``;``: type and integer px, ``0`` rectangle and ``1`` ellipse by two corners,
``2`` polygon by its vertices, which may be negative (clamped to 0). Each becomes one box.

Each image is a study, named by its part and name (``train/00001``), since both parts may use a
name. There are no persons. ``train`` is train and ``dev`` is validate; the challenge's test images
were never given out. All films are frontal; none says PA or AP, and they are taken as PA, the
standard of the township hospitals' walk-in patients (our choice: UNKNOWN would keep all of them out
of frontal-only recipes).

The one label, ``Foreign object``, is none of the 14 observations, and support devices were not
annotated: the labels stay empty, so that neither No Finding nor Support Devices is made up.
"""

from __future__ import annotations

from pathlib import Path, PurePosixPath
from typing import Final

import pyarrow as pa

from infra.egress import Egress
from infra.errors import SourceError
from infra.tables import connect
from sources.assembly import assemble
from sources.boxes import BOX_COLUMNS, attach_boxes
from sources.card import Access, Card, Expected
from sources.picture_sizes import size_boxed_images
from sources.raw_files import RawFileError, RawFolder, is_storable
from sources.record import Reading
from sources.table_bytes import is_there
from sources.tables import query, read_csv

CARD = Card(
    name="object_cxr",
    title="object-CXR (JF Healthcare, MIDL 2020)",
    access=Access.OPEN,
    licence="none stated; treated as closed until it is known",
    use=None,
    citation="JF Healthcare 2020, object-CXR, MIDL 2020 challenge, archive.org/details/object-CXR",
    llm_egress=Egress.NEVER,
    required=(("train.csv",), ("dev.csv",), ("train.zip", "train"), ("dev.zip", "dev")),
    language=None,
    has_reports=False,
    official_split=True,
    expected=Expected(studies=10_000, images=10_000),
)

LABEL: Final = "Foreign object"
_SPLITS: Final = {"train": "train", "dev": "validate"}
_NAME_COLUMNS: Final = ("image_name", "image_path")


def read(root: Path) -> Reading:
    """Read both tables, the zips' lists of members, and the sizes of images with objects.

    Added reasons: image ``id-missing``, ``file-missing``, ``annotation-unreadable``.

    Raises:
        SourceError: a table or zip that is missing or cannot be read.
    """
    CARD.require_files(root)
    with connect() as connection:
        tables = [_read_table(root / f"{part}.csv", part) for part in _SPLITS]
        files = [_list_files(root, part) for part in _SPLITS]
        connection.register("rows", pa.concat_tables(tables))
        connection.register("files", pa.concat_tables(files))
        for statement in (_OBJECTS, _LISTED):
            connection.execute(statement)
        boxes = connection.sql(_BOXES).to_arrow_table()
        reading = attach_boxes(assemble(connection, CARD.name), boxes)
        return size_boxed_images(reading, root)


def _read_table(path: Path, part: str) -> pa.Table:
    """Columns ``part, name, annotation``; ``name`` without folders."""
    table = read_csv(path, ("annotation",), optional=_NAME_COLUMNS)
    if all(table[name].null_count == table.num_rows for name in _NAME_COLUMNS):
        raise SourceError(
            f"no column '{_NAME_COLUMNS[0]}' or '{_NAME_COLUMNS[1]}' with a name in {path}",
            "one of them, with the images' file names",
            "check that this is the publisher's file and release",
        )
    return query(
        f"""SELECT '{part}' AS part, trim(annotation) AS annotation,
            nullif(regexp_extract(trim(coalesce(image_name, image_path)), '[^/]*$'), '') AS name
            FROM published""",
        published=table,
    )


def _list_files(root: Path, part: str) -> pa.Table:
    """Columns ``part``, ``name`` and ``uri`` of every JPEG of one part; the zip goes first."""
    archive = root / f"{part}.zip"
    if is_there(archive):
        uris = [f"{part}.zip!{member}" for member in _members(archive)]
    else:
        names = sorted(path.name for path in (root / part).glob("*.jpg"))
        uris = [f"{part}/{name}" for name in names if is_storable(name)]
    found = {PurePosixPath(uri.partition("!")[2] or uri).name: uri for uri in uris}
    columns = {"part": [part] * len(found), "name": list(found), "uri": list(found.values())}
    return pa.table({key: pa.array(values, pa.string()) for key, values in columns.items()})


def _members(archive: Path) -> list[str]:
    """Names of the zip's JPEG members, from its central directory alone."""
    try:
        with RawFolder(archive.parent) as folder:
            names = folder.members(archive.name)
    except RawFileError as error:
        raise SourceError(
            f"a broken zip at {archive} ({type(error.__cause__ or error).__name__})",
            "a whole zip file",
            "download the file again and compare its size with the publisher's",
        ) from None
    return [name for name in names if name.lower().endswith(".jpg")]


_OBJECTS: Final = """
CREATE TEMP TABLE objects AS
WITH parts AS (
    SELECT part, name, unnest(string_split(annotation, ';')) AS shape FROM rows
    WHERE coalesce(annotation, '') <> ''
), words AS (
    SELECT part, name, string_split_regex(trim(shape), ' +') AS word FROM parts
), numbers AS (
    SELECT part, name, word[1] AS kind,
        list_transform(word[2:], lambda text: TRY_CAST(text AS INTEGER)) AS value FROM words
), corners AS (
    SELECT part, name, kind, value,
        list_transform(value[1:-1:2], lambda x: greatest(x, 0)) AS x,
        list_transform(value[2:-1:2], lambda y: greatest(y, 0)) AS y FROM numbers
)
SELECT part, name, list_min(x) AS x_min, list_min(y) AS y_min, list_max(x) AS x_max,
    list_max(y) AS y_max, CASE
        WHEN kind NOT IN ('0', '1', '2') THEN 'an object of unknown type; expected 0, 1 or 2'
        WHEN list_contains(list_transform(value, lambda number: number IS NULL), true)
            THEN 'an object with a coordinate that is no integer'
        WHEN kind <> '2' AND len(value) <> 4
            THEN len(value) || ' numbers in a rectangle or ellipse; expected 4'
        WHEN kind = '2' AND (len(value) < 6 OR len(value) % 2 = 1)
            THEN len(value) || ' numbers in a polygon; expected pairs, at least 3'
        WHEN list_min(x) >= list_max(x) OR list_min(y) >= list_max(y)
            THEN 'an object without a size' END AS fault
FROM corners
"""
"""One row per object: its box in px, or its fault."""

_LISTED: Final = f"""
CREATE TEMP VIEW listed AS
WITH numbered AS (SELECT *, row_number() OVER () - 1 AS row FROM rows),
faults AS (SELECT part, name, first(fault ORDER BY fault) AS fault FROM objects
    WHERE fault IS NOT NULL GROUP BY part, name)
SELECT row, numbered.part || '/' || numbered.name AS image_id,
    regexp_replace(numbered.part || '/' || numbered.name, '\\.jpg$', '') AS study_id,
    CASE numbered.part WHEN 'train' THEN 'train' ELSE '{_SPLITS["dev"]}' END AS split,
    uri, 'PA' AS "view",
    [struct_pack("name" := '{LABEL}',
        "value" := CASE WHEN coalesce(annotation, '') = '' THEN 'negative' ELSE 'positive' END,
        "location" := NULL::VARCHAR, votes := NULL::SMALLINT, readers := NULL::SMALLINT)]
        AS source_labels,
    CASE WHEN numbered.name IS NULL THEN 'id-missing'
        WHEN uri IS NULL THEN 'file-missing'
        WHEN fault IS NOT NULL THEN 'annotation-unreadable' END AS reason,
    CASE WHEN numbered.name IS NULL THEN 'a row of ' || numbered.part || '.csv without a name'
        WHEN uri IS NULL THEN 'no such member of ' || numbered.part || '.zip nor file in '
            || numbered.part
        ELSE fault END AS detail
FROM numbered
LEFT JOIN files ON files.part = numbered.part AND files.name = numbered.name
LEFT JOIN faults ON faults.part = numbered.part AND faults.name = numbered.name
"""

_BOXES: Final = f"""
SELECT {", ".join(BOX_COLUMNS)} FROM (
    SELECT DISTINCT part || '/' || regexp_replace(name, '\\.jpg$', '') AS study_id,
        part || '/' || name AS image_id, '{LABEL}' AS name, x_min, y_min, x_max, y_max,
        NULL::VARCHAR AS reader
    FROM objects WHERE fault IS NULL
)
"""
