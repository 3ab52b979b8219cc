"""DICOM files to grey pixels; of the header only the tags that shape pixels are ever kept.

Everything that could name a person (names, ids, dates, institutions, free text) is skipped by the
parser itself, and what the DICOM libraries would log about odd values is not printed.
"""

from __future__ import annotations

import io
import logging
import struct
import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
import pydicom
from pydicom.multival import MultiValue
from pydicom.uid import UID, ImplicitVRLittleEndian

from infra.settings.sections import ImageSettings
from sources.crop import of_short_side
from sources.pixels_dicom_frame import DICOM_DAMAGE, FrameHeader, decode_frame
from sources.pixels_grey import (
    GreyImage,
    PixelError,
    check_shape,
    is_flat,
    to_grey,
)
from sources.pixels_resample import resample
from sources.pixels_window import Display, LookUpTable, VoiFunction, Window

__all__ = ["is_dicom", "read_dicom"]

DICOM_MAGIC = b"DICM"
_MAGIC_AT = 128
KEPT_TAGS = [
    "SamplesPerPixel",
    "PhotometricInterpretation",
    "PlanarConfiguration",
    "NumberOfFrames",
    "Rows",
    "Columns",
    "BitsAllocated",
    "BitsStored",
    "PixelRepresentation",
    "WindowCenter",
    "WindowWidth",
    "VOILUTFunction",
    "RescaleSlope",
    "RescaleIntercept",
    "ModalityLUTSequence",
    "VOILUTSequence",
]
_LONG_VALUE_REPRESENTATIONS = (b"OB", b"OW", b"UN", b"OF", b"OD")
_PIXEL_DATA = b"\xe0\x7f\x10\x00"
_UNDEFINED_LENGTH = 0xFFFFFFFF

for _library in ("pydicom", "pylibjpeg", "libjpeg", "openjpeg"):
    logging.getLogger(_library).setLevel(logging.CRITICAL + 1)  # their messages quote header values


def is_dicom(data: bytes) -> bool:
    """Whether the bytes look like DICOM: the magic word, or a bare data set's first group.

    A bare data set starts with group 0002 or 0008 and, in explicit notation, a two-letter type.
    """
    if data[_MAGIC_AT : _MAGIC_AT + 4] == DICOM_MAGIC:
        return True
    if len(data) < 16 or data[:2] not in (b"\x02\x00", b"\x08\x00") or data[3] != 0:
        return False
    explicit = data[4:6].isalpha() and data[4:6].isupper()
    return explicit or int.from_bytes(data[4:8], "little") <= 64


def read_dicom(data: bytes, settings: ImageSettings) -> GreyImage:
    """Decode, resize, then apply modality LUT, VOI LUT or window, and MONOCHROME1's inversion.

    The window comes first where ``Display.must_precede_resizing`` says that the order matters.

    Raises:
        PixelError: ``no-pixels``, ``multi-frame``, ``transfer-syntax``, ``unsupported-pixels``,
            ``truncated``, ``undecodable``, ``constant-image`` or a size out of bounds.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pydicom's warnings quote header values
        try:
            header, display = _read_header(data)
            check_shape(header.columns, header.rows, settings)
            size = of_short_side(header.columns, header.rows, settings.short_side_px)
            frame, placement = decode_frame(data, header, size)
            windowed_first = display.must_precede_resizing(float(frame.min()), float(frame.max()))
            if windowed_first:
                frame = display.show(frame.astype(np.float32))
            sized = resample(frame, size, settings, placement)
        except DICOM_DAMAGE:
            # From None: the libraries' errors quote header values, which a traceback would show.
            raise PixelError("undecodable", "DICOM data is damaged") from None
    values = np.asarray(sized, dtype=np.float32)
    if is_flat(values * 255 if windowed_first else values):
        raise PixelError("constant-image", "all pixels have the same value")
    unit = values if windowed_first else display.show(values)
    return GreyImage(to_grey(unit), header.columns, header.rows)


def _read_header(data: bytes) -> tuple[FrameHeader, Display]:
    """Parse up to the pixel data, keeping KEPT_TAGS alone."""
    stream = io.BytesIO(data)
    dataset = pydicom.dcmread(stream, force=True, stop_before_pixels=True, specific_tags=KEPT_TAGS)
    syntax = dataset.file_meta.get("TransferSyntaxUID") if hasattr(dataset, "file_meta") else None
    header = _frame_header(dataset, UID(syntax or ImplicitVRLittleEndian))
    start, length = _find_pixels(data, stream.tell(), header)
    display = _display(dataset, header)
    return header.at(start, length), display


def _frame_header(dataset: pydicom.Dataset, syntax: UID) -> FrameHeader:
    if not syntax.is_private and syntax.name == "Deflated Explicit VR Little Endian":
        raise PixelError("transfer-syntax", f"{syntax.name} is not read: it may unpack to any size")
    if dataset.get("Rows") is None or dataset.get("Columns") is None:
        raise PixelError("no-pixels", "DICOM file without an image")
    if int(dataset.get("NumberOfFrames") or 1) > 1:
        raise PixelError("multi-frame", f"{int(dataset.NumberOfFrames)} frames; expected one")
    bits = int(dataset.get("BitsAllocated") or 0)
    return FrameHeader(
        syntax=syntax,
        rows=int(dataset.Rows),
        columns=int(dataset.Columns),
        bits_allocated=bits,
        bits_stored=min(int(dataset.get("BitsStored") or bits), bits),
        is_signed=bool(dataset.get("PixelRepresentation") or 0),
        samples=int(dataset.get("SamplesPerPixel") or 1),
        photometric=str(dataset.get("PhotometricInterpretation") or "MONOCHROME2").strip(),
        planar=int(dataset.get("PlanarConfiguration") or 0),
    )


def _find_pixels(data: bytes, at: int, header: FrameHeader) -> tuple[int, int]:
    """(first byte, length) of the pixel data; the length ends at the file for encapsulated data."""
    big = not header.syntax.is_private and not header.syntax.is_little_endian
    tag = data[at : at + 4]
    if tag != (b"\x7f\xe0\x00\x10" if big else _PIXEL_DATA):
        raise PixelError("no-pixels", "DICOM file without pixel data")
    explicit = data[at + 4 : at + 6] in _LONG_VALUE_REPRESENTATIONS
    start = at + (12 if explicit else 8)
    (length,) = struct.unpack(">I" if big else "<I", data[start - 4 : start])
    left = len(data) - start
    if length == _UNDEFINED_LENGTH:
        return start, left
    if length > left:
        raise PixelError("truncated", f"pixel data of {length} bytes, {left} in the file")
    return start, length


def _display(dataset: pydicom.Dataset, header: FrameHeader) -> Display:
    modality = _look_up_table(dataset, "ModalityLUTSequence", header.is_signed)
    slope = _first_number(dataset.get("RescaleSlope"))
    intercept = _first_number(dataset.get("RescaleIntercept")) or 0.0
    return Display(
        bits_stored=header.bits_stored,
        slope=slope or 1.0,
        intercept=intercept,
        modality=modality,
        voi=_look_up_table(dataset, "VOILUTSequence", header.is_signed or intercept < 0),
        window=_window(dataset),
        inverted=header.photometric == "MONOCHROME1",
    )


def _window(dataset: pydicom.Dataset) -> Window | None:
    """The first window, unless its width is not positive or it is not a number."""
    center, width = (_first_number(dataset.get(name)) for name in ("WindowCenter", "WindowWidth"))
    if center is None or width is None or width <= 0:
        return None
    function = str(dataset.get("VOILUTFunction") or "LINEAR")
    known = VoiFunction(function) if function in list(VoiFunction) else VoiFunction.LINEAR
    return Window(center, width, known)


def _first_number(value: Any) -> float | None:
    """The first of one or several decimal strings; None where there is none that is finite."""
    if isinstance(value, MultiValue):
        value = value[0] if len(value) else None
    if value is None or value == "":
        return None
    number = float(value)
    return number if np.isfinite(number) else None


@dataclass(frozen=True)
class _Descriptor:
    """LUT Descriptor (0028,3002): number of entries, first input, bits an entry."""

    entries: int
    first: int
    bits: int


def _look_up_table(dataset: pydicom.Dataset, name: str, is_signed: bool) -> LookUpTable | None:
    """The first item of a LUT sequence, or None."""
    sequence = dataset.get(name)
    if not sequence or "LUTDescriptor" not in sequence[0] or "LUTData" not in sequence[0]:
        return None
    count, first, bits = (int(value) for value in sequence[0].LUTDescriptor)
    first = first - 65_536 if is_signed and first > 32_767 else first
    descriptor = _Descriptor(count or 65_536, first, bits)
    return LookUpTable(descriptor.first, _lut_entries(sequence[0].LUTData, descriptor))


def _lut_entries(raw: Any, descriptor: _Descriptor) -> np.ndarray[Any, np.dtype[np.float32]]:
    """LUT Data as float32 [n]; it comes as words, or packed as bytes."""
    if isinstance(raw, bytes):
        wide = len(raw) >= 2 * descriptor.entries
        entries = np.frombuffer(raw, "<u2" if wide else np.uint8)
    else:
        entries = np.asarray(raw, dtype=np.uint16)
    if len(entries) < 2:
        raise PixelError("undecodable", "DICOM look-up table is damaged")
    return entries[: descriptor.entries].astype(np.float32)
