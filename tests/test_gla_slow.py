"""RRG24's recipe at the demo's scale, whole, held against what the project promises of it."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest
from small_world import cxr, cxr_json

from infra.settings.matrix import load_matrix

pytestmark = pytest.mark.slow

METRIC = "rule14-micro-F1"
SOME_FILMS = ("without-first", "first-alone")
ABILITIES = ("gla_findings", "gla_impression")
ON_REPLICAS = ("--recipe", "gla_rrg24", "--scale", "tiny", "--replicas")


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("gla")


@pytest.fixture(scope="module")
def demo(root: Path) -> Any:
    started = time.monotonic()
    found = cxr_json("run", *ON_REPLICAS, "--data-root", str(root))
    return {**found, "wall": time.monotonic() - started}


def test_two_models_are_registered_and_scored(demo: Any, record_property: Any) -> None:
    record_property("seconds", round(demo["wall"]))
    record_property("seconds of the run itself", demo["seconds"])
    registered = [key for key in demo["places"] if key.startswith("registered model of")]
    assert registered == [f"registered model of {name}" for name in ABILITIES]


@pytest.mark.parametrize("ability", ABILITIES)
def test_each_model_beats_both_image_blind_controls(demo: Any, ability: str) -> None:
    rows = [row for row in demo["scores"][ability]["differences"] if row["metric"] == METRIC]
    by_control = {row["control"]: row for row in rows}
    assert all(by_control[control]["low"] > 0 for control in ("shuffled", "blank"))


@pytest.mark.parametrize("ability", ABILITIES)
def test_the_intervals_of_model_and_controls_lie_apart(demo: Any, ability: str) -> None:
    rows = [row for row in demo["scores"][ability]["scores"] if row["metric"] == METRIC]
    by_control = {row["control"]: row for row in rows}
    for control in ("shuffled", "blank"):
        assert by_control["none"]["low"] > by_control[control]["high"]


def test_both_sections_agree_better_than_those_of_other_studies(demo: Any) -> None:
    rows = {
        row["system"]: row["interval"]
        for row in demo["consistency"]["measured"]
        if row["metric"] == "agreement"
    }
    assert rows["reference"]["value"] > 0.8
    assert rows["none"]["value"] > rows["shuffled"]["value"]


def test_the_hidden_test_is_answered_row_by_row(demo: Any, root: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    place = ("--replicas", "--data-root", str(root), "--fill", "No acute findings.")
    told = cxr_json("submission", str(out), *place)
    assert {each["section"] for each in told["files"]} == {"findings", "impression"}
    for each in told["files"]:
        lines = (out / each["text_file"]).read_text().splitlines()
        named = (out / each["text_file"]).with_suffix(".jsonl").read_text().splitlines()
        assert len(lines) == len(named) == each["rows"] > 20
        assert [json.loads(row)["text"] for row in named] == lines
        numbers = [int(json.loads(row)["question_id"].partition("/")[2]) for row in named]
        assert numbers == sorted(numbers)
        assert each["filled"] < 5
        assert len(set(lines)) > 5
    again = cxr("submission", str(out), *place)
    assert again.returncode == 2 and "which is not empty" in again.stderr


@pytest.mark.parametrize("ability", ABILITIES)
def test_what_the_first_film_and_what_the_others_show_is_read(demo: Any, ability: str) -> None:
    """Each model loses by having the first film black, and by having all others black."""
    rows = [row for row in demo["scores"][ability]["differences"] if row["metric"] == METRIC]
    by_control = {row["control"]: row for row in rows if row["control"] in SOME_FILMS}
    assert set(by_control) == set(SOME_FILMS)
    for row in by_control.values():
        assert 50 < row["examples"] < demo["scores"][ability]["studies"]
        assert row["low"] > 0


@pytest.fixture(scope="module")
def one_film(demo: Any, root: Path) -> Any:
    """The findings model that is shown the first film alone, as large as in a strip."""
    del demo
    [chosen] = [
        each for each in load_matrix("gla_rrg24_images").variants if each.name == "one-film"
    ]
    others = [f"stages.{name}-impression.skip=true" for name in ("align", "finetune")]
    ability = 'stage="finetune-findings",examples="rrg24_findings",model_name="one_film"'
    sets = ["readings=[]", *others, f"abilities={{gla_findings={{{ability}}}}}", *chosen.set]
    options = [word for each in sets for word in ("--set", each)]
    run = cxr_json("evaluate", *ON_REPLICAS, "--data-root", str(root), *options)
    return run["scores"]["gla_findings"]


def test_the_model_of_one_film_reads_it(one_film: Any) -> None:
    """Else it would be no measure of what a second film gives."""
    rows = [row for row in one_film["differences"] if row["metric"] == METRIC]
    assert {row["control"] for row in rows} == {"shuffled", "blank"}
    assert all(row["low"] > 0 for row in rows)


def test_findings_of_the_lateral_view_need_the_lateral_view(demo: Any, one_film: Any) -> None:
    """All films against the first alone, on findings that no frontal film shows."""
    both, one = (
        next(
            row
            for row in scores["scores"]
            if (row["metric"], row["control"]) == ("lateral-only-F1", "none")
        )
        for scores in (demo["scores"]["gla_findings"], one_film)
    )
    assert both["low"] > one["high"]
