"""Image files of every damaged kind, ingested together: each has its reason, the sound ones stay.

Together, because one bad file must not touch another; through the whole ingest, because what a
decoder says must arrive as a rejected row.
"""

from __future__ import annotations

import io
import os
import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image
from pydicom.encaps import encapsulate
from pydicom.uid import UID

from infra.artifact import Artifact
from infra.pieces import Count
from tasks.context import Order, open_context
from tasks.ingest.stored_images import ingest_images
from tasks.ingest.studies import ingest_studies
from tests import pixel_samples
from tests.damage.kinds import Kind
from tests.damage.worlds import TABLES, Trees, film, picture, write_manifest

SMALL = ("sources.pieces=2", "images.short_side_px=64")
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
PLACES = (
    Kind("a sparse file of terabytes", "every source", "file-unreadable: N bytes at PATH; at most "
         "1073741824"),
    Kind("an image that may not be read", "every source", "file-unreadable: Permission denied at "
         "PATH"),
    Kind("a file's name that is not UTF-8", "every source", "file-missing, for no table can name "
         "it"),
    Kind("an image that vanishes between tables and pixels", "every source",
         "file-missing: no file at PATH"),
    Kind("a pipe that appears between tables and pixels", "every source",
         "file-unreadable: a pipe or device at PATH"),
)  # fmt: skip
KINDS = (
    *(
        Kind(
            bad.name,
            "manifest",
            f"{bad.sees[0]}: {bad.sees[1]}".format(name="NAME") if bad.sees != KEPT else
            "nothing: it is read",
        )
        for bad in FILES
        if not bad.name.startswith("a sound")
    ),
    *PLACES,
)  # fmt: skip


@dataclass
class Ingested:
    """What both ingest steps made of one tree."""

    studies: Artifact
    images: Artifact
    kept: set[str] = field(init=False)
    rejected: dict[str, tuple[str, str]] = field(init=False)
    rows_rejected: int = field(init=False)

    def __post_init__(self) -> None:
        self.kept = {
            row for path in self.images.files("images.parquet")
            for row in pq.read_table(path)["image_id"].to_pylist()
        }  # fmt: skip
        rows = [
            row for artifact in (self.studies, self.images)
            for path in artifact.files("rejected.parquet")
            for row in pq.read_table(path).to_pylist()
        ]  # fmt: skip
        of_images = [row for row in rows if row["level"] == "image"]
        self.rejected = {row["row_id"]: (row["reason"], row["detail"]) for row in of_images}
        self.rows_rejected = len(of_images)

    def require_balance(self) -> None:
        """Nothing is lost: what the tables list is kept or rejected, once."""
        counts = {count.unit: count for count in (*self.studies.counts, *self.images.counts)}
        listed, images = counts["images listed"], counts["images"]
        assert images.rows_in == listed.kept
        assert images.kept == len(self.kept)
        assert lost(listed) + lost(images) == self.rows_rejected
        twice = {key for key, (reason, _) in self.rejected.items() if reason == "duplicate-id"}
        assert self.kept & self.rejected.keys() <= twice
        studies = counts["studies"]
        assert studies.rows_in == studies.kept + lost(studies)


def lost(count: Count) -> int:
    return sum(count.rejected.values())


def ingest(name: str, root: Path, data_root: Path, between: Callable[[], object] = int) -> Ingested:
    """Tables, then pixels; ``between`` happens between the two."""
    order = Order(data_root=str(data_root), sources=(f"{name}={root}",), overrides=SMALL)
    context = open_context(order)
    studies = ingest_studies(context, name)
    between()
    return Ingested(studies, ingest_images(context, name))


def _names() -> dict[str, BadFile]:
    return {f"{number:02d}{bad.suffix}": bad for number, bad in enumerate(FILES)}


@pytest.fixture(scope="module")
def hospital(tmp_path_factory: pytest.TempPathFactory) -> Ingested:
    """All damaged files in one folder, ingested once."""
    folder = tmp_path_factory.mktemp("images")
    files = {f"images/{name}": bad.data for name, bad in _names().items()}
    plain = {name: data if isinstance(data, bytes) else b"" for name, data in files.items()}
    write_manifest(folder / "own", plain)
    for name, data in files.items():
        if not isinstance(data, bytes):
            (folder / "own" / name).unlink()
            data(folder / "own" / name)
    return ingest("manifest", folder / "own", folder / "data")


@pytest.mark.parametrize("name", sorted(_names()), ids=lambda name: _names()[name].name)
def test_a_file_of_this_kind(hospital: Ingested, name: str) -> None:
    bad = _names()[name]
    uri = f"images/{name}"
    if bad.sees == KEPT:
        assert uri in hospital.kept and uri not in hospital.rejected
    else:
        reason, detail = bad.sees
        assert hospital.rejected[uri] == (reason, detail.format(name=name))


def test_all_kinds_together_add_up(hospital: Ingested) -> None:
    hospital.require_balance()
    assert len(hospital.kept) + len(hospital.rejected) == len(FILES)
    assert not any("Jane Doe" in detail for _, detail in hospital.rejected.values())


DAMAGES: tuple[Callable[[Path], object], ...] = (
    lambda path: path.write_bytes(b""),
    lambda path: path.write_bytes(PAGE),
    lambda path: path.write_bytes(path.read_bytes()[: path.stat().st_size // 2]),
    lambda path: (path.unlink(), path.mkdir()),
    lambda path: (path.unlink(), os.mkfifo(path)),
    lambda path: (path.unlink(), path.symlink_to("/etc/hostname")),
)
IN_ZIPS = ("object_cxr", "padchest")


@pytest.mark.parametrize("name", sorted(set(TABLES) - set(IN_ZIPS)))
def test_six_bad_files_between_tables_and_pixels(name: str, trees: Trees, tmp_path: Path) -> None:
    """Every source: exactly the spoilt files are rejected, each with its reason."""
    root = trees.fresh(name, tmp_path)
    sound = ingest(name, trees.sound(name), tmp_path / "sound")
    sound.require_balance()
    rows = trees.reading(name).studies.to_pylist()
    ids = {image["uri"]: image["image_id"] for row in rows for image in row["images"]}
    uris = [uri for uri in ids if ids[uri] in sound.kept][:6]

    def spoil() -> None:
        for uri, damage in zip(uris, DAMAGES, strict=False):
            damage(root / uri)

    found = ingest(name, root, tmp_path / "data", spoil)
    found.require_balance()
    assert found.kept == sound.kept - {ids[uri] for uri in uris}
    size = len(PAGE)
    reasons = [found.rejected[ids[uri]] for uri in uris]
    expected = [
        ("file-empty", "0 bytes at {uri}"),
        ("not-an-image", f"{size} bytes; expected DICOM, PNG or JPEG"),
        None,
        ("file-missing", "no file at {uri}"),
        ("file-unreadable", "a pipe or device at {uri}"),
        ("path-outside-root", "a link leads outside the root: {uri}"),
    ]
    for uri, reason, wanted in zip(uris, reasons, expected, strict=False):
        if wanted is None:
            assert reason[0] in ("truncated", "undecodable")
        else:
            assert reason == (wanted[0], wanted[1].format(uri=uri))


def test_a_sparse_file_of_terabytes(tmp_path: Path) -> None:
    write_manifest(tmp_path / "own", {"a.png": PNG, "b.png": PNG})
    os.truncate(tmp_path / "own" / "a.png", 4 << 40)
    found = ingest("manifest", tmp_path / "own", tmp_path / "data")
    assert found.rejected == {
        "a.png": ("file-unreadable", f"{4 << 40} bytes at a.png; at most 1073741824")
    }
    assert found.kept == {"b.png"}


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user for a moment")
def test_an_image_that_may_not_be_read(tmp_path: Path) -> None:
    own = tmp_path / "own"
    write_manifest(own, {"a.png": PNG, "b.png": PNG})
    (own / "a.png").chmod(0)
    for folder in (own, *own.parents):
        if folder.owner() == "root":
            folder.chmod(folder.stat().st_mode | 0o055)
    (tmp_path / "data").mkdir(mode=0o777)
    (tmp_path / "data").chmod(0o777)
    os.seteuid(65534)
    try:
        found = ingest("manifest", own, tmp_path / "data")
    finally:
        os.seteuid(0)
    assert found.rejected == {"a.png": ("file-unreadable", "Permission denied at a.png")}
    assert found.kept == {"b.png"}


@pytest.mark.parametrize("name", ["nih_cxr14", "padchest", "object_cxr", "openi", "chexpert"])
def test_a_name_that_is_not_utf8(name: str, trees: Trees, tmp_path: Path) -> None:
    root = trees.fresh(name, tmp_path)
    folder = {
        "nih_cxr14": "images",
        "padchest": "images",
        "object_cxr": "dev",
        "openi": "NLMCXR_png",
        "chexpert": "CheXpert-v1.0-small/train",
    }[name]
    (root / folder).mkdir(exist_ok=True)
    for suffix in (b".png", b".jpg"):
        (Path(os.fsdecode(os.fsencode(root / folder) + b"/patientSe\xf1or" + suffix))).touch()
    found = ingest(name, root, tmp_path / "data")
    found.require_balance()
    assert found.studies.counts == ingest(name, trees.sound(name), tmp_path / "s").studies.counts
