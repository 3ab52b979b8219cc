"""From reports to dialogues of a whole source: what is written, counted, cached and refused."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from llm_world import scripted_server
from raw_world import copy_raw, edit_report, look, write_raw
from test_reports_work import Rules

from evaluation.answers import yes_or_no
from evaluation.labeler import find_mentions
from infra.artifact import Artifact
from infra.errors import ArtifactError, SettingsError
from sources.drawing import VIEW_SENTENCES
from sources.piece import piece_key, piece_number
from sources.record import REJECTED_SCHEMA, Level
from sources.xray_span import read_span
from tasks.context import Context
from tasks.dialogues.record import WRITTEN_SCHEMA
from tasks.dialogues.work import DIALOGUES_FILE, write_dialogues
from tasks.ingest.studies import REJECTED_FILE, STUDIES_FILE, ingest_studies
from tasks.monitor.plan import plan_rows
from tasks.preflight import require_models
from tasks.reports.connection import Teacher
from tasks.reports.offline_answers import MODEL
from tasks.reports.work import write_reports

BOTH = 'dialogues.routes={mimic_cxr=["converse","request"]}'
KEPT = 'sources.routes={mimic_cxr=["keep","structure"]}'
FITTED = "dialogues.largest_failed_share=0.2"


@pytest.fixture(scope="module")
def raw(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_raw("mimic_cxr", tmp_path_factory.mktemp("dialogues") / "raw", 24)


def context_of(raw: Path, data: Path, *overrides: str) -> Context:
    return look(data, {"mimic_cxr": raw}, KEPT, BOTH, FITTED, *overrides)


def write(context: Context) -> Artifact:
    """Everything up to the dialogues."""
    ingest_studies(context, "mimic_cxr")
    with Teacher(context.environment) as teacher:
        write_reports(context, "mimic_cxr", teacher)
        return write_dialogues(context, "mimic_cxr", teacher)


def rows(artifact: Artifact, name: str = DIALOGUES_FILE) -> pa.Table:
    return pa.concat_tables([pq.read_table(path) for path in artifact.files(name)])


@pytest.fixture(scope="module")
def written(raw: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Context, Artifact]:
    context = context_of(raw, tmp_path_factory.mktemp("written") / "data")
    return context, write(context)


def test_counts_add_up_to_the_studies_and_to_the_rows(written: tuple[Context, Artifact]) -> None:
    context, artifact = written
    dialogues, rejected = rows(artifact), rows(artifact, REJECTED_FILE)
    assert dialogues.schema.equals(WRITTEN_SCHEMA)
    assert rejected.schema.equals(REJECTED_SCHEMA)
    studies = rows(context.artifact("studies/mimic_cxr"), STUDIES_FILE).num_rows
    counts = {count.unit: count for count in artifact.counts}
    assert list(counts) == ["studies to converse", "questions", "studies to request"]
    of_route = Counter(dialogues["route"].to_pylist())
    for route in ("converse", "request"):
        count = counts[f"studies to {route}"]
        assert (count.rows_in, count.kept) == (studies, of_route[route])
    asked = sum(len(row["question_types"]) for row in dialogues.to_pylist()) - of_route["request"]
    assert counts["questions"].kept == asked > 2 * studies
    lost = sum(sum(count.rejected.values()) for count in artifact.counts)
    assert rejected.num_rows == lost
    assert set(rejected["level"].to_pylist()) <= {Level.DIALOGUE}


def test_every_row_tells_that_rules_wrote_it(written: tuple[Context, Artifact]) -> None:
    table = rows(written[1])
    assert set(table["model"].to_pylist()) == {MODEL}
    assert set(table["prompt_version"].to_pylist()) == {"converse-1", "request-1"}
    assert set(table["report_version"].to_pylist()) <= {"structure", "keep"}
    assert all(len(key) == 32 for key in table["request_hash"].to_pylist())


def test_a_conversation_asks_and_answers_in_turn(written: tuple[Context, Artifact]) -> None:
    talks = [row for row in rows(written[1]).to_pylist() if row["route"] == "converse"]
    types: Counter[str] = Counter()
    for row in talks:
        roles = [turn["role"] for turn in row["turns"]]
        assert roles == ["user", "assistant"] * len(row["question_types"])
        assert len(row["image_ids"]) == 1
        assert len(row["question_types"]) <= 5
        kinds = set(row["question_types"])
        assert row["question_type"] == (kinds.pop() if len(kinds) == 1 else "mixed")
        types.update(row["question_types"])
    assert {"presence", "location", "size", "view"} <= set(types)


def test_yes_and_no_agree_with_the_labeler(written: tuple[Context, Artifact]) -> None:
    """Asked again of rule14 alone: a question that names one finding and no place."""
    context, artifact = written
    reports = {
        (row["study_id"], row["version"]): row
        for path in context.artifact("reports/mimic_cxr").files("reports.parquet")
        for row in pq.read_table(path).to_pylist()
    }
    said: Counter[str] = Counter()
    for row in rows(artifact).to_pylist():
        report = reports[row["study_id"], row["report_version"]]
        text = " ".join(report[name] for name in ("findings", "impression") if report[name])
        values = {mention.observation: set[str]() for mention in find_mentions(text)}
        for mention in find_mentions(text):
            values[mention.observation].add(mention.value)
        pairs = zip(row["turns"][::2], row["turns"][1::2], row["question_types"], strict=True)
        for question, answer, kind in pairs:
            names = {mention.observation for mention in find_mentions(question["text"])}
            if kind == "presence" and len(names) == 1 and " on the " not in question["text"]:
                expected = "yes" if "positive" in values[names.pop()] else "no"
                found = yes_or_no(answer["text"].split(";")[0])
                assert found in (expected, None), (question, answer)
                said[str(found)] += 1
    assert min(said["yes"], said["no"]) > 5


def test_a_request_ends_in_the_text_to_draw(written: tuple[Context, Artifact]) -> None:
    requests = [row for row in rows(written[1]).to_pylist() if row["route"] == "request"]
    assert {row["view"] for row in requests} >= {"PA", "LATERAL"}
    for row in requests:
        asked, answered = row["turns"]
        answer = read_span(answered["text"])
        assert answer.fault is None
        assert (answer.prompt or "").startswith(VIEW_SENTENCES[row["view"]])
        assert answered["text"].endswith("</Xray>")
        assert "<" not in asked["text"]


def test_a_second_run_asks_nothing_and_writes_the_same(
    raw: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = Rules()
    with scripted_server(script) as endpoint:
        monkeypatch.setenv("CXR_LLM_BASE_URL", endpoint.base_url)
        context = context_of(raw, tmp_path / "data")
        first = write(context)
        asked = len(script.bodies)
        assert write(context_of(raw, tmp_path / "data")).cached
        shutil.rmtree(first.store.path(first.folder))
        again = write(context_of(raw, tmp_path / "data"))
        assert [piece.files for piece in again.pieces] == [piece.files for piece in first.pieces]
        assert len(script.bodies) == asked
        told = sum(piece.facts["output_tokens"] for piece in first.pieces)
        assert told == 5 * rows(first).num_rows


def test_an_edited_report_rewrites_one_piece(
    raw: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = Rules()
    tree = copy_raw(raw, tmp_path / "raw")
    with scripted_server(script) as endpoint:
        monkeypatch.setenv("CXR_LLM_BASE_URL", endpoint.base_url)
        write(context_of(tree, tmp_path / "data"))
        asked = len(script.bodies)
        study = edit_report(tree)
        after = write(context_of(tree, tmp_path / "data"))
        assert after.built == (piece_key(piece_number(study, 4)),)
        new = [json.dumps(body["messages"]) for body in script.bodies[asked:]]
        assert len(new) == 3  # to structure it, to converse and to request
        assert all("The trachea is midline." in body for body in new)


def test_a_refused_request_is_a_row_and_too_many_stop_the_piece(
    raw: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = Rules()
    keep = 'sources.routes={mimic_cxr=["keep"]}'
    one = ("sources.pieces=1", 'dialogues.routes={mimic_cxr=["request"]}', keep)
    with scripted_server(script) as endpoint:
        monkeypatch.setenv("CXR_LLM_BASE_URL", endpoint.base_url)
        monkeypatch.setenv("CXR_LLM_CONCURRENCY", "1")
        script.refused = frozenset({0, 1})
        with pytest.raises(ArtifactError, match=r"or raise dialogues\.largest_failed_share"):
            write(context_of(raw, tmp_path / "a", *one, "dialogues.largest_failed_share=0.0"))
        script.refused = frozenset(range(len(script.bodies), len(script.bodies) + 2))
        artifact = write(context_of(raw, tmp_path / "b", *one, "reports.seed=1"))
    (count,) = artifact.counts
    assert count.rejected["refused"] == 2
    refused = [
        row for row in rows(artifact, REJECTED_FILE).to_pylist() if row["reason"] == "refused"
    ]
    assert all(row["row_id"] == f"{row['study_id']}/request" for row in refused)


def test_a_share_is_of_subjects_and_part_of_a_larger_one(raw: Path, tmp_path: Path) -> None:
    chosen = []
    for share in ("0.3", "0.7"):
        override = f"dialogues.share={{request={share}}}"
        artifact = write(
            context_of(raw, tmp_path / share, override, 'dialogues.routes={mimic_cxr=["request"]}')
        )
        (count,) = artifact.counts
        lost = rows(artifact, REJECTED_FILE).to_pylist()
        left = {row["study_id"] for row in lost if row["reason"] == "not-chosen"}
        assert count.rejected["not-chosen"] == len(left) > 0
        chosen.append(left)
    assert chosen[1] < chosen[0]


def test_the_plan_prices_what_would_be_asked(raw: Path, tmp_path: Path) -> None:
    context = context_of(raw, tmp_path / "data")
    (row,) = (row for row in plan_rows(context, "reports") if row.key == "dialogues/mimic_cxr")
    assert row.asks_after == "studies/mimic_cxr"
    ingest_studies(context, "mimic_cxr")
    with Teacher(context.environment) as teacher:
        write_reports(context, "mimic_cxr", teacher)
        (row,) = (row for row in plan_rows(context, "reports") if row.key == "dialogues/mimic_cxr")
        studies = rows(context.artifact("studies/mimic_cxr"), STUDIES_FILE).num_rows
        tasks = {task.task: task for task in row.tasks}
        assert set(tasks) == {"converse", "request"}
        assert studies - 4 <= tasks["converse"].requests <= studies
        assert tasks["converse"].output_tokens == 200 * tasks["converse"].requests
        assert (row.cached, row.cost_usd) == (0, 0.0)
        write_dialogues(context, "mimic_cxr", teacher)
    (row,) = (row for row in plan_rows(context, "reports") if row.key == "dialogues/mimic_cxr")
    assert row.state == "exists"


def test_another_model_needs_an_endpoint(raw: Path, tmp_path: Path) -> None:
    kept = 'sources.routes={mimic_cxr=["keep"]}'
    context = context_of(raw, tmp_path / "data", kept, "reports.model=gpt-4")
    with pytest.raises(SettingsError, match="found model 'gpt-4' without an endpoint"):
        require_models(context, "reports")
    require_models(context, "ingest")
