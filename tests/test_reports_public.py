"""Routes over real public data: Open-I's reports and NIH's labels."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pytest

from evaluation.labeler import label_report
from infra.llm import Client
from infra.settings.sections import ReportSettings
from sources.catalog import get_source
from tasks.reports.comparison import comparison_words
from tasks.reports.offline_server import offline_server
from tasks.reports.routes import write_piece

pytestmark = pytest.mark.public_data
SETTINGS = ReportSettings(model="offline-rules")


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    with offline_server() as place, Client(place, tmp_path_factory.mktemp("state")) as made:
        yield made


@pytest.fixture(scope="module")
def openi(public_data: Path) -> pa.Table:
    return get_source("openi").read(public_data / "openi").studies


def test_real_reports_are_structured(openi: pa.Table, client: Client) -> None:
    some = openi.slice(0, 800)
    piece = write_piece(some, "structure", SETTINGS, client)
    assert piece.reports.num_rows + piece.rejected.num_rows == 800
    reasons = Counter(piece.rejected["reason"].to_pylist())
    failed = reasons.total() - reasons["no-report"]
    assert failed <= 0.02 * (800 - reasons["no-report"]), reasons
    for row in piece.reports.to_pylist():
        assert comparison_words(f"{row['findings']} {row['impression']}") == []


def test_real_texts_are_kept_and_counted(openi: pa.Table, client: Client) -> None:
    piece = write_piece(openi, "keep", SETTINGS, client)
    assert piece.reports.num_rows + piece.rejected.num_rows == 3955
    assert piece.reports["findings"].drop_null().__len__() == 3425
    assert piece.reports["impression"].drop_null().__len__() == 3921


def test_nih_labels_become_findings_that_agree(public_data: Path, client: Client) -> None:
    studies = get_source("nih_cxr14").read(public_data / "nih_cxr14").studies
    piece = write_piece(studies, "synthesize", SETTINGS, client)
    assert (piece.reports.num_rows, piece.rejected.num_rows) == (studies.num_rows, 0)
    for study, report in zip(studies.to_pylist(), piece.reports.to_pylist(), strict=True):
        labels = label_report(report["findings"])
        for label in study["labels"]:
            assert labels[label["observation"]] == label["value"], report["findings"]
        named = {label["name"] for label in study["source_labels"]}
        for name in named & {"Hernia", "Emphysema", "Fibrosis"}:
            assert name[:4].lower() in report["findings"].lower()
