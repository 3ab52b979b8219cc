"""An ablation told by answers: planned, compared from scores on disk, or refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from answers_world import predictions_of
from raw_world import write_raw
from test_vqa_run import asking, make

from infra.artifact import Artifact, build_artifact
from infra.errors import SettingsError
from infra.parquet import write_table
from infra.pieces import BuiltPiece, Count
from infra.settings.matrix import METRICS_OF_KIND, MatrixSettings
from sources.question import QUESTION_SCHEMA
from tasks.ablate.plan import AblationPlan, comparison_step, metrics_of, plan_variants
from tasks.ablate.work import compare, table_of
from tasks.context import Context, Order
from tasks.predict.work import PREDICTIONS_FILE, PREDICTIONS_PIECE
from tasks.score.answers import score_answers

NAME = "mimic_cxr_vqa"


def matrix(**more: Any) -> MatrixSettings:
    tree: dict[str, Any] = {
        "name": "small",
        "recipe": "llava_rad",
        "scale": "tiny",
        "set": ["sources.pieces=4", *asking(NAME)],
        "variants": [
            {
                "name": "knows",
                "question": "What does more training give?",
                "set": ["stages.finetune.steps=9"],
            }
        ],
        "resamples": 100,
    }
    return MatrixSettings.model_validate({**tree, **more})


@pytest.fixture(scope="module")
def raw(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_raw(NAME, tmp_path_factory.mktemp("raw") / NAME, 24)


def order(raw: Path, data: Path) -> Order:
    return Order(data_root=str(data), sources=(f"{NAME}={raw}",))


def leave(context: Context, key: str, files: dict[str, pa.Table], **facts: Any) -> Artifact:
    """An artifact of a step with these tables."""

    def build(piece: str, folder: Path) -> BuiltPiece:
        for name, table in files.items():
            write_table(folder / name, table)
        return BuiltPiece((Count("rows", 1, 1),), facts)

    return build_artifact(context.store, context.graph[key], lambda: {PREDICTIONS_PIECE: ""}, build)


def answered(plan: AblationPlan, questions: pa.Table) -> None:
    """The baseline always says no; its variant is right on nine of ten. Then both are scored."""
    for item, control in zip(plan.variants, ("blank", "none"), strict=True):
        for stage in item.context.settings.stages:
            model = {"model.parquet": pa.table({"weight": [0.0]})}
            leave(item.context, f"stages/{stage.name}", model, examples=len(stage.name))
        rows = [
            {**row, "control": "none"}
            for row in predictions_of(questions, ("none", "blank")).to_pylist()
            if row["control"] == control
        ]
        table = pa.Table.from_pylist(rows, schema=predictions_of(questions).schema)
        leave(
            item.context,
            "predictions/vqa",
            {PREDICTIONS_FILE: table},
            predictions=table.num_rows,
            seconds=6.0,
        )
        score_answers(item.context)


@pytest.fixture(scope="module")
def done(raw: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[AblationPlan, Artifact]:
    data = tmp_path_factory.mktemp("ablation") / "data"
    asked = make(data, {NAME: raw})
    given = matrix(metrics=["accuracy", "closed-accuracy", "set-F1", "unparsed-share"])
    plan = plan_variants(given, order(raw, data))
    answered(plan, pa.Table.from_pylist(asked.questions(), schema=QUESTION_SCHEMA))
    return plan, compare(given, plan)


def test_variants_are_compared_by_their_answers(done: tuple[AblationPlan, Artifact]) -> None:
    document = table_of(done[1])
    assert [row["name"] for row in document["rows"]] == ["baseline", "knows"]
    assert document["unit"] == "film"
    assert document["examples"] > document["subjects"] > 0
    baseline, knows = ({cell["metric"]: cell for cell in row["cells"]} for row in document["rows"])
    assert knows["accuracy"]["value"]["value"] > baseline["accuracy"]["value"]["value"]
    assert knows["accuracy"]["difference"]["difference"]["value"] > 0
    assert knows["accuracy"]["difference"]["subjects"] == document["subjects"]
    assert 0 < knows["accuracy"]["difference"]["p"] <= knows["accuracy"]["p_holm"] <= 1
    text = done[1].files("ablation.md")[0].read_text()
    assert "bootstrap over films" in text
    assert "| knows |" in text


def test_what_training_took_is_of_the_stage_that_answers(
    done: tuple[AblationPlan, Artifact],
) -> None:
    rows = table_of(done[1])["rows"]
    assert [row["trained_examples"] for row in rows] == [len("finetune")] * 2
    assert rows[1]["shared"] == ["language", "pretrain", "align"]
    assert rows[0]["answer_seconds"] == pytest.approx(6.0 / table_of(done[1])["examples"], abs=1e-4)


def test_mlflow_gets_numbers_and_no_text(done: tuple[AblationPlan, Artifact]) -> None:
    tracked = done[1].pieces[0].facts["tracked"]
    assert tracked["knows"]["accuracy"] > tracked["baseline"]["accuracy"]
    assert "accuracy/p_holm" in tracked["knows"]
    json.dumps(tracked)


# Which metrics there are.


def test_without_metrics_those_of_the_kind_are_tabulated(raw: Path, tmp_path: Path) -> None:
    given = matrix()
    plan = plan_variants(given, order(raw, tmp_path), make=False)
    assert metrics_of(given, plan) == METRICS_OF_KIND["vqa"]
    asked = comparison_step(given, plan)
    assert asked.settings["metrics"] == list(METRICS_OF_KIND["vqa"])
    named = matrix(metrics=list(METRICS_OF_KIND["vqa"]))
    assert comparison_step(named, plan).fingerprint == asked.fingerprint


@pytest.mark.parametrize(
    ("metric", "near"),
    [("closed-acuracy", "closed-accuracy"), ("token-F1", "open-token-F1"), ("setF1", "set-F1")],
)
def test_a_misspelt_metric_is_told_with_near_names(
    raw: Path, tmp_path: Path, metric: str, near: str
) -> None:
    with pytest.raises(SettingsError) as error:
        plan_variants(matrix(metrics=[metric]), order(raw, tmp_path), make=False)
    assert f"found metric '{metric}' in matrix small" in str(error.value)
    assert near in str(error.value)
    assert "\n" not in str(error.value)


def test_a_metric_of_reports_is_none_of_answers(raw: Path, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="metric 'rule14-micro-F1' in matrix small"):
        plan_variants(matrix(metrics=["rule14-micro-F1"]), order(raw, tmp_path), make=False)


def test_an_ability_that_is_not_there(raw: Path, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="ability 'vqaa' in matrix small; expected one of vqa"):
        plan_variants(matrix(ability="vqaa"), order(raw, tmp_path), make=False)
