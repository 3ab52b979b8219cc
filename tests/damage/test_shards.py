"""Parquet shards that are none, and pictures inside them that cannot be read."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from infra.errors import SourceError
from sources.raw_files import RawFileError, RawFolder
from sources.rrg24 import read
from tests.damage.kinds import AGAIN, Kind
from tests.damage.worlds import picture

SHARD = "repository/data/train-00000-of-00001.parquet"
OWN = "check that this is the publisher's file"
SHAPE = (
    "source, findings and impression as text, images as lists of pictures, images_path as lists "
    "of texts"
)
SCHEMA = pa.schema(
    [
        ("source", pa.string()),
        ("findings", pa.string()),
        ("images", pa.list_(pa.struct([("bytes", pa.binary()), ("path", pa.string())]))),
        ("impression", pa.string()),
        ("images_path", pa.list_(pa.string())),
    ]
)


def row(*films: bytes | None, **values: Any) -> dict[str, Any]:
    """One invented row."""
    return {
        "source": "OpenI",
        "findings": "Clear lungs.",
        "impression": "",
        "images": [{"bytes": data, "path": None} for data in films],
        "images_path": [f"film{number}.png" for number, _ in enumerate(films)],
    } | values


def put(path: Path, *rows: dict[str, Any], schema: pa.Schema = SCHEMA, group: int = 100) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pylist(list(rows), schema=schema), path, row_group_size=group)
    return path


def _without(column: str) -> bytes:
    buffer = io.BytesIO()
    table = pa.Table.from_pylist([row(picture(1))], schema=SCHEMA).drop_columns([column])
    pq.write_table(table, buffer)
    return buffer.getvalue()


def _with(column: str, value: Any) -> bytes:
    buffer = io.BytesIO()
    table = pa.Table.from_pylist([row(picture(1))], schema=SCHEMA)
    place = SCHEMA.get_field_index(column)
    pq.write_table(table.set_column(place, column, pa.array([value])), buffer)
    return buffer.getvalue()


def _not_text() -> bytes:
    buffer = io.BytesIO()
    table = pa.Table.from_pylist([row(picture(1))], schema=SCHEMA)
    broken = pa.array([b"caf\xe9"]).view(pa.string())
    pq.write_table(table.set_column(1, "findings", broken), buffer)
    return buffer.getvalue()


BROKEN = (
    f"found no readable Parquet file at {{path}} (ArrowInvalid); expected a whole shard; {AGAIN}"
)
FILES: dict[str, tuple[Callable[[bytes], bytes], str]] = {
    "an empty shard": (lambda data: b"", BROKEN),
    "a shard that is cut": (lambda data: data[: len(data) // 2], BROKEN),
    "text under the shard's name": (lambda data: b"version https://git-lfs", BROKEN),
    "text that is not UTF-8 inside a shard": (lambda data: _not_text(), BROKEN),
    "a shard without its pictures": (
        lambda data: _without("images"),
        f"found no column 'images' of its type in {{path}}; expected {SHAPE}; {OWN}",
    ),
    "a shard without a section": (
        lambda data: _without("findings"),
        f"found no column 'findings' of its type in {{path}}; expected {SHAPE}; {OWN}",
    ),
    "numbers for a section": (
        lambda data: _with("findings", 7),
        f"found no column 'findings' of its type in {{path}}; expected {SHAPE}; {OWN}",
    ),
    "a picture in the place of a list of them": (
        lambda data: _with("images", {"bytes": b"film", "path": "film.png"}),
        f"found no column 'images' of its type in {{path}}; expected {SHAPE}; {OWN}",
    ),
    "pictures that are text": (
        lambda data: _with("images", [{"bytes": "film", "path": "film.png"}]),
        f"found no column 'images' of its type in {{path}}; expected {SHAPE}; {OWN}",
    ),
    "lists in the place of paths": (
        lambda data: _with("images_path", [["film.png"]]),
        f"found no column 'images_path' of its type in {{path}}; expected {SHAPE}; {OWN}",
    ),
}
MEMBERS = {
    f"{SHARD}!images/9/0": f"member-missing: no such row: images/9/0 in {SHARD}",
    f"{SHARD}!images/0/5": f"member-missing: no such picture: images/0/5 in {SHARD}",
    f"{SHARD}!images/1/0": f"member-missing: no such picture: images/1/0 in {SHARD}",
    f"{SHARD}!films/0/0": f"member-missing: no such column of pictures: films/0/0 in {SHARD}",
    f"{SHARD}!images/x/0": f"member-missing: expected column/row/place: images/x/0 in {SHARD}",
    f"{SHARD}!images/-1/0": f"member-missing: expected column/row/place: images/-1/0 in {SHARD}",
    f"{SHARD}!": f"member-missing: expected column/row/place:  in {SHARD}",
    f"{SHARD}!images/2/0": f"file-empty: 0 bytes at {SHARD}!images/2/0",
    f"{SHARD}!images/3/0": f"member-missing: no such picture: images/3/0 in {SHARD}",
    f"{SHARD}!source/0/0": f"member-missing: no such column of pictures: source/0/0 in {SHARD}",
    "none.parquet!images/0/0": "file-missing: no file at none.parquet",
    "../x.parquet!images/0/0": "path-outside-root: not a relative path: '../x.parquet'",
    "text.parquet!images/0/0": "archive-broken: not a readable Parquet file: images/0/0 in "
    "text.parquet",
}
SECTIONED = (
    "write mimic_cxr_sectioned.csv with MIMIC-CXR's sectioning script, or take the tree out of "
    "the root to read the other members alone"
)
KINDS = (
    *(Kind(name, "rrg24", line) for name, (_, line) in FILES.items()),
    Kind("a picture without bytes", "rrg24", "member-missing: no such picture: MEMBER in PATH"),
    Kind("a shard that broke after it was read", "rrg24",
         "archive-broken: not a readable Parquet file: MEMBER in PATH"),
    Kind("a row without a picture", "rrg24", "image-missing: the row holds no image"),
    Kind(
        "a shard whose name tells no split", "rrg24",
        "found no split in the name PATH; expected train, validation or test as the first word of "
        "the file's or its folder's name; keep the names of the hub",
    ),
    Kind(
        "the training set under both of its names", "rrg24",
        "found shards of the part train in PATH and PATH; expected each part once; keep one copy: "
        "the hub offers the same training set under two names",
    ),
    Kind(
        "a MIMIC-CXR tree without sections", "rrg24",
        "found no mimic_cxr_sectioned.csv (or .gz) in PATH; expected the tables that the MIMIC-CXR "
        f"member of RRG24 is built from; {SECTIONED}",
    ),
)  # fmt: skip


def _refusal(root: Path) -> str:
    with pytest.raises(SourceError) as caught:
        read(root)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("fault", sorted(FILES))
def test_a_shard_that_is_none(fault: str, tmp_path: Path) -> None:
    path = put(tmp_path / SHARD, row(picture(1)))
    spoil, line = FILES[fault]
    path.write_bytes(spoil(path.read_bytes()))
    assert _refusal(tmp_path) == line.format(path=path)


@pytest.mark.parametrize("uri", sorted(MEMBERS))
def test_a_picture_that_cannot_be_read(uri: str, tmp_path: Path) -> None:
    put(tmp_path / SHARD, row(picture(1)), row(None), row(b""), row(images=[None]), group=2)
    (tmp_path / "text.parquet").write_text("no Parquet")
    with RawFolder(tmp_path) as folder:
        with pytest.raises(RawFileError) as caught:
            folder.read(uri)
        assert str(caught.value) == MEMBERS[uri]
        assert folder.read(f"{SHARD}!images/0/0") == picture(1), "the sound one beside it"


def test_a_shard_of_no_split(tmp_path: Path) -> None:
    put(tmp_path / "data" / "part-0.parquet", row(picture(1)))
    assert _refusal(tmp_path) == (
        "found no split in the name data/part-0.parquet; expected train, validation or test as the "
        "first word of the file's or its folder's name; keep the names of the hub"
    )


def test_one_part_in_two_folders(tmp_path: Path) -> None:
    for name in ("rrg24-shared-task-bionlp", "interpret-cxr-public"):
        put(tmp_path / name / "data" / "train-00000-of-00001.parquet", row(picture(1)))
    assert _refusal(tmp_path) == (
        f"found shards of the part train in {tmp_path}/interpret-cxr-public/data and "
        f"{tmp_path}/rrg24-shared-task-bionlp/data; expected each part once; keep one copy: the "
        "hub offers the same training set under two names"
    )


def test_a_tree_without_sections(tmp_path: Path) -> None:
    from tests.questions_world import TREE, write_mimic

    put(tmp_path / SHARD, row(picture(1)))
    write_mimic(tmp_path)
    assert _refusal(tmp_path) == (
        f"found no mimic_cxr_sectioned.csv (or .gz) in {tmp_path / TREE}; expected the tables that "
        f"the MIMIC-CXR member of RRG24 is built from; {SECTIONED}"
    )


def test_a_row_without_a_picture_is_rejected_and_keeps_its_text(tmp_path: Path) -> None:
    put(tmp_path / SHARD, row(), row(picture(1)))
    reading = read(tmp_path)
    assert [(r["reason"], r["detail"]) for r in reading.rejected.to_pylist()] == [
        ("image-missing", "the row holds no image")
    ]
    bare, sound = reading.studies.to_pylist()
    assert (bare["images"], bare["texts"][0]["findings"]) == ([], "Clear lungs.")
    assert len(sound["images"]) == 1
