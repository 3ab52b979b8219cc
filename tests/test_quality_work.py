"""A teacher's quality as an artifact: replicas beside known English, Open-I beside its reports."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from raw_world import look
from small_world import cxr, cxr_json

from infra.artifact import Artifact
from tasks.context import Context
from tasks.ingest.replicas import build_replica
from tasks.ingest.studies import ingest_studies
from tasks.monitor.plan import plan_rows
from tasks.quality.page import quality_markdown, tracked
from tasks.quality.work import (
    QUALITY_FILE,
    TABLE_FILE,
    qualities,
    quality_of,
    rate_teacher,
)
from tasks.reports.connection import Teacher

PADCHEST = (
    'sources.routes={padchest=["translate"]}',
    "replicas.studies.padchest=60",
    "replicas.side_px=64",
    "replicas.wording=free",
    "score.bootstrap_resamples=50",
)


def silent(done: int, total: int) -> None:
    assert done <= total


def rated(context: Context, name: str) -> Artifact:
    with Teacher(context.environment) as teacher:
        return rate_teacher(context, name, teacher, silent)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    data = tmp_path_factory.mktemp("quality") / "data"
    context = look(data, {}, *PADCHEST, replicas=True)
    build_replica(context, "padchest", silent)
    ingest_studies(context, "padchest")
    return data


@pytest.fixture(scope="module")
def context(root: Path) -> Context:
    return look(root, {}, *PADCHEST, replicas=True)


@pytest.fixture(scope="module")
def artifact(context: Context) -> Artifact:
    return rated(context, "padchest")


Find = Callable[[str, str], float]


@pytest.fixture(scope="module")
def value(artifact: Artifact) -> Find:
    """A score of the teacher's or the control's translations."""
    found = quality_of(artifact)["tasks"]["translate"]["scores"]

    def find(metric: str, control: str = "none") -> float:
        (row,) = [r for r in found if (r["metric"], r["control"]) == (metric, control)]
        assert row["low"] <= row["value"] <= row["high"]
        return float(row["value"])

    return find  # type: ignore[return-value]


@pytest.mark.slow
def test_translations_come_close_to_the_known_english(value: Find) -> None:
    assert value("chrF[sacrebleu-chrF2]", "none") > 70
    assert value("BLEU-4[sacrebleu-13a-cased]", "none") > 40
    assert value("rule14-micro-F1", "none") > 0.97
    assert value("chexprompt[offline-rules]-significant-error-free-share", "none") > 0.95


def test_another_studys_translation_does_not(value: Find) -> None:
    assert value("chrF[sacrebleu-chrF2]", "shuffled") < 40
    assert value("rule14-micro-F1", "shuffled") < 0.4
    assert value("chexprompt[offline-rules]-significant-errors", "shuffled") > 1


def test_the_document_says_who_wrote_what_was_kept_and_what_could_not_be_rated(
    artifact: Artifact,
) -> None:
    found = quality_of(artifact)
    task = found["tasks"]["translate"]
    assert task["written_by"] == ["offline-rules"]
    assert task["usable"] == task["asked"] == task["kept"] + sum(task["rejected"].values())
    assert task["usable"] >= 55
    assert set(found["tasks"]) | set(found["unavailable"]) == {
        "synthesize", "structure", "translate",
    }  # fmt: skip
    assert found["unavailable"]["structure"].startswith("needs English reports")


def test_the_judge_of_the_same_family_is_flagged(artifact: Artifact) -> None:
    (kin,) = quality_of(artifact)["tasks"]["translate"]["kin"]
    assert (kin["judge"], kin["teacher"]) == ("offline-rules", "offline-rules")
    assert f"**Same family:** {kin['warning']}." in (
        artifact.files(TABLE_FILE)[0].read_text(encoding="utf-8")
    )


def test_the_table_is_the_documents(artifact: Artifact) -> None:
    found = quality_of(artifact)
    text = artifact.files(TABLE_FILE)[0].read_text(encoding="utf-8")
    assert text == quality_markdown(found)
    assert "| `chrF[sacrebleu-chrF2]` |" in text
    assert "- structure: unavailable: needs" in text


def test_no_report_text_is_in_the_document_or_the_rows(artifact: Artifact) -> None:
    text = artifact.files(QUALITY_FILE)[0].read_text() + artifact.files(TABLE_FILE)[0].read_text()
    assert "cardiomegaly." not in text.lower()
    for name in ("examples-translate.parquet", "judged-translate.parquet"):
        columns = set(pq.read_schema(artifact.files(name)[0]).names)
        assert not columns & {"prediction", "reference", "findings"}


def test_numbers_for_mlflow_have_names_it_takes(artifact: Artifact) -> None:
    numbers = tracked(quality_of(artifact))
    assert numbers == artifact.pieces[0].facts["tracked"]
    assert numbers["translate/kept"] > 50
    assert "translate/none/chrF.sacrebleu-chrF2" in numbers
    assert not [name for name in numbers if set(name) & set("[]=")]
    assert not [name for name in numbers if "significant-missing-finding" in name], "details"


def test_a_second_rating_builds_nothing(artifact: Artifact, context: Context) -> None:
    again = rated(context, "padchest")
    assert (again.built, again.folder) == ((), artifact.folder)


@pytest.mark.slow
def test_equal_runs_write_equal_bytes(artifact: Artifact, tmp_path: Path) -> None:
    other = look(tmp_path / "data", {}, *PADCHEST, replicas=True)
    build_replica(other, "padchest", silent)
    ingest_studies(other, "padchest")
    copy = rated(other, "padchest")
    names = (QUALITY_FILE, TABLE_FILE, "examples-translate.parquet", "judged-translate.parquet")
    for name in names:
        assert copy.files(name)[0].read_bytes() == artifact.files(name)[0].read_bytes(), name


def test_all_rated_sources_are_found(artifact: Artifact, context: Context, root: Path) -> None:
    assert set(qualities(context)) == {"padchest"}
    other = look(root, {}, *PADCHEST, "score.seed=4", replicas=True)
    assert qualities(other) == {}


def test_the_plan_counts_what_would_be_asked(artifact: Artifact, root: Path) -> None:
    other = look(root, {}, *PADCHEST, "score.seed=5", "score.teacher_studies=10", replicas=True)
    row = {row.key: row for row in plan_rows(other, "quality")}["teachers/padchest"]
    assert (row.state, row.cost_usd) == ("absent", 0.0)
    assert row.requests == 3 * (10 + 2 * 10)
    assert not [row for row in plan_rows(other, "run") if row.key.startswith("teachers/")]


def test_nothing_but_its_own_settings_rates_again(context: Context, root: Path) -> None:
    other = look(
        root, {}, *PADCHEST, "images.jpeg_quality=70", "stages.align.steps=5", replicas=True
    )
    assert other.graph["teachers/padchest"].fingerprint == (
        context.graph["teachers/padchest"].fingerprint
    )
    asked = look(root, {}, *PADCHEST, "score.teacher_studies=10", replicas=True)
    assert asked.graph["scores/llava_rad"].fingerprint == (
        context.graph["scores/llava_rad"].fingerprint
    )


@pytest.fixture(scope="module")
def openi(public_data: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    data = tmp_path_factory.mktemp("openi") / "data"
    overrides = (
        'sources.routes={openi=["keep"]}',
        "score.teacher_studies=250",
        "score.bootstrap_resamples=50",
    )
    context = look(data, {"openi": public_data / "openi"}, *overrides)
    ingest_studies(context, "openi")
    return quality_of(rated(context, "openi"))


@pytest.mark.slow
@pytest.mark.public_data
@pytest.mark.parametrize("task", ["synthesize", "structure"])
def test_real_reports_are_what_the_teacher_is_measured_against(
    openi: dict[str, Any], task: str
) -> None:
    found = openi["tasks"][task]
    assert found["asked"] == 250
    assert found["usable"] == {"synthesize": 3335, "structure": 3425}[task]
    values = {(row["metric"], row["control"]): row["value"] for row in found["scores"]}
    assert values["rule14-micro-F1", "none"] > {"synthesize": 0.7, "structure": 0.98}[task]
    assert values["rule14-micro-F1", "shuffled"] < 0.5
    gains = {row["metric"]: row for row in found["differences"]}
    assert gains["rule14-micro-F1"]["beats"]
    assert gains["chexprompt[offline-rules]-significant-errors"]["beats"]


@pytest.mark.public_data
def test_real_reports_have_no_known_english_to_be_translated_to(openi: dict[str, Any]) -> None:
    assert openi["unavailable"] == {
        "translate": "needs reports in another language whose English is known, as replicas have"
    }


@pytest.fixture(scope="module")
def command(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str]]:
    data = tmp_path_factory.mktemp("command") / "data"
    sets = [word for setting in PADCHEST for word in ("--set", setting)]
    return data, ["--replicas", "--data-root", str(data), *sets]


@pytest.mark.slow
def test_the_command_runs_what_it_needs_and_logs_numbers(command: tuple[Path, list[str]]) -> None:
    data, arguments = command
    document = cxr_json("teacher-quality", *arguments)
    assert [step["key"] for step in document["steps"]] == [
        "replicas/padchest", "studies/padchest", "teachers/padchest",
    ]  # fmt: skip
    task = document["teachers"]["padchest"]["tasks"]["translate"]
    assert task["kin"][0]["judge"] == "offline-rules"
    assert not list(data.glob("images/*")), "no pixel is read"
    with closing(sqlite3.connect(data / ".state" / "mlflow" / "mlflow.db")) as database:
        logged = dict(
            database.execute(
                "SELECT key, value FROM latest_metrics JOIN runs USING (run_uuid) "
                "WHERE name = 'teacher quality padchest' AND status = 'FINISHED'"
            ).fetchall()
        )
    assert logged["translate/kept"] == task["kept"]
    assert logged["translate/none/rule14-micro-F1"] > 0.97
    again = cxr("teacher-quality", *arguments)
    assert again.returncode == 0, again.stderr
    assert "teachers/padchest        cached" in again.stderr
    assert "# Teacher quality: padchest" in again.stdout
    assert json.dumps(document)
