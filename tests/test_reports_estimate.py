"""What a run would ask of a language model, before it asks."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from raw_world import look, write_raw

from infra.artifact import Artifact
from tasks.context import Context
from tasks.ingest.studies import STUDIES_FILE, ingest_studies
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
    assert estimate_reports(context, "mimic_cxr", artifact) == Estimate(with_text, 0.0)


def test_the_estimate_is_never_below_what_is_asked(raws: dict[str, Path], tmp_path: Path) -> None:
    for name, routes in (("mimic_cxr", '["structure"]'), ("chexpert", '["synthesize"]')):
        context, artifact = planned(raws, tmp_path, name, routes)
        with Teacher(context.environment) as teacher:
            write_reports(context, name, teacher)
            sent = teacher.client("offline-rules").usage.sent
        estimate = estimate_reports(context, name, artifact)
        assert 0 < sent <= estimate.requests


def test_a_known_price_is_multiplied(raws: dict[str, Path], tmp_path: Path) -> None:
    (tmp_path / ".state").mkdir()
    (tmp_path / ".state" / "llm-prices.toml").write_text(
        '[[price]]\nmodel = "big"\nsince = 2024-01-01\ninput = 10.0\noutput = 30.0\n'
    )
    context, artifact = planned(
        raws, tmp_path, "mimic_cxr", '["structure"]', "reports.model=big-2024-08-06"
    )
    estimate = estimate_reports(context, "mimic_cxr", artifact)
    tokens_in, tokens_out = TOKENS_PER_REQUEST["structure"]
    each = (10.0 * tokens_in + 30.0 * tokens_out) / 1e6
    assert estimate.cost_usd == pytest.approx(estimate.requests * each)
    assert estimate.requests > 0


def test_an_unknown_price_is_none(raws: dict[str, Path], tmp_path: Path) -> None:
    context, artifact = planned(
        raws, tmp_path, "mimic_cxr", '["structure"]', "reports.model=my-local-model"
    )
    assert estimate_reports(context, "mimic_cxr", artifact).cost_usd is None


def test_keeping_asks_nothing_at_any_price(raws: dict[str, Path], tmp_path: Path) -> None:
    context, artifact = planned(
        raws, tmp_path, "mimic_cxr", '["keep"]', "reports.model=my-local-model"
    )
    assert estimate_reports(context, "mimic_cxr", artifact) == Estimate(0, 0.0)


def test_every_route_that_asks_has_its_tokens() -> None:
    assert set(TOKENS_PER_REQUEST) == {"structure", "translate", "synthesize"}
