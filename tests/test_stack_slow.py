"""The stack from nothing: a scheduled run to a registered model, through kill -9 of each server,
and all of it again on a stack that a backup made."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import psutil
import pytest

from infra.orphans import MARK
from tests.chromium import UNAVAILABLE, find_chromium
from tests.small_world import HOUSE, SMALL, cxr_environment
from tests.stack_pages import server_pages, stage_run
from tests.stack_world import StackWorld, wait_until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(5400)]
PATIENCE_SECONDS = 1800.0
KILLS = {
    "postgres": "studies/chexpert",
    "prefect": "reports/mimic_cxr",
    "mlflow": "stages/language",
    "worker-gpu": "stages/pretrain",
}
"""Who is killed once which artifact is there."""
STAGES = ("language", "pretrain", "align", "finetune")


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StackWorld]:
    """Only root may pass below pytest's folder, and PostgreSQL is not root."""
    world = StackWorld(tmp_path_factory.mktemp("stack") / "stack")
    done = world.command("up", "--patience", str(PATIENCE_SECONDS))
    assert done.returncode == 0, done.stderr[-3000:]
    yield world
    world.command("stop")


@pytest.fixture(scope="module")
def run(world: StackWorld) -> str:
    """A scheduled run that has outlived its worker and every server."""
    told = {"recipe": "llava_rad", "scale": "tiny", "replicas": True, "overrides": list(SMALL)}
    run = world.schedule("pipeline/llava-rad", {"order": told, "until": "register"})
    for name, artifact in KILLS.items():
        wait_until(partial(has, world, artifact), PATIENCE_SECONDS, artifact)
        world.kill(name)
    wait_until(lambda: world.state(run) == "Completed", PATIENCE_SECONDS, "the run's end")
    return run


def has(world: StackWorld, artifact: str) -> bool:
    return world.manifests(artifact) > 0


def test_up_again_leaves_all_as_it_is(world: StackWorld) -> None:
    before = world.processes()
    assert world.command("up").returncode == 0
    assert world.processes() == before


def test_the_model_is_registered_with_its_artifacts_on_s3(world: StackWorld, run: str) -> None:
    alias = world.mlflow("/registered-models/alias?name=llava_rad&alias=candidate")
    version = alias["model_version"]
    assert version["version"] == "1"
    source = world.mlflow(f"/runs/get?run_id={version['run_id']}")["run"]["info"]["artifact_uri"]
    assert source.startswith("s3://mlflow/artifacts/")
    models = world.folder / "objects" / "objects" / "mlflow" / "artifacts"
    assert list(models.glob("*/models/*/artifacts/MLmodel@"))
    assert world.manifests("models/llava_rad") == 1


def test_no_number_of_a_stage_is_lost(world: StackWorld, run: str) -> None:
    """Each stage trained three steps; MLflow was killed after the first stage."""
    experiment = world.mlflow("/experiments/get-by-name?experiment_name=llava_rad")["experiment"]
    found = world.mlflow("/runs/search", {"experiment_ids": [experiment["experiment_id"]]})["runs"]
    assert "RUNNING" not in {each["info"]["status"] for each in found}
    names = {each["info"]["run_name"] for each in found}
    assert {*STAGES, "register", "retrieval"} <= names
    for stage in STAGES:
        runs = [each["info"]["run_id"] for each in found if each["info"]["run_name"] == stage]
        assert [1, 2, 3] in [loss_steps(world, run_id) for run_id in runs], stage


def loss_steps(world: StackWorld, run_id: str) -> list[int]:
    told = world.mlflow(f"/metrics/get-history?run_id={run_id}&metric_key=loss")
    return [int(each["step"]) for each in told.get("metrics", ())]


def test_both_databases_are_in_postgresql(world: StackWorld, run: str) -> None:
    code = (
        "import os, sys, psycopg2\n"
        "from pathlib import Path\n"
        "from infra.stack.databases import database_url\n"
        "from infra.stack.place import read_place\n"
        "place = read_place(Path(sys.argv[1]))\n"
        "for name, table in (('prefect', 'flow_run'), ('mlflow', 'runs')):\n"
        "    url = database_url(place, name, 'x').replace('+x', '')\n"
        "    with psycopg2.connect(url) as connection, connection.cursor() as cursor:\n"
        "        cursor.execute(f'SELECT count(*) FROM {table}')\n"
        "        print(cursor.fetchone()[0])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(world.folder)],
        capture_output=True,
        text=True,
        cwd=HOUSE,
        check=True,
    )
    assert all(int(count) >= 6 for count in done.stdout.split())


def test_the_same_run_again_is_cached(world: StackWorld, run: str) -> None:
    assert states_of_again(world, run) == {"Cached"}


def states_of_again(world: StackWorld, run: str) -> set[str]:
    """How the task runs end when a run's order is scheduled anew."""
    order = world.prefect(f"/flow_runs/{run}")["parameters"]
    again = world.schedule("pipeline/llava-rad", order)
    wait_until(lambda: world.state(again) == "Completed", PATIENCE_SECONDS, "the second run")
    flows = {"flow_runs": {"parent_flow_run_id": {"any_": [again]}}}
    subs = [each["id"] for each in world.prefect("/flow_runs/filter", flows)]
    asked = {"task_runs": {"flow_run_id": {"any_": subs}}, "limit": 200}
    wait_until(lambda: all_ended(world, asked), 120, "all task runs told")
    return {each["state_name"] for each in world.prefect("/task_runs/filter", asked)}


def test_the_servers_own_pages_show_all_that(world: StackWorld, run: str) -> None:
    """In a real Chromium; nothing of them comes from elsewhere."""
    program = find_chromium()
    if program is None:
        pytest.skip(UNAVAILABLE)
    name = world.prefect(f"/flow_runs/{run}")["name"]
    with server_pages(world, program) as pages:
        pages.read(f"{pages.prefect}/runs", name, "Completed")
        pages.read(f"{pages.prefect}/runs/flow-run/{run}", name, "Completed", "pipeline")
        pages.read(f"{pages.prefect}/runs?tab=task-runs", "stage finetune")
        pages.page.wait(lambda: "Cached" in pages.states(), "a step that was there")
        pages.read(f"{pages.mlflow}/#/models/llava_rad/versions/1", "llava_rad", "candidate")
        pages.read(f"{pages.mlflow}{stage_run(world, 'finetune')}", "loss", "seconds_per_step")
        pages.page.wait(lambda: pages.plots() > 0, "a curve")
        assert pages.strangers() == []


def all_ended(world: StackWorld, asked: dict[str, Any]) -> bool:
    """Task runs tell of themselves by events, which come a little later."""
    states = {each["state_type"] for each in world.prefect("/task_runs/filter", asked)}
    return states <= {"COMPLETED"}


def test_no_log_holds_a_password(world: StackWorld, run: str) -> None:
    words = json.loads((world.folder / "secrets.json").read_text()).values()
    for log in (world.folder / "logs").iterdir():
        text = log.read_text(errors="replace")
        assert not [word for word in words if word in text], log.name


def test_stop_leaves_nothing_and_a_new_start_has_all(world: StackWorld, run: str) -> None:
    pids = [each["pid"] for each in world.processes().values()]
    assert world.command("stop").returncode == 0
    assert not [pid for pid in pids if psutil.pid_exists(pid)]
    assert not [each for each in psutil.process_iter() if carries(each, world.folder)]
    again = world.command("up", "--patience", str(PATIENCE_SECONDS))
    assert again.returncode == 0, again.stderr[-3000:]
    assert world.state(run) == "Completed"
    assert world.mlflow("/registered-models/alias?name=llava_rad&alias=candidate")


def test_a_backup_makes_a_stack_with_the_runs_and_the_models(world: StackWorld, run: str) -> None:
    backup, other = world.folder.parent / "backup", StackWorld(world.folder.parent / "restored")
    done = world.command("backup", str(backup))
    assert done.returncode == 0, done.stderr[-2000:]
    held, model = kept(world), download(world)
    assert held["versions"] and model
    assert world.command("stop").returncode == 0
    done = other.command("restore", str(backup))
    assert done.returncode == 0, done.stderr[-2000:]
    up = other.command("up", "--patience", str(PATIENCE_SECONDS))
    try:
        assert up.returncode == 0, up.stderr[-3000:]
        assert other.variables()["AWS_SECRET_ACCESS_KEY"] not in world.variables().values()
        assert kept(other) == held
        assert download(other) == model
        assert states_of_again(other, run) == {"Cached"}
    finally:
        other.command("stop")


def kept(world: StackWorld) -> dict[str, Any]:
    """What a stack tells of the pipelines' runs, MLflow's runs, versions and their aliases."""
    asked = {"flows": {"name": {"any_": ["pipeline"]}}, "limit": 200}
    flows = world.prefect("/flow_runs/filter", asked)
    experiment = world.mlflow("/experiments/get-by-name?experiment_name=llava_rad")["experiment"]
    runs = world.mlflow("/runs/search", {"experiment_ids": [experiment["experiment_id"]]})["runs"]
    versions = world.mlflow("/model-versions/search")["model_versions"]
    model = world.mlflow("/registered-models/get?name=llava_rad")["registered_model"]
    return {
        "flow runs": {each["id"]: each["state_name"] for each in flows if each["start_time"]},
        "runs": {each["info"]["run_id"]: numbers(each["data"]) for each in runs},
        "versions": {(each["name"], each["version"]): each["source"] for each in versions},
        "aliases": model["aliases"],
    }


def numbers(data: dict[str, list[dict[str, Any]]]) -> dict[str, dict[str, Any]]:
    """Metrics, parameters and tags of one run of MLflow, by name."""
    return {kind: {each["key"]: each["value"] for each in rows} for kind, rows in data.items()}


def download(world: StackWorld) -> dict[str, str]:
    """Digests of the registered model's files, by its alias, from the store on ``s3://``."""
    code = (
        "import hashlib, json, mlflow, os, pathlib, tempfile\n"
        "mlflow.set_tracking_uri(os.environ['CXR_MLFLOW_URI'])\n"
        "with tempfile.TemporaryDirectory() as scratch:\n"
        "    uri = 'models:/llava_rad@candidate'\n"
        "    top = pathlib.Path(mlflow.artifacts.download_artifacts(uri, dst_path=scratch))\n"
        "    files = [each for each in top.rglob('*') if each.is_file()]\n"
        "    digest = lambda path: hashlib.sha256(path.read_bytes()).hexdigest()\n"
        "    print(json.dumps({str(each.relative_to(top)): digest(each) for each in files}))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        cwd=HOUSE,
        env={**cxr_environment(), **world.variables()},
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    found: dict[str, str] = json.loads(done.stdout)
    return found


def carries(process: psutil.Process, folder: Path) -> bool:
    """A process of this stack: it has its mark and its folder in the environment."""
    try:
        told = process.environ()
    except psutil.Error:
        return False
    return process.pid != os.getpid() and MARK in told and str(folder) in str(told)
