"""One frame of DICOM pixel data, in any transfer syntax that the sources use."""

from __future__ import annotations

import io
import struct
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from PIL import Image, Jpeg2KImagePlugin
from pydicom.encaps import get_frame
from pydicom.errors import BytesLengthException, InvalidDicomError
from pydicom.pixels.decoders.base import get_decoder
from pydicom.uid import (
    UID,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000TransferSyntaxes,
    JPEGBaseline8Bit,
    RLELossless,
)

from sources.pixels_decode import PILLOW_DAMAGE, decode_jpeg, jpeg_placement
from sources.pixels_grey import PixelError, Samples
from sources.pixels_resample import Placement

DICOM_DAMAGE = (
    *PILLOW_DAMAGE,
    AttributeError,
    BytesLengthException,
    InvalidDicomError,
    RuntimeError,  # and its children RecursionError and NotImplementedError
)
"""What pydicom and its decoders raise on damaged bytes, beside what Pillow does."""

MONOCHROME = ("MONOCHROME1", "MONOCHROME2")
_END_OF_CODESTREAM = b"\xff\xd9"
_JPEG2000_START = b"\xff\x4f\xff\x51"
_COMPONENT_BITS_AT = 42  # SSIZ of the first component, in a bare codestream
_NATIVE = (ImplicitVRLittleEndian, ExplicitVRLittleEndian)


@dataclass(frozen=True)
class FrameHeader:
    """What the header says of the pixel data; ``start`` and ``length`` in bytes of the file."""

    syntax: UID
    rows: int
    columns: int
    bits_allocated: int
    bits_stored: int
    is_signed: bool
    samples: int
    photometric: str
    planar: int
    start: int = 0
    length: int = 0

    def at(self, start: int, length: int) -> FrameHeader:
        """The same header with the place of the pixel data."""
        return replace(self, start=start, length=length)

    @property
    def is_grey(self) -> bool:
        return self.samples == 1 and self.photometric in MONOCHROME

    @property
    def dtype(self) -> np.dtype[np.generic]:
        return np.dtype(f"<{'i' if self.is_signed else 'u'}{self.bits_allocated // 8}")


def decode_frame(
    data: bytes, header: FrameHeader, size: tuple[int, int]
) -> tuple[Samples, Placement | None]:
    """Stored values, [height, width]: uint8, uint16, int8 or int16; colour becomes luma.

    JPEG and JPEG 2000 may come at a reduced scale that still covers ``size`` (width, height); then
    a placement comes with them.

    Raises:
        PixelError: ``transfer-syntax``, ``unsupported-pixels``, ``truncated`` or ``undecodable``.
        DICOM_DAMAGE: from the decoders, for the caller to name.
    """
    _require_supported(header)
    if header.syntax in _NATIVE and header.is_grey:
        return _native(data, header), None
    value = data[header.start : header.start + header.length]
    if not header.syntax.is_encapsulated:
        return _by_pydicom(value, header), None
    frame = get_frame(value, 0, number_of_frames=1)
    if header.syntax != RLELossless:
        _check_codestream(frame, header)
    if header.syntax == JPEGBaseline8Bit and header.is_grey and header.bits_allocated == 8:
        decoded = decode_jpeg(frame, size)
        return decoded, jpeg_placement(decoded, header.columns, header.rows)
    if header.syntax in JPEG2000TransferSyntaxes and header.is_grey and not header.is_signed:
        reduced = _reduced_jpeg2000(frame, header, size)
        if reduced is not None:
            return reduced
    return _by_pydicom(value, header), None


def _require_supported(header: FrameHeader) -> None:
    try:
        known = header.syntax.is_transfer_syntax and get_decoder(header.syntax).is_available
    except (NotImplementedError, ValueError):
        known = False
    if not known:
        name = header.syntax.name if not header.syntax.is_private else "private"
        named = name if name != str(header.syntax) else "unknown"
        raise PixelError("transfer-syntax", f"{named} transfer syntax is not read")
    colour = header.samples == 3 and header.photometric.startswith(("RGB", "YBR"))
    if not header.is_grey and not (colour and header.bits_allocated == 8):
        raise PixelError(
            "unsupported-pixels", f"{header.samples} samples of {header.bits_allocated} bits"
        )
    if header.bits_allocated not in (8, 16):
        raise PixelError(
            "unsupported-pixels", f"{header.bits_allocated} bits a sample; expected 8 or 16"
        )


def _native(data: bytes, header: FrameHeader) -> Samples:
    """Uncompressed grey pixels, viewed in place; stray bits above the stored ones are cleared."""
    count = header.rows * header.columns
    needed = count * header.bits_allocated // 8
    if header.length < needed:
        raise PixelError("truncated", f"pixel data of {header.length} bytes; expected {needed}")
    pixels = np.frombuffer(data, header.dtype, count, header.start)
    spare = header.bits_allocated - header.bits_stored
    if spare:
        half = 1 << (header.bits_stored - 1)
        low, high = (-half, half - 1) if header.is_signed else (0, 2 * half - 1)
        if int(pixels.max()) > high or int(pixels.min()) < low:
            pixels = (pixels << spare) >> spare
    return pixels.reshape(header.rows, header.columns)


def _by_pydicom(value: bytes, header: FrameHeader) -> Samples:
    """Decode the whole frame with pydicom's decoder for its transfer syntax."""
    # pylibjpeg refuses damaged lossless JPEG that GDCM shows; but its RLE decoder, five times as
    # fast as pydicom's, ends in a Rust panic, which is no Exception.
    plugin = "pydicom" if header.syntax == RLELossless else "pylibjpeg"
    options: dict[str, Any] = {
        "rows": header.rows,
        "columns": header.columns,
        "number_of_frames": 1,
        "samples_per_pixel": header.samples,
        "photometric_interpretation": header.photometric,
        "planar_configuration": header.planar,
        "bits_allocated": header.bits_allocated,
        "bits_stored": header.bits_stored,
        "pixel_representation": int(header.is_signed),
        "pixel_keyword": "PixelData",
    }
    pixels, _ = get_decoder(header.syntax).as_array(
        value, index=0, raw=False, decoding_plugin=plugin, **options
    )
    if header.samples == 3:
        return np.asarray(Image.fromarray(np.ascontiguousarray(pixels)).convert("L"))
    return np.asarray(pixels).reshape(header.rows, header.columns)


def _check_codestream(frame: bytes, header: FrameHeader) -> None:
    """Refuse a codestream that ends early, or that would unpack to another size than announced."""
    if _END_OF_CODESTREAM not in frame[-16:]:
        raise PixelError("truncated", "compressed pixel data ends early")
    start = frame.find(_JPEG2000_START, 0, 512)  # a JP2 wrapper may come first
    found = _jpeg2000_size(frame, start) if start >= 0 else _jpeg_size(frame)
    if found != (header.columns, header.rows):
        raise PixelError("undecodable", "compressed picture and header differ in size")


def _jpeg2000_size(frame: bytes, start: int) -> tuple[int, int]:
    """(width, height) of a JPEG 2000 codestream's SIZ segment, which follows its first marker."""
    right, bottom, left, top = struct.unpack(">IIII", frame[start + 8 : start + 24])
    return right - left, bottom - top


def _jpeg_size(frame: bytes) -> tuple[int, int] | None:
    """(width, height) in the frame header of JPEG and JPEG-LS; None where there is none."""
    at = 2
    while at + 9 <= len(frame) and frame[at] == 0xFF:
        marker = frame[at + 1]
        if marker == 0xF7 or (0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC)):
            height, width = struct.unpack(">HH", frame[at + 5 : at + 9])
            return width, height
        at += 1 if marker == 0xFF else 2 + int.from_bytes(frame[at + 2 : at + 4], "big")
    return None


def _reduced_jpeg2000(
    frame: bytes, header: FrameHeader, size: tuple[int, int]
) -> tuple[Samples, Placement] | None:
    """A lower resolution level (halved sides) of an unsigned codestream, or None if none fits.

    The level must cover ``size`` (width, height) twice, so that the resampling filter still decides
    what the stored picture looks like: on films it then differs from the whole by 0.1 to 0.4 grey
    levels on average (measured). A wavelet's sample stands at the first pixel of those it covers,
    not in their middle; without that shift the difference is two to six times as large.
    """
    bits = frame[_COMPONENT_BITS_AT] + 1  # with the sign in the top bit, hence above 128
    if not frame.startswith(_JPEG2000_START) or bits != header.bits_stored:
        return None
    levels = 0
    while (
        header.columns >> (levels + 1) >= 2 * size[0] and header.rows >> (levels + 1) >= 2 * size[1]
    ):
        levels += 1
    image = Jpeg2KImagePlugin.Jpeg2KImageFile(io.BytesIO(frame))
    step = 1 << levels
    while levels and not all((side + step // 2) // step == -(-side // step) for side in image.size):
        levels, step = levels - 1, step // 2  # Pillow rounds where the codestream rounds up
    if not levels or image.mode not in ("L", "I;16"):
        return None
    image.reduce = levels
    try:
        image.load()
    except OSError:
        return None  # fewer levels in the file than asked for
    samples = np.asarray(image)
    if image.mode != "L":
        samples = np.asarray(samples >> (16 - bits))
    return samples, Placement(header.columns / step, header.rows / step, (1 - 1 / step) / 2)
