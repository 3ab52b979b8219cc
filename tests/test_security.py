"""Hostile files and places: what docs/security.md says is defended and no other test holds."""

from __future__ import annotations

import gzip
import io
import re
import struct
import tarfile
import zipfile
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pixel_samples import dicom, eight_bit, film, jpeg, png
from raw_world import look

from infra.errors import SettingsError, SourceError
from infra.fingerprint import HOUSE
from infra.settings.sections import ImageSettings
from sources import openi_reports, table_bytes
from sources.pixels import PixelError, prepare
from sources.raw_files import RawFileError, RawFolder
from sources.tables import read_csv
from tasks.ingest.stored_images import ingest_images
from tasks.ingest.studies import ingest_studies

SETTINGS = ImageSettings(short_side_px=64, smallest_side_px=16, largest_megapixels=4)
PAGE = HOUSE / "docs" / "security.md"
SECRETS = {
    "CXR_LLM_API_KEY": "sk-canary-0123456789",
    "CXR_WEBHOOK_SECRET": "hook-canary-0123456789",
}


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png_with(kind: bytes, data: bytes) -> bytes:
    """A sound film with one more chunk before its pixels."""
    whole = png(eight_bit(film()))
    start = whole.index(b"IDAT") - 4
    return whole[:start] + chunk(kind, data) + whole[start:]


@pytest.mark.parametrize(
    "data",
    [
        png_with(b"zTXt", b"Comment\0\0" + zlib.compress(bytes(200_000_000), 9)),
        png_with(b"iCCP", b"profile\0\0" + zlib.compress(bytes(200_000_000), 9)),
        png_with(b"iTXt", b"Comment\0\1\0\0\0" + zlib.compress(bytes(200_000_000), 9)),
    ],
    ids=["zTXt", "iCCP", "iTXt"],
)
def test_a_png_with_a_packed_bomb_beside_its_pixels(data: bytes) -> None:
    """Either refused, or read without unpacking it; never unpacked."""
    import tracemalloc

    tracemalloc.start()
    try:
        prepare(data, SETTINGS)
    except PixelError as error:
        assert error.reason == "undecodable"
    finally:
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert most < 100_000_000


def test_a_dicom_whose_frame_is_larger_than_its_header_says() -> None:
    great = jpeg(np.zeros((3000, 3000), np.uint8))
    told = dicom(film(200, 160))
    from pydicom import dcmread
    from pydicom.encaps import encapsulate
    from pydicom.uid import JPEGBaseline8Bit

    dataset = dcmread(io.BytesIO(told))
    dataset.file_meta.TransferSyntaxUID = JPEGBaseline8Bit
    dataset.BitsAllocated = dataset.BitsStored = 8
    dataset.HighBit = 7
    dataset.PixelData = encapsulate([great])
    dataset["PixelData"].is_undefined_length = True
    sink = io.BytesIO()
    dataset.save_as(sink, enforce_file_format=True)
    with pytest.raises(PixelError) as caught:
        prepare(sink.getvalue(), SETTINGS)
    assert caught.value.reason in ("undecodable", "decompression-bomb", "unsupported-pixels")


def test_a_gzip_table_that_unpacks_without_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(table_bytes, "LARGEST_UNPACKED_BYTES", 1_000_000)
    path = tmp_path / "table.csv.gz"
    path.write_bytes(gzip.compress(b"a,b\n" + b"1,2\n" * 5_000_000))
    assert path.stat().st_size * table_bytes.MOST_TIMES < 20_000_000
    with pytest.raises(SourceError, match="which unpacks to more than"):
        read_csv(path, ("a", "b"))
    path.write_bytes(gzip.compress(b"a,b\n" + b"1,2\n" * 1000))
    assert read_csv(path, ("a", "b")).num_rows == 1000


def archive_of(path: Path, members: dict[str, bytes]) -> None:
    with tarfile.open(path, "w:gz") as archive:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))


def test_an_archive_of_reports_that_unpacks_without_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(table_bytes, "LARGEST_UNPACKED_BYTES", 1_000_000)
    place = tmp_path / openi_reports._ARCHIVE
    place.parent.mkdir(parents=True, exist_ok=True)
    archive_of(place, {"ecgen-radiology/1.xml": bytes(30_000_000)})
    with pytest.raises(SourceError, match="which unpacks to more than"):
        list(openi_reports._archived(tmp_path))


def test_nothing_is_written_where_an_archives_members_say(tmp_path: Path) -> None:
    """Zip slip: archives are read in place, member by member, and none is unpacked to disk."""
    root = tmp_path / "root"
    root.mkdir()
    with zipfile.ZipFile(root / "x.zip", "w") as archive:
        archive.writestr("../../escaped.png", png(film()))
        archive.writestr("/absolute.png", png(film()))
    before = sorted(tmp_path.rglob("*"))
    with RawFolder(root) as folder:
        assert folder.read("x.zip!../../escaped.png").startswith(b"\x89PNG")
        assert "../../escaped.png" in folder.members("x.zip")
    assert sorted(tmp_path.rglob("*")) == before
    unpackers = {
        f"{path.relative_to(HOUSE)}: {found[0]}"
        for package in ("sources", "tasks", "infra", "models", "evaluation", "flows")
        for path in (HOUSE / package).rglob("*.py")
        for found in re.finditer(r"[.](extractall|extract|unpack_archive)\(", path.read_text())
    }
    assert unpackers == set()


def test_a_zip_member_that_lies_about_its_size(tmp_path: Path) -> None:
    """It says 5 bytes and holds 50 million zeros: no more is unpacked, and it is refused."""
    with zipfile.ZipFile(tmp_path / "x.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.png", bytes(50_000_000))
    whole = bytearray((tmp_path / "x.zip").read_bytes())
    central = whole.rindex(b"PK\x01\x02")
    whole[central + 24 : central + 28] = struct.pack("<I", 5)
    (tmp_path / "x.zip").write_bytes(whole)
    with RawFolder(tmp_path) as folder, pytest.raises(RawFileError) as caught:
        folder.read("x.zip!a.png")
    assert caught.value.reason == "archive-broken"


@pytest.mark.parametrize("key", ["good\r\nX-Injected: 1", "a\nb", "tab\there", "ключ"])
def test_a_key_that_would_end_its_header_is_refused(key: str) -> None:
    from pydantic import SecretStr

    from infra.llm.endpoint import Endpoint

    with pytest.raises(SettingsError) as caught:
        Endpoint("http://127.0.0.1:9/v1", SecretStr(key))
    assert key not in str(caught.value)


def test_secrets_are_in_nothing_that_a_run_writes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    for name, value in SECRETS.items():
        monkeypatch.setenv(name, value)
    raw = tmp_path / "raw"
    raw.mkdir()
    (raw / "manifest.csv").write_text("image_path,study_id,report\na.png,S1,Clear lungs.\n")
    Image.fromarray(eight_bit(film(300, 300))).save(raw / "a.png")
    context = look(tmp_path / "data", {"manifest": raw}, "images.short_side_px=64")
    ingest_studies(context, "manifest")
    ingest_images(context, "manifest")
    written = [path for path in (tmp_path / "data").rglob("*") if path.is_file()]
    assert len(written) >= 5
    for secret in SECRETS.values():
        assert secret not in caplog.text
        assert secret not in repr(context.environment)
        assert not [path for path in written if secret.encode() in path.read_bytes()]


def named_tests() -> list[tuple[str, str]]:
    return re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", PAGE.read_text(encoding="utf-8"))


def test_every_test_that_the_threat_model_names_is_there() -> None:
    found = named_tests()
    assert len(found) >= 25
    missing = [
        f"{path}::{name}"
        for path, name in found
        if f"def {name}(" not in (HOUSE / path).read_text(encoding="utf-8")
    ]
    assert missing == []


def test_the_threat_model_says_what_is_not_defended() -> None:
    text = PAGE.read_text(encoding="utf-8")
    for heading in ("## Assets", "## Actors", "## Boundaries", "## Defended", "## Not defended"):
        assert heading in text
