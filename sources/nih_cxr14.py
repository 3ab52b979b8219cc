"""NIH ChestX-ray14: frontal images with 14 text-mined labels, no reports.

Raw tree; images in one folder or in the twelve as unpacked from the archives::

    Data_Entry_2017_v2020.csv  (or Data_Entry_2017.csv, the older labels)
    BBox_List_2017.csv  train_val_list.txt  test_list.txt          (all three optional)
    images/00099999_000.png
    images_001/images/00099999_000.png ... images_012/images/...

One row of Data_Entry_2017_v2020.csv (invented); its header has commas inside two names, so that it
parses to as many names as the rows have cells::

    00099999_000.png,Cardiomegaly|Hernia,0,99999,50,F,PA,2500,2048,0.143,0.143

Each image is a study of its own, since the publisher gives no other examination: the study id is
the image's name without ``.png``. Split: ``test_list.txt`` is test, and ``train_val_list.txt`` is
parted into train and validate by a hash of the subject; without the lists all is hashed.

The publisher's names stay in ``source_labels``; ``COUNTERPARTS`` says which of the 14 observations
they set. The rest of the 14 is unmentioned: a name that is not listed was not text-mined, which is
not the same as denied. Boxes are in pixels of the published 1024 x 1024 image.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import pyarrow as pa

from infra.egress import Egress
from infra.errors import SourceError
from infra.licences import Use
from infra.tables import connect
from sources.assembly import assemble
from sources.boxes import attach_boxes
from sources.card import Access, Card, Expected
from sources.labels import named_labels_sql, source_labels_sql
from sources.picture_sizes import size_boxed_images
from sources.raw_files import is_storable
from sources.record import Reading
from sources.split import DEFAULT_SHARES, split_table
from sources.table_bytes import is_there, read_names
from sources.tables import code_sql, query, read_csv

CARD = Card(
    name="nih_cxr14",
    title="NIH ChestX-ray14 (Data_Entry_2017_v2020)",
    access=Access.OPEN,
    licence="no restriction on use; link to the NIH site, cite the paper, acknowledge the NIH CC",
    use=Use.COMMERCIAL,
    citation="Wang et al. 2017, ChestX-ray8, CVPR, doi 10.1109/CVPR.2017.369",
    llm_egress=Egress.ANY,
    required=(
        ("Data_Entry_2017_v2020.csv", "Data_Entry_2017.csv"),
        ("images", "images_0*"),
    ),
    language=None,
    has_reports=False,
    official_split=True,
    expected=Expected(subjects=30_805, studies=112_120, images=112_120),
    redistributable=True,
)
"""Counts: rows and patients of Data_Entry_2017_v2020.csv (source_formats 14)."""

COUNTERPARTS: Final[dict[str, str | None]] = {
    "Atelectasis": "Atelectasis",
    "Cardiomegaly": "Cardiomegaly",
    "Consolidation": "Consolidation",
    "Edema": "Edema",
    "Effusion": "Pleural Effusion",
    "Emphysema": None,
    "Fibrosis": None,
    "Hernia": None,
    "Infiltration": "Lung Opacity",
    "Mass": "Lung Lesion",
    "Nodule": "Lung Lesion",
    "Pleural_Thickening": "Pleural Other",
    "Pneumonia": "Pneumonia",
    "Pneumothorax": "Pneumothorax",
    "No Finding": "No Finding",
}
"""NIH's name to observation; None: no counterpart, only the source label speaks of it.

Our choice where the words differ: an infiltrate is what the CheXpert labeler counts as Lung
Opacity, masses and nodules as Lung Lesion, pleural thickening as Pleural Other."""

_BOX_NAMES: Final = {"Infiltrate": "Infiltration"}
"""The box table's spelling where it is not the label table's."""
_BOX_COLUMNS: Final = ("image_id", "name", "x", "y", "width", "height")
_TRAIN_VALIDATE_SHARES: Final = (
    DEFAULT_SHARES[0] / (DEFAULT_SHARES[0] + DEFAULT_SHARES[1]),
    DEFAULT_SHARES[1] / (DEFAULT_SHARES[0] + DEFAULT_SHARES[1]),
    0.0,
)
_OLDEST: Final = 120
"""Years; the older label file has a few ages above 400, which are read as not given."""


def read(root: Path) -> Reading:
    """Read the label table, the boxes and the names of the image files under ``root``.

    Added reasons: image ``file-missing``, ``view-unknown``, ``id-missing``, ``box-unreadable``;
    study ``label-name-unknown``, ``split-missing``. Boxes of images that the label table does not
    list are left out.

    Raises:
        SourceError: a table that cannot be read.
    """
    CARD.require_files(root)
    table = next(path for name in CARD.required[0] if is_there(path := root / name))
    rows = read_csv(
        table,
        ("Image Index", "Finding Labels", "Patient ID", "Patient Age", "View Position"),
        optional=("Patient Gender", "Patient Sex"),
    )
    boxes = _read_boxes(root / "BBox_List_2017.csv")
    with connect() as connection:
        connection.register("rows", rows)
        connection.register("files", _image_files(root))
        connection.register("boxes", boxes)
        connection.register("splits", _read_splits(root, rows))
        connection.execute(_LISTED)
        reading = assemble(connection, CARD.name)
    return size_boxed_images(attach_boxes(reading, _study_boxes(boxes)), root)


def _image_files(root: Path) -> pa.Table:
    """Columns ``image_id`` and ``uri`` of every PNG; the first folder's where two have it."""
    folders = [root / "images"]
    for folder in sorted(root.glob("images_0*")):
        folders += [folder / "images", folder]
    uris: dict[str, str] = {}
    for folder in folders:
        for path in sorted(folder.glob("*.png")):
            if not is_storable(path.name):
                continue
            uris.setdefault(path.name, path.relative_to(root).as_posix())
    columns = {"image_id": list(uris), "uri": list(uris.values())}
    return pa.table({name: pa.array(values, pa.string()) for name, values in columns.items()})


def _read_boxes(path: Path) -> pa.Table:
    """_BOX_COLUMNS, in px; the header has more names than the rows have cells."""
    kinds = dict.fromkeys(_BOX_COLUMNS, "DOUBLE") | {"image_id": "VARCHAR", "name": "VARCHAR"}
    if not is_there(path):
        return query(f"SELECT {', '.join(f'NULL::{k} AS {n}' for n, k in kinds.items())} LIMIT 0")
    return read_csv(path, kinds, names=_BOX_COLUMNS, allow_empty=True)


def _read_splits(root: Path, rows: pa.Table) -> pa.Table:
    """Columns ``image_id`` and ``split``."""
    lists = {name: root / name for name in ("train_val_list.txt", "test_list.txt")}
    present = [name for name, path in lists.items() if is_there(path)]
    subjects = rows.column("Patient ID")
    if not present:
        return query(
            """SELECT DISTINCT "Image Index" AS image_id, split FROM rows
               JOIN hashed ON identifier = "Patient ID" """,
            rows=rows,
            hashed=split_table(subjects),
        )
    for name, path in lists.items():
        if name not in present:
            raise SourceError(
                f"{present[0]} without {name} in {root}",
                "both lists of the official split, or neither",
                f"download {path.name} too, or move the other one away",
            )
    named = {name: pa.array(read_names(path), pa.string()) for name, path in lists.items()}
    return query(
        """SELECT DISTINCT "Image Index" AS image_id,
               CASE WHEN test.name IS NOT NULL THEN 'test' ELSE split END AS split
           FROM rows JOIN hashed ON identifier = "Patient ID"
           LEFT JOIN test ON test.name = "Image Index" LEFT JOIN rest ON rest.name = "Image Index"
           WHERE test.name IS NOT NULL OR rest.name IS NOT NULL""",
        rows=rows,
        hashed=split_table(subjects, _TRAIN_VALIDATE_SHARES),
        test=pa.table({"name": named["test_list.txt"]}),
        rest=pa.table({"name": named["train_val_list.txt"]}),
    )


def _study_boxes(boxes: pa.Table) -> pa.Table:
    """The boxes by study; ``Infiltrate`` gets the label table's spelling."""
    renamed = " ".join(f"WHEN '{old}' THEN '{new}'" for old, new in _BOX_NAMES.items())
    return query(
        f"""SELECT regexp_replace(image_id, '\\.png$', '') AS study_id, image_id,
                CASE name {renamed} ELSE name END AS name, x AS x_min, y AS y_min,
                x + width AS x_max, y + height AS y_max, NULL::VARCHAR AS reader FROM boxes""",
        boxes=boxes,
    )


_NAMES: Final = "string_split(\"Finding Labels\", '|')"
_KNOWN: Final = "[" + ", ".join(f"'{name}'" for name in COUNTERPARTS) + "]"
_MAPPED: Final = {name: found for name, found in COUNTERPARTS.items() if found is not None}
_NUMBER: Final = "TRY_CAST(regexp_extract(\"Patient Age\", '^\\d+') AS DOUBLE)"
_YEARS: Final = f"""CASE upper(right("Patient Age", 1))
    WHEN 'M' THEN {_NUMBER} / 12 WHEN 'D' THEN {_NUMBER} / 365.25 ELSE {_NUMBER} END"""
"""The older label file writes ages as ``058Y``, ``007M`` or ``012D``."""
_VIEW: Final = code_sql("""coalesce("View Position", '')""")
_LISTED: Final = f"""
    CREATE OR REPLACE TEMP VIEW listed AS
    WITH numbered AS (SELECT *, row_number() OVER () - 1 AS row FROM rows),
    bad_boxes AS (SELECT DISTINCT image_id FROM boxes WHERE coalesce(
        name IS NULL OR x IS NULL OR y IS NULL OR width <= 0 OR height <= 0, true))
    SELECT row, "Image Index" AS image_id, regexp_replace("Image Index", '\\.png$', '') AS study_id,
        "Patient ID" AS subject_id, "View Position" AS "view", uri, splits.split,
        {source_labels_sql(_NAMES)} AS source_labels,
        {named_labels_sql(_NAMES, _MAPPED)} AS labels,
        CASE WHEN {_YEARS} <= {_OLDEST} THEN {_YEARS} END AS subject_age,
        coalesce("Patient Gender", "Patient Sex") AS subject_sex,
        CASE WHEN "Image Index" IS NULL OR "Patient ID" IS NULL THEN 'id-missing'
            WHEN uri IS NULL THEN 'file-missing'
            WHEN coalesce("View Position", '') NOT IN ('PA', 'AP') THEN 'view-unknown'
            WHEN bad_boxes.image_id IS NOT NULL THEN 'box-unreadable' END AS reason,
        CASE WHEN "Image Index" IS NULL OR "Patient ID" IS NULL
            THEN 'row ' || (row + 1) || ' lacks Image Index or Patient ID'
            WHEN uri IS NULL THEN 'no such file in images or images_001 to images_012'
            WHEN coalesce("View Position", '') NOT IN ('PA', 'AP')
            THEN 'View Position ' || {_VIEW}
                || '; expected PA or AP'
            WHEN bad_boxes.image_id IS NOT NULL
            THEN 'a row of the box table lacks its name, numbers or a size above zero'
            END AS detail,
        CASE WHEN "Finding Labels" IS NULL OR NOT list_has_all({_KNOWN}, {_NAMES})
            THEN 'label-name-unknown'
            WHEN splits.split IS NULL AND "Patient ID" IS NOT NULL THEN 'split-missing'
            END AS study_reason,
        CASE WHEN "Finding Labels" IS NULL OR NOT list_has_all({_KNOWN}, {_NAMES})
            THEN 'Finding Labels has a name that is not one of NIH''s 15'
            WHEN splits.split IS NULL THEN 'in neither train_val_list.txt nor test_list.txt'
            END AS study_detail
    FROM numbered
    LEFT JOIN files ON files.image_id = "Image Index"
    LEFT JOIN splits ON splits.image_id = "Image Index"
    LEFT JOIN bad_boxes ON bad_boxes.image_id = "Image Index"
"""
