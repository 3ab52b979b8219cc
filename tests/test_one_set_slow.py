"""Every recipe with a tiny scale, trained for a few steps, then compared by the command itself."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

import pytest
from small_world import cxr, cxr_json

from infra.settings import load_settings, preset_names

pytestmark = pytest.mark.slow

RECIPES = [recipe for recipe, scale in preset_names() if scale == "tiny"]
HOST = "gla_rrg24"
SHARED = ("sources.pieces=2", "replicas.side_px=144", "score.bootstrap_resamples=20", "readings=[]")


def own(recipe: str) -> list[str]:
    """A few steps of every stage, a few studies of every source, short answers. Of RRG24's studies
    a sixteenth is for testing, and most of those show films that another recipe has learned."""
    settings = load_settings(recipe, "tiny")
    found = [f"stages.{stage.name}.steps=3" for stage in settings.stages]
    studies = {"rrg24": 900}
    found += [f"replicas.studies.{one}={studies.get(one, 60)}" for one in settings.sources.names]
    return [*found, "generate.min_new_tokens=0", "generate.max_new_tokens=16"]


def options(place: Path, sets: list[str]) -> list[str]:
    words = [word for setting in (*SHARED, *sets) for word in ("--set", setting)]
    return ["--scale", "tiny", "--replicas", "--data-root", str(place), *words]


def compared(place: Path, *more: str) -> list[str]:
    sets = [f"{recipe}:{setting}" for recipe in RECIPES for setting in own(recipe)]
    return ["compare-recipes", *RECIPES, "--on", HOST, *options(place, sets), *more]


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data root with every recipe trained."""
    place = tmp_path_factory.mktemp("recipes")
    for recipe in RECIPES:
        done = cxr("train", "--recipe", recipe, *options(place, own(recipe)))
        assert done.returncode == 0, done.stderr[-3000:]
    return place


@pytest.fixture(scope="module")
def first(root: Path) -> Any:
    arguments = compared(root)
    return cxr_json(*arguments)


def test_every_recipe_stands_beside_the_first_on_one_set(first: Any) -> None:
    assert [model["recipe"] for model in first["models"]] == RECIPES
    assert first["on"] == f"{HOST}/rrg24_findings"
    for model in first["models"][1:]:
        cells = {cell["metric"]: cell for cell in model["cells"]}
        pair = cells["rule14-micro-F1"]["difference"]
        assert pair["examples"] == first["examples"] > 0
    assert {row["recipe"] for row in first["controls"]} == set(RECIPES)


def test_one_mlflow_run_holds_them_all(first: Any, root: Path) -> None:
    database = sqlite3.connect(root / ".state/mlflow/mlflow.db")
    names = dict(database.execute("SELECT run_uuid, name FROM runs").fetchall())
    parents = database.execute(
        "SELECT run_uuid, value FROM tags WHERE key = 'mlflow.parentRunId'"
    ).fetchall()
    database.close()
    title = f"{' · '.join(RECIPES)} on {HOST}"
    assert sorted(names[run] for run, parent in parents if names[parent] == title) == RECIPES


def test_a_second_command_builds_nothing(first: Any, root: Path) -> None:
    again = cxr_json(*compared(root))
    assert not [step for step in again["steps"] if step["built"]]
    assert again["models"] == first["models"]


def test_the_leaderboard_ranks_them_in_one_group(first: Any, root: Path) -> None:
    found = cxr_json("leaderboard", str(root))
    [table] = [
        table
        for table in found["tables"]
        if (table["task"], table["measure"]) == ("findings", "rule14-micro-F1")
    ]
    asked = {f"{recipe} on rrg24_findings tiny" for recipe in RECIPES}
    ranked = [
        {entry["system"].partition(",")[0] for entry in group["entries"]}
        for group in table["groups"]
    ]
    assert any(asked <= group for group in ranked), ranked


def test_a_recipe_that_is_not_trained_ends_with_its_command(root: Path, tmp_path: Path) -> None:
    done = cxr(*compared(tmp_path))
    assert (done.returncode, done.stdout) == (2, "")
    [line] = [one for one in done.stderr.splitlines() if " W " not in one]  # sources left out
    assert line.startswith("error: ")
    assert f"run 'cxr run --recipe {RECIPES[0]} --scale tiny" in line
