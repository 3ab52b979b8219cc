"""The bars of the fidelity checks on sets three and four, and on syntheses, by another hand.

The checks were tuned on all three afterwards: on the third throughout, on the fourth in two
patterns, on the syntheses in one check (``fidelity_strangers`` tells what each showed at first).
The bars hold per set and language, over all kinds of mistake together; a failure prints every kind.
"""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Iterator, Sequence

import pytest
from fidelity_strangers import BANKS, LABELLED, LABELLED_ADDED, Bank, LabelledPhrase
from second_set_world import CAUGHT_BAR, REFUSED_BAR, Case, Phrase, Score, score

from sources.padchest_labels import mapping
from sources.record import Image, Label, LabelValue, SourceLabel, Study, View
from tasks.reports.facts import facts_of
from tasks.reports.fidelity_structured import check_structured
from tasks.reports.fidelity_synthesized import check_synthesized
from tasks.reports.fidelity_translated import check_translated

SYNTHESES = 100
"""Studies to synthesize for."""
HEAD = "FINAL REPORT\nEXAMINATION: CHEST (PA AND LAT)\nINDICATION: Cough.\nFINDINGS: "


def _hold_bars(got: Score, faithful: int, damaged: int) -> None:
    """Both bars over a whole set, and that it has as many answers as it should."""
    assert got.cases["faithful"] == faithful
    assert sum(got.cases.values()) - faithful >= damaged, got.complaint()
    assert got.all_caught >= CAUGHT_BAR, f"{got.all_caught:.1%} caught\n{got.complaint()}"
    assert got.refused <= REFUSED_BAR, f"{got.refused:.1%} refused\n{got.complaint()}"


def _case(kind: str, language: str, phrases: Sequence[Phrase], answer: Sequence[str]) -> Case:
    """English is structured out of a whole report, all else is translated."""
    source, english = " ".join(phrase.written for phrase in phrases), " ".join(answer)
    if language == "en":
        sections = {"indication": "Cough.", "findings": english}
        return Case(
            kind,
            source,
            english,
            lambda: check_structured(HEAD + source, {"findings": source}, sections),
        )
    return Case(
        kind,
        source,
        english,
        lambda: check_translated({"findings": source}, {"findings": english}, language),
    )


def _with(texts: list[str], at: int, *others: str) -> list[str]:
    """The sentences with others in place of one."""
    return [*texts[:at], *others, *texts[at + 1 :]]


def _own_mistake(
    phrases: list[Phrase], right: list[str], rng: random.Random
) -> Iterator[tuple[str, list[str]]]:
    """One of the mistakes written for the phrases; each kind among them is as likely."""
    places: dict[str, list[int]] = defaultdict(list)
    for at, phrase in enumerate(phrases):
        for kind in phrase.wrong:
            places[kind].append(at)
    if places:
        kind = rng.choice(sorted(places))
        at = rng.choice(places[kind])
        yield kind, _with(right, at, phrases[at].wrong[kind])


def _damaged(
    bank: Bank, phrases: list[Phrase], right: list[str], rng: random.Random
) -> Iterator[tuple[str, list[str]]]:
    """One answer for each kind of mistake."""
    yield from _own_mistake(phrases, right, rng)
    at = rng.randrange(len(right))
    yield "lost", _with(right, at)
    extra = rng.choice(bank.added)
    yield "added", _with(right, at, extra, right[at])
    stem = right[at].rstrip(".")
    yield "added inside a sentence", _with(right, at, f"{stem} and {extra[0].lower()}{extra[1:]}")
    if bank.compared:
        yield "comparison", _with(right, at, f"{stem}{rng.choice(bank.compared)}.")
    yield "one finding for another", _with(right, at, extra)


def _cases(name: str, language: str) -> Iterator[Case]:
    bank = BANKS[name, language]
    rng = random.Random(f"strangers/{name}/{language}")
    for _ in range(bank.draws):
        phrases = rng.sample(bank.phrases, rng.randint(3, 6))
        right = [phrase.english for phrase in phrases]
        yield _case("faithful", language, phrases, right)
        for kind, answer in _damaged(bank, phrases, right, rng):
            yield _case(kind, language, phrases, answer)


@pytest.mark.parametrize(("name", "language"), list(BANKS))
def test_the_sets_of_a_stranger_hold_both_bars(name: str, language: str) -> None:
    draws = BANKS[name, language].draws
    got = score(_cases(name, language))
    kinds = {"side", "denial", "number", "comparison", "lost", "added"}
    assert set(got.cases) == kinds | {
        "faithful",
        "added inside a sentence",
        "one finding for another",
    }
    _hold_bars(got, faithful=draws, damaged=5 * draws)


@pytest.mark.parametrize(("name", "language"), list(BANKS))
def test_each_phrase_alone_is_kept_and_each_of_its_mistakes_refused(
    name: str, language: str
) -> None:
    wrong = score(
        _case(kind, language, [phrase], [answer])
        for phrase in BANKS[name, language].phrases
        for kind, answer in {"faithful": phrase.english, **phrase.wrong}.items()
    )
    assert not wrong.wrong, wrong.complaint()


def test_no_phrase_is_told_twice_and_every_mistake_is_one() -> None:
    phrases = [phrase for bank in BANKS.values() for phrase in bank.phrases]
    assert len(phrases) == 108
    written = [phrase.written for phrase in phrases]
    repeated = {text for text in written if written.count(text) > 1}
    assert repeated == set()
    assert [phrase for phrase in phrases if phrase.english in phrase.wrong.values()] == []
    for bank in BANKS.values():
        assert not {phrase.english for phrase in bank.phrases} & set(bank.added)


def _labelled_case(kind: str, items: Sequence[LabelledPhrase], texts: Sequence[str]) -> Case:
    """A PadChest study with those labels, all positive, and what was written for them."""
    names = {item.name for item in items}
    published = tuple(SourceLabel(item.name, LabelValue.POSITIVE, item.location) for item in items)
    labels = tuple(
        Label(observation, LabelValue(value))
        for name, observation, value in mapping()
        if name in names
    )
    image = Image("i1", View.PA, "i1.png")
    study = Study("padchest", "s1", "p1", None, (image,), labels=labels, source_labels=published)
    facts = facts_of(study)
    assert names <= {fact.name for fact in facts}
    findings = " ".join(texts)
    return Case(
        kind,
        ", ".join(f"{item.name}@{item.location}" for item in items),
        findings,
        lambda: check_synthesized(study, facts, {"findings": findings}),
    )


def _labelled_damage(
    items: list[LabelledPhrase], right: list[str], rng: random.Random
) -> Iterator[tuple[str, list[str]]]:
    """One answer for each kind of mistake that some label has a sentence for."""
    for kind in ("side", "denial", "number", "comparison"):
        places = [at for at, item in enumerate(items) if kind in item.wrong]
        if places:
            at = rng.choice(places)
            yield kind, _with(right, at, items[at].wrong[kind])
    yield "lost", _with(right, rng.randrange(len(right)))
    names = {item.name for item in items}
    free = [text for text, beside in LABELLED_ADDED.items() if beside not in names]
    yield "added", [*right, rng.choice(free)]


def _labelled_cases() -> Iterator[Case]:
    rng = random.Random("strangers/syntheses")
    for _ in range(SYNTHESES):
        items = rng.sample(LABELLED, rng.randint(3, 5))
        right = [item.right for item in items]
        yield _labelled_case("faithful", items, right)
        for kind, texts in _labelled_damage(items, right, rng):
            yield _labelled_case(kind, items, texts)


def test_the_syntheses_of_a_stranger_hold_both_bars() -> None:
    got = score(_labelled_cases())
    assert set(got.cases) == {
        "faithful",
        "side",
        "denial",
        "number",
        "comparison",
        "lost",
        "added",
    }
    _hold_bars(got, faithful=SYNTHESES, damaged=500)


@pytest.mark.parametrize("item", LABELLED, ids=lambda item: item.name)
def test_each_label_alone_keeps_its_sentence_and_no_mistake(item: LabelledPhrase) -> None:
    wrong = score(
        _labelled_case(kind, [item], [text])
        for kind, text in {"faithful": item.right, **item.wrong}.items()
    )
    assert not wrong.wrong, wrong.complaint()
