"""What a run would ask of a language model, before it asks."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from raw_world import look, payload, write_raw

from infra.artifact import Artifact
from infra.llm.budget import ENOUGH_ASKS
from infra.llm.ledger import Ledger, Work
from tasks.context import Context
from tasks.ingest.studies import STUDIES_FILE, ingest_studies
from tasks.reports import estimate as estimate_module
from tasks.reports.connection import Teacher
from tasks.reports.estimate import TOKENS_PER_REQUEST, Estimate, estimate_reports
from tasks.reports.work import write_reports

ROUTES = "sources.routes={{{}={}}}"


@pytest.fixture(scope="module")
def raws(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("estimate")
    return {name: write_raw(name, folder / name) for name in ("mimic_cxr", "chexpert")}


def planned(
    raws: dict[str, Path], data: Path, name: str, routes: str, *overrides: str
) -> tuple[Context, Artifact]:
    context = look(data, {name: raws[name]}, ROUTES.format(name, routes), *overrides)
    return context, ingest_studies(context, name)


def studies(artifact: Artifact) -> list[dict[str, object]]:
    table = pa.concat_tables([pq.read_table(path) for path in artifact.files(STUDIES_FILE)])
    return list(table.to_pylist())


def test_rules_cost_nothing(raws: dict[str, Path], tmp_path: Path) -> None:
    context, artifact = planned(raws, tmp_path, "mimic_cxr", '["keep","structure"]')
    with_text = sum(bool(row["raw_report"] or row["texts"]) for row in studies(artifact))
    estimate = estimate_reports(context, "mimic_cxr", artifact)
    assert (estimate.requests, estimate.cached, estimate.cost_usd) == (with_text, 0, 0.0)
    assert estimate.output_tokens == with_text * TOKENS_PER_REQUEST["structure"][1]


@pytest.mark.slow
def test_the_estimate_is_never_below_what_is_asked(raws: dict[str, Path], tmp_path: Path) -> None:
    for name, routes in (("mimic_cxr", '["structure"]'), ("chexpert", '["synthesize"]')):
        context, artifact = planned(raws, tmp_path, name, routes)
        with Teacher(context.environment) as teacher:
            estimate = estimate_reports(context, name, artifact)
            write_reports(context, name, teacher)
            sent = teacher.client("offline-rules").usage.sent
        assert 0 < sent == estimate.requests
        after = estimate_reports(context, name, artifact)
        assert (after.requests, after.cached, after.hours) == (0, sent, 0.0)


def test_a_known_price_is_multiplied(raws: dict[str, Path], tmp_path: Path) -> None:
    (tmp_path / ".state").mkdir()
    (tmp_path / ".state" / "llm-prices.toml").write_text(
        '[[price]]\nmodel = "big"\nsince = 2024-01-01\ninput = 10.0\noutput = 30.0\n'
    )
    context, artifact = planned(
        raws, tmp_path, "mimic_cxr", '["structure"]', "reports.model=big-2024-08-06"
    )
    estimate = estimate_reports(context, "mimic_cxr", artifact)
    whole = (10.0 * estimate.input_tokens + 30.0 * estimate.output_tokens) / 1e6
    assert estimate.cost_usd == pytest.approx(whole)
    assert estimate.requests > 0
    assert estimate.output_tokens == estimate.requests * TOKENS_PER_REQUEST["structure"][1]
    assert 300 < estimate.input_tokens / estimate.requests < 1500


def test_an_unknown_price_is_none(raws: dict[str, Path], tmp_path: Path) -> None:
    context, artifact = planned(
        raws, tmp_path, "mimic_cxr", '["structure"]', "reports.model=my-local-model"
    )
    assert estimate_reports(context, "mimic_cxr", artifact).cost_usd is None


def test_keeping_asks_nothing_at_any_price(raws: dict[str, Path], tmp_path: Path) -> None:
    context, artifact = planned(
        raws, tmp_path, "mimic_cxr", '["keep"]', "reports.model=my-local-model"
    )
    assert estimate_reports(context, "mimic_cxr", artifact) == Estimate(0, 0.0, hours=0.0)


def test_every_route_that_asks_has_its_tokens() -> None:
    assert set(TOKENS_PER_REQUEST) == {"structure", "translate", "synthesize"}


def test_hours_follow_from_the_limits_or_are_unknown(
    raws: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def estimate() -> Estimate:
        context, artifact = planned(raws, tmp_path, "mimic_cxr", '["structure"]')
        return estimate_reports(context, "mimic_cxr", artifact)

    first = estimate()
    assert first.hours is None
    monkeypatch.setenv("CXR_LLM_REQUESTS_PER_MINUTE", "0.5")
    assert estimate().hours == pytest.approx(first.requests / 30)
    tokens = first.input_tokens + first.output_tokens
    monkeypatch.setenv("CXR_LLM_TOKENS_PER_MINUTE", "1e6")
    assert estimate().hours == pytest.approx(first.requests / 30), "the narrower of the two"
    monkeypatch.setenv("CXR_LLM_TOKENS_PER_MINUTE", "10")
    assert estimate().hours == pytest.approx(tokens / 600)


def test_what_was_observed_replaces_what_was_assumed(
    raws: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    context, artifact = planned(raws, tmp_path, "mimic_cxr", '["structure"]')
    before = estimate_reports(context, "mimic_cxr", artifact)
    asks = ENOUGH_ASKS
    with closing(Ledger(tmp_path / ".state")) as ledger:
        ledger.add(
            Work("elsewhere", "structure", "offline-rules"),
            asks=asks,
            input_characters=800 * asks,
            input_tokens=400 * asks,
            output_tokens=7 * asks,
            timed=asks,
            milliseconds=1800 * asks,
        )
    monkeypatch.setenv("CXR_LLM_CONCURRENCY", "4")
    context, artifact = planned(raws, tmp_path, "mimic_cxr", '["structure"]')
    after = estimate_reports(context, "mimic_cxr", artifact)
    assert after.requests == before.requests
    assert after.input_tokens == pytest.approx(2 * before.input_tokens, abs=1), "2 characters each"
    assert after.output_tokens == 7 * after.requests
    assert after.hours == pytest.approx(after.requests * 1.8 / 4 / 3600)


def test_each_task_has_its_own_numbers(raws: dict[str, Path], tmp_path: Path) -> None:
    context, artifact = planned(raws, tmp_path, "chexpert", '["keep","structure","synthesize"]')
    estimate = estimate_reports(context, "chexpert", artifact)
    structure, synthesize = estimate.tasks
    assert (structure.task, synthesize.task) == ("structure", "synthesize")
    assert estimate.requests == structure.requests + synthesize.requests
    assert estimate.input_tokens == structure.input_tokens + synthesize.input_tokens
    assert estimate.cost_usd == 0.0


def test_of_a_large_source_a_part_is_read(
    raws: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    context, artifact = planned(raws, tmp_path, "mimic_cxr", '["structure"]')
    whole = estimate_reports(context, "mimic_cxr", artifact)
    monkeypatch.setattr(estimate_module, "SAMPLED_STUDIES", 1)
    part = estimate_reports(context, "mimic_cxr", artifact)
    assert part.requests == whole.requests, "the rest is counted, if not read"
    assert part.input_tokens == pytest.approx(whole.input_tokens, rel=0.3)
    assert part.input_tokens != whole.input_tokens


def test_estimating_writes_nothing(raws: dict[str, Path], tmp_path: Path) -> None:
    context, artifact = planned(raws, tmp_path, "mimic_cxr", '["structure"]')
    before = payload(tmp_path)
    estimate_reports(context, "mimic_cxr", artifact)
    assert payload(tmp_path) == before
