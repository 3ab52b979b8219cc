"""``cxr gc``: what a registered model, a kept run or a recent artifact needs stays whole."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from random import Random

import pytest
from cli_world import Say
from raw_world import edit_report, look, write_raw

from infra.artifact import build_artifact, find_artifacts
from infra.errors import InputError
from infra.pieces import BuiltPiece, is_sound, piece_from_json
from infra.record_file import read_record, sealed
from infra.settings.environment import Environment, load_environment
from infra.step import MANIFEST, Step
from infra.store import Store
from infra.tracking import VersionSeen
from infra.tracking_runs import RunBook, this_process
from tasks.context import open_store
from tasks.graph import REVISIONS
from tasks.ingest.stored_images import ingest_images
from tasks.ingest.studies import ingest_studies
from tasks.retention import runs as runs_module
from tasks.retention.collect import collect
from tasks.retention.needed import Stored, lineage_folders, read_stored, why_needed
from tasks.retention.runs import RunRecord, join_run, kept_runs, read_runs

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # MLflow's own tables
KINDS = ("studies", "images", "reports", "examples", "stages", "predictions", "scores", "models")
YEAR_SECONDS = 365 * 24 * 3600.0
HOUSE = Path(__file__).parent.parent
EQUAL_RUN = """
import sys
from pathlib import Path
from raw_world import look
from tasks.retention.runs import join_run
join_run(look(Path(sys.argv[1]), {"chexpert": Path(sys.argv[2])}))
"""


@pytest.fixture
def place(tmp_path: Path) -> Iterator[tuple[Store, Environment]]:
    environment = load_environment(data_root=str(tmp_path / "data"))
    store = open_store(environment)
    (store.state).mkdir(exist_ok=True)
    yield store, environment


def grow(store: Store, seed: int) -> list[Step]:
    """A random graph of artifacts a year old; equal names share pieces of equal content."""
    random, steps = Random(seed), list[Step]()
    for number in range(random.randint(4, 18)):
        level = random.randrange(len(KINDS))
        kind, name = KINDS[level], random.choice("ab")
        below = [step for step in steps if KINDS.index(step.kind) < level]
        chosen = random.sample(below, min(len(below), random.randint(0, 3)))
        inputs = {f"{step.kind}/{step.name}": step.fingerprint for step in chosen}
        step = Step(kind, name, {"same": 1}, {**inputs, "raw": str(number)}, 1, ())
        pieces = {f"p{each}": str(random.randrange(3)) for each in range(random.randint(1, 3))}

        def write(key: str, folder: Path, pieces: dict[str, str] = pieces) -> BuiltPiece:
            (folder / "file").write_text(f"{key} {pieces[key]}")
            return BuiltPiece()

        build_artifact(store, step, lambda pieces=pieces: pieces, write)  # type: ignore[misc]
        age(store, step)
        steps.append(step)
    return steps


def age(store: Store, step: Step, seconds: float = YEAR_SECONDS) -> None:
    place = f"{step.folder}/{MANIFEST}"
    manifest = read_record(store, place)
    assert manifest is not None
    made = datetime.fromtimestamp(time.time() - seconds, UTC).isoformat(timespec="seconds")
    store.overwrite(place, sealed({**manifest, "created_at": made}))


def register(environment: Environment, steps: list[Step]) -> None:
    client = RunBook(environment.tracking_uri, "e").client
    client.create_registered_model("m")
    tags = {f"cxrflow.{step.kind}.{step.name}": step.fingerprint for step in steps}
    client.create_model_version("m", "file:///nowhere", tags=tags)


def behind(steps: list[Step], chosen: list[Step]) -> set[str]:
    """The chosen ones' folders and all that they were made from, walked by the steps themselves."""
    by_folder = {step.folder: step for step in steps}
    found, waiting = set(), [step.folder for step in chosen]
    while waiting:
        folder = waiting.pop()
        if folder in by_folder and folder not in found:
            found.add(folder)
            waiting += [f"{key}-{value}" for key, value in by_folder[folder].inputs.items()]
    return found


def whole(store: Store, folder: str) -> bool:
    manifest = read_record(store, f"{folder}/{MANIFEST}")
    return manifest is not None and all(
        is_sound(store, piece_from_json(item)) for item in manifest["pieces"]
    )


@pytest.mark.parametrize("seed", range(25))
def test_what_a_kept_run_needs_stays_whole_and_the_rest_goes(
    place: tuple[Store, Environment], seed: int
) -> None:
    store, environment = place
    steps = grow(store, seed)
    chosen = Random(seed + 99).sample(steps, min(len(steps), 2))
    record = RunRecord("r", "tiny", tuple(s.folder for s in chosen), time.time(), this_process())
    store.overwrite("runs/r.tiny/a.json", sealed(vars(record)))
    needed = behind(steps, chosen)
    planned = collect(store, environment, dry_run=True)
    assert all(whole(store, step.folder) for step in steps)
    done = collect(store, environment)
    assert done == planned
    assert all(whole(store, folder) for folder in needed)
    assert {folder for folder in read_stored(store) if whole(store, folder)} == needed
    assert {each.folder for each in done.gone} == {step.folder for step in steps} - needed
    again = collect(store, environment)
    assert again.gone == ()


def test_what_a_registered_model_needs_stays(place: tuple[Store, Environment]) -> None:
    store, environment = place
    steps = grow(store, 7)
    stage = next(step for step in steps if step.kind in ("stages", "examples", "reports"))
    register(environment, [stage])
    collect(store, environment, keep_days=0, keep_runs=0)
    assert {f for f in read_stored(store) if whole(store, f)} == behind(steps, [stage])
    assert behind(steps, [stage])


def test_a_registry_that_does_not_answer_removes_nothing(
    place: tuple[Store, Environment], monkeypatch: pytest.MonkeyPatch
) -> None:
    store, environment = place
    steps = grow(store, 3)
    for name in ("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "MLFLOW_HTTP_REQUEST_TIMEOUT"):
        monkeypatch.setenv(name, "0" if "RETRIES" in name else "1")
    lost = environment.model_copy(update={"mlflow_uri": "http://127.0.0.1:9"})
    with pytest.raises(InputError, match="no answer from the registry"):
        collect(store, lost)
    assert all(whole(store, step.folder) for step in steps)


def test_recent_artifacts_stay_with_what_they_were_made_from(
    place: tuple[Store, Environment],
) -> None:
    store, environment = place
    steps = grow(store, 11)
    recent = steps[-1]
    age(store, recent, 3 * 24 * 3600.0)
    assert collect(store, environment, keep_days=7, dry_run=True).kept == {
        "its age": len(behind(steps, [recent]))
    }
    collect(store, environment, keep_days=1)
    assert not read_stored(store)


def test_siblings_of_a_damaged_manifest_stay(place: tuple[Store, Environment]) -> None:
    store, environment = place
    steps = [Step("studies", "a", {}, {"raw": str(number)}, 1, ()) for number in range(3)]
    for step in steps:
        build_artifact(store, step, lambda: {"p": "same"}, write_one)
        age(store, step)
    store.overwrite(f"{steps[1].folder}/{MANIFEST}", "{}")
    assert collect(store, environment).gone == ()


def write_one(key: str, folder: Path) -> BuiltPiece:
    (folder / "file").write_text(key)
    return BuiltPiece()


def test_unfinished_work_goes_by_its_age(place: tuple[Store, Environment]) -> None:
    store, environment = place
    left = Path(store.path("stages/finetune-0123456789abcdef/model-0/weights"))
    left.parent.mkdir(parents=True)
    left.write_bytes(b"half")
    work = store.state / "stages" / "finetune-0123456789abcdef" / "checkpoints"
    work.mkdir(parents=True)
    assert collect(store, environment).gone == ()
    long_ago = time.time() - YEAR_SECONDS
    for path in (left, work.parent):
        os.utime(path, (long_ago, long_ago))
    gone = collect(store, environment).gone
    assert {each.folder for each in gone} == {
        "stages/finetune-0123456789abcdef",
        str(work.parent),
    }
    assert gone[0].bytes == 4
    assert not left.exists()
    assert not work.exists()


def test_kept_runs_are_the_last_of_each_recipe_and_those_at_work() -> None:
    gone = "somewhere-else"
    told = {
        "a": RunRecord("r", "tiny", ("x",), 5.0, this_process()),
        "b": RunRecord("r", "tiny", ("y",), 4.0, f"{this_process().partition(':')[0]}:1:0"),
        "c": RunRecord("r", "paper", ("z",), 3.0, gone),
        "d": RunRecord("r", "tiny", ("w",), 2.0, this_process()),
    }
    assert kept_runs(told, 1).keys() == {"a", "c", "d"}
    assert kept_runs(told, 2).keys() == {"a", "b", "c", "d"}
    assert "d" in kept_runs(told, 0)


@pytest.mark.slow
def test_an_equal_plan_that_ran_and_died_later_leaves_a_live_run_what_it_needs(
    tmp_path: Path,
) -> None:
    """Its finished artifacts, and scratch of one that has not begun to be published."""
    raw = write_raw("chexpert", tmp_path / "raw", 6)
    context = look(tmp_path / "data", {"chexpert": raw})
    runs_module._NOTED.clear()
    join_run(context)
    built = ingest_studies(context, "chexpert")
    age(context.store, built.step)
    [stage, *_] = context.graph.of_kind("stages")
    work = context.store.state / "stages" / f"{stage.name}-{stage.fingerprint}"
    work.mkdir(parents=True)
    environment = load_environment(data_root=str(tmp_path / "data"))
    for _ in range(2):  # the second removes the record of the first
        subprocess.run(
            [sys.executable, "-c", EQUAL_RUN, str(tmp_path / "data"), str(raw)],
            check=True,
            env={**os.environ, "PYTHONPATH": f"{HOUSE}:{HOUSE / 'tests'}"},
        )
        records = read_runs(context.store)
        assert [record.is_alive for record in records.values()] == [False, True]
    done = collect(context.store, environment, keep_days=0, keep_runs=0)
    assert done.gone == ()
    assert whole(context.store, built.folder)
    assert work.is_dir()
    assert list(read_runs(context.store)) == [list(records)[1]], "the dead one's record goes"


def test_equal_plans_count_as_one_kept_run() -> None:
    dead = f"{this_process().partition(':')[0]}:1:0"
    told = {
        "a": RunRecord("r", "tiny", ("x",), 5.0, dead),
        "b": RunRecord("r", "tiny", ("x",), 4.0, dead),
        "c": RunRecord("r", "tiny", ("y",), 3.0, dead),
    }
    assert kept_runs(told, 2).keys() == {"a", "c"}


def test_another_machines_run_is_at_work_for_a_quarter_of_a_year() -> None:
    now = time.time()
    assert RunRecord("r", "tiny", (), now - 80 * 24 * 3600, "elsewhere:7:1").is_alive
    assert not RunRecord("r", "tiny", (), now - 100 * 24 * 3600, "elsewhere:7:1").is_alive
    assert RunRecord("r", "tiny", (), now - YEAR_SECONDS, this_process()).is_alive


def test_what_is_being_built_stays_though_no_plan_names_it(
    place: tuple[Store, Environment],
) -> None:
    store, environment = place
    folder = "comparisons/one-0123456789abcdef"
    begun = Path(store.path(f"{folder}/model-0/weights"))
    begun.parent.mkdir(parents=True)
    begun.write_bytes(b"half")
    work = store.state / "submissions" / "fedcba9876543210"
    work.mkdir(parents=True)
    with store.lock(folder), store.lock("submissions/fedcba9876543210"):
        assert collect(store, environment, keep_days=0, keep_runs=0).gone == ()
        assert begun.exists()
        assert work.is_dir()
    gone = collect(store, environment, keep_days=0, keep_runs=0).gone
    assert {each.folder for each in gone} == {folder, str(work)}


def test_what_was_verified_of_artifacts_that_stay_is_not_forgotten(
    place: tuple[Store, Environment],
) -> None:
    store, environment = place
    kept, lost = (Step("studies", name, {}, {"raw": "1"}, 1, ()) for name in "ab")
    for step in (kept, lost):
        build_artifact(store, step, lambda: {"p": "same"}, write_one)
        age(store, step)
    record = RunRecord("r", "tiny", (kept.folder,), time.time(), this_process())
    store.overwrite("runs/r.tiny/a.json", sealed(vars(record)))
    assert len(list((store.state / "checked").glob("*/*.json"))) == 2
    done = collect(store, environment, keep_days=0)
    assert [each.folder for each in done.gone] == [lost.folder]
    [known] = (store.state / "checked").glob("*/*.json")
    assert known.stem == kept.folder.replace("/", "--")
    os.utime(known.parent, (0, 0))
    assert collect(store, environment).gone == ()
    assert known.exists()


def test_lineage_is_read_from_tags() -> None:
    tags = {"cxrflow.stages.finetune": "ab", "cxrflow.scale": "tiny", "cxrflow.git_commit": "c"}
    seen = VersionSeen("m", "1", {**tags, "cxrflow.examples.a.b": "cd"}, (), 0.0)
    assert lineage_folders(seen) == {"stages/finetune-ab", "examples/a.b-cd"}


def test_of_what_no_run_plans_the_newest_of_a_name_stays() -> None:
    stored = {
        folder: Stored(folder, inputs, (), made)
        for folder, inputs, made in (
            ("ablations/m-1", ("scores/a-1",), 1.0),
            ("ablations/m-2", ("scores/a-2",), 2.0),
            ("scores/a-1", (), 1.0),
            ("scores/a-2", (), 1.0),
        )
    }
    assert why_needed(stored, [], [], 9.0).keys() == {"ablations/m-2", "scores/a-2"}


def test_a_publisher_who_withdraws_costs_the_pieces_that_change(tmp_path: Path, cxr: Say) -> None:
    """Rows that vanish from the raw files are gone after the next run and ``cxr gc``."""
    raw = write_raw("mimic_cxr", tmp_path / "raw", 24)
    context = look(tmp_path / "data", {"mimic_cxr": raw}, "images.short_side_px=112")
    first = ingest_studies(context, "mimic_cxr")
    pixels = ingest_images(context, "mimic_cxr")
    study = edit_report(raw)
    for path in raw.rglob(f"*{study}*"):
        if path.is_file():
            path.unlink()
    for table in raw.rglob("*.csv.gz"):
        without_rows(table, study)
    context = look(tmp_path / "data", {"mimic_cxr": raw}, "images.short_side_px=112")
    runs_module._NOTED.clear()
    join_run(context)
    second = ingest_studies(context, "mimic_cxr")
    again = ingest_images(context, "mimic_cxr")
    assert len(second.built) == len(again.built) == 1
    assert len(first.pieces) == len(pixels.pieces) == 4
    done = cxr("gc", "--data-root", tmp_path / "data", "--keep-days", "0", "--json")
    told = json.loads(done.out)
    assert done.code == 0
    assert {each["folder"] for each in told["gone"]} == {first.folder, pixels.folder}
    assert all(each["part"] for each in told["gone"]), "the others' pieces are still referred to"
    assert told["bytes"] > 0
    assert all(whole(context.store, one.folder) for one in (second, again))
    left = [p for p in (tmp_path / "data").rglob("*") if p.is_file() and study in text_of(p)]
    assert left == []
    assert all(record.folders for record in read_runs(context.store).values())


def without_rows(table: Path, study: str) -> None:
    import gzip

    lines = gzip.decompress(table.read_bytes()).decode().splitlines(keepends=True)
    kept = "".join(line for line in lines if study not in line)
    table.write_bytes(gzip.compress(kept.encode()))


def text_of(path: Path) -> str:
    import pyarrow.parquet as pq

    if path.suffix == ".parquet":
        return repr(pq.read_table(path, partitioning=None).to_pylist())
    return path.read_bytes().decode("utf-8", "replace")


def test_the_command_prints_what_goes_and_what_stays(tmp_path: Path, cxr: Say) -> None:
    environment = load_environment(data_root=str(tmp_path / "data"))
    store = open_store(environment)
    for step in grow(store, 5):
        assert find_artifacts(store, step.kind, step.fingerprint)
    said = cxr("gc", "--data-root", tmp_path / "data", "--dry-run")
    assert (said.code, said.err) == (0, "")
    assert "would be removed; nothing was changed" in said.out
    assert set(KINDS) <= set(REVISIONS)
    assert cxr("gc", "--data-root", tmp_path / "nowhere").code == 2
