"""Image files of every damaged kind, ingested together: each has its reason, the sound ones stay.

Together, because one bad file must not touch another; through the whole ingest, because what a
decoder says must arrive as a rejected row.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from infra.artifact import Artifact
from infra.pieces import Count
from tasks.context import Order, open_context
from tasks.ingest.stored_images import ingest_images
from tasks.ingest.studies import ingest_studies
from tests.damage.image_files import FILES, KEPT, PAGE, PNG, BadFile
from tests.damage.kinds import Kind
from tests.damage.worlds import TABLES, Trees, write_manifest

SMALL = ("sources.pieces=2", "images.short_side_px=64")
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
