"""Whole ablations: a small one end to end, and the shipped one at the demo's scale."""

from __future__ import annotations

import json
import sqlite3
import time
from pathlib import Path
from typing import Any

import pytest
from small_world import SMALL, cxr, cxr_json

from infra.settings.matrix import load_matrix

pytestmark = pytest.mark.slow

MATRIX = """
recipe = "llava_rad"
scale = "tiny"
set = [{sets}]
metrics = ["rule14-micro-F1", "chexprompt[offline-rules]-significant-errors"]

[[variants]]
name = "no-align"
question = "What is alignment worth?"
skip = ["align"]

[[variants]]
name = "half"
question = "What would half of the subjects have given?"
share = 0.5
stages = ["finetune"]
"""


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("ablation")
    sets = ", ".join(json.dumps(setting) for setting in SMALL)
    (folder / "small.toml").write_text(MATRIX.format(sets=sets))
    return folder


def arguments(place: Path) -> list[str]:
    return ["ablate", str(place / "small.toml"), "--replicas", "--data-root", str(place / "data")]


@pytest.fixture(scope="module")
def first(place: Path) -> Any:
    return cxr_json(*arguments(place))


def test_what_variants_share_is_built_once(first: Any, place: Path) -> None:
    stages = sorted(path.name.rpartition("-")[0] for path in (place / "data/stages").iterdir())
    assert stages == ["align", "finetune", "finetune", "finetune", "language", "pretrain"]
    assert len(list((place / "data/examples").iterdir())) == 1
    built = [step["key"] for step in first["steps"] if step["built"]]
    assert built.count("stages/finetune") == 3
    assert built.count("stages/pretrain") == 1


def test_the_table_tells_each_variant_beside_the_baseline(first: Any) -> None:
    rows = {row["name"]: row for row in first["rows"]}
    assert list(rows) == ["baseline", "no-align", "half"]
    assert rows["half"]["shared"] == ["language", "pretrain", "align"]
    assert rows["no-align"]["shared"] == ["language", "pretrain"]
    assert rows["half"]["trained_examples"] < rows["baseline"]["trained_examples"]
    for name in ("no-align", "half"):
        for cell in rows[name]["cells"]:
            assert cell["difference"]["examples"] == first["examples"]
            assert 0 < cell["difference"]["p"] <= cell["p_holm"] <= 1


def test_mlflow_has_a_run_for_each_variant_under_one_parent(first: Any, place: Path) -> None:
    database = sqlite3.connect(place / "data/.state/mlflow/mlflow.db")
    names = dict(database.execute("SELECT run_uuid, name FROM runs").fetchall())
    parents = dict(
        database.execute(
            "SELECT run_uuid, value FROM tags WHERE key = 'mlflow.parentRunId'"
        ).fetchall()
    )
    database.close()
    own = {names[run] for run, parent in parents.items() if names[parent] == "ablation small"}
    assert own == {"baseline", "no-align", "half"}


def test_a_second_run_builds_nothing(first: Any, place: Path) -> None:
    again = cxr_json(*arguments(place))
    assert not [step for step in again["steps"] if step["built"]]
    assert again["rows"] == first["rows"]


def test_the_table_is_printed_with_its_page(first: Any, place: Path) -> None:
    done = cxr(*arguments(place))
    assert done.returncode == 0, done.stderr
    assert "| no-align |" in done.stdout
    page = Path(done.stdout.strip().splitlines()[-1].removeprefix("page").strip())
    assert "What each part is worth" in page.read_text()


DIVERGES = """
[[variants]]
name = "diverges"
question = "What does a wild rate give?"
set = ["stages.finetune.learning_rate=1e30"]

[[variants]]
name = "last"
question = "Do the others go on?"
set = ["stages.finetune.seed=1"]
"""


def spent_on_failures(place: Path) -> float:
    """Seconds of all attempts at the stages that have not been finished."""
    files = (place / "data/.state/stages").glob("*/spent_seconds.txt")
    return sum(float(file.read_text()) for file in files)


def test_a_variant_that_diverges_leaves_its_reason_and_the_others_go_on(
    first: Any, place: Path
) -> None:
    sets = ", ".join(json.dumps(setting) for setting in SMALL)
    (place / "wild.toml").write_text(MATRIX.format(sets=sets) + DIVERGES)
    given = ["ablate", str(place / "wild.toml"), "--replicas", "--data-root", str(place / "data")]
    done = cxr(*given)
    assert done.returncode == 1
    assert "1 variant without scores: diverges" in done.stderr
    rows = [line for line in done.stdout.splitlines() if line.startswith("| ")]
    assert [row.split("|")[1].strip() for row in rows[1:6]] == [
        *("baseline", "no-align", "half", "diverges", "last")
    ]
    assert "diverges failed: " in done.stdout
    before = spent_on_failures(place)
    told = cxr(*given, "--json")
    assert spent_on_failures(place) > before > 0.0
    assert told.returncode == 1
    document = json.loads(told.stdout)
    by_name = {row["name"]: row for row in document["rows"]}
    assert by_name["diverges"]["missing"].startswith("failed: ")
    assert by_name["last"]["cells"][0]["difference"]["examples"] == first["examples"]
    assert by_name["half"]["cells"] != []


def test_the_shipped_matrix_finishes_and_tells_a_difference(
    tmp_path: Path, record_property: Any
) -> None:
    """Six variants at least, half of them on the baseline's pretraining."""
    matrix = load_matrix("llava_rad_tiny")
    started = time.monotonic()
    found = cxr_json("ablate", matrix.name, "--replicas", "--data-root", str(tmp_path / "data"))
    record_property("seconds", round(time.monotonic() - started))
    variants = found["rows"][1:]
    assert len(variants) >= 6
    assert 2 * sum("pretrain" in row["shared"] for row in variants) >= len(variants)
    assert found["differences_surviving_holm"] >= 1
    assert found["differences_excluding_zero"] >= found["differences_surviving_holm"]
