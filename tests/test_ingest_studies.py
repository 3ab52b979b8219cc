"""Raw tables and reports become pieces of studies; an edit rewrites the piece it touches."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from raw_world import STUDIES, copy_raw, edit_report, look, write_raw

from infra.artifact import Artifact
from infra.errors import InputError, SourceError
from infra.pieces import Count
from sources.catalog import get_source
from sources.piece import piece_key, piece_number
from sources.record import REJECTED_SCHEMA, STUDY_SCHEMA, Level, Split
from tasks.context import Order, open_context
from tasks.ingest.lost import LOST_SCHEMA
from tasks.ingest.studies import REJECTED_FILE, STUDIES_FILE, count_reasons, ingest_studies

HOUSE = Path(__file__).parent.parent


@dataclass(frozen=True)
class World:
    """One source read once for all tests of this module."""

    raw: Path
    data: Path
    artifact: Artifact


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    folder = tmp_path_factory.mktemp("studies")
    raw = write_raw("mimic_cxr", folder / "raw")
    context = look(folder / "data", {"mimic_cxr": raw})
    return World(raw, folder / "data", ingest_studies(context, "mimic_cxr"))


@pytest.fixture
def own(world: World, tmp_path: Path) -> Iterator[World]:
    """Copies that a test may edit."""
    raw = copy_raw(world.raw, tmp_path / "raw")
    data = tmp_path / "data"
    shutil.copytree(world.data, data)
    context = look(data, {"mimic_cxr": raw})
    yield World(raw, data, ingest_studies(context, "mimic_cxr"))


def rows(artifact: Artifact, name: str = STUDIES_FILE) -> pa.Table:
    return pa.concat_tables([pq.read_table(path) for path in artifact.files(name)])


def test_every_study_is_in_the_piece_of_its_hash(world: World) -> None:
    for piece in world.artifact.pieces:
        path = Path(world.artifact.store.path(f"{piece.folder}/{STUDIES_FILE}"))
        for name in pq.read_table(path)["study_id"].to_pylist():
            assert piece_key(piece_number(name, 4)) == piece.key
    assert rows(world.artifact).schema.equals(STUDY_SCHEMA)
    assert rows(world.artifact, REJECTED_FILE).schema.equals(LOST_SCHEMA)


def test_counts_add_up_with_the_rows(world: World) -> None:
    studies, rejected = rows(world.artifact), rows(world.artifact, REJECTED_FILE)
    by_unit = {count.unit: count for count in world.artifact.counts}
    assert list(by_unit) == ["studies", "images listed"]
    assert by_unit["studies"].kept == studies.num_rows
    images = sum(len(images) for images in studies["images"].to_pylist())
    assert by_unit["images listed"].kept == images
    lost = sum(sum(count.rejected.values()) for count in by_unit.values())
    assert lost == len([row for row in rejected.to_pylist() if row["level"] in ("study", "image")])
    assert by_unit["studies"].rows_in >= STUDIES - 2


def test_reasons_are_counted_by_level() -> None:
    columns = {
        "source": ["s"] * 4,
        "level": ["study", "image", "image", "image"],
        "row_id": list("abcd"),
        "study_id": list("abcd"),
        "reason": ["x", "z", "y", "z"],
        "detail": ["", "", "", ""],
    }
    table = pa.table({name: columns[name] for name in REJECTED_SCHEMA.names})
    assert count_reasons(table, Level.IMAGE) == {"y": 1, "z": 2}
    assert count_reasons(table, Level.TEXT) == {}


def test_reading_the_same_tree_again_builds_nothing(own: World) -> None:
    """Copied with its times, the tree counts as the same: its paths are relative to its root."""
    assert own.artifact.cached


def test_an_edited_report_rewrites_exactly_one_piece(own: World, world: World) -> None:
    study = edit_report(own.raw)
    after = ingest_studies(look(own.data, {"mimic_cxr": own.raw}), "mimic_cxr")
    assert after.built == (piece_key(piece_number(study, 4)),)
    assert after.reason == "input raw changed"
    changed = [
        (old.key, new.key)
        for old, new in zip(world.artifact.pieces, after.pieces, strict=True)
        if old.folder != new.folder
    ]
    assert changed == [(after.built[0], after.built[0])]
    texts = [row["raw_report"] for row in rows(after).to_pylist() if row["study_id"] == study]
    assert [text.endswith("The trachea is midline.\n") for text in texts] == [True]


def test_a_touched_file_reads_again_but_rewrites_nothing(own: World) -> None:
    path = sorted(own.raw.glob("files/p*/p*/s*.txt"))[0]
    os.utime(path, (1, 1))
    after = ingest_studies(look(own.data, {"mimic_cxr": own.raw}), "mimic_cxr")
    assert after.built == ("manifest.json",)
    assert after.pieces == own.artifact.pieces


def test_files_that_begin_with_a_dot_do_not_count(own: World) -> None:
    (own.raw / ".DS_Store").write_text("x")
    assert ingest_studies(look(own.data, {"mimic_cxr": own.raw}), "mimic_cxr").cached


def test_subjects_are_hashed_into_the_recipes_shares(tmp_path: Path) -> None:
    """A source without an official split: a subject's studies stay together."""
    raw = write_raw("padchest", tmp_path / "raw", 24)
    all_train = look(tmp_path / "a", {"padchest": raw}, "sources.hash_split=[1.0,0.0,0.0]")
    assert set(rows(ingest_studies(all_train, "padchest"))["split"].to_pylist()) == {Split.TRAIN}
    halves = look(tmp_path / "b", {"padchest": raw}, "sources.hash_split=[0.5,0.0,0.5]")
    table = rows(ingest_studies(halves, "padchest"))
    owners: dict[str, set[str]] = {}
    for row in table.select(["subject_id", "study_id", "split"]).to_pylist():
        owners.setdefault(row["subject_id"] or row["study_id"], set()).add(row["split"])
    assert all(len(splits) == 1 for splits in owners.values())
    assert set(table["split"].to_pylist()) == {Split.TRAIN, Split.TEST}


def test_an_official_split_is_kept_whatever_the_shares(world: World, tmp_path: Path) -> None:
    context = look(tmp_path, {"mimic_cxr": world.raw}, "sources.hash_split=[0.0,0.0,1.0]")
    before = rows(world.artifact).select(["study_id", "split"]).to_pylist()
    after = rows(ingest_studies(context, "mimic_cxr")).select(["study_id", "split"]).to_pylist()
    assert after == before
    assert {row["split"] for row in after} > {Split.TRAIN}


def test_a_missing_folder_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(SourceError) as caught:
        look(tmp_path / "data", {"mimic_cxr": tmp_path / "nowhere"})
    title = get_source("mimic_cxr").card.title
    assert str(caught.value) == (
        f"found no folder at {tmp_path / 'nowhere'}; expected the root of {title}; "
        "set CXR_SOURCE_MIMIC_CXR or --source mimic_cxr=PATH"
    )
    assert caught.value.exit_code == 2


def test_an_empty_folder_names_what_is_missing(tmp_path: Path) -> None:
    (tmp_path / "raw").mkdir()
    with pytest.raises(SourceError, match=f"found nothing that matches .* under {tmp_path}/raw"):
        look(tmp_path / "data", {"padchest": tmp_path / "raw"})
    assert not (tmp_path / "data").exists(), "nothing may be written before the input is seen"


def test_a_misspelt_variable_does_not_pass_unseen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CXR_SOURCE_MIMIC", str(tmp_path))
    with pytest.raises(InputError, match="found source 'mimic'; expected one of brax, "):
        open_context(Order(data_root=str(tmp_path / "data")))


def test_sources_of_variables_that_the_recipe_does_not_name_are_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, world: World
) -> None:
    monkeypatch.setenv("CXR_SOURCE_OPENI", str(tmp_path / "openi"))
    context = look(tmp_path / "data", {"mimic_cxr": world.raw})
    assert context.source_names == ("mimic_cxr",)


CANNOT_BE_READ = (
    "SourceError 2 found {table}, which cannot be read (Permission denied); expected a readable "
    "file; check its permissions and the disk\n"
)
READ_AS_NOBODY = """
import os, sys
sys.path.insert(0, sys.argv[3])
from pathlib import Path
from infra.errors import CxrError
from raw_world import look
from tasks.ingest.lost import LOST_SCHEMA
from tasks.ingest.studies import ingest_studies
import sources.catalog
sources.catalog.catalog()
if os.getuid() == 0:
    os.setgid(65534); os.setuid(65534)
try:
    print(ingest_studies(look(Path(sys.argv[2]), {"mimic_cxr": Path(sys.argv[1])}), "mimic_cxr"))
except CxrError as error:
    print(type(error).__name__, error.exit_code, error)
"""


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that any user may enter; pytest's own are private."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o777)
        yield folder


def test_a_table_that_may_not_be_read_is_one_line(world: World, open_folder: Path) -> None:
    raw = copy_raw(world.raw, open_folder / "raw")
    raw.chmod(0o755)
    table = raw / "mimic-cxr-2.0.0-metadata.csv.gz"
    table.chmod(0)
    arguments = [str(raw), str(open_folder / "data"), str(HOUSE / "tests")]
    done = subprocess.run(
        [sys.executable, "-c", READ_AS_NOBODY, *arguments],
        capture_output=True,
        text=True,
        cwd=HOUSE,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout == CANNOT_BE_READ.format(table=table)


def test_the_manifest_counts_what_the_pieces_hold(world: World) -> None:
    path = Path(world.artifact.store.path(f"{world.artifact.folder}/manifest.json"))
    counts = [Count(**count) for count in json.loads(path.read_text())["counts"]]
    assert tuple(counts) == world.artifact.counts
