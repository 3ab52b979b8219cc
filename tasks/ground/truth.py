"""Where the true boxes come from: a publisher's own, or the truth that a replica was drawn from."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any, Final

import pyarrow as pa

from evaluation.grounding_match import TruePlace
from infra.tables import connect
from sources.crop import Crop, Rectangle
from sources.record import Split
from sources.replicas.mimic_cxr import known_boxes as mimic_cxr_boxes
from sources.replicas.truth import OBSERVATION_OF, ReplicaSpec
from sources.replicas.truth_file import TrueBox
from tasks.context import Context
from tasks.ingest.stored_images import IMAGES_FILE
from tasks.ingest.studies import STUDIES_FILE

KnownBoxes = Callable[[ReplicaSpec, Collection[str]], dict[str, tuple[TrueBox, ...]]]

KNOWN_BOXES: Final[Mapping[str, KnownBoxes]] = {"mimic_cxr": mimic_cxr_boxes}
"""Sources with reports whose replica knows where its findings lie; the real ones publish none."""


@dataclass(frozen=True)
class BoxedImage:
    """One image with a publisher's boxes by name; ``pixels`` is None where none are stored."""

    source: str
    study_id: str
    subject_id: str | None
    image_id: str
    view: str
    split: str
    pixels: bytes | None
    stored: tuple[int, int]
    published: tuple[int, int]
    boxes: Mapping[str, tuple[Rectangle, ...]]


def has_known_boxes(context: Context, source: str) -> bool:
    """Whether the source is a replica that knows its boxes."""
    return source in KNOWN_BOXES and f"replicas/{source}" in context.graph.steps


def known_places(
    context: Context, source: str, images: Mapping[str, Mapping[str, Any]], side_px: int
) -> dict[str, list[TruePlace]]:
    """True places on the crop of those images of a replica.

    Args:
        images: rows with ``width`` and ``height`` of the stored image, by image id.
        side_px: the model's image side.
    """
    spec = ReplicaSpec(**context.graph[f"replicas/{source}"].settings)
    published = published_sizes(context, source, images)
    return {
        image_id: [
            TruePlace(
                OBSERVATION_OF[box.name],
                box.name,
                box.side,
                _crop(images[image_id], published[image_id], side_px).place(
                    Rectangle(box.x_min, box.y_min, box.x_max, box.y_max)
                ),
            )
            for box in boxes
            if box.name in OBSERVATION_OF
        ]
        for image_id, boxes in KNOWN_BOXES[source](spec, images.keys()).items()
    }


def _crop(image: Mapping[str, Any], published: tuple[int, int], side_px: int) -> Crop:
    return Crop.of(published, (image["width"], image["height"]), side_px)


def published_sizes(
    context: Context, source: str, wanted: Collection[str]
) -> dict[str, tuple[int, int]]:
    """Width and height in px of published images, by image id."""
    files = [str(path) for path in context.artifact(f"images/{source}").files(IMAGES_FILE)]
    with connect() as connection:
        connection.register("wanted", pa.table({"image_id": pa.array(list(wanted), pa.string())}))
        rows = connection.execute(
            "SELECT image_id, original_width, original_height FROM read_parquet($1)"
            " SEMI JOIN wanted USING (image_id)",
            [files],
        ).fetchall()
    return {image_id: (width, height) for image_id, width, height in rows}


_BOXED: Final = """
WITH boxes AS (
    SELECT study_id, split, box.image_id AS image_id, box."name" AS name,
        list([box.x_min, box.y_min, box.x_max, box.y_max] ORDER BY box.x_min, box.y_min) AS corners
    FROM (SELECT study_id, split, unnest(boxes) AS box FROM read_parquet($1))
    WHERE box.x_max > box.x_min AND box.y_max > box.y_min
    GROUP BY ALL
)
SELECT boxes.*, subject_id, "view", pixels, width, height, original_width, original_height
FROM boxes LEFT JOIN read_parquet($2) AS stored
    ON stored.study_id = boxes.study_id AND stored.image_id = boxes.image_id
WHERE split IN ('validate', 'test')
ORDER BY boxes.study_id, boxes.image_id, name
"""


def boxed_images(context: Context, source: str) -> list[BoxedImage]:
    """Validate and test images of a source with boxes in its own tables."""
    places = [
        [str(path) for path in context.artifact(f"{kind}/{source}").files(file)]
        for kind, file in (("studies", STUDIES_FILE), ("images", IMAGES_FILE))
    ]
    with connect() as connection:
        rows = connection.sql(_BOXED, params=places).to_arrow_table().to_pylist()
    by_image: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for row in rows:
        by_image.setdefault((row["study_id"], row["image_id"]), []).append(row)
    return [_boxed_image(source, rows) for rows in by_image.values()]


def _boxed_image(source: str, rows: list[dict[str, Any]]) -> BoxedImage:
    first = rows[0]
    return BoxedImage(
        source=source,
        study_id=first["study_id"],
        subject_id=first["subject_id"],
        image_id=first["image_id"],
        view=first["view"] or "",
        split=first["split"],
        pixels=first["pixels"],
        stored=(first["width"] or 0, first["height"] or 0),
        published=(first["original_width"] or 0, first["original_height"] or 0),
        boxes={row["name"]: tuple(Rectangle(*box) for box in row["corners"]) for row in rows},
    )


def scored_split(splits: Collection[str]) -> Split | None:
    """Test where the source has test images with boxes, or else validate."""
    for split in (Split.TEST, Split.VALIDATE):
        if split in splits:
            return split
    return None
