"""What a run leads to: funnel, losses, scores and places, before and after each exists."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from raw_world import look, write_raw

from infra.artifact import build_artifact
from infra.pieces import BuiltPiece, Count
from tasks.context import Context
from tasks.ingest.studies import ingest_studies
from tasks.monitor.kept import kept_weights
from tasks.monitor.outcome import funnel, losses, outcome_json, outcome_text, places, scores
from tasks.monitor.step_report import StepReport

RECIPE = ('sources.routes={chexpert=["synthesize"]}',)
DOCUMENT: dict[str, Any] = {
    "studies": 3,
    "systems": {
        "none": {
            "judged": {"x": 7, "y": 10},
            "judge_failures": {"x": {"refused": 2, "invalid": 1}},
        },
        "blank": {"judged": {"x": 10, "y": 10}, "judge_failures": {"x": {}, "y": {}}},
    },
    "kin": [{"judge": "x", "teacher": "z", "warning": "judge x is of the same family as z"}],
    "disagreements": [
        {
            "one": "x",
            "other": "y",
            "control": control,
            "pairs": 7,
            "mean_absolute_difference": {"value": 0.5, "low": 0.25, "high": 0.75},
            "tau": {"value": None, "low": None, "high": None},
        }
        for control in ("none", "blank")
    ],
    "unavailable": {"RadGraph-F1": "needs RadGraph's weights"},
    "scores": [
        dict(zip(("metric", "control", "value", "low", "high", "is_detail"), row, strict=True))
        for row in (
            ("BLEU-4[mimic_cxr]", "none", 0.25, 0.2, 0.3, False),
            ("BLEU-4[mimic_cxr]", "blank", 0.1, None, None, False),
            ("BLEU-4[of a block]", "none", 0.2, 0.1, 0.3, True),
            ("rule14-micro-F1", "none", None, None, None, False),
            ("rule14-Edema-F1", "none", 0.9, 0.8, 1.0, False),
        )
    ],
    "differences": [
        dict(zip(("metric", "control", "value", "low", "high", "beats", "ratio"), row, strict=True))
        for row in (
            ("rule14-micro-F1", "shuffled", 0.1, 0.05, 0.15, True, {"value": 1.5}),
            ("chexprompt[x]-significant-errors", "blank", -0.1, -0.3, 0.1, False, {"value": 0.9}),
            ("chexprompt[y]-significant-errors", "blank", -0.1, None, None, False, {"value": None}),
            ("BLEU-4[mimic_cxr]", "blank", 0.1, 0.0, 0.2, True, {"value": 1.1}),
        )
    ],
}


@dataclass(frozen=True)
class World:
    context: Context

    def add(self, key: str, write: Callable[[Path], None], *counts: Count) -> None:
        """A finished artifact of that step with one piece, as the real steps leave it."""
        piece = "model" if key.startswith("stages/") else "piece"

        def build(key: str, folder: Path) -> BuiltPiece:
            write(folder)
            return BuiltPiece(counts)

        build_artifact(self.context.store, self.context.graph[key], lambda: {piece: ""}, build)


@pytest.fixture(scope="module")
def raw(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_raw("chexpert", tmp_path_factory.mktemp("outcome") / "raw", 12)


@pytest.fixture
def world(raw: Path, tmp_path: Path) -> World:
    return World(look(tmp_path / "data", {"chexpert": raw}, *RECIPE))


def add_stage(world: World, name: str, curve: list[tuple[int, float]]) -> None:
    lines = [json.dumps({"step": step, "loss": loss}) for step, loss in curve]
    lines.append(json.dumps({"step": 99, "lr": 0.1}))
    world.add(f"stages/{name}", lambda folder: put(folder / "losses.jsonl", "\n".join(lines)))


def add_result(world: World, name: str, **facts: object) -> None:
    result = {"steps": 600, "kept_step": 450, "validate_loss": 0.1519, "validate_losses": [[1, 2]]}
    text = json.dumps(result | facts)
    world.add(f"stages/{name}", lambda folder: put(folder / "result.json", text))


def put(path: Path, text: str) -> None:
    path.write_text(text)


def add_scores(world: World) -> None:
    def write(folder: Path) -> None:
        put(folder / "scores.json", json.dumps(DOCUMENT))
        put(folder / "report.html", "<html>")

    world.add("scores/llava_rad", write)


def test_before_anything_there_is_nothing(world: World) -> None:
    assert funnel(world.context) == []
    assert losses(world.context) == {}
    assert scores(world.context) is None
    assert places(world.context) == {"data root": world.context.store.root}


def test_the_funnel_has_every_step_that_has_run(world: World) -> None:
    studies = ingest_studies(world.context, "chexpert")
    rows = funnel(world.context)
    assert [(row.source, row.stage, row.unit) for row in rows] == [
        ("chexpert", "studies", "studies"),
        ("chexpert", "studies", "images listed"),
    ]
    assert [row.rows_in for row in rows] == [count.rows_in for count in studies.counts]


def test_losses_are_read_in_the_recipes_order(world: World) -> None:
    add_stage(world, "align", [(1, 2.5), (2, 2.0)])
    add_stage(world, "language", [(1, 6.0)])
    assert losses(world.context) == {"language": [(1, 6.0)], "align": [(1, 2.5), (2, 2.0)]}


def test_the_kept_weights_of_each_stage_are_told(world: World) -> None:
    assert kept_weights(world.context) == {}
    add_result(world, "finetune", validate_losses=[[150, 0.3], [300, 0.2], [450, 0.15]])
    add_result(world, "language", kept_step=600, validate_loss=None, validate_losses=[])
    told = {
        "language": "step 600 of 600: the last, with nothing to validate on",
        "finetune": "step 450 of 600: 0.152 on validate, the best of 3 looks",
    }
    assert kept_weights(world.context) == told == outcome_json(world.context)["kept"]
    lines = outcome_text(world.context, [], 1.0).splitlines()
    assert f"kept of language  {told['language']}" in lines
    assert f"kept of finetune  {told['finetune']}" in lines


def test_places_appear_as_their_artifacts_do(world: World) -> None:
    add_scores(world)
    add_stage(world, "finetune", [(1, 1.0)])
    world.add(
        "models/llava_rad",
        lambda folder: put(folder / "registered.json", '{"name": "llava_rad", "version": 3}'),
    )
    found = places(world.context)
    assert list(found) == ["data root", "report page", "model folder", "registered model", "MLflow"]
    assert Path(found["report page"]).read_text() == "<html>"
    assert (Path(found["model folder"]) / "losses.jsonl").is_file()
    assert found["registered model"] == "models:/llava_rad/3"
    state = world.context.environment.state
    assert found["MLflow"] == (
        f"mlflow ui --backend-store-uri sqlite:///{state / 'mlflow' / 'mlflow.db'}"
    )


def test_a_servers_password_is_not_shown(
    raw: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CXR_MLFLOW_URI", "postgresql://cxr:hunter2@db.example.org:5432/mlflow")
    world = World(look(tmp_path / "data", {"chexpert": raw}, *RECIPE))
    world.add(
        "models/llava_rad",
        lambda folder: put(folder / "registered.json", '{"name": "m", "version": 1}'),
    )
    assert places(world.context)["MLflow"] == (
        "mlflow ui --backend-store-uri postgresql://cxr:***@db.example.org:5432/mlflow"
    )
    assert "hunter2" not in json.dumps(outcome_json(world.context))


def test_the_json_has_all_of_it(world: World) -> None:
    ingest_studies(world.context, "chexpert")
    add_scores(world)
    document = json.loads(json.dumps(outcome_json(world.context)))
    readings = ["retrieval", "grounding"]
    keys = ["funnel", "losses", "throughput", "kept", "scores", *readings, "places"]
    assert list(document) == keys
    assert document["scores"] == {"llava_rad": DOCUMENT}
    for row in document["funnel"]:
        assert row["in"] == row["kept"] + sum(row["rejected"].values())


def test_the_text_shows_headlines_beside_their_controls(world: World) -> None:
    add_scores(world)
    curve = [(step, 8.0 / step) for step in range(1, 41)]
    add_stage(world, "pretrain", curve)
    reports = [
        StepReport("studies/chexpert", "f", 0, "", 0.0, (), 0.24),
        StepReport("stages/pretrain", "f", 1, "never built", 3.0, (), 0.0),
    ]
    lines = outcome_text(world.context, reports, 12.4).splitlines()
    width = len("BLEU-4[mimic_cxr]")
    model, blank = "0.250 [0.200, 0.300]", "0.100"
    assert f"{' ' * width}  {'model':>22}  {'blank image':>22}" in lines
    assert f"BLEU-4[mimic_cxr]  {model:>22}  {blank:>22}" in lines
    assert f"{'rule14-micro-F1'.ljust(width)}  {'-':>22}  {'-':>22}" in lines
    hidden = ("rule14-Edema", "BLEU-4[of a block]")
    assert not [line for line in lines if line.startswith(hidden)]
    assert "unavailable: RadGraph-F1: needs RadGraph's weights" in lines
    assert "2 steps: 1 cached, 1 built, in 12 s (0.2 s of it checking what was there)" in lines
    assert lines[-1] == "Not a medical device: for research and development only."
    (loss,) = [line for line in lines if line.startswith("loss of ")]
    assert loss == (
        "loss of pretrain  1: 8.000  9: 0.889  17: 0.471  25: 0.320  33: 0.242  40: 0.200"
    )


def test_the_text_says_how_far_judges_can_be_trusted(world: World) -> None:
    add_scores(world)
    lines = outcome_text(world.context, [], 0.0).splitlines()
    assert "x gave no counts for 3 of 10 pairs (model): invalid 1, refused 2" in lines
    assert not any("blank" in line and "gave no counts" in line for line in lines)
    assert "NOTE: judge x is of the same family as z" in lines
    assert [line for line in lines if line.startswith("x and y")] == [
        "x and y on 7 pairs: errors differ by 0.500 [0.250, 0.750], tau-b -"
    ]


def test_the_text_says_whether_the_model_reads_its_images(world: World) -> None:
    add_scores(world)
    lines = outcome_text(world.context, [], 0.0).splitlines()
    found = [line for line in lines if " less that with " in line]
    assert found == [
        "rule14-micro-F1 less that with another study's image: +0.100 [+0.050, +0.150], "
        "1.50 times: beats it",
        "chexprompt[x]-significant-errors less that with a blank image: -0.100 [-0.300, +0.100], "
        "0.90 times: DOES NOT BEAT IT",
        "chexprompt[y]-significant-errors less that with a blank image: -0.100: DOES NOT BEAT IT",
    ]


@pytest.mark.parametrize("length", [1, 2, 5, 6, 7, 11, 100])
def test_a_curve_fits_one_line_and_ends_with_its_last_step(world: World, length: int) -> None:
    add_stage(world, "align", [(step, 1.0) for step in range(1, length + 1)])
    text = outcome_text(world.context, [], 0.0)
    (line,) = [line for line in text.splitlines() if line.startswith("loss of align")]
    points = line.split()[3:][::2]
    assert points[0] == "1:"
    assert points[-1] == f"{length}:"
    assert len(points) == len(set(points)) <= 6


def test_a_source_of_which_nothing_is_left_is_a_warning(world: World) -> None:
    world.add("images/chexpert", nothing, Count("images", 4, 0, {"path-outside-root": 3, "x": 1}))
    assert (
        "WARNING: of 4 images of chexpert none was kept; most often path-outside-root"
        in outcome_text(world.context, [], 1.0).splitlines()
    )


def test_a_model_without_a_test_example_is_not_scored(world: World) -> None:
    document = {**DOCUMENT, "studies": 0, "scores": [], "differences": []}

    def write(folder: Path) -> None:
        (folder / "scores.json").write_text(json.dumps(document))
        (folder / "report.html").write_text("<html>")

    world.add("scores/llava_rad", write)
    assert "NOT SCORED: no test example is left" in outcome_text(world.context, [], 1.0)


def nothing(folder: Path) -> None:
    (folder / "empty").write_text("")
