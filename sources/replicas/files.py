"""The pixel formats that publishers use, written from drawings; equal input gives equal bytes.

``pixels`` are float32 [H, W] in 0..1 with bone bright, as ``phantom.draw`` gives them.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from enum import StrEnum
from io import BytesIO
from multiprocessing import get_context
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray
from pydicom import DataElement, Dataset, FileMetaDataset, dcmread, dcmwrite
from pydicom.config import IGNORE
from pydicom.encaps import encapsulate, generate_frames
from pydicom.uid import UID

from sources.replicas.phantom_canvas import Layer

Stored = NDArray[np.unsignedinteger[Any]]
Item = TypeVar("Item")
Result = TypeVar("Result")


class TransferSyntax(StrEnum):
    """How a DICOM file stores its pixels."""

    IMPLICIT_LITTLE = "1.2.840.10008.1.2"
    EXPLICIT_LITTLE = "1.2.840.10008.1.2.1"
    JPEG_BASELINE = "1.2.840.10008.1.2.4.50"
    JPEG_LOSSLESS = "1.2.840.10008.1.2.4.70"
    JPEG_LS = "1.2.840.10008.1.2.4.80"
    JPEG_2000 = "1.2.840.10008.1.2.4.90"
    RLE = "1.2.840.10008.1.2.5"


@dataclass(frozen=True)
class DicomStyle:
    """How one publisher writes its DICOM files.

    Args:
        bits_stored: 8 to 16; up to 8 bits are allocated in one byte.
        inverted: MONOCHROME1.
        window: write WindowCenter and WindowWidth, with the image in 5 to 75 % of the range; else
            the image fills the range.
        top: the stored value of white, by default all of ``bits_stored``; 255 with 12 bits stored
            makes a file that claims more than it holds.
        slope, intercept: the modality rescale; written where they are not 1 and 0.
        tags: further elements by keyword, written as given.
        instance_uid: MediaStorageSOPInstanceUID of the file's header, a legal UID or not.
    """

    transfer_syntax: TransferSyntax = TransferSyntax.EXPLICIT_LITTLE
    bits_stored: int = 12
    inverted: bool = False
    window: bool = True
    top: int | None = None
    slope: float = 1.0
    intercept: float = 0.0
    tags: Mapping[str, Any] = field(default_factory=dict)
    instance_uid: str = "2.25.1"


def quantise(pixels: Layer, levels: int) -> Stored:
    """Integers 0..``levels`` in the smallest unsigned type."""
    kind = np.uint8 if levels <= 255 else np.uint16
    return np.asarray(np.round(np.clip(pixels, 0, 1) * levels), kind)


def encode_png(pixels: Layer, levels: int = 255, rgba: bool = False) -> bytes:
    """A grey PNG: 8-bit up to 255 ``levels``, else 16-bit; or 8-bit RGBA with full opacity."""
    stored = quantise(pixels, levels)
    if rgba:
        opaque = np.full_like(stored, 255)
        stored = np.dstack([stored, stored, stored, opaque])
    return _encoded(cv2.imencode(".png", stored, [cv2.IMWRITE_PNG_COMPRESSION, 1]))


def encode_jpeg(pixels: Layer, quality: int = 95) -> bytes:
    """An 8-bit grey baseline JPEG."""
    return _encoded(
        cv2.imencode(".jpg", quantise(pixels, 255), [cv2.IMWRITE_JPEG_QUALITY, quality])
    )


def _encoded(answer: tuple[bool, NDArray[np.uint8]]) -> bytes:
    is_done, buffer = answer
    assert is_done
    return buffer.tobytes()


def encode_dicom(pixels: Layer, style: DicomStyle) -> bytes:
    """A DICOM file with preamble."""
    dataset = Dataset()
    dataset.preamble = bytes(128)
    for keyword, value in style.tags.items():
        setattr(dataset, keyword, value)
    frame = _fill_pixel_module(dataset, pixels, style)
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = UID("1.2.840.10008.5.1.4.1.1.1.1")
    meta.add(DataElement(0x00020003, "UI", style.instance_uid, validation_mode=IGNORE))
    meta.TransferSyntaxUID = UID(style.transfer_syntax.value)
    meta.ImplementationClassUID = UID("1.2.3.4")
    dataset.file_meta = meta
    if style.transfer_syntax in (TransferSyntax.EXPLICIT_LITTLE, TransferSyntax.IMPLICIT_LITTLE):
        dataset.PixelData = _padded(frame.tobytes())
        dataset["PixelData"].VR = "OB" if frame.dtype == np.uint8 else "OW"
    else:
        dataset.PixelData = encapsulate([_compressed(frame, style)])
        dataset["PixelData"].VR = "OB"
    return _file_bytes(dataset)


def _fill_pixel_module(dataset: Dataset, pixels: Layer, style: DicomStyle) -> Stored:
    """Describe the frame in the dataset; returns the stored values [H, W]."""
    top = style.top or 2**style.bits_stored - 1
    low, high = (0.05 * top, 0.75 * top) if style.window else (0.0, float(top))
    shown = low + np.clip(pixels, 0, 1) * (high - low)
    values = (low + high - shown) if style.inverted else shown
    kind = np.uint8 if style.bits_stored <= 8 else np.uint16
    frame: Stored = np.asarray(np.round(values), kind)
    dataset.SamplesPerPixel = 1
    dataset.PhotometricInterpretation = "MONOCHROME1" if style.inverted else "MONOCHROME2"
    dataset.Rows, dataset.Columns = frame.shape
    dataset.BitsAllocated = 8 * frame.itemsize
    dataset.BitsStored = style.bits_stored
    dataset.HighBit = style.bits_stored - 1
    dataset.PixelRepresentation = 0
    if (style.slope, style.intercept) != (1.0, 0.0):
        dataset.RescaleSlope, dataset.RescaleIntercept = style.slope, style.intercept
    if style.window:
        centre, width = (low + high) / 2, high - low
        dataset.WindowCenter = round(centre * style.slope + style.intercept, 1)
        dataset.WindowWidth = round(width * abs(style.slope), 1)
    return frame


def _compressed(frame: Stored, style: DicomStyle) -> bytes:
    """One encoded frame. GDCM knows all of these; of its file only the code stream is taken."""
    if style.transfer_syntax is TransferSyntax.JPEG_BASELINE:
        assert frame.dtype == np.uint8, "baseline JPEG holds 8 bits"
        return _encoded(cv2.imencode(".jpg", frame, [cv2.IMWRITE_JPEG_QUALITY, 95]))
    import gdcm  # only replicas with compressed DICOM need it

    kinds = {
        TransferSyntax.JPEG_LOSSLESS: gdcm.TransferSyntax.JPEGLosslessProcess14_1,
        TransferSyntax.JPEG_LS: gdcm.TransferSyntax.JPEGLSLossless,
        TransferSyntax.JPEG_2000: gdcm.TransferSyntax.JPEG2000Lossless,
        TransferSyntax.RLE: gdcm.TransferSyntax.RLELossless,
    }
    with TemporaryDirectory() as folder:
        plain, packed = Path(folder) / "plain.dcm", Path(folder) / "packed.dcm"
        _write_plain(plain, frame, style.bits_stored)
        reader = gdcm.ImageReader()
        reader.SetFileName(str(plain))
        assert reader.Read()
        change = gdcm.ImageChangeTransferSyntax()
        change.SetTransferSyntax(gdcm.TransferSyntax(kinds[style.transfer_syntax]))
        change.SetInput(reader.GetImage())
        assert change.Change()
        writer = gdcm.ImageWriter()
        writer.SetFileName(str(packed))
        writer.SetFile(reader.GetFile())
        writer.SetImage(change.GetOutput())
        assert writer.Write()
        return next(generate_frames(dcmread(packed).PixelData, number_of_frames=1))


def _write_plain(path: Path, frame: Stored, bits_stored: int) -> None:
    """A minimal legal secondary capture that GDCM reads."""
    style = DicomStyle(
        bits_stored=bits_stored,
        window=False,
        tags={
            "SOPClassUID": "1.2.840.10008.5.1.4.1.1.1.1",
            "SOPInstanceUID": "2.25.1",
            "StudyInstanceUID": "2.25.2",
            "SeriesInstanceUID": "2.25.3",
            "Modality": "DX",
        },
    )
    top = np.float32(2**bits_stored - 1)
    path.write_bytes(encode_dicom((frame / top).astype(np.float32), style))


def _file_bytes(dataset: Dataset) -> bytes:
    buffer = BytesIO()
    dataset.file_meta.FileMetaInformationVersion = b"\0\1"
    dataset.file_meta.FileMetaInformationGroupLength = 0  # pydicom fills in the length
    implicit = str(dataset.file_meta.TransferSyntaxUID) == TransferSyntax.IMPLICIT_LITTLE.value
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of identifiers that a publisher writes although illegal
        # enforce_file_format would add identifiers that some publishers leave out
        dcmwrite(
            buffer, dataset, implicit_vr=implicit, little_endian=True, enforce_file_format=False
        )
    return buffer.getvalue()


def _padded(data: bytes) -> bytes:
    return data + b"\0" if len(data) % 2 else data


def write_file(path: Path, data: bytes) -> None:
    """Write bytes, making the folders above."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


def draw_many(
    draw_one: Callable[[Item], Result], items: Iterable[Item], processes: int
) -> Iterator[Result]:
    """``draw_one`` of each item, in the items' order, whatever the number of processes.

    Args:
        draw_one: a module's top-level function (worker processes import it by name).
        processes: 1 draws in this process.
    """
    if processes <= 1:
        yield from map(draw_one, items)
        return
    # spawn: a forked child of a process with threads (Prefect's) may hang
    with ProcessPoolExecutor(
        processes, mp_context=get_context("spawn"), initializer=cv2.setNumThreads, initargs=(1,)
    ) as pool:
        yield from pool.map(draw_one, items, chunksize=8)
