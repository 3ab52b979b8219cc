"""JPEG and PNG files to grey pixels. Types are told by their first bytes, never by a suffix."""

from __future__ import annotations

import io
import math
import struct
import zlib

import numpy as np
import simplejpeg
from PIL import Image, JpegImagePlugin, PngImagePlugin

from infra.settings.sections import ImageSettings
from sources.crop import of_short_side
from sources.pixels_grey import (
    Grey,
    GreyImage,
    PixelError,
    Samples,
    check_shape,
    is_flat,
    stretch,
    to_grey,
)
from sources.pixels_resample import Placement, resample

PNG_MAGIC = b"\x89PNG\r\n\x1a\n"
JPEG_MAGIC = b"\xff\xd8\xff"

PILLOW_DAMAGE = (
    OSError,
    SyntaxError,
    ValueError,
    EOFError,
    IndexError,
    KeyError,
    TypeError,
    struct.error,
    zlib.error,
)
"""What Pillow's parsers raise on damaged bytes (its own list in ImageFile, plus its decoders')."""

_SIMPLEJPEG_DAMAGE = (ValueError, KeyError)  # KeyError: a colour space it has no name for
_EXIF_ORIENTATION = 0x0112
_TRANSPOSE = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def read_jpeg(data: bytes, settings: ImageSettings) -> GreyImage:
    """Decode at the smallest DCT scale (n/8) that still covers the stored size, then resample.

    Raises:
        PixelError: a size out of bounds, ``truncated`` or ``undecodable``.
    """
    try:
        height, width, colours, _ = simplejpeg.decode_jpeg_header(data, strict=False)
    except _SIMPLEJPEG_DAMAGE as error:
        raise PixelError("undecodable", "JPEG header is damaged") from error
    check_shape(width, height, settings)
    size = of_short_side(width, height, settings.short_side_px)
    decoded = _cmyk_to_grey(data) if colours == "CMYK" else decode_jpeg(data, size)
    placement = jpeg_placement(decoded, width, height)
    grey = np.asarray(resample(decoded, size, settings, placement), dtype=np.uint8)
    turned = _upright(grey, data)
    if turned.shape != grey.shape:
        width, height = height, width
    return GreyImage(turned, width, height)


def jpeg_placement(decoded: Grey, width: int, height: int) -> Placement:
    """Where the picture of ``width`` x ``height`` px lies in ``decoded``: n/8 of either side.

    The decoder rounds both sides up, by 7/8 of a sample at most.
    """
    for eighths in range(1, 17):
        placement = Placement(width * eighths / 8, height * eighths / 8)
        if decoded.shape == (math.ceil(placement.height), math.ceil(placement.width)):
            return placement
    return Placement(width, height)


def decode_jpeg(data: bytes, size: tuple[int, int]) -> Grey:
    """Luma at reduced scale, uint8 [height, width]."""
    try:
        return _luma(data, size, strict=True)
    except _SIMPLEJPEG_DAMAGE as error:
        # Bytes between markers harm no pixel; libjpeg warns of them as of real damage.
        if "extraneous bytes" not in str(error):
            lost = "premature" in str(error).lower()
            raise PixelError(*(_JPEG_TRUNCATED if lost else _JPEG_DAMAGED)) from error
    try:
        return _luma(data, size, strict=False)
    except _SIMPLEJPEG_DAMAGE as error:
        raise PixelError(*_JPEG_DAMAGED) from error


_JPEG_TRUNCATED = ("truncated", "JPEG data ends early")
_JPEG_DAMAGED = ("undecodable", "JPEG data is damaged")


def _luma(data: bytes, size: tuple[int, int], strict: bool) -> Grey:
    pixels = simplejpeg.decode_jpeg(
        data, "GRAY", min_width=size[0], min_height=size[1], min_factor=1, strict=strict
    )
    return np.asarray(pixels[:, :, 0])


def _cmyk_to_grey(data: bytes) -> Grey:
    """Four-ink JPEG by Pillow, which knows Adobe's inverted inks; uint8 [height, width]."""
    try:
        image = JpegImagePlugin.JpegImageFile(io.BytesIO(data))
        return np.asarray(image.convert("RGB").convert("L"))
    except PILLOW_DAMAGE as error:
        raise PixelError(*_JPEG_DAMAGED) from error


def _upright(grey: Grey, data: bytes) -> Grey:
    """Apply the EXIF orientation, if there is one."""
    start = data.find(b"Exif\0\0", 0, 65_536)
    if start < 0:
        return grey
    exif = Image.Exif()
    try:
        exif.load(data[start : start + 65_536])
        orientation = exif.get(_EXIF_ORIENTATION)
    except PILLOW_DAMAGE:
        return grey  # a damaged EXIF block says nothing; the pixels are whole
    turn = _TRANSPOSE.get(orientation) if isinstance(orientation, int) else None
    if turn is None:
        return grey
    return np.ascontiguousarray(Image.fromarray(grey).transpose(turn))


def read_png(data: bytes, settings: ImageSettings) -> GreyImage:
    """Decode grey, colour, palette or transparent PNG of 1 to 16 bits, then resample.

    8-bit values are kept. 16-bit files do not say which range they use (PadChest fills a quarter),
    so each picture is stretched by ``pixels_grey.stretch``.

    Raises:
        PixelError: a size out of bounds, ``truncated`` or ``undecodable``.
    """
    if len(data) < 33 or data[12:16] != b"IHDR":
        raise PixelError("truncated", "PNG ends inside its header")
    width, height = struct.unpack(">II", data[16:24])
    check_shape(width, height, settings)
    samples = _decode_png(data)
    if samples.shape != (height, width):
        raise PixelError("undecodable", "PNG header is damaged")
    sized = resample(samples, of_short_side(width, height, settings.short_side_px), settings)
    if sized.dtype == np.uint8:
        return GreyImage(np.asarray(sized, dtype=np.uint8), width, height)
    if is_flat(sized):
        raise PixelError("constant-image", "all pixels have the same value")
    return GreyImage(to_grey(stretch(sized)), width, height)


def _decode_png(data: bytes) -> Samples:
    """uint8 or uint16 [height, width]."""
    try:
        # The class itself, not Image.open: sizes are checked, Pillow's own bomb warning would leak.
        image = PngImagePlugin.PngImageFile(io.BytesIO(data))
        image.load()
        return _png_to_grey(image)
    except PILLOW_DAMAGE as error:
        if "truncated" in str(error):
            raise PixelError("truncated", "PNG data ends early") from error
        raise PixelError("undecodable", "PNG data is damaged") from error


def _png_to_grey(image: Image.Image) -> Samples:
    """Grey samples; transparent pixels lie on black."""
    if image.mode.startswith("I"):
        return np.asarray(image).astype(np.uint16)
    if image.mode == "P":
        image = image.convert("RGBA" if "transparency" in image.info else "RGB")
    if image.mode not in ("RGBA", "LA"):
        return np.asarray(image.convert("L"))
    alpha = np.asarray(image.getchannel("A"))
    grey = np.asarray(image.convert("L" if image.mode == "LA" else "RGB").convert("L"))
    if int(alpha.min()) == 255:
        return grey
    return np.asarray((grey.astype(np.uint16) * alpha + 127) // 255, dtype=np.uint8)
