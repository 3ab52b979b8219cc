"""A published picture file to the small grey picture that is stored: the one door for pixels."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import simplejpeg
from PIL import Image

from infra.settings.sections import ImageSettings
from sources.burned_in import Place, hide
from sources.perceptual_hash import perceptual_hash
from sources.pixels_decode import JPEG_MAGIC, PNG_MAGIC, read_jpeg, read_png
from sources.pixels_dicom import is_dicom, read_dicom
from sources.pixels_grey import Grey, GreyImage, PixelError, is_flat

__all__ = ["IMAGE_ROW_SCHEMA", "PixelError", "StoredImage", "prepare", "read_grey"]

IMAGE_ROW_SCHEMA = pa.schema(
    [
        pa.field("source", pa.string(), nullable=False),
        pa.field("study_id", pa.string(), nullable=False),
        pa.field("subject_id", pa.string()),
        pa.field("image_id", pa.string(), nullable=False),
        pa.field("view", pa.string(), nullable=False),
        pa.field("pixels", pa.large_binary(), nullable=False),
        pa.field("width", pa.int32(), nullable=False),
        pa.field("height", pa.int32(), nullable=False),
        pa.field("original_width", pa.int32(), nullable=False),
        pa.field("original_height", pa.int32(), nullable=False),
        pa.field("perceptual_hash", pa.binary(), nullable=False),
        pa.field("raw_digest", pa.string(), nullable=False),
    ]
)
"""One ingested image; ``raw_digest`` is the XXH3-128 of the published file, in hex."""


@dataclass(frozen=True)
class StoredImage:
    """A picture as the recipe stores it.

    Args:
        pixels: JPEG or PNG file, 8-bit grey.
        width, height: px of the stored picture.
        original_width, original_height: px of the published picture, as displayed.
        perceptual_hash: ``perceptual_hash.HASH_BYTES`` bytes.
    """

    pixels: bytes
    width: int
    height: int
    original_width: int
    original_height: int
    perceptual_hash: bytes


def prepare(data: bytes, settings: ImageSettings, hidden: Sequence[Place] = ()) -> StoredImage:
    """Turn one published file into its stored form, black in places that are to be hidden.

    Raises:
        PixelError: whatever is wrong with the file; its ``reason`` is one of ``empty-file``,
            ``not-an-image``, ``truncated``, ``undecodable``, ``decompression-bomb``, ``too-small``,
            ``aspect-ratio``, ``constant-image``, ``no-pixels``, ``multi-frame``,
            ``transfer-syntax``, ``unsupported-pixels``.
    """
    picture = read_grey(data, settings)
    grey = hide(picture.grey, hidden) if hidden else picture.grey
    height, width = grey.shape
    return StoredImage(
        pixels=encode(grey, settings),
        width=width,
        height=height,
        original_width=picture.original_width,
        original_height=picture.original_height,
        perceptual_hash=perceptual_hash(grey),
    )


def read_grey(data: bytes, settings: ImageSettings) -> GreyImage:
    """Decode DICOM, PNG or JPEG, told apart by their first bytes, and resize.

    Raises:
        PixelError: as ``prepare``.
    """
    if not data:
        raise PixelError("empty-file", "0 bytes")
    if data.startswith(JPEG_MAGIC):
        picture = read_jpeg(data, settings)
    elif data.startswith(PNG_MAGIC):
        picture = read_png(data, settings)
    elif is_dicom(data):
        picture = read_dicom(data, settings)
    else:
        raise PixelError("not-an-image", f"{len(data)} bytes; expected DICOM, PNG or JPEG")
    if is_flat(picture.grey):
        raise PixelError("constant-image", "all pixels have the same value")
    return picture


def encode(grey: Grey, settings: ImageSettings) -> bytes:
    """Grey levels [height, width] as the recipe's file format; equal pixels give equal bytes."""
    if settings.encoding == "jpeg":
        pixels = np.ascontiguousarray(grey)[:, :, None]
        return bytes(simplejpeg.encode_jpeg(pixels, settings.jpeg_quality, "GRAY", "Gray"))
    buffer = io.BytesIO()
    Image.fromarray(grey).save(buffer, "PNG", compress_level=6)
    return buffer.getvalue()
