"""A submission to RRG24's leaderboards: a line for each row, in order, or one line of why not."""

from __future__ import annotations

import json
import threading
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from cli_world import Say

from infra.artifact import build_artifact
from infra.errors import InputError
from infra.launch import Event
from infra.pieces import BuiltPiece
from sources.replicas.rrg24 import write
from sources.replicas.truth import ReplicaSpec
from tasks.context import Context, Order, open_context
from tasks.ingest.replicas import build_replica
from tasks.ingest.stored_images import ingest_images
from tasks.ingest.studies import ingest_studies
from tasks.submit.answers import NO_REFERENCE, answer, packed
from tasks.submit.rows import asked_rows
from tasks.submit.work import check_lines, write_submission

HIDDEN = "interpret-cxr-test-hidden/data/test-00000-of-00001.parquet"
SMALL = (
    "sources.pieces=2",
    "images.short_side_px=64",
    "images.smallest_side_px=64",
    "replicas.studies.rrg24=60",
    "replicas.side_px=64",
)


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("rrg24")
    write(folder, ReplicaSpec(60, seed=0, side_px=64, wording="template"))
    return folder


@pytest.fixture(scope="module")
def ingested(tmp_path_factory: pytest.TempPathFactory) -> Context:
    """A replica's studies and films, and no model."""
    root = str(tmp_path_factory.mktemp("submission"))
    order = Order(recipe="gla_rrg24", overrides=SMALL, data_root=root, replicas=True)
    context = open_context(order)
    build_replica(context, "rrg24")
    ingest_studies(context, "rrg24")
    ingest_images(context, "rrg24")
    return context


def ignore(event: Event) -> None:
    del event


def test_rows_ask_for_a_section_in_the_sets_order(tree: Path) -> None:
    rows = pq.read_table(tree / HIDDEN).to_pylist()
    asked = asked_rows(tree, "test-hidden")
    for section in ("findings", "impression"):
        wanted = [f"test-hidden/{n}" for n, row in enumerate(rows) if row[section]]
        assert asked[section] == wanted != []
    assert asked["findings"] != asked["impression"]
    public = asked_rows(tree, "test-public")
    assert all(name.startswith("test-public/") for names in public.values() for name in names)


@pytest.mark.parametrize("part", ["train", "validation", "test", "hidden"])
def test_only_test_sets_are_answered(tree: Path, part: str) -> None:
    with pytest.raises(InputError, match=f"no shards of {part} .* one of test-hidden, test-public"):
        asked_rows(tree, part)


def test_studies_without_a_reference_become_examples(ingested: Context, tmp_path: Path) -> None:
    """In the films and the words of the test examples, but nothing to be scored against."""
    root = ingested.raw_root("rrg24")
    parts = ("test-hidden", "test-public")
    studies = [study for part in parts for study in asked_rows(root, part)["findings"]]
    shards = packed(ingested, "rrg24", studies, tmp_path / "shards")
    rows = [row for shard in shards for row in pq.read_table(shard).to_pylist()]
    assert {row["study_id"] for row in rows} <= set(studies)
    assert len(rows) >= len(studies) - 2  # a row's only film may be one of the traps
    assert {row["target"] for row in rows} == {NO_REFERENCE}
    assert {row["split"] for row in rows} == {"test"}
    assert any(len(row["images"]) > 1 for row in rows)
    [request] = {row["turns"][0]["text"] for row in rows}
    assert request == "Provide a detailed description of the findings in the radiology image."


def test_a_submission_needs_a_finished_model(ingested: Context, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no stages/finetune-findings .* run 'cxr train'"):
        write_submission(ingested, "test-hidden", tmp_path / "out", None, ignore)
    assert not (tmp_path / "out").exists()


def test_a_folder_in_use_is_left_alone(ingested: Context, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(InputError, match="which is not empty"):
        write_submission(ingested, "test-hidden", tmp_path, None, ignore)
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


@pytest.mark.parametrize("fill", ["", "  ", "one\ntwo"])
def test_a_fill_is_one_line(ingested: Context, tmp_path: Path, fill: str) -> None:
    with pytest.raises(InputError, match="--fill without text, or of several lines"):
        write_submission(ingested, "test-hidden", tmp_path / "out", fill, ignore)


def test_recipes_of_single_films_have_none(tmp_path: Path) -> None:
    context = open_context(Order(replicas=True, data_root=str(tmp_path)))
    with pytest.raises(InputError, match="recipe 'llava_rad' without source rrg24"):
        write_submission(context, "test-hidden", tmp_path / "out", None, ignore)


@pytest.mark.parametrize(
    ("text", "rows", "words"),
    [
        ("one\ntwo\n", 3, "found 2 lines"),
        ("one\ntwo", 2, "found 1 lines"),
        ("one\n\nthree\n", 3, "found line 2 of .* without text"),
        ("one\n \u00a0\n", 2, "line 2 .* without text"),
    ],
)
def test_files_that_a_leaderboard_would_misread_are_refused(
    tmp_path: Path, text: str, rows: int, words: str
) -> None:
    file = tmp_path / "answers.txt"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match=words):
        check_lines(file, rows)


def test_lines_are_counted_by_line_feeds_alone(tmp_path: Path) -> None:
    file = tmp_path / "answers.txt"
    file.write_text("one\u2028more\ntwo\n", encoding="utf-8")
    check_lines(file, 2)


def test_the_command_ends_with_2_and_one_line(cxr: Say, tmp_path: Path) -> None:
    said = cxr(
        "submission", str(tmp_path / "out"), "--replicas", "--data-root", str(tmp_path / "d")
    )
    assert said.code == 2
    assert said.err.count("\n") == 1
    assert "no replicas/rrg24 of this recipe" in said.err
    assert json.dumps(said.out) == '""'


def test_a_place_that_cannot_be_written_is_told_before_any_answer(
    ingested: Context, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(InputError, match=r"found a file in the way at .*file/out"):
        write_submission(ingested, "test-hidden", tmp_path / "file" / "out", None, ignore)
    with pytest.raises(InputError, match="found too long a name"):
        write_submission(ingested, "test-hidden", tmp_path / ("x" * 300), None, ignore)


def test_a_second_submission_waits_for_the_first(ingested: Context) -> None:
    """Both keep their shards in one place: the second looks there when the first has left."""
    context = ingested.doing("gla_findings")

    def write(key: str, folder: Path) -> BuiltPiece:
        (folder / "config.json").write_text("{}")  # no study is asked about, so nothing reads it
        return BuiltPiece((), {})

    stage = context.graph[f"stages/{context.asked.stage}"]
    build_artifact(context.store, stage, lambda: {"model": ""}, write)
    lock = f"submissions/{context.step('predictions').fingerprint}"
    left = threading.Event()
    found: list[bool] = []

    def second() -> None:
        answer(context, "rrg24", [], ignore)
        found.append(left.is_set())

    waiting = threading.Thread(target=second)
    with context.store.lock(lock):
        waiting.start()
        waiting.join(0.5)
        assert waiting.is_alive()
        left.set()
    waiting.join(60)
    assert found == [True]
