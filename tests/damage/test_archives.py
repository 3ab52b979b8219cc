"""Zips that are broken, hostile or of the wrong kind; members are read in place, never unpacked."""

from __future__ import annotations

import io
import struct
from collections.abc import Callable
from pathlib import Path
from zipfile import ZIP_DEFLATED, ZipFile

import pytest

from infra.errors import SourceError
from sources.catalog import get_source
from tests.damage.kinds import AGAIN, Kind
from tests.damage.test_images import ingest
from tests.damage.test_rows import rejections
from tests.damage.worlds import TABLES, Trees, picture, put_rows
from tests.mimic_tree import STUDY, MimicTree

SOUND, BAD = "films.zip!sound.png", "films.zip!bad.png"


def _zip(members: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with ZipFile(buffer, "w", ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return buffer.getvalue()


def _patch(data: bytes, member: str, local: int, central: int, value: bytes) -> bytes:
    """Other bytes in both headers of a member, at offsets that count from their signatures."""
    patched = bytearray(data)
    for signature, name_at, place in ((b"PK\x03\x04", 30, local), (b"PK\x01\x02", 46, central)):
        at = -1
        while (at := data.find(signature, at + 1)) >= 0:
            if data[at + name_at :].startswith(member.encode()):
                patched[at + place : at + place + len(value)] = value
    return bytes(patched)


def _flip(data: bytes) -> bytes:
    at = data.index(b"bad.png") + 500
    return data[:at] + bytes([data[at] ^ 255]) + data[at + 1 :]


FILMS = _zip({"sound.png": picture(1), "bad.png": picture(2)})
WITHOUT = _zip({"sound.png": picture(1)})
NESTED = _zip({"sound.png": picture(1), "bad.png": WITHOUT})
DAMAGED = ("archive-broken", "damaged member in films.zip: bad.png")
MEMBERS: dict[str, tuple[bytes, tuple[str, str]]] = {
    "a member with a flipped byte": (_flip(FILMS), DAMAGED),
    "an encrypted member": (_patch(FILMS, "bad.png", 6, 8, b"\x01\x00"), DAMAGED),
    "a member packed by an unknown method": (_patch(FILMS, "bad.png", 8, 10, b"\x63\x00"), DAMAGED),
    "a member that claims 4 GB": (
        _patch(FILMS, "bad.png", 22, 24, struct.pack("<I", 4_000_000_000)),
        ("archive-broken", "member of 4000000000 bytes in films.zip: bad.png"),
    ),
    "a member that claims less than it unpacks to": (
        _patch(FILMS, "bad.png", 22, 24, struct.pack("<I", 100)),
        DAMAGED,
    ),
    "a missing member": (WITHOUT, ("member-missing", "no member bad.png in films.zip")),
    "a zip inside the zip": (
        NESTED,
        ("not-an-image", f"{len(WITHOUT)} bytes; expected DICOM, PNG or JPEG"),
    ),
    "an empty member": (
        _zip({"sound.png": picture(1), "bad.png": b""}),
        ("file-empty", f"0 bytes at {BAD}"),
    ),
}
KINDS = (
    *(Kind(name, "manifest", f"{why}: {detail}") for name, (_, (why, detail)) in MEMBERS.items()),
    Kind("a broken, cut or text zip", "manifest", "archive-broken: not a readable zip: PATH"),
    Kind("a zip bomb of nested headers", "manifest", "archive-broken: not a readable zip: PATH"),
    Kind("members named '../../x'", "manifest", "nothing: members are read, no file is written"),
    Kind(
        "a broken zip of images",
        "object_cxr",
        "found a broken zip at PATH (BadZipFile); expected a whole zip file; download the file "
        "again and compare its size with the publisher's",
    ),
    Kind(
        "one broken zip of many",
        "padchest",
        "archive-unreadable: not a readable zip: NAME; expected a whole zip",
    ),
    Kind(
        "a broken zip of reports",
        "mimic_cxr",
        f"found a broken zip archive at PATH (File is not a zip file); expected the publisher's "
        f"archive of reports; {AGAIN}",
    ),
)


def _hospital(root: Path, archive: bytes, *names: str) -> Path:
    root.mkdir()
    (root / "films.zip").write_bytes(archive)
    rows = [["image_path", "study_id", "view"]]
    rows += [[name, f"S{number}", "PA"] for number, name in enumerate(names or (SOUND, BAD))]
    put_rows(root / TABLES["manifest"], rows)
    return root


@pytest.mark.parametrize("name", sorted(MEMBERS))
def test_a_bad_member_beside_a_sound_one(name: str, tmp_path: Path) -> None:
    archive, sees = MEMBERS[name]
    found = ingest("manifest", _hospital(tmp_path / "own", archive), tmp_path / "data")
    found.require_balance()
    assert found.rejected == {BAD: sees}
    assert found.kept == {SOUND}


@pytest.mark.parametrize(
    "spoil",
    [
        lambda data: data[: len(data) // 2],
        lambda data: data[:-30],
        lambda data: b"this is no archive",
        lambda data: b"",
        lambda data: b"PK\x05\x06" + b"\xff" * 18,
    ],
    ids=["half", "without its directory", "text", "empty", "directory alone"],
)
def test_a_zip_that_is_none(spoil: Callable[[bytes], bytes], tmp_path: Path) -> None:
    found = ingest("manifest", _hospital(tmp_path / "own", spoil(FILMS)), tmp_path / "data")
    found.require_balance()
    seen = ("archive-broken", "not a readable zip: films.zip")
    assert found.rejected == {SOUND: seen, BAD: seen}


def test_members_with_hostile_names_write_nothing(tmp_path: Path) -> None:
    names = ("../../escaped.png", "/tmp/escaped-by-cxrflow.png", "a/../../b.png")
    archive = _zip({name: picture(number) for number, name in enumerate(names)})
    listed = [f"films.zip!{name}" for name in names]
    found = ingest("manifest", _hospital(tmp_path / "own", archive, *listed), tmp_path / "data")
    found.require_balance()
    assert found.kept == set(listed)
    assert not list(tmp_path.rglob("*.png"))
    assert not Path("/tmp/escaped-by-cxrflow.png").exists()


@pytest.mark.parametrize("kept", [0, 100, -40])
def test_a_broken_zip_of_images(kept: int, trees: Trees, tmp_path: Path) -> None:
    root = trees.fresh("object_cxr", tmp_path)
    path = root / "train.zip"
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(SourceError) as caught:
        get_source("object_cxr").read(root)
    assert str(caught.value) == (
        f"found a broken zip at {path} (BadZipFile); expected a whole zip file; download the file "
        "again and compare its size with the publisher's"
    )


def test_one_broken_zip_of_many(trees: Trees, tmp_path: Path) -> None:
    root = trees.fresh("padchest", tmp_path)
    path = next(iter(sorted(root.glob("*.zip"))))
    with ZipFile(path) as archive:
        members = {Path(name).name for name in archive.namelist()}
    path.write_bytes(path.read_bytes()[:-30])
    found, sound = get_source("padchest").read(root), trees.reading("padchest")
    new = rejections(found) - rejections(sound)
    lost = {row_id for level, row_id, reason, _ in new if reason == "archive-unreadable"}
    kept = {image["image_id"] for row in sound.studies.to_pylist() for image in row["images"]}
    assert members & kept <= lost <= members
    assert {detail for _, _, reason, detail in new if reason == "archive-unreadable"} == {
        f"not a readable zip: {path.name}; expected a whole zip"
    }


@pytest.mark.parametrize("kept", [0, 40, -25])
def test_a_broken_zip_of_reports(kept: int, tmp_path: Path) -> None:
    root = MimicTree(tmp_path).write()
    path = root / "mimic-cxr-reports.zip"
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(SourceError) as caught:
        get_source("mimic_cxr").read(root)
    assert str(caught.value) == (
        f"found a broken zip archive at {path} (File is not a zip file); expected the publisher's "
        f"archive of reports; {AGAIN}"
    )


@pytest.mark.parametrize(("local", "central", "value"), [(6, 8, b"\x01\x00"), (8, 10, b"\x63\x00")])
def test_a_report_that_cannot_be_unpacked(
    local: int, central: int, value: bytes, tmp_path: Path
) -> None:
    root = MimicTree(tmp_path).write()
    path = root / "mimic-cxr-reports.zip"
    member = f"files/p10/p10000001/s{STUDY}.txt"
    path.write_bytes(_patch(path.read_bytes(), member, local, central, value))
    found = get_source("mimic_cxr").read(root)
    assert list(rejections(found)) == [
        (
            "text",
            STUDY,
            "report-unreadable",
            f"damaged member in mimic-cxr-reports.zip: {member}",
        )
    ]
    assert found.studies.num_rows == 2
