"""Questions and answers about a film from its report, by rules: the offline stand-in.

What rule14 finds in the report, and the words that surely belong to it (``statements``), become
questions of the six types; which are asked, and in what words, varies by the request's own hash.
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any

from sources.record import OBSERVATIONS, LabelValue
from tasks.reports.offline_phrases import bare, kinds_of, noun_of, place_of
from tasks.reports.question_types import TYPES
from tasks.reports.statement_words import MEASURE
from tasks.reports.statements import NO_FINDING, Said, Words, outside_of, read_statements

Row = dict[str, str]
_ORGANS = {
    "Cardiomegaly": ("the heart", "enlarged"),
    "Enlarged Cardiomediastinum": ("the mediastinum", "widened"),
}
_BY_SIZE = frozenset({"Pleural Effusion", "Pneumothorax", "Lung Lesion", "Lung Opacity"})
"""Observations of which ``moderate`` is a size; of the others it is a severity."""
_VIEWS = {"PA": "a PA view", "AP": "an AP view", "LATERAL": "a lateral view"}


def converse(payload: dict[str, Any], random: Random) -> dict[str, list[Row]]:
    """The answer to a request for questions: of each type in turn, up to the number asked for."""
    report = str(payload["report"])
    said, view = read_statements(report), payload.get("view")
    pools = {kind: _details(kind, said, random) for kind in _DETAILS}
    pools["view"] = [_view(view, random)] if view in _VIEWS else []
    pools["presence"] = _presences(said, report, random)
    chosen: list[Row] = []
    most = int(payload["most_questions"])
    while len(chosen) < most and any(pools.values()):
        for kind in TYPES:
            if pools[kind] and len(chosen) < most:
                chosen.append(pools[kind].pop(0))
    return {"questions": chosen}


def _details(kind: str, said: Said, random: Random) -> list[Row]:
    """Questions of one type, of each finding that is there without doubt."""
    rows = [
        row
        for observation in OBSERVATIONS[:-1]
        if said.value_of(observation) is LabelValue.POSITIVE
        and (words := said.words_of(observation)) is not None
        if (row := _DETAILS[kind](said, observation, words, random)) is not None
    ]
    random.shuffle(rows)
    return rows


def _row(kind: str, question: str, answer: str) -> Row:
    answer = f"{answer[0].upper()}{answer[1:]}"
    return {"type": kind, "question": question, "answer": answer}


def _presences(said: Said, report: str, random: Random) -> list[Row]:
    """Present and absent findings in turn, so that yes is no better a guess than no."""
    by_value: dict[bool, list[Row]] = {True: [], False: []}
    for observation in OBSERVATIONS[:-1]:
        value = said.value_of(observation)
        if value is not LabelValue.UNMENTIONED:
            is_there = value is not LabelValue.NEGATIVE
            by_value[is_there].append(_presence(said, observation, value, random))
            if is_there and (row := _at_side(said, observation, random)) is not None:
                by_value[row["answer"].startswith("Yes")].append(row)
    others = [*outside_of(report).values(), said.value_of("Support Devices")]
    if said.value_of(NO_FINDING) is LabelValue.POSITIVE and LabelValue.POSITIVE not in others:
        by_value[True].append(_row("presence", "Is this chest X-ray normal?", "Yes, it is normal."))
    for rows in by_value.values():
        random.shuffle(rows)
    first = random.random() < 0.5
    turns = zip(by_value[first], by_value[not first], strict=False)
    paired = [row for pair in turns for row in pair]
    return paired + max(by_value.values(), key=len)[len(paired) // 2 :][:1]


def _presence(said: Said, observation: str, value: LabelValue, random: Random) -> Row:
    words = said.words_of(observation)
    noun = noun_of(
        observation, words.kinds if words and observation == "Lung Lesion" else frozenset()
    )
    asked = ["Is there {}?", "Does this film show {}?", "Can {} be seen?"]
    question = random.choice(asked).format(noun)
    if value is LabelValue.UNCERTAIN:
        return _row("presence", question, f"possibly; {bare(noun)} cannot be excluded.")
    is_there = value is LabelValue.POSITIVE
    if observation in _ORGANS and random.random() < 0.5:
        organ, state = _ORGANS[observation]
        told = f"Yes, {organ} is {state}." if is_there else f"No, {organ} is not {state}."
        return _row("presence", f"Is {organ} {state}?", told)
    answer = f"Yes, there is {noun}." if is_there else f"No, there is no {bare(noun)}."
    return _row("presence", question, answer)


def _at_side(said: Said, observation: str, random: Random) -> Row | None:
    """Whether a finding is on one of the sides; None where its side is not told of all of it."""
    asserted = said.asserted(observation)
    if said.value_of(observation) is not LabelValue.POSITIVE or not all(
        item.is_clear and item.words.sides and item.value is LabelValue.POSITIVE
        for item in asserted
    ):
        return None
    side = random.choice(("left", "right"))
    noun = noun_of(observation)
    is_there = any(side in item.words.sides for item in asserted)
    answer = f"Yes, there is {noun}" if is_there else f"No, there is no {bare(noun)}"
    return _row("presence", f"Is there {noun} on the {side}?", f"{answer} on the {side}.")


def _location(said: Said, observation: str, words: Words, random: Random) -> Row | None:
    if observation == "Support Devices":
        return None  # where a tube ends and where it enters are two places
    noun, place = bare(noun_of(observation)), _common_place(said, observation, words)
    if place is not None:
        return _row("location", f"Where is the {noun}?", f"in the {place}.")
    if not words.sides or words.regions:
        return None
    told = "on both sides." if len(words.sides) > 1 else f"on the {next(iter(words.sides))}."
    question = random.choice(("On which side is the {}?", "Where is the {}?"))
    return _row("location", question.format(noun), told)


def _common_place(said: Said, observation: str, words: Words) -> str | None:
    """The report's own words for a place, where they name all that it says."""
    for item in said.asserted(observation):
        if (item.words.sides, item.words.regions) == (words.sides, words.regions):
            place = place_of(item)
            if place is not None and words.regions:
                return place
    return None


def _size(_: Said, observation: str, words: Words, __: Random) -> Row | None:
    shared = words.sizes == words.severities
    if len(words.sizes) != 1 or (shared and observation not in _BY_SIZE):
        return None
    size = next(iter(words.sizes))
    told = f"it measures {size}." if MEASURE.fullmatch(size) else f"it is {size}."
    if size == "trace":
        told = "only a trace."
    return _row("size", f"How large is the {bare(noun_of(observation))}?", told)


def _severity(_: Said, observation: str, words: Words, __: Random) -> Row | None:
    shared = words.sizes == words.severities
    if len(words.severities) != 1 or (shared and observation in _BY_SIZE):
        return None
    degree = next(iter(words.severities))
    noun = bare(noun_of(observation))
    asked = (
        "Of what degree is the widening of the mediastinum?"
        if (observation == "Enlarged Cardiomediastinum")
        else f"How severe is the {noun}?"
    )
    return _row("severity", asked, f"it is {degree}.")


def _type(said: Said, observation: str, words: Words, random: Random) -> Row | None:
    together = any(item.words.kinds == words.kinds for item in said.asserted(observation))
    if not words.kinds or not (together or observation == "Support Devices"):
        return None
    noun = bare(noun_of(observation))
    question = random.choice(("What type of {} is seen?", "What kind of {} is this?"))
    return _row("type", question.format(noun), f"{kinds_of(observation, words.kinds)}.")


_DETAILS: dict[str, Callable[[Said, str, Words, Random], Row | None]] = {
    "location": _location,
    "size": _size,
    "severity": _severity,
    "type": _type,
}


def _view(view: str | None, random: Random) -> Row:
    question = random.choice(("Which view is this?", "What projection is shown?"))
    return _row("view", question, f"this is {_VIEWS[view or '']}.")
