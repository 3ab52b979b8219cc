"""The translation checks on a set that was written without knowledge of them."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator

import numpy as np
import pytest
import second_set_portuguese
import second_set_spanish
from second_set_free import FREE
from second_set_world import REFUSED_BAR, Case, Phrase, Score, dice, hold_bars, score

from sources.record import View
from sources.replicas.spanish import stem_report, write_spanish
from sources.replicas.truth import draw_person, draw_truth
from sources.replicas.wording import write_report
from tasks.reports.fidelity_translated import check_translated
from tasks.reports.wording import fold

KINDS = ("side", "denial", "number", "comparison")


ADDED = second_set_spanish.ADDED
SPELT: dict[str, tuple[str, tuple[Phrase, ...], Callable[[tuple[str, ...]], str]]] = {
    "spanish words": ("es", second_set_spanish.PHRASES, " ".join),
    "spanish stems": ("es", second_set_spanish.PHRASES, stem_report),
    "portuguese words": ("pt", second_set_portuguese.PHRASES, " ".join),
    "portuguese without accents": (
        "pt",
        second_set_portuguese.PHRASES,
        lambda sentences: fold(" ".join(sentences)),
    ),
}
"""By name: the language, its sentences, and how a report is spelt from some of them."""


def _case(kind: str, foreign: str, english: str, language: str = "es") -> Case:
    source, answer = {"findings": foreign}, {"findings": english}
    return Case(kind, foreign, english, lambda: check_translated(source, answer, language))


def _damaged(phrases: list[Phrase], rng: random.Random) -> Iterator[tuple[str, list[str]]]:
    english = [phrase.english for phrase in phrases]
    for kind in KINDS:
        places = [at for at, phrase in enumerate(phrases) if kind in phrase.wrong]
        if places:
            at = rng.choice(places)
            yield kind, [*english[:at], phrases[at].wrong[kind], *english[at + 1 :]]
    at = rng.randrange(len(english))
    yield "added", [*english[:at], rng.choice(ADDED), *english[at:]]
    yield "lost", [*english[:at], *english[at + 1 :]]
    place = rng.randrange(len(english))
    part = rng.choice(ADDED[:3])
    joined = f"{english[place].rstrip('.')}; {part[0].lower()}{part[1:]}".replace(";", ",")
    yield "added", [*english[:place], joined, *english[place + 1 :]]


def _hand_written(spelling: str) -> Iterator[Case]:
    language, phrases, spell = SPELT[spelling]
    rng = dice(f"translated/{spelling}")
    for _ in range(220):
        drawn = rng.sample(phrases, rng.randint(3, 6))
        source = spell(tuple(phrase.written for phrase in drawn))
        right = " ".join(phrase.english for phrase in drawn)
        yield _case("faithful", source, right, language)
        for kind, english in _damaged(drawn, rng):
            yield _case(kind, source, " ".join(english), language)


@pytest.fixture(scope="module", params=list(SPELT))
def hand_written(request: pytest.FixtureRequest) -> Score:
    return score(_hand_written(request.param))


def test_hand_written_translations_hold_both_bars(hand_written: Score) -> None:
    assert set(hand_written.cases) == {"faithful", *KINDS, "added", "lost"}
    hold_bars(hand_written, at_least=200)


@pytest.mark.parametrize(
    ("spelling", "phrase"),
    [(spelling, phrase) for spelling, (_, bank, _) in SPELT.items() for phrase in bank],
    ids=lambda value: value if isinstance(value, str) else value.english[:40],
)
def test_each_phrase_alone_is_accepted_and_each_mistake_refused(
    spelling: str, phrase: Phrase
) -> None:
    language, _, spell = SPELT[spelling]
    source = spell((phrase.written,))
    problem = _case("faithful", source, phrase.english, language).verdict()
    assert problem is None, (source, problem)
    for kind, text in phrase.wrong.items():
        assert _case(kind, source, text, language).verdict() is not None, (kind, source, text)


def test_free_but_faithful_translations_are_accepted() -> None:
    problems = {
        english: check_translated({"findings": foreign}, {"findings": english}, language)
        for language, foreign, english in FREE
    }
    refused = {english: problem for english, problem in problems.items() if problem is not None}
    assert len(problems) >= 70
    assert len(refused) <= REFUSED_BAR * len(problems), refused


@pytest.mark.parametrize("language", ["es", "pt"])
def test_doubts_that_vanish_or_appear_are_caught(language: str) -> None:
    doubted = {"es": "Posible neumonía.", "pt": "Possível pneumonia."}[language]
    plain = {"es": "Neumonía.", "pt": "Pneumonia."}[language]
    for source, answer in ((doubted, "Pneumonia."), (plain, "Possible pneumonia.")):
        problem = _case("", source, answer, language).verdict()
        assert problem is not None and problem.reason == "certainty-changed"
    assert _case("", doubted, "Pneumonia is suspected.", language).verdict() is None


@pytest.mark.parametrize("language", ["es", "pt"])
def test_a_finding_lost_or_added_inside_a_sentence_is_caught(language: str) -> None:
    source = {
        "es": "Derrame pleural izquierdo y atelectasia.",
        "pt": "Derrame pleural esquerdo e atelectasia.",
    }[language]
    right = "Left pleural effusion and atelectasis."
    assert _case("", source, right, language).verdict() is None
    lost = _case("", source, "Left pleural effusion.", language).verdict()
    assert lost is not None
    assert (lost.reason, lost.detail) == (
        "finding-lost",
        "findings: found no atelectasis in sentence 1",
    )
    added = _case("", source, "Left pleural effusion, nodule and atelectasis.", language).verdict()
    assert added is not None and added.reason == "text-added"


def test_the_middle_lobe_may_be_called_right_but_not_left() -> None:
    for source in ("Nódulo no lobo médio.", "Nódulo no lobo médio direito.", "Nódulo no LM."):
        assert _case("", source, "Nodule in the right middle lobe.", "pt").verdict() is None
        problem = _case("", source, "Nodule in the left middle lobe.", "pt").verdict()
        assert problem is not None and problem.reason == "side-changed"
    bare = _case("", "Nódulo no lobo médio direito.", "Nodule in the middle lobe.", "pt")
    assert bare.verdict() is None  # there is no other


def test_a_good_state_denied_is_caught() -> None:
    problem = _case("", "Campos pulmonares livres.", "Lung fields not clear.", "pt").verdict()
    assert problem is not None and problem.reason == "negation-changed"


def test_portuguese_left_standing_is_no_translation() -> None:
    portuguese = "Derrame pleural à esquerda com atelectasia na base do pulmão."
    problem = _case("", portuguese, portuguese, "pt").verdict()
    assert problem is not None
    assert problem.reason == "language" and problem.detail.endswith("Portuguese")


def _replica_pairs() -> Iterator[tuple[str, str]]:
    """Spanish and English of one truth, where both say the same number of things."""
    rng = np.random.default_rng(21)
    for number in range(900):
        truth = draw_truth(rng, draw_person(rng, number), (View.PA,))
        spanish = write_spanish(truth)
        if spanish.labels == ("normal",) or not truth.findings:
            continue
        stated = spanish.sentences[: len(truth.findings)]
        if all(
            finding.kind not in ("pneumonia", "possible pneumonia") for finding in truth.findings
        ):
            english = write_report(truth).impression
            yield stem_report(stated), english


_TURNED = {"left": "right", "right": "left", "Left": "Right", "Right": "Left"}


def _replica_cases() -> Iterator[Case]:
    rng = dice("translated/replica")
    for spanish, english in _replica_pairs():
        kept = english.removeprefix("1. ").replace(" 2. ", " ").replace(" 3. ", " ")
        kept = kept.replace("No acute cardiopulmonary process. ", "")
        if kept.startswith(("Normal", "No acute")):
            continue
        yield _case("faithful", spanish, kept)
        words = kept.split()
        sided = [at for at, word in enumerate(words) if word in _TURNED]
        if sided:
            at = rng.choice(sided)
            words[at] = _TURNED[words[at]]
            yield _case("side", spanish, " ".join(words))
        yield _case("added", spanish, f"{kept} {rng.choice(ADDED)}")
        first, *rest = kept.split(". ")
        if rest:
            yield _case("lost", spanish, ". ".join(rest))
        yield _case("denial", spanish, f"No {first[0].lower()}{'. '.join([first, *rest])[1:]}")


def test_replica_translations_hold_both_bars() -> None:
    hold_bars(score(_replica_cases()), at_least=200)


@pytest.mark.parametrize(
    ("source", "answer", "reason"),
    [
        ({"findings": "Sin hallazgos."}, {"impression": "No findings."}, "section-changed"),
        (
            {"findings": "Sin hallazgos.", "impression": "Normal."},
            {"findings": "No findings."},
            "section-changed",
        ),
    ],
)
def test_a_translation_keeps_the_sections(
    source: dict[str, str], answer: dict[str, str], reason: str
) -> None:
    problem = check_translated(source, answer, "es")
    assert problem is not None and problem.reason == reason


def test_spanish_left_standing_is_no_translation() -> None:
    spanish = "Se observa derrame pleural izquierdo con atelectasia en la base."
    assert check_translated({"findings": spanish}, {"findings": spanish}, "es") is not None
