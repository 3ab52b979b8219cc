"""The structuring checks on a set that was written without knowledge of them."""

from __future__ import annotations

import random
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pytest
from second_set_english import ADDED, INDICATIONS, KEPT_INDICATIONS, LINES, SAID, Said
from second_set_world import Case, Score, dice, hold_bars, score

from sources.record import View
from sources.replicas.truth import draw_person, draw_truth
from sources.replicas.wording import write_report
from sources.sections import section_report
from tasks.reports.fidelity_structured import check_structured
from tasks.reports.record import sections_of


@dataclass(frozen=True)
class Dictation:
    """A report made of statements: as dictated, and its faithful structuring."""

    said: tuple[Said, ...]
    line: tuple[str, str]
    indication: int

    @property
    def raw(self) -> str:
        findings = textwrap.fill(" ".join(item.dictated for item in self.said), 72)
        return (
            " " * 33 + "FINAL REPORT\n"
            " EXAMINATION:  CHEST (PORTABLE AP)\n \n"
            f" INDICATION:  {INDICATIONS[self.indication]}\n \n"
            " TECHNIQUE:  Portable AP view of the chest.\n \n"
            " COMPARISON:  Chest radiograph from ___.\n \n"
            f" FINDINGS: \n \n {findings}\n \n IMPRESSION: \n \n 1. {self.line[0]}"
        )

    def answer(self, kept: list[str]) -> dict[str, str]:
        findings = " ".join(text for text in kept if text)
        return {
            "indication": KEPT_INDICATIONS[self.indication],
            "technique": "Portable AP view of the chest.",
            "findings": findings,
            "impression": self.line[1],
        }

    def case(self, kind: str, kept: list[str]) -> Case:
        answer = self.answer(kept)
        text = section_report(self.raw)
        assert text is not None
        own = sections_of(text)
        assert set(own) == {"indication", "technique", "comparison", "findings", "impression"}
        return Case(
            kind,
            own["findings"],
            answer["findings"],
            lambda: check_structured(self.raw, own, answer),
        )


def _dictations(count: int) -> Iterator[tuple[Dictation, random.Random]]:
    rng = dice("structured")
    by_topic: dict[str, list[Said]] = {}
    for item in SAID:
        by_topic.setdefault(item.topic, []).append(item)
    for _ in range(count):
        topics = rng.sample(sorted(by_topic), rng.randint(4, 6))
        if "nothing" in topics:  # a reader closes with it
            topics = [topic for topic in topics if topic != "nothing"] + ["nothing"]
        said = tuple(rng.choice(by_topic[topic]) for topic in topics)
        yield Dictation(said, rng.choice(LINES), rng.randrange(len(INDICATIONS))), rng


def _damaged(dictation: Dictation, kind: str, rng: random.Random) -> list[str] | None:
    """The kept statements with one mistake of the kind; None where none is possible."""
    kept = [item.kept for item in dictation.said]
    if kind == "added":
        free = sorted(set(ADDED) - {item.topic for item in dictation.said})
        kept.insert(rng.randrange(len(kept) + 1), ADDED[rng.choice(free)])
        return kept
    if kind == "lost":
        places = [at for at, item in enumerate(dictation.said) if item.present and item.kept]
    else:
        places = [at for at, item in enumerate(dictation.said) if kind in item.wrong]
    if not places:
        return None
    at = rng.choice(places)
    kept[at] = "" if kind == "lost" else dictation.said[at].wrong[kind]
    return kept


def _hand_written() -> Iterator[Case]:
    kinds = ("side", "denial", "number", "added", "lost", "comparison")
    for dictation, rng in _dictations(240):
        yield dictation.case("faithful", [item.kept for item in dictation.said])
        for kind in kinds:
            kept = _damaged(dictation, kind, rng)
            if kept is not None:
                yield dictation.case(kind, kept)


@pytest.fixture(scope="module")
def hand_written() -> Score:
    return score(_hand_written())


def test_hand_written_reports_hold_both_bars(hand_written: Score) -> None:
    assert set(hand_written.cases) == {
        "faithful", "side", "denial", "number", "added", "lost", "comparison",
    }  # fmt: skip
    hold_bars(hand_written, at_least=200)


@pytest.mark.parametrize("item", SAID, ids=lambda item: item.dictated[:40])
def test_each_statement_alone_is_accepted_and_each_mistake_refused(item: Said) -> None:
    dictation = Dictation((item, *_padding(item)), LINES[0], 0)
    faithful = [said.kept for said in dictation.said]
    problem = dictation.case("faithful", faithful).verdict()
    assert problem is None, problem
    for kind, text in item.wrong.items():
        found = dictation.case(kind, [text, *faithful[1:]]).verdict()
        assert found is not None, (kind, text)


def _padding(item: Said) -> tuple[Said, ...]:
    neutral = ("Lung volumes are low.", "The upper abdomen is unremarkable.")
    return tuple(Said("padding", text, text) for text in neutral if text[:4] not in item.kept)


def _replica_cases() -> Iterator[Case]:
    """Reports of the replicas: the same text is the faithful answer."""
    rng = np.random.default_rng(20)
    pick = dice("replica-structured")
    for number in range(220):
        truth = draw_truth(rng, draw_person(rng, number), (View.PA, View.LATERAL))
        report = write_report(truth)
        raw = (
            f"INDICATION: {report.indication}\n\nTECHNIQUE: {report.technique}\n\n"
            f"FINDINGS: {report.findings}\n\nIMPRESSION: {report.impression}"
        )
        text = section_report(raw)
        assert text is not None
        own = sections_of(text)
        answer = dict(own)
        yield _replica_case("faithful", raw, own, answer)
        yield from _replica_damage(raw, own, answer, pick)


def _replica_case(kind: str, raw: str, own: dict[str, str], answer: dict[str, str]) -> Case:
    return Case(
        kind, own["findings"], answer["findings"], lambda: check_structured(raw, own, answer)
    )


_TURNED = {" left ": " right ", " right ": " left "}
_UNDENIED = {
    "There is no ": "There is ",
    " is not ": " is ",
    "No pneumothorax is": "Pneumothorax is",
    "No pleural effusion is": "Pleural effusion is",
    "No rib fracture is": "Rib fracture is",
    "No consolidation is": "Consolidation is",
}


def _replica_damage(
    raw: str, own: dict[str, str], answer: dict[str, str], pick: random.Random
) -> Iterator[Case]:
    findings = answer["findings"]
    for kind, table in (("side", _TURNED), ("denial", _UNDENIED)):
        for old, new in table.items():
            if old in findings:
                changed = {**answer, "findings": findings.replace(old, new, 1)}
                yield _replica_case(kind, raw, own, changed)
    sentences = findings.split(". ")
    first = sentences[0].rstrip(".")
    compared = [f"{first}, unchanged", *sentences[1:]]
    yield _replica_case("comparison", raw, own, {**answer, "findings": ". ".join(compared)})
    topics = [name for name in ("fracture", "device", "mediastinum") if name not in findings]
    topic = pick.choice([name for name in topics if ADDED[name].split()[-3] not in findings])
    yield _replica_case("added", raw, own, {**answer, "findings": f"{findings} {ADDED[topic]}"})
    if len(sentences) > 2:
        yield _replica_case("lost", raw, own, {**answer, "findings": ". ".join(sentences[1:])})


@pytest.mark.slow
def test_replica_reports_hold_both_bars() -> None:
    hold_bars(score(_replica_cases()), at_least=200)
