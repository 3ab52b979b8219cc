"""``cxr forget``: nothing of the subject is left, the others keep their bytes, and it stays so."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from cli_world import Say
from forget_world import (
    MODEL,
    OVERLAY,
    SETTINGS,
    SOURCE,
    ForgetWorld,
    answered,
    asked_about,
    build_world,
    checksums,
    find_traces,
    traces_of,
)
from raw_world import look

from infra.artifact import damaged_pieces, find_artifacts, read_artifact
from infra.tombstones import read_records
from infra.tracking_runs import RunBook
from sources.piece import piece_key, piece_number
from tasks.context import Context
from tasks.forget.dossier import unfinished
from tasks.graph import REVISIONS
from tasks.ingest.stored_images import ingest_images
from tasks.ingest.studies import ingest_studies
from tasks.monitor.doctor import _forgetting
from tasks.register.work import withdrawn_tag

PIECES = 6
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # MLflow's own tables
HOUSE = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> ForgetWorld:
    return build_world(tmp_path_factory.mktemp("forget"))


@pytest.fixture
def world(built: ForgetWorld, tmp_path: Path) -> ForgetWorld:
    return built.copy(tmp_path)


def versions(world: ForgetWorld) -> dict[str, tuple[str | None, list[str]]]:
    """By number, how many of its subjects withdrew, and its aliases."""
    client = RunBook(world.context().environment.tracking_uri, "").client
    aliases = dict(client.get_registered_model(MODEL).aliases)
    return {
        str(one.version): (
            one.tags.get("cxrflow.withdrawn_subjects"),
            sorted(name for name, number in aliases.items() if str(number) == str(one.version)),
        )
        for one in client.search_model_versions(f"name = '{MODEL}'")
    }


@pytest.mark.parametrize("split", ["train", "validate", "test"])
def test_nothing_is_left_and_the_others_keep_their_checksums(
    world: ForgetWorld, cxr: Say, split: str
) -> None:
    person = world.people[split]
    traces, before = traces_of(world, person), checksums(world)
    kinds = {place.partition("/")[0] for place in find_traces(world.data, traces)}
    assert {"studies", "images", "reports", "examples", ".state", ".scratch"} <= kinds
    said = cxr("forget", person.subject, "--source", SOURCE, "--data-root", world.data)
    assert (said.code, said.err) == (0, "")
    assert find_traces(world.data, traces) == []
    own = {piece_key(piece_number(study, PIECES)) for study in person.studies}
    whole = ("scores", "predictions") if split == "test" else ()
    after = checksums(world)
    kept = {
        place: digest
        for place, digest in before.items()
        if not place.split("/")[2].endswith(tuple(own)) and not place.startswith(whole)
    }
    assert kept.items() <= after.items()
    assert len(kept) > len(before) // 3
    assert_whole(world.context())


def assert_whole(context: Context) -> None:
    """Every artifact is as its manifest tells, and its counts add up with its rows."""
    for kind in REVISIONS:
        for artifact in find_artifacts(context.store, kind, ""):
            assert damaged_pieces(artifact) == []
            for piece in artifact.pieces:
                by_unit = {count.unit: count for count in piece.counts}
                for unit, name in (("studies", "studies"), ("images", "images")):
                    if kind == name:
                        path = Path(context.store.path(f"{piece.folder}/{name}.parquet"))
                        assert by_unit[unit].kept == pq.read_metadata(path).num_rows


def test_other_subjects_stay_everywhere(world: ForgetWorld, cxr: Say) -> None:
    others = [world.people[split] for split in ("validate", "test")]
    told = {person.subject: find_traces(world.data, traces_of(world, person)) for person in others}
    cxr("forget", world.people["train"].subject, "--source", SOURCE, "--data-root", world.data)
    for person in others:
        left = find_traces(world.data, traces_of(world, person))
        kept = {place.partition(":")[0].partition("/")[0] for place in left}
        assert {"studies", "images", "reports", "examples", ".state"} <= kept
        assert any("prefect" in place for place in left)
        assert len(left) >= len(told[person.subject]) // 2


def test_answers_to_their_requests_are_erased_and_no_others(world: ForgetWorld, cxr: Say) -> None:
    person, asked, before = world.people["train"], asked_about(world), answered(world)
    theirs = set().union(*(asked.pop(study, set()) for study in person.studies))
    others = set().union(*asked.values())
    assert theirs
    assert theirs | others <= before
    cxr("forget", person.subject, "--source", SOURCE, "--data-root", world.data)
    left = answered(world)
    assert not left & theirs
    assert others - theirs <= left
    assert len(before - left) > len(theirs), "answers that were rejected went too"


def test_models_that_saw_it_are_named_and_tagged(world: ForgetWorld, cxr: Say) -> None:
    person = world.people["train"]
    said = cxr("forget", person.subject, "--source", SOURCE, "--data-root", world.data, "--json")
    told = json.loads(said.out)
    stages = {folder.partition("/")[2].rpartition("-")[0] for folder in told["stages"]}
    assert stages == {stage.name for stage in world.context().settings.stages}
    assert told["versions"] == {f"{MODEL}/1": ["champion"]}
    assert versions(world) == {"1": ("1", ["champion"]), "2": (None, ["other"])}
    assert list(world.data.glob("stages/*/*/model.safetensors"))
    assert withdrawn_tag(world.context()) == {"cxrflow.withdrawn_subjects": "1"}
    another = world.people["validate"].subject
    cxr("forget", another, "--source", SOURCE, "--data-root", world.data)
    assert versions(world)["1"] == ("2", ["champion"])


def test_a_subject_of_the_test_split_taught_nobody(world: ForgetWorld, cxr: Say) -> None:
    person = world.people["test"]
    said = cxr("forget", person.subject, "--source", SOURCE, "--data-root", world.data)
    assert "no trained stage learned from the subject" in said.out
    assert versions(world) == {"1": (None, ["champion"]), "2": (None, ["other"])}
    assert list(world.data.glob("scores/*")) == []
    assert list(world.data.glob("predictions/*")) == [], "a control was shown the film"
    logged = [path.read_bytes() for path in world.data.rglob("*.png")]
    assert OVERLAY not in logged


def test_retiring_removes_what_learned_and_takes_the_alias(world: ForgetWorld, cxr: Say) -> None:
    person = world.people["train"]
    cxr("forget", person.subject, "--source", SOURCE, "--data-root", world.data, "--retire")
    for kind in ("stages", "predictions", "scores", "models"):
        assert list(world.data.glob(f"{kind}/*")) == []
    assert versions(world) == {"1": ("1", []), "2": (None, ["other"])}
    assert withdrawn_tag(world.context()) == {}


@pytest.mark.slow
def test_stages_are_told_and_retired_after_it_is_done(world: ForgetWorld, cxr: Say) -> None:
    person = world.people["train"]
    arguments = ("forget", person.subject, "--source", SOURCE, "--data-root", world.data)
    first = json.loads(cxr(*arguments, "--json").out)
    again = json.loads(cxr(*arguments, "--json").out)
    assert again["stages"].keys() == first["stages"].keys() != set()
    assert again["versions"] == first["versions"] == {f"{MODEL}/1": ["champion"]}
    said = cxr(*arguments, "--retire")
    assert said.code == 0
    assert "they were retired: the next run trains anew" in said.out
    assert list(world.data.glob("stages/*")) == []
    assert versions(world) == {"1": ("1", []), "2": (None, ["other"])}
    assert "no trained stage learned from the subject" in cxr(*arguments).out


def test_a_later_run_does_not_bring_it_back(world: ForgetWorld, cxr: Say) -> None:
    person = world.people["train"]
    traces = traces_of(world, person)
    cxr("forget", person.subject, "--source", SOURCE, "--data-root", world.data)
    assert ingest_studies(world.context(), SOURCE).cached
    raw = world.data.parent / "raw"
    shutil.copytree(world.raw, raw)
    (raw / "README").write_text("a new note of the publisher\n")  # another state of the raw files
    context = look(world.data, {SOURCE: raw}, *SETTINGS)
    studies = ingest_studies(context, SOURCE)
    ingest_images(context, SOURCE)
    assert not studies.cached
    assert find_traces(world.data, traces) == []
    count = {each.unit: each for each in studies.counts}["studies"]
    assert count.rejected["withdrawn"] == len(person.studies)
    rows = [
        row
        for path in studies.files("rejected.parquet")
        for row in pq.read_table(path, partitioning=None).to_pylist()
        if row["reason"] == "withdrawn"
    ]
    assert {(row["row_id"], row["study_id"]) for row in rows} == {("withdrawn", None)}


def test_what_forget_writes_is_what_ingestion_would(world: ForgetWorld, cxr: Say) -> None:
    person = world.people["test"]
    cxr("forget", person.subject, "--source", SOURCE, "--data-root", world.data)
    context = world.context()
    rewritten = {
        place: digest for place, digest in checksums(world).items() if place.startswith("studies/")
    }
    shutil.rmtree(world.data / "studies")
    ingest_studies(context, SOURCE)
    assert rewritten == {
        place: digest for place, digest in checksums(world).items() if place.startswith("studies/")
    }


def test_a_dry_run_counts_and_changes_nothing(world: ForgetWorld, cxr: Say) -> None:
    person = world.people["train"]
    before, traces = checksums(world), find_traces(world.data, traces_of(world, person))
    arguments = ("forget", person.subject, "--source", SOURCE, "--data-root", world.data)
    told = json.loads(cxr(*arguments, "--dry-run", "--json").out)
    assert told["proof"] is None
    assert checksums(world) == before
    assert find_traces(world.data, traces_of(world, person)) == traces
    done = json.loads(cxr(*arguments, "--json").out)
    assert done["removed"] == told["removed"]


def test_a_tombstone_without_identity_remains(world: ForgetWorld, cxr: Say) -> None:
    person = world.people["train"]
    cxr("forget", person.subject, "--source", SOURCE, "--data-root", world.data)
    context = world.context()
    [tombstone] = read_records(context.store)
    assert tombstone.kind == "subject"
    assert len(tombstone.learned) == len(context.settings.stages)
    assert tombstone.removed["pieces of studies"] >= 1
    assert unfinished(context.store.state) == 0
    assert (world.data / "withdrawn" / "key.json").stat().st_mode & 0o077 == 0
    again = cxr("forget", person.subject, "--source", SOURCE, "--data-root", world.data)
    assert again.code == 0
    assert read_records(context.store)[0].withdrawn_at == tombstone.withdrawn_at


def test_published_files_are_named_and_kept(world: ForgetWorld, cxr: Say) -> None:
    person = world.people["train"]
    said = cxr(
        *("forget", person.subject, "--source", f"{SOURCE}={world.raw}"),
        *("--data-root", world.data, "--json"),
    )
    raw = json.loads(said.out)["raw"]
    assert len(raw) == len(person.images)
    assert all(Path(place).is_file() for place in raw)


def test_one_study_alone(world: ForgetWorld, cxr: Say) -> None:
    person = max(world.people.values(), key=lambda each: len(each.studies))
    assert len(person.studies) > 1, "the world has a subject with two studies"
    gone, *stay = person.studies
    said = cxr(
        *("forget", person.subject, "--source", SOURCE, "--study", gone),
        *("--data-root", world.data),
    )
    assert said.code == 0, said.err
    text = b"".join(path.read_bytes() for path in world.data.rglob("*.json"))
    assert gone.encode() not in text
    held = {
        name
        for path in world.data.glob("studies/*/*/studies.parquet")
        for name in pq.read_table(path, partitioning=None)["study_id"].to_pylist()
    }
    assert gone not in held
    assert set(stay) <= held


STOPPED = """
import os, sys
import infra.store as store_module
from infra.store import Store
calls = 0
original = Store.{method}
def stopping(self, *given, **named):
    global calls
    calls += 1
    if calls > {after}:
        os._exit(9)
    return original(self, *given, **named)
Store.{method} = stopping
from flows.cli import main
main(sys.argv[1:])
"""


@pytest.mark.parametrize(
    ("method", "after"), [pytest.param("remove", 1, marks=pytest.mark.slow), ("overwrite", 4)]
)
def test_one_that_was_killed_finishes_when_run_again(
    world: ForgetWorld, cxr: Say, method: str, after: int
) -> None:
    person = world.people["test"]
    traces = traces_of(world, person)
    arguments = ["forget", person.subject, "--source", SOURCE, "--data-root", str(world.data)]
    planned = json.loads(cxr(*arguments, "--dry-run", "--json").out)["removed"]
    code = STOPPED.format(method=method, after=after)
    stopped = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        cwd=HOUSE,
        env={**os.environ, "PYTHONPATH": str(HOUSE)},
        check=False,
        capture_output=True,
    )
    assert stopped.returncode == 9, stopped.stderr[-2000:]
    assert unfinished(world.data / ".state") == 1
    assert _forgetting(world.data / ".state").state == "wrong"
    said = cxr(*arguments)
    assert (said.code, said.err) == (0, "")
    assert find_traces(world.data, traces) == []
    assert _forgetting(world.data / ".state").state == "fine"
    [tombstone] = read_records(world.context().store)
    assert tombstone.removed == planned, "what the killed one removed counts too"
    assert_whole(world.context())


@pytest.mark.slow
def test_what_is_left_is_one_line_and_exit_code_1(world: ForgetWorld, cxr: Say) -> None:
    person = world.people["train"]
    note = world.data / "notes of a colleague.txt"
    note.write_text(f"have a look at study {person.studies[0]}\n")
    said = cxr("forget", person.subject, "--source", SOURCE, "--data-root", world.data)
    assert said.code == 1
    assert said.err.count("\n") == 1
    assert "found 1 files that still tell of the subject" in said.err
    assert "notes of a colleague.txt" in said.out
    note.unlink()
    assert cxr("forget", person.subject, "--source", SOURCE, "--data-root", world.data).code == 0


BAD = [
    (("forget", "nobody", "--source", SOURCE), "no study of subject 'nobody'"),
    (("forget", "1", "--source", "nowhere"), "source 'nowhere'"),
]


@pytest.mark.parametrize(("arguments", "found"), BAD)
def test_bad_input_is_one_line(
    built: ForgetWorld, cxr: Say, arguments: tuple[str, ...], found: str
) -> None:
    said = cxr(*arguments, "--data-root", built.data, "--dry-run")
    assert said.code == 2
    assert said.err.startswith(f"error: found {found}")
    assert said.err.count("\n") == 1


def test_a_study_of_somebody_else_is_refused(built: ForgetWorld, cxr: Say) -> None:
    mine, other = built.people["train"], built.people["test"]
    said = cxr(
        *("forget", mine.subject, "--source", SOURCE, "--study", other.studies[0]),
        *("--data-root", built.data, "--dry-run"),
    )
    assert said.code == 2
    assert "not one of subject" in said.err


def test_every_artifact_is_still_read(world: ForgetWorld, cxr: Say) -> None:
    person = world.people["train"]
    cxr("forget", person.subject, "--source", SOURCE, "--data-root", world.data)
    context = world.context()
    for kind in ("studies", "images", "reports", "examples", "stages", "predictions"):
        for step in context.graph.of_kind(kind):
            if kind != "predictions" or step.name == context.ability:
                assert read_artifact(context.store, step) is not None, step.folder
