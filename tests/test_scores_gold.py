"""Published values of metrics, from a file of gold cases that ``CXR_GOLD_CASES`` names.

The file is not part of the repository. Cases of metrics that are not computed here are left out.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from evaluation.clinical import FIVE, LabelMatrix, confusion, macro_f1, micro_f1, report_f1
from evaluation.labeler import label_report
from evaluation.rouge import rouge_l
from sources.record import LabelValue

Case = dict[str, Any]


@pytest.fixture(scope="module")
def cases() -> list[Case]:
    place = os.environ.get("CXR_GOLD_CASES")
    if not place:
        pytest.skip("CXR_GOLD_CASES is not set: it names the file of published metric values")
    found: list[Case] = json.loads(Path(place).read_text())["cases"]
    return found


def test_probe_sentences_are_positive(cases: list[Case]) -> None:
    probes = [case for case in cases if case["id"].startswith("probe-")]
    assert len(probes) == 11
    for case in probes:
        labels = label_report(case["candidate"])
        for name in case["expected"]:
            assert labels[name] is LabelValue.POSITIVE, case["id"]


def test_f1_from_published_label_sets(cases: list[Case]) -> None:
    case = next(case for case in cases if case["id"] == "f1chexbert-aggregate")
    true, told = (
        LabelMatrix.of([dict.fromkeys(names, LabelValue.POSITIVE) for names in case[side]])
        for side in ("reference", "candidate")
    )
    rows = confusion(true, told, "positive")
    flat = rows.sum(axis=0)
    exact = (true.codes[:, FIVE] == told.codes[:, FIVE]).all(axis=1).mean()
    samples = np.where(rows.sum(axis=1) > 0, report_f1(rows), 0.0).mean()
    found = {
        0: exact,
        1: micro_f1(flat),
        2: macro_f1(flat),
        4: samples,
        5: micro_f1(flat, FIVE),
        6: macro_f1(flat, FIVE),
    }
    for place, value in found.items():
        assert float(value) == pytest.approx(case["expected"][place], abs=case["tolerance"])


def test_rouge_l_without_a_stemmer(cases: list[Case]) -> None:
    chosen = [c for c in cases if c["metric"] == "rougeL" and "stemmer=True" not in c["variant"]]
    assert len(chosen) == 4
    for case in chosen:
        (score,) = rouge_l([case["reference"]], [case["candidate"]])
        assert score == pytest.approx(case["expected"], abs=case["tolerance"]), case["id"]
