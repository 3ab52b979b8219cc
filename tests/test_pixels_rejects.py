"""What cannot be used is refused with a reason: exact lines, and never another exception."""

from __future__ import annotations

import io
import logging
import pickle
import struct
import zlib
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image
from pixel_samples import (
    PATIENT_NAME,
    SYNTAXES,
    baseline,
    compressed,
    dataset,
    dicom,
    eight_bit,
    film,
    jpeg,
    png,
    saved,
    written,
)
from pydicom.data import get_testdata_file
from pydicom.uid import ExplicitVRLittleEndian, JPEG2000Lossless, RLELossless

from infra.settings.sections import ImageSettings
from sources.pixels import PixelError, prepare, read_grey

SETTINGS = ImageSettings(short_side_px=64, smallest_side_px=16, largest_megapixels=4)
PIXELS = film()
GREY = eight_bit(PIXELS)


def refusal(data: bytes, recipe: ImageSettings = SETTINGS) -> str:
    """``reason: detail`` of a file that must be refused."""
    with pytest.raises(PixelError) as caught:
        prepare(data, recipe)
    return str(caught.value)


def sample(name: str) -> bytes:
    return Path(str(get_testdata_file(name))).read_bytes()


def empty_png(width: int, height: int) -> bytes:
    """A PNG whose header announces a size and whose data is four zero bytes."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        checksum = struct.pack(">I", zlib.crc32(kind + body))
        return struct.pack(">I", len(body)) + kind + body + checksum

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    parts = (chunk(b"IHDR", header), chunk(b"IDAT", zlib.compress(b"\0" * 4)), chunk(b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def with_size(data: bytes, old: tuple[int, int], new: tuple[int, int]) -> bytes:
    """A JPEG whose frame header announces another (width, height)."""
    before, after = (struct.pack(">HH", height, width) for width, height in (old, new))
    assert data.count(before) == 1
    return data.replace(before, after)


FLAT = np.full((200, 160), 7, np.uint8)

REFUSED: dict[str, tuple[bytes, str]] = {
    "empty": (b"", "empty-file: 0 bytes"),
    "text": (b"no image\n" * 20, "not-an-image: 180 bytes; expected DICOM, PNG or JPEG"),
    "html": (b"<html>login</html>", "not-an-image: 18 bytes; expected DICOM, PNG or JPEG"),
    "gif": (saved(Image.fromarray(GREY), "GIF"), "not-an-image: "),
    "cut jpeg": (jpeg(GREY)[:4000], "truncated: JPEG data ends early"),
    "jpeg header alone": (jpeg(GREY)[:20], "undecodable: JPEG header is damaged"),
    "broken jpeg": (
        jpeg(GREY)[:3000] + b"\xff\xc4" * 40 + jpeg(GREY)[3080:],
        "undecodable: JPEG data is damaged",
    ),
    "cut png": (png(GREY)[:5000], "truncated: PNG data ends early"),
    "png header alone": (png(GREY)[:30], "truncated: PNG ends inside its header"),
    "broken png": (
        png(GREY)[:2000] + b"\0" * 50 + png(GREY)[2050:],
        "undecodable: PNG data is damaged",
    ),
    "png bomb": (
        empty_png(60_000, 60_000),
        "decompression-bomb: 60000x60000 px; at most 4 megapixels",
    ),
    "png without data": (empty_png(100, 100), "truncated: PNG data ends early"),
    "jpeg bomb": (
        with_size(jpeg(GREY), (160, 200), (65_000, 65_000)),
        "decompression-bomb: 65000x65000 px; at most 4 megapixels",
    ),
    "small": (png(GREY[:10, :12]), "too-small: 12x10 px; at least 16 px a side"),
    "strip": (png(GREY[:20]), "aspect-ratio: 160x20 px; at most 4 times as long as wide"),
    "black png": (png(FLAT), "constant-image: all pixels have the same value"),
    "white jpeg": (jpeg(FLAT + 248), "constant-image: all pixels have the same value"),
    "flat 16-bit png": (
        png(FLAT.astype(np.uint16)),
        "constant-image: all pixels have the same value",
    ),
    "flat dicom": (
        dicom(FLAT.astype(np.uint16)),
        "constant-image: all pixels have the same value",
    ),
    "dicom bomb": (
        dicom(PIXELS, Rows=60_000, Columns=60_000),
        "decompression-bomb: 60000x60000 px; at most 4 megapixels",
    ),
    "cut dicom": (
        dicom(PIXELS)[:30_000],
        "truncated: pixel data of 64000 bytes, 29552 in the file",
    ),
    "short dicom": (
        dicom(PIXELS, Rows=201),
        "truncated: pixel data of 64000 bytes; expected 64320",
    ),
    "several frames": (dicom(PIXELS, NumberOfFrames=2), "multi-frame: 2 frames; expected one"),
    "bad frame count": (sample("badVR.dcm"), "undecodable: DICOM data is damaged"),
    "no picture": (sample("test-SR.dcm"), "no-pixels: DICOM file without an image"),
    "no pixel data": (
        dicom(PIXELS, PixelData=None),
        "no-pixels: DICOM file without pixel data",
    ),
    "palette": (
        sample("examples_palette.dcm"),
        "unsupported-pixels: 1 samples of 8 bits",
    ),
    "one bit": (
        sample("liver_1frame.dcm"),
        "unsupported-pixels: 1 bits a sample; expected 8 or 16",
    ),
    "deflated": (
        sample("image_dfl.dcm"),
        "transfer-syntax: Deflated Explicit VR Little Endian is not read: "
        "it may unpack to any size",
    ),
    "cut jpeg2000": (
        compressed(PIXELS, JPEG2000Lossless)[:9000],
        "truncated: compressed pixel data ends early",
    ),
    "jpeg2000 bomb": (
        compressed(PIXELS, JPEG2000Lossless).replace(
            struct.pack(">II", 160, 200), struct.pack(">II", 60_000, 60_000), 1
        ),
        "undecodable: compressed picture and header differ in size",
    ),
    "jpeg bomb in dicom": (
        with_size(baseline(GREY), (160, 200), (65_000, 65_000)),
        "undecodable: compressed picture and header differ in size",
    ),
    "cut rle": (compressed(PIXELS, RLELossless)[:20_000], "undecodable: DICOM data is damaged"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused_with_this_line(name: str) -> None:
    data, line = REFUSED[name]
    found = refusal(data)
    assert found.startswith(line) if line.endswith(": ") else found == line


def test_unknown_and_foreign_transfer_syntaxes() -> None:
    for syntax, line in {
        "1.2.840.10008.1.2.4.100": "transfer-syntax: MPEG2 Main Profile / Main Level "
        "transfer syntax is not read",
        "1.2.3.4": "transfer-syntax: private transfer syntax is not read",
    }.items():
        data = dataset(PIXELS)
        plain = written(data, ExplicitVRLittleEndian)
        old = ExplicitVRLittleEndian.encode()
        padded = syntax.encode() + b"\0" * (len(syntax) % 2)
        start = plain.index(old + b"\0") - 8
        element = plain[start : start + 6] + struct.pack("<H", len(padded)) + padded
        data_bytes = plain[:start] + element + plain[start + 8 + 20 :]
        assert refusal(_with_group_length(data_bytes, len(padded) - 20)) == line


def _with_group_length(data: bytes, change: int) -> bytes:
    (length,) = struct.unpack("<I", data[140:144])
    return data[:140] + struct.pack("<I", length + change) + data[144:]


def test_bounds_are_inclusive() -> None:
    assert read_grey(png(GREY[:16, :64]), SETTINGS).original_height == 16
    assert refusal(png(GREY[:16, :65])).startswith("aspect-ratio: 65x16 px")
    assert refusal(png(GREY[:15, :60])).startswith("too-small: 60x15 px")
    narrow = SETTINGS.model_copy(update={"largest_megapixels": 0.032})
    assert read_grey(png(GREY), narrow).original_width == 160
    assert refusal(png(np.pad(GREY, 1, mode="edge")), narrow) == (
        "decompression-bomb: 162x202 px; at most 0.032 megapixels"
    )


def test_bytes_between_jpeg_markers_are_no_damage() -> None:
    data = jpeg(GREY)
    assert data.endswith(b"\xff\xd9")
    odd = data[:-2] + b"\0\0\0" + data[-2:]
    np.testing.assert_array_equal(read_grey(odd, SETTINGS).grey, read_grey(data, SETTINGS).grey)


def test_a_marker_on_a_blank_film_is_still_blank() -> None:
    blank = np.zeros((400, 400), np.uint8)
    blank[5:25, 5:25] = 255
    assert refusal(png(blank)) == "constant-image: all pixels have the same value"


def test_a_refusal_travels_between_processes() -> None:
    error = PixelError("too-small", "3x3 px")
    copy = pickle.loads(pickle.dumps(error))  # noqa: S301  # our own bytes
    assert (copy.reason, copy.detail, str(copy)) == ("too-small", "3x3 px", str(error))


def test_no_word_of_a_header_in_errors_or_logs(caplog: pytest.LogCaptureFixture) -> None:
    """A name where a number belongs makes pydicom warn and raise with the name in its text."""
    window = struct.pack("<HH", 0x28, 0x1050) + b"DS"
    data = dicom(PIXELS, WindowCenter="20480000000000", WindowWidth=4096)
    start = data.index(window) + 8
    damaged = data[:start] + PATIENT_NAME.encode()[:14] + data[start + 14 :]
    with caplog.at_level(logging.DEBUG), pytest.raises(PixelError) as caught:
        prepare(damaged, SETTINGS)
    assert str(caught.value) == "undecodable: DICOM data is damaged"
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__
    assert PATIENT_NAME.split("^")[0] not in caplog.text


def _all_syntaxes() -> dict[str, bytes]:
    with TemporaryDirectory() as folder:
        return {name: write(PIXELS, Path(folder)) for name, write in SYNTAXES.items()}


FUZZED = {
    **_all_syntaxes(),
    "baseline": baseline(GREY),
    "jpeg": jpeg(GREY),
    "png16": png(PIXELS),
    "rgba": saved(Image.fromarray(GREY).convert("RGBA"), "PNG"),
    "cmyk": saved(Image.fromarray(GREY).convert("CMYK"), "JPEG"),
}


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    """A whole file with bytes overwritten, cut off, cut out or put in, mostly near its header."""
    data = bytearray(FUZZED[draw(st.sampled_from(sorted(FUZZED)))])
    near = draw(st.sampled_from([len(data) - 1, min(1200, len(data) - 1)]))
    for _ in range(draw(st.integers(1, 6))):
        place = draw(st.integers(0, min(near, len(data) - 1)))
        change = draw(st.sampled_from(["byte", "cut", "drop", "insert"]))
        if change == "byte":
            data[place] = draw(st.integers(0, 255))
        elif change == "cut" and place > 0:
            del data[place:]
        elif change == "drop":
            del data[place : place + draw(st.integers(1, 40))]
        else:
            data[place:place] = draw(st.binary(min_size=1, max_size=40))
        if not data:
            break
    return bytes(data)


@settings(max_examples=250, deadline=None, suppress_health_check=list(HealthCheck), database=None)
@given(damaged())
def test_damaged_files_are_read_or_refused_and_never_crash(data: bytes) -> None:
    try:
        picture = read_grey(data, SETTINGS)
    except PixelError as error:
        assert error.reason in REASONS
        assert "\n" not in error.detail
    else:
        assert min(picture.grey.shape) == 64


@settings(max_examples=150, deadline=None, database=None)
@given(st.binary(max_size=400), st.sampled_from([b"", b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"D"]))
def test_random_bytes_are_refused(body: bytes, start: bytes) -> None:
    data = b"\0" * 128 + b"DICM" + body if start == b"D" else start + body
    with pytest.raises(PixelError) as caught:
        read_grey(data, SETTINGS)
    assert caught.value.reason in REASONS


REASONS = {
    "empty-file",
    "not-an-image",
    "truncated",
    "undecodable",
    "decompression-bomb",
    "too-small",
    "aspect-ratio",
    "constant-image",
    "no-pixels",
    "multi-frame",
    "transfer-syntax",
    "unsupported-pixels",
}


def test_the_reasons_are_the_documented_ones() -> None:
    documented = prepare.__doc__ or ""
    assert {reason for reason in REASONS if f"``{reason}``" in documented} == REASONS


def test_no_bomb_warning_of_pillow_leaks() -> None:
    """90 to 100 megapixels is above Pillow's own limit and below ours; warnings are errors here."""
    wide = ImageSettings(short_side_px=64, smallest_side_px=16)
    side = 9_700
    rows = io.BytesIO()
    Image.fromarray(np.tile(GREY[:160], (61, 61))[:side, :side]).save(rows, "PNG", compress_level=1)
    assert read_grey(rows.getvalue(), wide).original_width == side
