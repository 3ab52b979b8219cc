"""Faithful answers pass the checks, corrupted ones do not: kinds of damage over many reports.

Reports are written from the truths of synthetic chests, with comparisons to a prior study; answers
are the offline rules'; damage is done to their text without looking at the checks.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable

import pytest

from sources.record import Label, LabelValue, Study
from sources.replicas.truth import ReplicaSpec, draw_cohort
from sources.replicas.wording import write_report
from tasks.reports.facts import facts_of, payload_of
from tasks.reports.fidelity import Problem
from tasks.reports.fidelity_structured import check_structured
from tasks.reports.fidelity_synthesized import check_synthesized
from tasks.reports.offline_structure import structure
from tasks.reports.offline_synthesize import synthesize

TRUTHS = draw_cohort(ReplicaSpec(250, seed=23), "corrupted", studies_per_subject=1.8)
FINDING = re.compile(
    r"effusion|pneumothorax|nodule|mass\b|consolidat|edema|fracture|cardiomegaly|enlarge|opacity"
    r"|pacemaker|tube|catheter|atelecta|thickening|lesion",
    re.IGNORECASE,
)
DENIED = re.compile(r"\b(?:no|not|without|normal)\b", re.IGNORECASE)
Case = tuple[str, Callable[[str], Problem | None]]


def sentences(text: str) -> list[str]:
    return re.split(r"(?<=\.) ", text)


def stated(text: str) -> list[str]:
    return [part for part in sentences(text) if FINDING.search(part) and not DENIED.search(part)]


def structured_cases() -> list[Case]:
    cases: list[Case] = []
    for truth in TRUTHS:
        told = write_report(truth, compare=True)
        own = {"findings": told.findings, "impression": told.impression}
        report = f"FINDINGS: {told.findings}\n\nIMPRESSION: {told.impression}"
        answer = {name: text for name, text in structure({"report": report}).items() if text}

        def check(
            findings: str,
            report: str = report,
            own: dict[str, str] = own,
            answer: dict[str, str] = answer,
        ) -> Problem | None:
            return check_structured(report, own, {**answer, "findings": findings})

        if "findings" in answer:
            cases.append((answer["findings"], check))
    return cases


def synthesized_cases() -> list[Case]:
    cases: list[Case] = []
    for number, truth in enumerate(TRUTHS):
        labels = write_report(truth, doubt=0.3).labels(truth)
        known = tuple(
            Label(name, value)
            for name, value in labels.items()
            if value is not LabelValue.UNMENTIONED
        )
        study = Study("chexpert", f"s{number}", None, None, labels=known)
        facts = facts_of(study)
        answer = synthesize(payload_of(study, facts), random.Random(number))

        def check(findings: str, study: Study = study) -> Problem | None:
            return check_synthesized(study, facts_of(study), {"findings": findings})

        cases.append((str(answer["findings"]), check))
    return cases


def side_flipped(text: str, rng: random.Random) -> str | None:
    sides = list(re.finditer(r"\b(?:left|right)\b", text, re.IGNORECASE))
    if not sides:
        return None
    match = rng.choice(sides)
    other = "right" if match.group().lower() == "left" else "left"
    return text[: match.start()] + other + text[match.end() :]


def denial_dropped(text: str, rng: random.Random) -> str | None:
    denied = [part for part in sentences(text) if re.match(r"(?:There is )?[Nn]o ", part)]
    if not denied:
        return None
    part = rng.choice(denied)
    return text.replace(part, re.sub(r"^(?:There is )?[Nn]o (?:evidence of )?", "There is ", part))


def finding_added(text: str, rng: random.Random) -> str | None:
    known = " ".join(stated(text)).lower()
    new = [
        sentence
        for word, sentence in (
            ("fracture", "There is a rib fracture."),
            ("pneumothorax", "There is a large pneumothorax."),
            ("edema", "Moderate pulmonary edema."),
        )
        if word not in known
    ]
    return f"{text} {rng.choice(new)}" if new else None


def finding_lost(text: str, rng: random.Random) -> str | None:
    parts = stated(text)
    if not parts or len(sentences(text)) < 2:
        return None
    lost = rng.choice(parts)
    return " ".join(part for part in sentences(text) if part != lost)


def comparison_kept(text: str, rng: random.Random) -> str | None:
    parts = stated(text)
    if not parts:
        return None
    part = rng.choice(parts)
    words = rng.choice(
        ["unchanged from the prior study", "increased since yesterday", "now stable"]
    )
    return text.replace(part, f"{part.rstrip('.')}, {words}.")


CASES = {"structured": structured_cases(), "synthesized": synthesized_cases()}
DAMAGE: dict[str, Callable[[str, random.Random], str | None]] = {
    "side flipped": side_flipped,
    "denial dropped": denial_dropped,
    "finding added": finding_added,
    "finding lost": finding_lost,
    "comparison kept": comparison_kept,
}


@pytest.mark.parametrize("route", CASES)
def test_faithful_answers_pass(route: str) -> None:
    refused = [problem for text, check in CASES[route] if (problem := check(text)) is not None]
    assert len(CASES[route]) > 240
    assert len(refused) <= 0.02 * len(CASES[route]), refused[:5]


@pytest.mark.parametrize("damage", DAMAGE)
@pytest.mark.parametrize("route", CASES)
def test_damaged_answers_are_caught(route: str, damage: str) -> None:
    if route == "synthesized" and damage == "side flipped":
        pytest.skip("labels of 14 observations have no sides")
    rng = random.Random(5)
    damaged = [(DAMAGE[damage](text, rng), text, check) for text, check in CASES[route]]
    tried = [(bad, check) for bad, text, check in damaged if bad is not None and bad != text]
    missed = [bad for bad, check in tried if check(bad) is None]
    assert len(tried) > 80
    assert len(missed) <= 0.05 * len(tried), missed[:5]
