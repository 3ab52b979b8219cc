"""Kill -9 at twenty random moments, and two runs at once: nothing lost, nothing doubled."""

from __future__ import annotations

import json
import random
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from infra.orphans import MARK
from infra.tracking_runs import RunBook
from tests.small_world import (
    HOUSE,
    cxr_environment,
    cxr_json,
    payload_digests,
    small_arguments,
)

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),  # MLflow's own tables
]

KILLS = 20
_PATIENCE_SECONDS = 90.0
_LINGER_SECONDS = 1.2  # so that twenty kills are spread over all of a run
_MORE = ("stages.pretrain.steps=30", "stages.finetune.steps=30", "stages.finetune.save_steps=10")


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Any]:
    root = tmp_path_factory.mktemp("calm") / "data"
    return root, cxr_json("run", *small_arguments(root, *_MORE))


def start(root: Path, output: Path) -> subprocess.Popen[bytes]:
    """A run whose document and log go to files: nobody reads a pipe while it is watched."""
    command = [sys.executable, "-c", "from flows.cli import main; main()", "run"]
    with output.open("wb") as document, output.with_suffix(".log").open("wb") as log:
        return subprocess.Popen(
            [*command, *small_arguments(root, *_MORE), "--json"],
            stdout=document,
            stderr=log,
            cwd=HOUSE,
            env=cxr_environment(),
        )


def traces(root: Path) -> set[Path]:
    """What a run leaves as it goes: receipts, manifests, whole checkpoints."""
    patterns = ("*/*/.receipts/*.json", "*/*/manifest.json", ".state/stages/*/*/*/whole.json")
    return {path for pattern in patterns for path in root.glob(pattern)}


def kill_after_progress(root: Path, chance: random.Random) -> bool:
    """Start a run, let it leave one more trace, kill it at a random moment; False if it ended.

    A run with nothing left to build is killed while it looks at what is there.
    """
    is_whole = any(root.glob("models/*/manifest.json"))
    before, run = traces(root), start(root, root.with_name("killed.json"))
    patience = chance.uniform(2.0, 10.0) if is_whole else _PATIENCE_SECONDS
    limit = time.monotonic() + patience
    while run.poll() is None and not traces(root) - before and time.monotonic() < limit:
        time.sleep(0.05)
    assert is_whole or traces(root) - before, "no progress"
    time.sleep(chance.uniform(0.0, _LINGER_SECONDS))
    ended = run.poll() is not None
    run.kill()
    run.wait()
    return not ended


def left_behind(root: Path) -> Iterator[str]:
    """Command lines of living processes that work for this data root."""
    for process in psutil.process_iter():
        try:
            words, variables = process.cmdline(), process.environ()
        except psutil.Error:
            continue
        ours = str(root) in variables.get("PREFECT_HOME", "") and MARK in variables
        if ours or any(str(root) in word for word in words):
            yield " ".join(words)


def test_twenty_kills_leave_the_files_of_an_undisturbed_run(
    undisturbed: tuple[Path, Any], tmp_path: Path
) -> None:
    calm_root, calm = undisturbed
    root, chance = tmp_path / "data", random.Random(20)
    killed = 0
    for _ in range(KILLS):
        killed += kill_after_progress(root, chance)
    deadline = time.monotonic() + 20
    while list(left_behind(root)) and time.monotonic() < deadline:
        time.sleep(0.2)
    assert list(left_behind(root)) == []
    final = cxr_json("run", *small_arguments(root, *_MORE))
    assert killed == KILLS, f"only {killed} of {KILLS} runs were killed before their end"
    assert final["funnel"] == calm["funnel"]
    assert_same_files(root, calm_root)
    assert_same_losses(final, calm)
    # What the next run that builds something does: one that finds all cached opens no MLflow.
    uri = f"sqlite:///{root / '.state' / 'mlflow' / 'mlflow.db'}"
    RunBook(uri, "llava_rad").close_abandoned()
    assert_nothing_doubled(root)


def assert_same_files(root: Path, calm_root: Path) -> None:
    """Every payload file but the floats: weights, losses and MLflow's receipt."""
    found, expected = payload_digests(root), payload_digests(calm_root)
    assert found.keys() == expected.keys()
    floats = (".safetensors", "losses.jsonl", "result.json", "registered.json")
    changed = [
        name
        for name in sorted(found)
        if found[name] != expected[name] and not name.endswith(floats)
    ]
    assert changed == []


def assert_same_losses(final: Any, calm: Any) -> None:
    assert final["losses"].keys() == calm["losses"].keys()
    for stage, rows in final["losses"].items():
        expected = calm["losses"][stage]
        assert [step for step, _ in rows] == [step for step, _ in expected], stage
        assert [loss for _, loss in rows] == pytest.approx(
            [loss for _, loss in expected], rel=1e-4
        ), stage


def assert_nothing_doubled(root: Path) -> None:
    """One model version; no run left open; no stage finished twice."""
    with sqlite3.connect(root / ".state" / "mlflow" / "mlflow.db") as database:
        versions = database.execute("SELECT count(*) FROM model_versions").fetchone()[0]
        open_runs = database.execute("SELECT name FROM runs WHERE status = 'RUNNING'").fetchall()
        finished = database.execute(
            "SELECT value, count(*) FROM tags JOIN runs USING (run_uuid)"
            " WHERE key = 'cxrflow.fingerprint' AND status = 'FINISHED' GROUP BY value"
        ).fetchall()
    database.close()
    assert versions == 1
    assert open_runs == []
    assert all(times == 1 for _, times in finished)


def test_two_runs_at_once_share_what_either_builds(
    undisturbed: tuple[Path, Any], tmp_path: Path
) -> None:
    calm_root, calm = undisturbed
    root = tmp_path / "data"
    outputs = [tmp_path / "one.json", tmp_path / "two.json"]
    runs = [start(root, output) for output in outputs]
    for run, output in zip(runs, outputs, strict=True):
        assert run.wait() == 0, output.with_suffix(".log").read_text()[-3000:]
    documents = [json.loads(output.read_text()) for output in outputs]
    built = [{step["key"] for step in each["steps"] if step["built"]} for each in documents]
    assert built[0] | built[1] == {step["key"] for step in calm["steps"]}
    assert built[0] & built[1] == set(), "a step was built twice"
    assert documents[0]["scores"] == documents[1]["scores"]
    assert_same_files(root, calm_root)
    assert_nothing_doubled(root)
