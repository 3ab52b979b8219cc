"""A source's reports through the Batch API: one job for all pieces, the same texts in the end."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from batch_world import PRICES
from raw_world import copy_raw, edit_report, look, write_raw

from infra.artifact import Artifact
from infra.errors import SettingsError
from infra.llm import BatchRule, Endpoint
from infra.settings.environment import load_environment
from tasks.context import Context
from tasks.ingest.studies import ingest_studies
from tasks.reports.connection import Teacher, batch_rule
from tasks.reports.estimate import estimate_reports
from tasks.reports.offline_server import offline_server, server_stats
from tasks.reports.work import REPORTS_FILE, write_reports

ROUTES = 'sources.routes={mimic_cxr=["keep","structure"]}'


@pytest.fixture(scope="module")
def raw(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_raw("mimic_cxr", tmp_path_factory.mktemp("batch") / "raw", 24)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Endpoint]:
    with offline_server() as endpoint:
        monkeypatch.setenv("CXR_LLM_BASE_URL", endpoint.base_url)
        yield endpoint


def context_of(raw: Path, data: Path) -> Context:
    context = look(data, {"mimic_cxr": raw}, ROUTES)
    ingest_studies(context, "mimic_cxr")
    return context


def written(raw: Path, data: Path) -> tuple[Artifact, int]:
    """The artifact, and how many requests were paid for."""
    context = context_of(raw, data)
    with Teacher(context.environment) as teacher:
        artifact = write_reports(context, "mimic_cxr", teacher)
        return artifact, teacher.client("offline-rules").usage.sent


def texts(artifact: Artifact) -> pa.Table:
    columns = ["study_id", "version", "findings", "impression"]
    return pa.concat_tables(
        [pq.read_table(path, columns=columns) for path in artifact.files(REPORTS_FILE)]
    )


def test_all_pieces_are_one_job_and_read_as_if_asked_one_by_one(
    raw: Path, tmp_path: Path, server: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain, sent = written(raw, tmp_path / "plain")
    before = server_stats(server)
    assert (before["requests"], before["uploads"], len(plain.built)) == (sent, 0, 4)
    monkeypatch.setenv("CXR_LLM_BATCH_SMALLEST", "10")
    monkeypatch.setenv("CXR_LLM_DEADLINE_HOURS", "24")
    batched, paid = written(copy_raw(raw, tmp_path / "raw"), tmp_path / "batched")
    stats = server_stats(server)
    assert (stats["uploads"], stats["requests"], stats["batch_answered"]) == (1, sent, sent)
    assert paid == sent > 15
    assert texts(batched).equals(texts(plain))

    edit_report(tmp_path / "raw")
    again, paid = written(tmp_path / "raw", tmp_path / "batched")
    assert (len(again.built), paid) == (1, 1)  # one request is too few for a batch
    stats = server_stats(server)
    assert (stats["uploads"], stats["requests"]) == (1, sent + 1)


def test_without_a_deadline_nothing_waits_for_a_batch(
    raw: Path, tmp_path: Path, server: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CXR_LLM_BATCH_SMALLEST", "1")
    _, sent = written(raw, tmp_path / "data")
    stats = server_stats(server)
    assert (stats["uploads"], stats["requests"]) == (0, sent)
    assert not list((tmp_path / "data" / ".state").glob("llm-batch*"))


def test_a_dry_run_tells_the_discount_and_the_day(
    raw: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "data" / ".state").mkdir(parents=True)
    (tmp_path / "data" / ".state" / "llm-prices.toml").write_text(
        PRICES.replace("offline-rules", "big")
    )
    model = "reports.model=big-2024-08-06"
    found = []
    for hours in (None, "30"):
        if hours is not None:
            monkeypatch.setenv("CXR_LLM_DEADLINE_HOURS", hours)
            monkeypatch.setenv("CXR_LLM_BATCH_SMALLEST", "10")
        context = look(tmp_path / "data", {"mimic_cxr": raw}, ROUTES, model)
        studies = ingest_studies(context, "mimic_cxr")
        found.append(estimate_reports(context, "mimic_cxr", studies))
    plain, batched = found
    assert plain.cost_usd is not None and batched.cost_usd == pytest.approx(plain.cost_usd / 2)
    assert plain.cost_usd > 0
    assert (plain.requests, plain.hours, batched.hours) == (batched.requests, None, 24.0)


def test_the_environment_says_when_batches_are_made(monkeypatch: pytest.MonkeyPatch) -> None:
    assert batch_rule(load_environment()) == BatchRule("auto", None, 1000)
    assert not batch_rule(load_environment()).is_possible
    monkeypatch.setenv("CXR_LLM_BATCH", "always")
    monkeypatch.setenv("CXR_LLM_DEADLINE_HOURS", "36")
    monkeypatch.setenv("CXR_LLM_BATCH_SMALLEST", "5")
    rule = batch_rule(load_environment())
    assert (rule, rule.is_possible) == (BatchRule("always", 36.0, 5), True)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("CXR_LLM_BATCH", "sometimes"),
        ("CXR_LLM_DEADLINE_HOURS", "0"),
        ("CXR_LLM_DEADLINE_HOURS", "inf"),
        ("CXR_LLM_DEADLINE_HOURS", "soon"),
        ("CXR_LLM_BATCH_SMALLEST", "0"),
    ],
)
def test_wrong_values_are_one_line(name: str, value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError, match=f"found a bad value in {name}; expected .*"):
        load_environment()
