"""rule14 against the human MeSH coding of the real Open-I reports (never part of the repository).

The mapping of MeSH headings is written here; only ``major`` terms count, since ``automatic`` ones
come from the text. Rules were tuned on the studies whose hash is even; the bar holds on the others.
"""

from __future__ import annotations

import hashlib
import tarfile
import xml.etree.ElementTree as ET
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import pytest

from evaluation.labeler import label_report
from sources.record import LabelValue

HEADINGS = {
    "pulmonary atelectasis": "Atelectasis",
    "cardiomegaly": "Cardiomegaly",
    "pleural effusion": "Pleural Effusion",
    "pneumonia": "Pneumonia",
    "pneumothorax": "Pneumothorax",
    "hydropneumothorax": "Pneumothorax",
    "hemopneumothorax": "Pneumothorax",
    "consolidation": "Consolidation",
    "pulmonary edema": "Edema",
}
"""MeSH heading (before the first slash) → observation; the seven that both schemes share.
``pulmonary congestion`` is not coded as edema by Open-I and is left out, which costs precision."""

P = LabelValue.POSITIVE
SHARED = sorted(set(HEADINGS.values()))


@dataclass(frozen=True)
class Coded:
    """One report: its text, the coded observations, and whether its hash is odd (held out)."""

    text: str
    coded: frozenset[str]
    is_held_out: bool


@pytest.fixture(scope="module")
def texts_and_codes(public_data: Path) -> list[tuple[str, str, list[str]]]:
    rows = []
    with tarfile.open(public_data / "openi" / "NLMCXR_reports.tgz") as archive:
        for member in archive:
            stream = archive.extractfile(member)
            if stream is None or not member.name.endswith(".xml"):
                continue
            root = ET.parse(stream).getroot()
            parts = {part.get("Label"): (part.text or "") for part in root.iter("AbstractText")}
            text = f"{parts.get('FINDINGS', '')} {parts.get('IMPRESSION', '')}".strip()
            name = root.find("uId")
            assert name is not None
            majors = [(term.text or "").lower() for term in root.iter("major")]
            rows.append((str(name.get("id")), text, majors))
    return rows


@pytest.fixture(scope="module")
def coded(texts_and_codes: list[tuple[str, str, list[str]]]) -> list[Coded]:
    return [
        Coded(
            text,
            frozenset(
                HEADINGS[head]
                for head in (major.split("/")[0].strip() for major in majors)
                if head in HEADINGS
            ),
            bool(hashlib.sha256(name.encode()).digest()[0] & 1),
        )
        for name, text, majors in texts_and_codes
        if text and not any("no indexing" in major for major in majors)
    ]


def f1(counts: Counter[str], name: str) -> float:
    hits, false, missed = (counts[f"{name} {kind}"] for kind in ("hit", "false", "missed"))
    return 2 * hits / (2 * hits + false + missed)


def count(reports: list[Coded], positive: tuple[LabelValue, ...] = (P,)) -> Counter[str]:
    counts: Counter[str] = Counter()
    for report in reports:
        labels = label_report(report.text)
        for name in SHARED:
            told, true = labels.get(name) in positive, name in report.coded
            kind = {(True, True): "hit", (True, False): "false", (False, True): "missed"}
            counts[f"{name} {kind.get((told, true), 'quiet')}"] += 1
            counts[f"all {kind.get((told, true), 'quiet')}"] += 1
    return counts


@pytest.mark.public_data
def test_the_bar_holds_on_the_half_that_was_not_tuned_on(coded: list[Coded]) -> None:
    held_out = [report for report in coded if report.is_held_out]
    counts = count(held_out)
    assert (len(coded), len(held_out)) == (3832, 1866)
    assert f1(counts, "all") >= 0.91  # measured 0.921; the bar is 0.876
    assert sum(f1(counts, name) for name in SHARED) / len(SHARED) >= 0.87  # measured 0.885; 0.81


@pytest.mark.public_data
def test_every_label_is_better_than_a_coin(coded: list[Coded]) -> None:
    counts = count(coded)
    assert min(f1(counts, name) for name in SHARED) > 0.65


@pytest.mark.public_data
def test_uncertain_as_positive_costs_little(coded: list[Coded]) -> None:
    counts = count(coded, (P, LabelValue.UNCERTAIN))
    assert f1(counts, "all") >= 0.86  # measured 0.869; an untuned regex reached 0.842


@pytest.mark.public_data
def test_what_the_coders_call_normal_is_no_finding(
    texts_and_codes: list[tuple[str, str, list[str]]],
) -> None:
    normal = [text for _, text, majors in texts_and_codes if text and majors == ["normal"]]
    told = sum(label_report(text).get("No Finding") is P for text in normal)
    assert (len(normal), told) == (1363, pytest.approx(1353, abs=3))


@pytest.mark.public_data
def test_every_report_is_labelled(
    texts_and_codes: list[tuple[str, str, list[str]]],
) -> None:
    texts = [text for _, text, _ in texts_and_codes if text]
    assert (len(texts_and_codes), len(texts)) == (3955, 3927)
    labels = [label_report(text) for text in texts]
    assert sum(not found for found in labels) <= 40  # speak of none of the 14, only of others
