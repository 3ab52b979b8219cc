"""Studies that ingestion had rejected are the subject's too, and are found without raw files."""

from __future__ import annotations

import shutil
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from cli_world import Say
from forget_world import Traces, find_traces
from hospital_world import Shot, ingested, rows, write_hospital

from tasks.forget.artifacts import find_places
from tasks.ingest.lost import OWNER
from tasks.ingest.studies import ingest_studies

SHOTS = [
    Shot("subject-anna", "study-anna", "a/anna.png", "A zebra stands in this apex, all alone.", 1),
    Shot("subject-anna", "study-named", "a/named.png", "Patient: Jane Whitcombe. Clear.", 2),
    Shot("subject-bert", "study-bert", "b/bert.png", "Patient: John Whitcombe. Clear lungs.", 3),
    Shot("subject-cleo", "study-cleo", "c/cleo.png", "An otter stands in this hilum, alone.", 4),
]
OURS = ("--source", "manifest", "--data-root")


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("rejected")
    ingested(folder / "data", write_hospital(folder / "raw", SHOTS))
    return folder / "data"


@pytest.fixture
def data(built: Path, tmp_path: Path) -> Path:
    return shutil.copytree(built, tmp_path / "data")


def traces(subject: str) -> Traces:
    own = [shot for shot in SHOTS if shot.subject == subject]
    words = {subject, *(shot.study for shot in own), *(shot.path for shot in own)}
    return Traces(tuple(sorted(word.encode() for word in words)), ())


def without_owners(data: Path) -> None:
    """Rejected rows as an older version left them."""
    for path in data.glob("studies/*/*/rejected.parquet"):
        table = pq.read_table(path, partitioning=None)
        pq.write_table(table.drop_columns([OWNER]), path, compression="zstd")


@pytest.mark.parametrize("subject", ["subject-anna", "subject-bert"])
def test_rejected_studies_are_found_without_raw_files(data: Path, cxr: Say, subject: str) -> None:
    lost = rows(data, "studies", "rejected")
    assert {row["study_id"] for row in lost} == {"study-named", "study-bert"}
    assert find_traces(data, traces(subject))
    said = cxr("forget", subject, *OURS, data)
    assert (said.code, said.err) == (0, "")
    assert find_traces(data, traces(subject)) == []
    left = rows(data, "studies", "rejected")
    assert len(left) == len(lost) + (2 if subject == "subject-anna" else 0)
    other = "subject-bert" if subject == "subject-anna" else "subject-anna"
    assert [row for row in lost if row[OWNER] == other] == [row for row in left if row[OWNER]]


def test_one_rejected_study_alone(data: Path, cxr: Say) -> None:
    said = cxr("forget", "subject-anna", *OURS, data, "--study", "study-named")
    assert (said.code, said.err) == (0, "")
    assert {row["study_id"] for row in rows(data, "studies", "rejected")} == {None, "study-bert"}
    assert "study-anna" in {row["study_id"] for row in rows(data, "studies", "studies")}
    refused = cxr("forget", "subject-anna", *OURS, data, "--study", "study-bert")
    assert refused.code == 2


def test_what_forget_leaves_of_rejected_rows_is_what_ingestion_would(
    data: Path, tmp_path: Path, cxr: Say
) -> None:
    assert cxr("forget", "subject-anna", *OURS, data).code == 0
    left = sorted(map(str, rows(data, "studies", "rejected")))
    shutil.rmtree(data / "studies")
    context = ingested(data, write_hospital(tmp_path / "raw", SHOTS))
    assert sorted(map(str, rows(data, "studies", "rejected"))) == left
    assert ingest_studies(context, "manifest").cached
    assert len(find_places(context.store, frozenset({"studies"}))) == 1


def test_older_rejected_rows_are_never_passed_over_in_silence(
    data: Path, tmp_path: Path, cxr: Say
) -> None:
    without_owners(data)
    said = cxr("forget", "subject-anna", *OURS, data)
    assert said.code == 3
    assert said.err.startswith(
        "error: not searched: 2 rejected studies of manifest whose subject no table tells"
    )
    raw = write_hospital(tmp_path / "raw", SHOTS)
    said = cxr("forget", "subject-anna", "--source", f"manifest={raw}", "--data-root", data)
    assert (said.code, said.err) == (0, "")
    assert find_traces(data, traces("subject-anna")) == []
    assert {row["study_id"] for row in rows(data, "studies", "rejected")} == {None, "study-bert"}
