"""The synthesis checks on a set that was written without knowledge of them."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence

import pytest
from second_set_labels import ADDED, CHEXPERT, COMPARED, NUMBERED, PADCHEST, Labelled
from second_set_world import Case, Score, dice, hold_bars, score

from sources.padchest_labels import mapping
from sources.record import Image, Label, LabelValue, Study, View
from tasks.reports.facts import facts_of
from tasks.reports.fidelity_synthesized import check_synthesized

KINDS = ("side", "denial", "number", "comparison", "added", "lost")


def _study(items: Sequence[Labelled], source: str) -> Study:
    image = Image("i1", View.PA, "i1.png")
    if source == "chexpert":
        labels = tuple(Label(item.name, item.label.value) for item in items)
        return Study("chexpert", "s1", "p1", None, (image,), labels=labels)
    published = tuple(item.label for item in items)
    names = {item.name: item.label.value for item in items}
    labels = tuple(
        Label(
            observation, LabelValue.UNCERTAIN if names[name] == "uncertain" else LabelValue(value)
        )
        for name, observation, value in mapping()
        if name in names
    )
    return Study("padchest", "s1", "p1", None, (image,), labels=labels, source_labels=published)


def _case(kind: str, items: Sequence[Labelled], source: str, texts: list[str]) -> Case:
    study = _study(items, source)
    facts = facts_of(study)
    assert {item.name for item in items} <= {fact.name for fact in facts}
    answer = {"findings": " ".join(texts)}
    named = ", ".join(f"{item.name}={item.label.value}@{item.label.location}" for item in items)
    return Case(kind, named, answer["findings"], lambda: check_synthesized(study, facts, answer))


def _drawn(bank: tuple[Labelled, ...], count: int, rng: random.Random) -> list[Labelled]:
    topics = {item.topic: item for item in rng.sample(bank, len(bank))}
    if "effusion" in topics:  # blunting brings a possible effusion of its own
        topics.pop("angle", None)
    return rng.sample(sorted(topics.values(), key=lambda item: item.topic), count)


def _damaged(
    items: list[Labelled], right: list[str], rng: random.Random
) -> Iterator[tuple[str, list[str]]]:
    for kind, wrongs in (
        ("side", [item.flipped for item in items]),
        ("denial", [item.turned for item in items]),
    ):
        places = [at for at, wrong in enumerate(wrongs) if wrong]
        if places:
            at = rng.choice(places)
            yield kind, [*right[:at], wrongs[at], *right[at + 1 :]]
    at = rng.randrange(len(items))
    numbered = f"{right[at].rstrip('.')} {rng.choice(NUMBERED)}."
    yield "number", [*right[:at], numbered, *right[at + 1 :]]
    yield "comparison", [*right[: at + 1], rng.choice(COMPARED), *right[at + 1 :]]
    topics = {"effusion" if item.topic == "angle" else item.topic for item in items}
    free = sorted(set(ADDED) - topics)
    yield "added", [*right, ADDED[rng.choice(free)]]
    stated = [at for at, item in enumerate(items) if item.label.value is not LabelValue.NEGATIVE]
    if len(right) > 1 and stated:  # what is denied may be left unsaid
        at = rng.choice(stated)
        yield "lost", [*right[:at], *right[at + 1 :]]


def _cases(bank: tuple[Labelled, ...], source: str) -> Iterator[Case]:
    rng = dice(f"synthesized/{source}")
    for _ in range(220):
        items = _drawn(bank, rng.randint(1, 4), rng)
        right = [rng.choice(item.right) for item in items]
        yield _case("faithful", items, source, right)
        for kind, texts in _damaged(items, right, rng):
            yield _case(kind, items, source, texts)


@pytest.fixture(scope="module", params=["padchest", "chexpert"])
def scored(request: pytest.FixtureRequest) -> Score:
    bank = {"padchest": PADCHEST, "chexpert": CHEXPERT}[request.param]
    return score(_cases(bank, request.param))


def test_hand_written_syntheses_hold_both_bars(scored: Score) -> None:
    assert set(scored.cases) - {"side"} == {"faithful", *KINDS} - {"side"}
    hold_bars(scored, at_least=200)


@pytest.mark.parametrize(
    ("source", "item"),
    [("padchest", item) for item in PADCHEST] + [("chexpert", item) for item in CHEXPERT],
    ids=lambda value: value if isinstance(value, str) else f"{value.name}-{value.label.value}",
)
def test_each_label_alone_takes_its_sentences_and_no_other(source: str, item: Labelled) -> None:
    for text in item.right:
        problem = _case("faithful", [item], source, [text]).verdict()
        assert problem is None, (text, problem)
    for text in (item.flipped, item.turned):
        assert not text or _case("wrong", [item], source, [text]).verdict() is not None, text
    for at, text in enumerate(COMPARED + NUMBERED):
        joined = [item.right[0], text] if at < len(COMPARED) else [f"{item.right[0][:-1]} {text}."]
        assert _case("wrong", [item], source, joined).verdict() is not None, joined


def test_an_impression_may_be_wrong_too() -> None:
    study = _study([CHEXPERT[0]], "chexpert")
    assert CHEXPERT[0].label.value is LabelValue.NEGATIVE
    answer = {"findings": "There is no pneumothorax.", "impression": "Right pneumothorax."}
    assert check_synthesized(study, facts_of(study), answer) is not None
