"""Boxes, read from a publisher's own table, onto the studies that ``assemble`` has made."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

import pyarrow as pa

from sources.record import STUDY_SCHEMA, Reading
from sources.tables import query

BOX_COLUMNS: Final = ("study_id", "image_id", "name", "x_min", "y_min", "x_max", "y_max", "reader")


def attach_boxes(reading: Reading, boxes: pa.Table) -> Reading:
    """The reading with ``boxes`` (BOX_COLUMNS) on its studies, ordered by image and name.

    Boxes of studies or images that were rejected go with them.
    """
    rows = pa.array(range(reading.studies.num_rows), pa.int64())
    joined = query(
        """WITH kept AS (SELECT study_id, unnest(images).image_id AS image_id FROM studies)
           SELECT coalesce(list(struct_pack(image_id := boxes.image_id, "name" := "name",
               x_min := x_min::DOUBLE, y_min := y_min::DOUBLE,
               x_max := x_max::DOUBLE, y_max := y_max::DOUBLE, reader := reader::VARCHAR)
               ORDER BY boxes.image_id, "name", reader, x_min, y_min, x_max, y_max)
               FILTER ("name" IS NOT NULL), []) AS boxes
           FROM studies LEFT JOIN (SELECT boxes.* FROM boxes SEMI JOIN kept
               ON kept.study_id = boxes.study_id AND kept.image_id = boxes.image_id) AS boxes
               ON boxes.study_id = studies.study_id
           GROUP BY studies.study_id, nth ORDER BY nth""",
        studies=reading.studies.select(["study_id", "images"]).append_column("nth", rows),
        boxes=boxes.select(list(BOX_COLUMNS)),
    )
    field = STUDY_SCHEMA.field("boxes")
    column = joined.column("boxes").cast(field.type)
    studies = reading.studies.set_column(STUDY_SCHEMA.names.index("boxes"), field, column)
    return replace(reading, studies=studies)
