"""One film in every damaged form, and how each is rejected; KEPT where it is fine."""

from __future__ import annotations

import io
import os
import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from pydicom.encaps import encapsulate
from pydicom.uid import UID

from tests import pixel_samples
from tests.damage.worlds import film, picture

JPEG, PNG = picture(1, "JPEG"), picture(1)
DICOM = pixel_samples.dicom(pixel_samples.film())
KEPT = ("", "")
FILM = Image.fromarray(film())
ONE = pixel_samples.film()


def _saved(image: Image.Image, kind: str = "PNG", **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def _claimed_png(width: int, height: int) -> bytes:
    """A PNG whose header claims a size and whose data is next to nothing."""
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(b"\0" * 10_000)), (b"IEND", b""))
    packed = (
        struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))
        for name, body in chunks
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(packed)


def _animated() -> bytes:
    second = Image.fromarray(film(2))
    return _saved(FILM, save_all=True, append_images=[second], duration=100)


def _sixteen_bit() -> bytes:
    return pixel_samples.png(film().astype(np.uint16) * 200)


def _longer(data: bytes) -> bytes:
    """DICOM whose pixel data says that it has twice the bytes."""
    at = data.rindex(b"\xe0\x7f\x10\x00") + 8
    (length,) = struct.unpack("<I", data[at : at + 4])
    return data[:at] + struct.pack("<I", 2 * length) + data[at + 4 :]


def _with_syntax(uid: str) -> bytes:
    """A DICOM file in another transfer syntax; what is encapsulated is a few zeros."""
    data = pixel_samples.dataset(ONE)
    data.file_meta.TransferSyntaxUID = UID(uid)
    if data.file_meta.TransferSyntaxUID.is_encapsulated:
        data.PixelData = encapsulate([bytes(100)])
        data["PixelData"].is_undefined_length = True
    buffer = io.BytesIO()
    data.save_as(buffer)
    return buffer.getvalue()


def _with_unknown_syntax() -> bytes:
    old = b"1.2.840.10008.1.2.1\0"
    assert DICOM.count(old) == 1
    return DICOM.replace(old, b"1.2.840.10008.9.9.9\0")


@dataclass(frozen=True)
class BadFile:
    """One file of the folder, and the reason and detail of its rejection; KEPT where it is fine.

    Args:
        data: its bytes, or what to make in its place.
        listed: how the manifest names it, where that is not its own name.
    """

    name: str
    suffix: str
    data: bytes | Callable[[Path], object]
    sees: tuple[str, str] = KEPT
    listed: str = ""


def _not_an_image(data: bytes) -> tuple[str, str]:
    return "not-an-image", f"{len(data)} bytes; expected DICOM, PNG or JPEG"


def _pages(data: bytes) -> BadFile:
    return BadFile("a web page saved as an image", ".jpg", data, _not_an_image(data))


RANDOM = np.random.default_rng(0).bytes(5000)
PAGE = b"<!DOCTYPE html><html><body>403 Forbidden, Jane Doe</body></html>"
CUT = ("truncated", "JPEG data ends early")
CUT_PNG = ("truncated", "PNG data ends early")
FILES = (
    BadFile("a sound PNG", ".png", PNG),
    BadFile("a sound JPEG", ".jpg", JPEG),
    BadFile("a sound DICOM file", ".dcm", DICOM),
    BadFile("the suffix of another format", ".png", JPEG),
    BadFile("no bytes", ".png", b"", ("file-empty", "0 bytes at images/{name}")),
    BadFile("a JPEG without its last tenth", ".jpg", JPEG[: len(JPEG) * 9 // 10], CUT),
    BadFile("a JPEG without its second half", ".jpg", JPEG[: len(JPEG) // 2], CUT),
    BadFile("a JPEG of 12 bytes", ".jpg", JPEG[:12], ("undecodable", "JPEG header is damaged")),
    BadFile("a PNG without its second half", ".png", PNG[: len(PNG) // 2], CUT_PNG),
    BadFile("a PNG of 20 bytes", ".png", PNG[:20], ("truncated", "PNG ends inside its header")),
    BadFile(
        "a PNG with a flipped byte", ".png", PNG[:3000] + bytes([PNG[3000] ^ 255]) + PNG[3001:],
        ("undecodable", "PNG data is damaged"),
    ),
    BadFile("random bytes", ".jpg", RANDOM, _not_an_image(RANDOM)),
    BadFile("a text file", ".png", b"see the other folder", _not_an_image(b"see the other folder")),
    _pages(PAGE),
    BadFile(
        "one pixel", ".png", _saved(Image.new("L", (1, 1))),
        ("too-small", "1x1 px; at least 128 px a side"),
    ),
    BadFile(
        "a bomb of 20,000 by 20,000 px", ".png", _claimed_png(20_000, 20_000),
        ("decompression-bomb", "20000x20000 px; at most 100 megapixels"),
    ),
    BadFile(
        "a size of billions", ".png", _claimed_png(2**31 - 1, 2**31 - 1),
        ("decompression-bomb", "2147483647x2147483647 px; at most 100 megapixels"),
    ),
    BadFile(
        "a size of zero", ".png", _claimed_png(0, 200),
        ("too-small", "0x200 px; at least 128 px a side"),
    ),
    BadFile(
        "all black", ".png", _saved(Image.new("L", (200, 200))),
        ("constant-image", "all pixels have the same value"),
    ),
    BadFile(
        "a strip", ".png", _saved(FILM.resize((1300, 130))),
        ("aspect-ratio", "1300x130 px; at most 4 times as long as wide"),
    ),
    BadFile("a palette", ".png", _saved(FILM.convert("P"))),
    BadFile("transparency", ".png", _saved(FILM.convert("RGBA"))),
    BadFile("four inks", ".jpg", _saved(FILM.convert("CMYK"), "JPEG")),
    BadFile("sixteen bits", ".png", _sixteen_bit()),
    BadFile("an animation, of which the first picture is taken", ".png", _animated()),
    BadFile(
        "DICOM without pixel data", ".dcm", pixel_samples.dicom(ONE, PixelData=None),
        ("no-pixels", "DICOM file without pixel data"),
    ),
    BadFile(
        "DICOM without rows", ".dcm", pixel_samples.dicom(ONE, Rows=None),
        ("no-pixels", "DICOM file without an image"),
    ),
    BadFile(
        "DICOM that promises more bytes than it has", ".dcm", _longer(DICOM),
        ("truncated", "pixel data of 128000 bytes, 64000 in the file"),
    ),
    BadFile(
        "DICOM cut in its pixels", ".dcm", DICOM[:-1000],
        ("truncated", "pixel data of 64000 bytes, 63000 in the file"),
    ),
    BadFile(
        "DICOM with more rows than pixels", ".dcm", pixel_samples.dicom(ONE, Rows=400),
        ("truncated", "pixel data of 64000 bytes; expected 128000"),
    ),
    BadFile(
        "DICOM that holds a video", ".dcm", _with_syntax("1.2.840.10008.1.2.4.100"),
        ("transfer-syntax", "MPEG2 Main Profile / Main Level transfer syntax is not read"),
    ),
    BadFile(
        "DICOM that is packed as a whole", ".dcm", _with_syntax("1.2.840.10008.1.2.1.99"),
        ("transfer-syntax",
         "Deflated Explicit VR Little Endian is not read: it may unpack to any size"),
    ),
    BadFile(
        "DICOM in a transfer syntax that nobody knows", ".dcm", _with_unknown_syntax(),
        ("undecodable", "DICOM data is damaged"),
    ),
    BadFile(
        "DICOM with several frames", ".dcm", pixel_samples.dicom(ONE, NumberOfFrames=2),
        ("multi-frame", "2 frames; expected one"),
    ),
    BadFile(
        "DICOM with 32 bits a sample", ".dcm", pixel_samples.dicom(ONE, BitsAllocated=32),
        ("unsupported-pixels", "32 bits a sample; expected 8 or 16"),
    ),
    BadFile(
        "DICOM with a window that is no number", ".dcm",
        pixel_samples.dicom(ONE, WindowCenter=1e308, WindowWidth=-5.0),
    ),
    BadFile(
        "a link out of the root", ".png", lambda path: path.symlink_to("/etc/hostname"),
        ("path-outside-root", "a link leads outside the root: images/{name}"),
    ),
    BadFile(
        "a link to itself", ".png", lambda path: path.symlink_to(path),
        ("file-missing", "no such file below the root"),
    ),
    BadFile(
        "a folder", ".png", Path.mkdir, ("file-missing", "no such file below the root"),
    ),
    BadFile("a pipe", ".png", os.mkfifo, ("file-missing", "no such file below the root")),
)  # fmt: skip
