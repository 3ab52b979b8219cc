"""Sizes of the images that have boxes, from the beginning of each PNG or JPEG file.

Tables of boxes give px, and only the size of the image tells on which side of the chest they lie.
"""

from __future__ import annotations

from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc
from PIL import Image, UnidentifiedImageError

from sources.raw_files import RawFileError, RawFolder
from sources.record import STUDY_SCHEMA, Reading

HEAD_BYTES: Final = 1 << 16
"""A PNG tells its size in the first 33 bytes, a JPEG behind its metadata, one segment of which has
64 KiB at the most. Our choice: a file with more before its size has none here."""


def size_boxed_images(reading: Reading, root: Path) -> Reading:
    """The reading with ``width`` and ``height`` of images in studies with boxes, in px.

    A file that cannot be read keeps none: it is rejected later, when its pixels are.
    """
    boxed = pc.greater(pc.list_value_length(reading.studies["boxes"]), 0).to_pylist()
    if not any(boxed):
        return reading
    images: list[list[dict[str, Any]]] = reading.studies["images"].to_pylist()
    with RawFolder(root) as folder:
        for of_study, has_boxes in zip(images, boxed, strict=True):
            for image in of_study if has_boxes else ():
                image["width"], image["height"] = _size(folder, image["uri"])
    field = STUDY_SCHEMA.field("images")
    column = pa.array(images, field.type)
    studies = reading.studies.set_column(STUDY_SCHEMA.names.index("images"), field, column)
    return replace(reading, studies=studies)


def _size(folder: RawFolder, uri: str) -> tuple[int, int] | tuple[None, None]:
    try:
        with Image.open(BytesIO(folder.head(uri, HEAD_BYTES))) as picture:
            return picture.size
    except (RawFileError, UnidentifiedImageError, OSError, Image.DecompressionBombError):
        return None, None
