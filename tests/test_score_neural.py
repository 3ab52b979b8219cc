"""The score step with and without weights: numbers with digests, or what is missing and where."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from neural_world import write_all, write_distilbert
from raw_world import look, write_raw
from test_score_work import RECIPE, made_up, predict, scored

from evaluation.blocks import ALL_BLOCKS
from evaluation.measures_neural import slots
from evaluation.unavailable import by_reason
from infra.artifact import Artifact
from infra.settings.environment import load_environment
from infra.settings.sections import ScoreSettings
from tasks.context import Context
from tasks.examples.work import write_examples
from tasks.ingest.stored_images import ingest_images
from tasks.ingest.studies import ingest_studies
from tasks.register.work import LONGEST_TAG, unavailable_tag
from tasks.reports.connection import Teacher
from tasks.reports.work import write_reports
from tasks.score.pairs import score_pairs
from tasks.score.work import scores_of

NAMES = (
    *(
        f"CheXbert-{kind}-F1-{labels}[uncertain={policy}]"
        for policy in ("negative", "positive")
        for labels in (14, 5)
        for kind in ("micro", "macro")
    ),
    "RadGraph-F1[v1,partial]",
    *(f"RadGraph-F1[xl,{level}]" for level in ("simple", "partial", "complete", "yu")),
    "BERTScore[distilbert-base-uncased,L5,rescaled]",
    "BERTScore[distilroberta-base,L5,rescaled]",
    "SembScore",
    *("RadCliQ-v0", "RadCliQ-v1"),
    "RaTEScore",
)
METEORS = ("METEOR[coco-ptb]", "METEOR[r2gen]", "METEOR[coco]")
"""Scored like the others, and run by another program (tests/test_meteor_counts.py)."""


@pytest.fixture(scope="module")
def predicted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data root up to predictions, and the raw tree beside it."""
    folder = tmp_path_factory.mktemp("neural")
    write_raw("mimic_cxr", folder / "raw", 40)
    context = look(folder / "data", {"mimic_cxr": folder / "raw"}, *RECIPE)
    ingest_studies(context, "mimic_cxr")
    ingest_images(context, "mimic_cxr")
    with Teacher(context.environment) as teacher:
        write_reports(context, "mimic_cxr", teacher)
    write_examples(context, "llava_rad")
    predict(context, made_up(context))
    return folder


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_all(tmp_path_factory.mktemp("weights"))


def open_at(predicted: Path, *overrides: str) -> Context:
    return look(predicted / "data", {"mimic_cxr": predicted / "raw"}, *RECIPE, *overrides)


@pytest.fixture(scope="module")
def with_weights(predicted: Path, weights: Path) -> tuple[Context, Artifact]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CXR_WEIGHTS_ROOT", str(weights))
        context = open_at(predicted)
        return context, scored(context)


def document(artifact: Artifact) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(artifact.files("scores.json")[0].read_text())
    return found


def rows(artifact: Artifact, control: str = "none") -> dict[str, dict[str, Any]]:
    return {row["metric"]: row for row in document(artifact)["scores"] if row["control"] == control}


def test_every_neural_metric_has_the_name_that_tables_know() -> None:
    assert {slot.measure.name for slot in slots()} == {
        *(*NAMES, "RadGraph-F1[v1,yu]"),
        *METEORS,
    }


def test_without_weights_each_metric_says_what_it_needs(predicted: Path, tmp_path: Path) -> None:
    shutil.copytree(predicted / "data", tmp_path / "data")
    context = look(tmp_path / "data", {"mimic_cxr": predicted / "raw"}, *RECIPE)
    artifact = scored(context)
    told = document(artifact)["unavailable"]
    assert set(NAMES) <= set(told)
    assert not set(NAMES) & set(rows(artifact))
    assert told["SembScore"] == (
        "needs chexbert.pth in $CXR_WEIGHTS_ROOT/StanfordAIMI/RRG_scorers and config.json, "
        "tokenizer.json in $CXR_WEIGHTS_ROOT/bert-base-uncased"
    )
    assert told["RadCliQ-v1"].count("needs ") == 3, "all that it is made of"
    page = artifact.files("report.html")[0].read_text()
    assert "unavailable: needs chexbert.pth in $CXR_WEIGHTS_ROOT/StanfordAIMI" in page
    assert not artifact.files("neural.parquet")
    tag = unavailable_tag(context)
    assert "CheXbert-micro-F1-14[uncertain=negative] and 8 more: needs chexbert.pth in" in tag
    assert len(tag) < LONGEST_TAG


@pytest.mark.slow
def test_with_weights_each_metric_has_a_number_an_interval_and_a_digest(
    with_weights: tuple[Context, Artifact], weights: Path
) -> None:
    found = rows(with_weights[1])
    for name in NAMES:
        row = found[name]
        assert row["low"] <= row["value"] <= row["high"], name
        assert row["signature"]["weights"].startswith("sha256:"), name
        assert row["signature"]["unit"] == "subject", name
        assert row["higher_is_better"] is not name.startswith("RadCliQ"), name
    assert not set(NAMES) & set(document(with_weights[1])["unavailable"])
    checkpoint = weights / "StanfordAIMI/RRG_scorers/chexbert.pth"
    digest = hashlib.sha256(checkpoint.read_bytes()).hexdigest()
    assert found["SembScore"]["signature"]["weights"] == f"sha256:{digest}"
    assert f"sha256:{digest}" in found["RadCliQ-v1"]["signature"]["weights"].split()
    assert len(found["RadCliQ-v1"]["signature"]["weights"].split()) == 3


def test_the_references_themselves_score_best(with_weights: tuple[Context, Artifact]) -> None:
    own, blank = rows(with_weights[1]), rows(with_weights[1], "blank")
    assert own["SembScore"]["value"] == pytest.approx(1, abs=1e-5)
    assert own["BERTScore[distilbert-base-uncased,L5,rescaled]"]["value"] == pytest.approx(
        1, abs=1e-3
    )
    assert own["CheXbert-micro-F1-14[uncertain=negative]"]["value"] == 1
    assert own["RadCliQ-v1"]["value"] < blank["RadCliQ-v1"]["value"]
    assert own["RadGraph-F1[xl,partial]"]["value"] > blank["RadGraph-F1[xl,partial]"]["value"]


def test_signatures_tell_what_makes_names_differ(with_weights: tuple[Context, Artifact]) -> None:
    found = {name: row["signature"] for name, row in rows(with_weights[1]).items()}
    bert = found["BERTScore[distilroberta-base,L5,rescaled]"]
    assert (bert["layer"], bert["idf"], bert["rescale"]) == ("5", "off", "baseline 0.8473319")
    assert found["RadGraph-F1[xl,partial]"]["model"] == "radgraph-xl"
    assert found["RadGraph-F1[v1,partial]"]["case"] == "kept"
    assert found["CheXbert-micro-F1-5[uncertain=positive]"]["uncertain_as"] == "positive"
    assert "own sentence splitter" in found["RaTEScore"]["implementation"]


def test_blocks_page_and_registry_get_the_numbers(
    with_weights: tuple[Context, Artifact],
) -> None:
    context, artifact = with_weights
    blocks = {block["name"]: block["rows"] for block in document(artifact)["blocks"]}
    for name in ("llava_rad", "rrg24"):
        assert not [row for row in blocks[name] if "unavailable" in row], name
    tracked = scores_of(context)
    assert (
        tracked["none/RadGraph-F1.v1.partial"] == rows(artifact)["RadGraph-F1[v1,partial]"]["value"]
    )
    page = artifact.files("report.html")[0].read_text()
    assert "CheXbert on prediction and reference" in page
    assert "sha256:" in page
    labels = document(artifact)["chexbert_labels"]
    assert set(labels) == {"none", "shuffled", "blank"}
    assert len(labels["none"]) == 14


def test_the_encoders_table_is_part_of_the_artifact(
    with_weights: tuple[Context, Artifact],
) -> None:
    table = pq.read_table(with_weights[1].files("neural.parquet")[0])
    assert table.num_rows == with_weights[1].counts[0].rows_in
    assert json.loads(with_weights[1].files("neural.json")[0].read_text())["CheXbert"]["weights"]


def test_weights_are_part_of_the_plan_and_their_place_is_not(
    predicted: Path, weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = "scores/llava_rad"
    bare = open_at(predicted).graph
    monkeypatch.setenv("CXR_WEIGHTS_ROOT", str(weights))
    here = open_at(predicted).graph
    assert bare[key].fingerprint != here[key].fingerprint
    assert bare["predictions/llava_rad"] == here["predictions/llava_rad"]
    assert bare["teachers/mimic_cxr"] == here["teachers/mimic_cxr"]
    shutil.copytree(weights, tmp_path / "moved")
    monkeypatch.setenv("CXR_WEIGHTS_ROOT", str(tmp_path / "moved"))
    assert open_at(predicted).graph[key] == here[key]
    (tmp_path / "moved/StanfordAIMI/RRG_scorers/chexbert.pth").unlink()
    assert open_at(predicted).graph[key].fingerprint != here[key].fingerprint


def test_reasons_are_told_once() -> None:
    told = by_reason({"a": "x", "b": "y", "c": "x", "d": "x", "e": "y", "f": "z"})
    assert told == [("a and 2 more", "x"), ("b and e", "y"), ("f", "z")]
    assert by_reason({}) == []


def test_a_file_of_pairs_is_scored_with_the_weights_that_are_here(tmp_path: Path) -> None:
    write_distilbert(tmp_path / "distilbert-base-uncased")
    pairs = pa.table({"reference": ["no edema", "edema"], "prediction": ["no edema", ""]})
    settings = ScoreSettings(bootstrap_resamples=20, judges=())
    environment = load_environment(data_root=str(tmp_path / "data"), weights_root=tmp_path)
    blocks = [ALL_BLOCKS["rrg24"]]
    scores = score_pairs(pairs, settings, blocks, "findings", None, environment)
    found = scores.score("BERTScore[distilbert-base-uncased,L5,rescaled]")
    assert found.interval.value == pytest.approx(0.5, abs=1e-3), "one alike, one empty"
    assert "RadGraph-F1[xl,partial]" in scores.unavailable
    assert not (tmp_path / "data").exists(), "no text is left behind"
    without = score_pairs(pairs, settings, blocks, "findings")
    assert found.metric in without.unavailable
