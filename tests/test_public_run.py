"""Bar 5's run: the whole pipeline on the real public folders, as a user starts it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from evaluation.labeler import label_report
from sources.record import LabelValue
from tests.small_world import cxr_json

pytestmark = [pytest.mark.slow, pytest.mark.public_data]


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("public") / "data"


@pytest.fixture(scope="module")
def document(root: Path, public_data: Path) -> Any:
    given = [f"nih_cxr14={public_data / 'nih_cxr14'}", f"openi={public_data / 'openi'}"]
    options = [word for place in given for word in ("--source", place)]
    return cxr_json("run", "--scale", "tiny", *options, "--data-root", str(root))


def counts(document: Any, source: str) -> dict[str, tuple[int, int]]:
    """(in, kept) by unit."""
    return {
        row["unit"]: (row["in"], row["kept"])
        for row in document["funnel"]
        if row["source"] == source
    }


def test_all_nih_images_are_ingested_and_their_labels_become_findings(document: Any) -> None:
    found = counts(document, "nih_cxr14")
    assert found["images"] == (96, 96)
    assert found["studies to synthesize"] == (96, 96)


def test_all_openi_reports_are_parsed_and_kept_without_their_images(
    document: Any, root: Path
) -> None:
    assert counts(document, "openi")["studies"] == (3955, 3955)
    kept = [
        row
        for path in root.glob("reports/openi-*/p*/reports.parquet")
        for row in pq.read_table(path).to_pylist()
        if row["version"] == "keep"
    ]
    sections = {
        name: sum(row[name] is not None for row in kept) for name in ("findings", "impression")
    }
    assert sections == {"findings": 3425, "impression": 3921}


def test_counts_add_up_everywhere(document: Any) -> None:
    for row in document["funnel"]:
        assert row["in"] == row["kept"] + sum(row["rejected"].values()), row


def test_synthesized_findings_agree_with_nihs_labels(document: Any, root: Path) -> None:
    """Every positive of the 14 that NIH gives is read back from the text by the labeler."""
    labels = {
        row["study_id"]: {each["observation"]: each["value"] for each in row["labels"]}
        for path in root.glob("studies/nih_cxr14-*/p*/studies.parquet")
        for row in pq.read_table(path).to_pylist()
    }
    checked = 0
    for path in root.glob("reports/nih_cxr14-*/p*/reports.parquet"):
        for row in pq.read_table(path).to_pylist():
            told = label_report(row["findings"])
            for name, value in labels[row["study_id"]].items():
                if value == LabelValue.POSITIVE and name != "No Finding":
                    assert told.get(name) == LabelValue.POSITIVE, (name, row["findings"])
                    checked += 1
    assert checked > 50


def test_no_subject_is_in_two_splits(document: Any, root: Path) -> None:
    splits: dict[tuple[str, str], set[str]] = {}
    for path in root.glob("studies/*/p*/studies.parquet"):
        for row in pq.read_table(path, columns=["source", "subject_id", "split"]).to_pylist():
            if row["subject_id"] is not None:
                splits.setdefault((row["source"], row["subject_id"]), set()).add(row["split"])
    assert len(splits) > 90
    assert all(len(each) == 1 for each in splits.values())


def test_the_run_ends_in_a_registered_model(document: Any, root: Path) -> None:
    assert document["steps"][-1]["key"] == "models/llava_rad"
    assert next(root.glob("models/llava_rad-*/receipt-*/registered.json")).is_file()
    assert "no test examples" in str(document["scores"])
