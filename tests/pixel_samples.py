"""Small films in every published format, made in memory for the tests of pixels and ingest."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import cv2
import gdcm
import numpy as np
import numpy.typing as npt
import pydicom
from PIL import Image
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.uid import (
    JPEG2000,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    RLELossless,
)

Film = npt.NDArray[np.uint16]
PATIENT_NAME = "Zylberstein^Wanda"
"""A name that must never be met outside the file."""


def film(height: int = 200, width: int = 160, bits: int = 12, seed: int = 0) -> Film:
    """Two dark lungs in a bright body with a few ribs and grain, uint16 [height, width]."""
    rows, columns = np.mgrid[0:height, 0:width] / np.array([height, width])[:, None, None]
    body = 0.75 - 0.5 * (np.hypot(columns - 0.5, rows - 0.5) > 0.47)
    for center in (0.3, 0.7):
        body = body - 0.4 * np.exp(-(((columns - center) / 0.13) ** 2 + ((rows - 0.45) / 0.3) ** 2))
    body = body + 0.06 * np.sin(rows * 40 + 6 * (columns - 0.5) ** 2)
    grain = np.random.default_rng(seed).normal(0, 0.01, body.shape)
    unit = np.clip(body + grain, 0.02, 0.98)
    return np.asarray(np.rint(unit * (2**bits - 1)), dtype=np.uint16)


def eight_bit(pixels: Film, bits: int = 12) -> npt.NDArray[np.uint8]:
    """The same film in 0..255."""
    return np.asarray(pixels >> (bits - 8), dtype=np.uint8)


def jpeg(pixels: npt.NDArray[np.uint8], quality: int = 95) -> bytes:
    return bytes(cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, quality])[1])


def saved(image: Image.Image, kind: str, **options: Any) -> bytes:
    """An image as Pillow writes it."""
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def png(pixels: npt.NDArray[Any]) -> bytes:
    """uint8 or uint16 grey pixels as PNG of 8 or 16 bits."""
    return bytes(cv2.imencode(".png", pixels)[1])


def dicom(pixels: npt.NDArray[Any], bits: int = 12, **tags: Any) -> bytes:
    """Uncompressed DICOM (explicit, little-endian) of grey pixels [height, width].

    Args:
        tags: elements to set; None removes one. ``syntax`` names another uncompressed syntax.
    """
    syntax = tags.pop("syntax", ExplicitVRLittleEndian)
    return written(dataset(pixels, bits, **tags), syntax)


def dataset(pixels: npt.NDArray[Any], bits: int = 12, **tags: Any) -> FileDataset:
    """The data set of ``dicom``."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.1.1"
    meta.MediaStorageSOPInstanceUID = "1.2.826.0.1.3680043.8.498.1"
    data = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    data.PatientName, data.PatientID = PATIENT_NAME, "ID-4711"
    data.SOPClassUID = meta.MediaStorageSOPClassUID
    data.SOPInstanceUID = meta.MediaStorageSOPInstanceUID
    data.SamplesPerPixel = 1
    data.PhotometricInterpretation = "MONOCHROME2"
    data.Rows, data.Columns = pixels.shape[:2]
    data.BitsAllocated = 8 * pixels.dtype.itemsize
    data.BitsStored, data.HighBit = bits, bits - 1
    data.PixelRepresentation = int(pixels.dtype.kind == "i")
    data.PixelData = pixels.tobytes()
    data["PixelData"].VR = "OW" if data.BitsAllocated == 16 else "OB"
    for name, value in tags.items():
        if value is None:
            delattr(data, name)
        else:
            setattr(data, name, value)
    return data


def written(data: FileDataset, syntax: str) -> bytes:
    """The file's bytes in an uncompressed transfer syntax."""
    data.file_meta.TransferSyntaxUID = syntax
    if syntax == ExplicitVRBigEndian and data.BitsAllocated == 16:
        data.PixelData = np.frombuffer(data.PixelData, "<u2").astype(">u2").tobytes()
    buffer = io.BytesIO()
    pydicom.dcmwrite(
        buffer,
        data,
        implicit_vr=syntax == ImplicitVRLittleEndian,
        little_endian=syntax != ExplicitVRBigEndian,
    )
    return buffer.getvalue()


def compressed(pixels: npt.NDArray[Any], syntax: str, bits: int = 12, **tags: Any) -> bytes:
    """DICOM in a transfer syntax that pydicom encodes: RLE or JPEG 2000."""
    data = dataset(pixels, bits, **tags)
    data.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    options = {"j2k_psnr": [60]} if syntax == JPEG2000 else {}
    data.compress(syntax, generate_instance_uid=False, **options)
    buffer = io.BytesIO()
    data.save_as(buffer)
    return buffer.getvalue()


def baseline(pixels: npt.NDArray[np.uint8], **tags: Any) -> bytes:
    """DICOM that holds a baseline JPEG."""
    data = dataset(pixels, 8, **tags)
    data.PixelData = encapsulate([jpeg(pixels, 98)])
    data["PixelData"].is_undefined_length = True
    data.file_meta.TransferSyntaxUID = JPEGBaseline8Bit
    buffer = io.BytesIO()
    data.save_as(buffer)
    return buffer.getvalue()


def by_gdcm(plain: bytes, syntax: int, folder: Any) -> bytes:
    """Recompress a DICOM file with GDCM: JPEG-LS and lossless or extended JPEG."""
    source, target = folder / "plain.dcm", folder / "compressed.dcm"
    source.write_bytes(plain)
    reader = gdcm.ImageReader()
    reader.SetFileName(str(source))
    assert reader.Read()
    change = gdcm.ImageChangeTransferSyntax()
    change.SetTransferSyntax(gdcm.TransferSyntax(syntax))
    change.SetInput(reader.GetImage())
    assert change.Change()
    writer = gdcm.ImageWriter()
    writer.SetFileName(str(target))
    writer.SetFile(reader.GetFile())
    writer.SetImage(change.GetOutput())
    assert writer.Write()
    return bytes(target.read_bytes())


SYNTAXES: dict[str, Callable[[Film, Any], bytes]] = {
    "implicit": lambda pixels, _: dicom(pixels, syntax=ImplicitVRLittleEndian),
    "explicit": lambda pixels, _: dicom(pixels),
    "big-endian": lambda pixels, _: dicom(pixels, syntax=ExplicitVRBigEndian),
    "rle": lambda pixels, _: compressed(pixels, RLELossless),
    "jpeg2000-lossless": lambda pixels, _: compressed(pixels, JPEG2000Lossless),
    "jpeg2000": lambda pixels, _: compressed(pixels, JPEG2000),
    "jpeg-lossless": lambda pixels, folder: by_gdcm(
        dicom(pixels), gdcm.TransferSyntax.JPEGLosslessProcess14_1, folder
    ),
    "jpeg-ls": lambda pixels, folder: by_gdcm(
        dicom(pixels), gdcm.TransferSyntax.JPEGLSLossless, folder
    ),
}
"""How to write a 12-bit film in each transfer syntax; the folder is scratch."""
