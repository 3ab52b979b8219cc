"""Sending a source's reports their routes: what is asked, paid, refused, and stopped."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from llm_world import Reply, Script, completion, scripted_server
from raw_world import copy_raw, edit_report, look, write_raw
from test_llm_egress import listener

from infra.artifact import Artifact
from infra.errors import ArtifactError, EgressRefused, SettingsError
from infra.pieces import Count
from sources.piece import piece_key, piece_number
from sources.record import REJECTED_SCHEMA
from tasks.context import Context
from tasks.ingest.studies import REJECTED_FILE, STUDIES_FILE, ingest_studies
from tasks.preflight import require_models
from tasks.reports.connection import Teacher
from tasks.reports.offline_answers import MODEL, answer_question
from tasks.reports.record import REPORT_SCHEMA
from tasks.reports.work import NOT_APPLICABLE, REPORTS_FILE, check_failed_share, write_reports

ROUTES = 'sources.routes={{mimic_cxr={},padchest=["translate"],chexpert=["synthesize"]}}'
BOTH = ROUTES.format('["keep","structure"]')
ONE_PIECE = "sources.pieces=1"


@dataclass
class Rules(Script):
    """The offline rules behind a counting server; ``refused`` numbers the requests it refuses."""

    reply: Any = None
    refused: frozenset[int] = field(default_factory=frozenset)

    def __post_init__(self) -> None:
        self.reply = self.answer

    def answer(self, number: int, body: dict[str, Any]) -> Reply:
        if number in self.refused:
            return 200, completion(None, refusal="I cannot help with that.")
        return 200, completion(answer_question(body))


@dataclass(frozen=True)
class World:
    raw: Path
    data: Path

    def context(self, *overrides: str) -> Context:
        context = look(self.data, {"mimic_cxr": self.raw}, BOTH, *overrides)
        ingest_studies(context, "mimic_cxr")
        return context


@pytest.fixture(scope="module")
def raw(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_raw("mimic_cxr", tmp_path_factory.mktemp("reports") / "raw", 24)


@pytest.fixture
def world(raw: Path, tmp_path: Path) -> World:
    return World(copy_raw(raw, tmp_path / "raw"), tmp_path / "data")


@pytest.fixture
def rules(monkeypatch: pytest.MonkeyPatch) -> Iterator[Rules]:
    script = Rules()
    with scripted_server(script) as endpoint:
        monkeypatch.setenv("CXR_LLM_BASE_URL", endpoint.base_url)
        monkeypatch.setenv("CXR_LLM_CONCURRENCY", "1")
        yield script


def write(context: Context, name: str = "mimic_cxr") -> Artifact:
    with Teacher(context.environment) as teacher:
        return write_reports(context, name, teacher)


def rows(artifact: Artifact, name: str = REPORTS_FILE) -> pa.Table:
    return pa.concat_tables([pq.read_table(path) for path in artifact.files(name)])


def test_every_study_goes_every_route_and_is_counted(world: World, rules: Rules) -> None:
    context = world.context()
    artifact = write(context)
    reports, rejected = rows(artifact), rows(artifact, REJECTED_FILE)
    assert reports.schema.equals(REPORT_SCHEMA)
    assert rejected.schema.equals(REJECTED_SCHEMA)
    studies = rows(context.artifact("studies/mimic_cxr"), STUDIES_FILE).num_rows
    for count in artifact.counts:
        version = count.unit.removeprefix("studies to ")
        kept = {row["study_id"] for row in reports.to_pylist() if row["version"] == version}
        assert (count.rows_in, count.kept) == (studies, len(kept))
    assert [count.unit for count in artifact.counts] == ["studies to keep", "studies to structure"]
    order = [(row["study_id"], row["version"]) for row in reports.slice(0, 2).to_pylist()]
    assert order == sorted(order)


def test_tokens_behind_a_piece_are_its_facts(world: World, rules: Rules) -> None:
    artifact = write(world.context())
    reports = rows(artifact)
    answered = [row for row in reports.to_pylist() if row["version"] == "structure"]
    assert sum(piece.facts["input_tokens"] for piece in artifact.pieces) == 11 * len(answered)
    assert sum(piece.facts["output_tokens"] for piece in artifact.pieces) == 5 * len(answered)
    kept = [row for row in reports.to_pylist() if row["version"] == "keep"]
    assert {row["model"] for row in kept} == {None}


def test_a_second_run_asks_nothing(world: World, rules: Rules) -> None:
    first = write(world.context())
    asked = len(rules.bodies)
    assert asked > 0
    assert write(world.context()).cached
    shutil.rmtree(first.store.path(first.folder))
    again = write(world.context())
    assert [piece.files for piece in again.pieces] == [piece.files for piece in first.pieces]
    assert len(rules.bodies) == asked, "answers are in the cache: none is paid twice"


def test_one_edited_report_asks_one_question_and_rewrites_one_piece(
    world: World, rules: Rules
) -> None:
    write(world.context())
    asked = len(rules.bodies)
    study = edit_report(world.raw)
    after = write(world.context())
    assert after.built == (piece_key(piece_number(study, 4)),)
    assert len(rules.bodies) == asked + 1
    sent = json.dumps(rules.bodies[-1]["messages"])
    assert "The trachea is midline." in sent


@pytest.mark.slow
def test_one_of_hundreds_of_reports_in_eight_pieces(
    tmp_path: Path, rules: Rules, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The size that is promised: about 500 rows, 8 pieces; one edit, one request, one piece."""
    monkeypatch.setenv("CXR_LLM_CONCURRENCY", "8")
    raw = write_raw("mimic_cxr", tmp_path / "raw", 520)
    world = World(raw, tmp_path / "data")
    routes = (ROUTES.format('["structure"]'), "sources.pieces=8")
    before = write(world.context(*routes))
    asked = len(rules.bodies)
    assert asked >= 500 and len(before.pieces) == 8
    study = edit_report(raw)
    after = write(world.context(*routes))
    assert len(rules.bodies) == asked + 1
    assert after.built == (piece_key(piece_number(study, 8)),)
    changed = [old.key for old, new in zip(before.pieces, after.pieces, strict=True) if old != new]
    assert changed == list(after.built)


def test_too_many_failures_stop_the_piece_with_one_line(world: World, rules: Rules) -> None:
    context = world.context(ONE_PIECE)
    asked = sum(row["raw_report"] is not None for row in studies_of(context))
    rules.refused = frozenset({0, 1, 2})
    with pytest.raises(ArtifactError) as caught:
        write(context)
    assert str(caught.value) == (
        f"mimic_cxr p0000, studies to structure: 3 of {asked} texts failed their checks, more than "
        "the recipe's share of 0.05; most often refused (3); look at the prompt and the endpoint, "
        "or raise reports.largest_failed_share"
    )
    assert caught.value.exit_code == 1


def test_a_larger_share_lets_it_pass_and_keeps_the_reason(world: World, rules: Rules) -> None:
    rules.refused = frozenset({0, 1})
    artifact = write(world.context(ONE_PIECE, "reports.largest_failed_share=0.5"))
    (structured,) = (count for count in artifact.counts if count.unit == "studies to structure")
    assert structured.rejected["refused"] == 2
    refused = [
        row for row in rows(artifact, REJECTED_FILE).to_pylist() if row["reason"] == "refused"
    ]
    assert [row["row_id"].rpartition("/")[2] for row in refused] == ["structure", "structure"]


def studies_of(context: Context) -> list[dict[str, Any]]:
    return rows(context.artifact("studies/mimic_cxr"), STUDIES_FILE).to_pylist()


def test_the_reason_named_is_of_a_failure_however_many_had_nothing_to_send() -> None:
    counts = (Count("studies to structure", 109, 3, {"no-report": 100, "refused": 6}),)
    with pytest.raises(ArtifactError, match=r"6 of 9 texts failed .* most often refused \(6\)"):
        check_failed_share("x p0000", counts, 0.5)


@pytest.mark.parametrize("reason", sorted(NOT_APPLICABLE))
def test_a_study_with_nothing_to_send_is_no_failure(reason: str) -> None:
    check_failed_share("x", (Count("studies to keep", 9, 0, {reason: 9}),), 0.0)


def test_the_share_itself_is_allowed() -> None:
    check_failed_share("x", (Count("studies to keep", 20, 19, {"invalid": 1}),), 0.05)


@pytest.mark.parametrize(("failed", "asked"), [(1, 12), (1, 1), (2, 21), (5, 100)])
def test_the_share_is_rounded_up_to_whole_texts(failed: int, asked: int) -> None:
    check_failed_share("x", (Count("u", asked, asked - failed, {"invalid": failed}),), 0.05)


@pytest.mark.parametrize(("failed", "asked"), [(2, 12), (3, 21), (6, 100)])
def test_more_than_that_stops_the_piece(failed: int, asked: int) -> None:
    with pytest.raises(ArtifactError, match=f"{failed} of {asked} texts failed"):
        check_failed_share("x", (Count("u", asked, asked - failed, {"invalid": failed}),), 0.05)


def test_a_share_of_nothing_allows_nothing() -> None:
    with pytest.raises(ArtifactError, match="1 of 12 texts failed"):
        check_failed_share("x", (Count("u", 12, 11, {"invalid": 1}),), 0.0)


def test_keeping_needs_no_model(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """A recipe that asks for gpt-4 and only keeps reports of this source starts no server."""
    context = look(
        world.data, {"mimic_cxr": world.raw}, ROUTES.format('["keep"]'), "reports.model=gpt-4"
    )
    ingest_studies(context, "mimic_cxr")
    artifact = write(context)
    assert set(rows(artifact)["version"].to_pylist()) == {"keep"}
    assert not list((world.data / ".state").glob("llm*"))


def test_another_model_without_an_endpoint_is_refused_with_one_line(world: World) -> None:
    context = world.context("reports.model=gpt-4-0613")
    with pytest.raises(SettingsError, match="found model 'gpt-4-0613' without an endpoint; "):
        write(context)
    with pytest.raises(SettingsError, match="found model 'gpt-4-0613' without an endpoint; "):
        require_models(context, "reports")
    require_models(context, "ingest")


def test_a_judge_without_an_endpoint_is_refused_before_anything_runs(world: World) -> None:
    context = look(world.data, {"mimic_cxr": world.raw}, BOTH, 'score.judges=["gpt-4"]')
    require_models(context, "train")
    with pytest.raises(SettingsError, match="found model 'gpt-4' without an endpoint; "):
        require_models(context, "evaluate")


def test_gated_text_stays_whatever_the_recipe_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """PadChest's card says never: not one byte reaches a listening socket that is not loopback."""
    raw = write_raw("padchest", tmp_path / "raw", 12)
    with listener() as (url, received):
        monkeypatch.setenv("CXR_LLM_BASE_URL", url)
        monkeypatch.setenv("CXR_LLM_GUARANTEE", "zero-retention")
        context = look(tmp_path / "data", {"padchest": raw}, BOTH)
        with pytest.raises(EgressRefused, match="for source padchest; expected an endpoint that"):
            require_models(context, "reports")
        ingest_studies(context, "padchest")
        with pytest.raises(EgressRefused, match="for source padchest; expected an endpoint that"):
            write(context, "padchest")
    assert received == []
    assert not (tmp_path / "data" / "reports").exists() or not list(
        (tmp_path / "data" / "reports").glob("*/manifest.json")
    )


def test_finished_reports_need_no_endpoint(
    world: World, rules: Rules, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = "reports.model=gpt-4"
    write(world.context(model))
    monkeypatch.delenv("CXR_LLM_BASE_URL")
    require_models(world.context(model), "reports")
    assert write(world.context(model)).cached


def test_studies_are_needed_first(world: World) -> None:
    context = look(world.data, {"mimic_cxr": world.raw}, BOTH)
    with pytest.raises(ArtifactError, match="run the step that makes studies/mimic_cxr first"):
        write(context)


def test_the_embedded_server_answers_where_none_is_named(tmp_path: Path) -> None:
    raw = write_raw("padchest", tmp_path / "raw", 12)
    context = look(tmp_path / "data", {"padchest": raw}, BOTH, ONE_PIECE)
    ingest_studies(context, "padchest")
    artifact = write(context, "padchest")
    reports = rows(artifact).to_pylist()
    assert reports
    assert {row["model"] for row in reports} == {MODEL}
    assert {(row["version"], row["language"]) for row in reports} == {("translate", "en")}
