"""Images of a MIMIC-CXR tree that another publication asks about, as the studies of that source.

The root holds the publication's own files and, in itself or in one folder below it (whose name does
not matter, say ``mimic-cxr-jpg/``), the tree that ``sources.mimic_cxr`` reads. A link to a tree
elsewhere is refused like every link out of a root: give the folder that holds both, or mount it.

Views, sizes, dates, labels and which file of an image is read are MIMIC-CXR's, and ids its text.
Its split is not taken: these publications have their own.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import pyarrow as pa

from infra.errors import SourceError
from infra.tables import connect
from sources.assembly import assemble
from sources.mimic_cxr_tables import METADATA, list_images
from sources.record import Reading
from sources.tables import sql_text

TREE: Final = (METADATA, f"*/{METADATA}")
"""What a card requires: the tree's metadata, in the root or in a folder below it."""


def find_tree(root: Path) -> Path:
    """The MIMIC-CXR tree in or below the root; the root itself goes first, then names in order.

    Raises:
        SourceError: there is none.
    """
    for pattern in TREE:
        found = sorted(root.glob(pattern))
        if found:
            return found[0].parent
    raise SourceError(
        f"no {METADATA} in {root} or a folder below it",
        "a MIMIC-CXR-JPG tree beside the questions",
        "put the tree in the root, or in a folder of it",
    )


def read_asked(root: Path, asked: pa.Table, source: str) -> Reading:
    """Studies of the images that are asked about.

    Reasons: image ``image-unknown`` (in no table of MIMIC-CXR), ``id-conflict`` (MIMIC-CXR has
    another study or subject for it), ``view-unknown``; study ``label-value-unknown``,
    ``no-image-left`` and those of ``assemble``.

    Args:
        asked: one row per image: row, image_id, study_id, subject_id, as the publication has them.
    """
    tree = find_tree(root)
    folder = "" if tree == root else f"{tree.relative_to(root).as_posix()}/"
    with connect() as connection:
        list_images(connection, tree)
        connection.register("asked", asked)
        connection.execute(_KNOWN)
        connection.execute(_LISTED.replace("$folder", sql_text(folder)))
        return assemble(connection, source)


_KNOWN: Final = """
    CREATE TEMP TABLE known AS
    SELECT * FROM listed WHERE image_id IN (SELECT image_id FROM asked)
    QUALIFY row_number() OVER (PARTITION BY image_id ORDER BY "row") = 1;
    DROP VIEW listed
"""
_LISTED: Final = """
    CREATE TEMP VIEW listed AS
    WITH judged AS (
        SELECT asked."row", image_id, asked.study_id, asked.subject_id, known."view",
            $folder || known.uri AS uri, known.width, known.height, known.acquired_on,
            known.manufacturer, known.labels, known.source_labels, known.detail AS given,
            known.study_reason AS fault, known.study_detail,
            CASE WHEN known."row" IS NULL THEN 'image-unknown'
                WHEN known.study_id <> asked.study_id OR known.subject_id <> asked.subject_id
                    THEN 'id-conflict'
                ELSE known.reason END AS verdict
        FROM asked LEFT JOIN known USING (image_id))
    SELECT * EXCLUDE (given, verdict, fault)
            REPLACE (CASE WHEN verdict IS NULL THEN subject_id END AS subject_id),
        verdict AS reason,
        CASE verdict WHEN 'image-unknown' THEN 'in no image table of the MIMIC-CXR tree'
            WHEN 'id-conflict' THEN 'MIMIC-CXR has another study or subject for this image'
            ELSE given END AS detail,
        CASE WHEN fault = 'label-value-unknown' THEN fault END AS study_reason
    FROM judged
"""
