"""Scoring as a unit of work: judged once, reproducible to the byte, refused where it must be."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from raw_world import look, payload, write_raw

from evaluation.blocks import BLOCKS
from evaluation.clinical import micro_f1
from evaluation.counts_table import read_counts
from evaluation.metric_cache import MetricCache
from infra.artifact import Artifact, build_artifact
from infra.errors import ArtifactError, SettingsError
from infra.parquet import write_table
from infra.pieces import BuiltPiece, Count
from sources.prediction import PREDICTION_SCHEMA
from sources.record import Split
from tasks.context import Context
from tasks.examples.work import write_examples
from tasks.ingest.stored_images import ingest_images
from tasks.ingest.studies import ingest_studies
from tasks.predict.work import PREDICTIONS_FILE, PREDICTIONS_PIECE
from tasks.reports.connection import Teacher
from tasks.reports.work import write_reports
from tasks.score.work import (
    COUNTS_FILE,
    JUDGED_FILE,
    PAGE_FILE,
    SCORES_FILE,
    SLICES_FILE,
    score,
    scores_of,
)
from tasks.train.work import example_files

RECIPE = (
    'sources.routes={mimic_cxr=["keep"]}',
    "sources.pieces=2",
    "images.short_side_px=64",
    "images.smallest_side_px=64",
    "score.bootstrap_resamples=20",
)
CONTROLS = ("none", "shuffled", "blank")
NORMAL = "The heart is normal in size. The lungs are clear."


@dataclass(frozen=True)
class World:
    raw: Path
    data: Path

    def context(self, *overrides: str) -> Context:
        return look(self.data, {"mimic_cxr": self.raw}, *RECIPE, *overrides)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> World:
    """Test examples, and predictions as a model that always writes a normal chest leaves them."""
    folder = tmp_path_factory.mktemp("score")
    world = World(write_raw("mimic_cxr", folder / "raw", 60), folder / "data")
    context = world.context()
    ingest_studies(context, "mimic_cxr")
    ingest_images(context, "mimic_cxr")
    with Teacher(context.environment) as teacher:
        write_reports(context, "mimic_cxr", teacher)
    write_examples(context, "llava_rad")
    predict(context, made_up(context))
    return world


@pytest.fixture
def world(finished: World, tmp_path: Path) -> Iterator[World]:
    shutil.copytree(finished.data, tmp_path / "data")
    yield World(finished.raw, tmp_path / "data")


def made_up(context: Context) -> list[dict[str, Any]]:
    """Rows of PREDICTION_SCHEMA: the references themselves, and a normal chest for the controls."""
    files = example_files(context, Split.TEST)
    rows = [row for path in files for row in pq.read_table(path).to_pylist()]
    studies = [row["study_id"] for row in rows]
    shown = {
        "none": studies,
        "shuffled": [*studies[1:], studies[0]],
        "blank": [None] * len(rows),
    }
    return [
        {
            **{name: row[name] for name in ("example_id", "source", "study_id", "subject_id")},
            "split": row["split"],
            "view": row["images"][0]["view"],
            "control": control,
            "image_study_id": image,
            "prediction": row["target"] if control == "none" else NORMAL,
            "reference": row["target"],
            "finish_reason": "stop",
            "tokens": 9,
        }
        for control in CONTROLS
        for row, image in zip(rows, shown[control], strict=True)
    ]


def predict(context: Context, rows: list[dict[str, Any]]) -> None:
    def build(key: str, folder: Path) -> BuiltPiece:
        table = pa.Table.from_pylist(rows, schema=PREDICTION_SCHEMA)
        write_table(folder / PREDICTIONS_FILE, table)
        return BuiltPiece((Count("predictions", len(rows), len(rows)),))

    step = context.graph["predictions/llava_rad"]
    build_artifact(context.store, step, lambda: {PREDICTIONS_PIECE: ""}, build)


def scored(context: Context) -> Artifact:
    with Teacher(context.environment) as teacher:
        return score(context, teacher, lambda done, total: None)


def test_every_prediction_is_judged_and_scored(world: World) -> None:
    context = world.context()
    rows = made_up(context)
    assert len(rows) >= 9, "the world is too small to score"
    artifact = scored(context)
    assert artifact.counts == (Count("predictions scored", len(rows), len(rows)),)
    document = json.loads(artifact.files(SCORES_FILE)[0].read_text())
    assert set(document["systems"]) == set(CONTROLS)
    judged = pq.read_table(artifact.files(JUDGED_FILE)[0])
    assert sorted(judged["example_id"].to_pylist()) == sorted(row["example_id"] for row in rows)
    assert set(judged["judge"].to_pylist()) == {"offline-rules"}
    perfect = judged.filter(pc.equal(judged["control"], "none")).to_pylist()
    assert {sum(row["significant"]) for row in perfect} == {0}


def test_the_numbers_for_the_registry_are_the_models_and_its_controls(world: World) -> None:
    context = world.context()
    scored(context)
    tracked = scores_of(context)
    assert {name.partition("/")[0] for name in tracked} == {*CONTROLS, *BLOCKS}
    assert tracked["offline/rule14-micro-F1"] == pytest.approx(
        100 * tracked["none/rule14-micro-F1"]
    )
    assert all(isinstance(value, float) for value in tracked.values())
    assert tracked["none/rule14-micro-F1"] > tracked["blank/rule14-micro-F1"]


def test_scores_without_predictions_or_before_scoring_are_one_line(
    finished: World, tmp_path: Path
) -> None:
    context = look(tmp_path / "data", {"mimic_cxr": finished.raw}, *RECIPE)
    with pytest.raises(ArtifactError, match="run the step that makes predictions/llava_rad first"):
        scored(context)
    with pytest.raises(ArtifactError, match="run the step that makes scores/llava_rad first"):
        scores_of(context)


def test_a_second_scoring_has_the_same_bytes_and_asks_nobody(world: World) -> None:
    context = world.context()
    first = scored(context)
    assert scored(context).cached
    before = payload(Path(first.store.path(first.pieces[0].folder)))
    shutil.rmtree(first.store.path(first.folder))
    with Teacher(context.environment) as teacher:
        again = score(context, teacher, lambda done, total: None)
        usage = teacher.client("offline-rules").usage
    assert usage.sent == 0
    assert usage.replayed > 0
    assert payload(Path(again.store.path(again.pieces[0].folder))) == before


def test_the_page_shows_chosen_cases_and_says_what_they_are(world: World) -> None:
    page = scored(world.context()).files(PAGE_FILE)[0].read_text()
    assert "not a medical device" in page.lower()
    assert page.count("data:image/png;base64,") >= 1
    assert "http://" not in page.replace("http://www.w3.org/", "")
    replica = [name for name in ("synthetic", "replica") if name in page.lower()]
    assert replica == [], "raw data that a person gave is nobody's replica"


def test_fewer_judged_studies_leave_the_other_scores_alone(world: World) -> None:
    whole = scored(world.context())
    context = world.context("score.judged_studies=1")
    few = scored(context)
    judged = pq.read_table(few.files(JUDGED_FILE)[0])
    studies = {row["example_id"] for row in judged.to_pylist()}
    assert len(studies) < len({row["example_id"] for row in made_up(context)})

    def lexical(artifact: Artifact) -> list[Any]:
        document = json.loads(artifact.files(SCORES_FILE)[0].read_text())
        return [row for row in document["scores"] if row["metric"].startswith("BLEU")]

    assert lexical(few) == lexical(whole)


def test_the_stored_counts_give_the_scores_without_any_text(world: World) -> None:
    artifact = scored(world.context())
    document = json.loads(artifact.files(SCORES_FILE)[0].read_text())
    table = pq.read_table(artifact.files(COUNTS_FILE)[0])
    assert not {"reference", "prediction"} & set(table.column_names)
    for control in CONTROLS:
        counts = read_counts(table, control, ["rule14-negative"])["rule14-negative"]
        (expected,) = [
            row["value"]
            for row in document["scores"]
            if (row["metric"], row["control"]) == ("rule14-micro-F1", control)
        ]
        assert float(micro_f1(counts.sum(axis=0))) == pytest.approx(expected)


def test_slices_stand_beside_the_whole_and_on_the_page(world: World) -> None:
    artifact = scored(world.context())
    found = json.loads(artifact.files(SLICES_FILE)[0].read_text())
    tests = sum(row["control"] == "none" for row in made_up(world.context()))
    by_view = [
        row
        for row in found["scores"]
        if (row["dimension"], row["metric"]) == ("view", "rule14-micro-F1")
    ]
    assert sum(row["examples"] for row in by_view) == tests
    assert {row["score"]["value"] for row in by_view} == {1.0}
    page = artifact.files(PAGE_FILE)[0].read_text()
    assert "Group by group" in page
    for row in by_view:
        assert f"view: {row['value']}" in page


def test_a_second_scoring_counts_no_pair_again(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    context = world.context()
    first = scored(context)
    before = payload(Path(first.store.path(first.pieces[0].folder)))
    assert MetricCache.in_state(context.environment.state).files()
    shutil.rmtree(first.store.path(first.folder))

    def refuse(texts: object) -> None:
        raise AssertionError("a text was read again")

    monkeypatch.setattr("evaluation.families.label_reports", refuse)
    monkeypatch.setattr("evaluation.rouge.words", refuse)
    again = scored(context)
    assert payload(Path(again.store.path(again.pieces[0].folder))) == before


def test_no_rules_judge_as_gpt_4(world: World) -> None:
    context = world.context('score.judges=["offline-rules","gpt-4"]')
    with pytest.raises(SettingsError, match="found model 'gpt-4' without an endpoint"):
        scored(context)
    assert context.store.list_folder(context.graph["scores/llava_rad"].folder) == []
