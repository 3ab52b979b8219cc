"""Synthesis from every source's own words: rule14 reads the labels back from the text."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evaluation.labeler import label_report
from sources import nih_cxr14, vindr_cxr
from sources.padchest_labels import KNOWN, mapping
from sources.record import (
    OBSERVATIONS,
    Image,
    Label,
    LabelValue,
    SourceLabel,
    Study,
    View,
)
from tasks.reports.comparison import comparison_words
from tasks.reports.facts import SILENT, facts_of, payload_of
from tasks.reports.fidelity_synthesized import check_synthesized
from tasks.reports.offline_synthesize import synthesize
from tasks.reports.wording import sides_of

POSITIVE, UNCERTAIN, NEGATIVE = LabelValue.POSITIVE, LabelValue.UNCERTAIN, LabelValue.NEGATIVE
FOURTEEN = OBSERVATIONS[:-1]
NAMED_AFTER_A_LESION = {"bone metastasis", "lymphangitis carcinomatosa", "pleural mass"}
"""rule14 takes these words for a lesion of the lung wherever they stand."""
ROUNDS = 5
SPOKEN = sorted(KNOWN - SILENT - {"normal"})


def _study(source: str, labels: Mapping[str, LabelValue], names: Sequence[SourceLabel]) -> Study:
    given_labels = tuple(Label(name, labels[name]) for name in OBSERVATIONS if name in labels)
    image = Image("i", View.PA, "i.png")
    return Study(source, "s", "p", None, (image,), labels=given_labels, source_labels=tuple(names))


def padchest(names: Sequence[str], place: str | None = None) -> Study:
    """A study with these strings, mapped as the source maps them: positive beats uncertain."""
    labels: dict[str, LabelValue] = {}
    for name, observation, value in mapping():
        if name in names and labels.get(observation) is not POSITIVE:
            labels[observation] = LabelValue(value)
    if list(names) == ["normal"]:
        labels["No Finding"] = POSITIVE
    return _study("padchest", labels, [SourceLabel(name, POSITIVE, place) for name in names])


def counterparts(source: str, table: Mapping[str, str | None], names: Sequence[str]) -> Study:
    labels = {observation: POSITIVE for name in names if (observation := table[name])}
    return _study(source, labels, [SourceLabel(name, POSITIVE) for name in names])


def written(study: Study, seed: int) -> dict[str, str]:
    """What the offline rules write; its checks must pass."""
    facts = facts_of(study)
    answer = synthesize(payload_of(study, facts), random.Random(seed))
    sections = {name: text for name, text in answer.items() if text}
    problem = check_synthesized(study, facts, sections)
    assert problem is None, (problem, sections)
    return sections


def asserted(text: str) -> dict[str, LabelValue]:
    """The present and possible observations that rule14 reads."""
    return {
        name: value
        for name, value in label_report(text).items()
        if value in (POSITIVE, UNCERTAIN) and name in FOURTEEN
    }


def wanted(study: Study) -> dict[str, LabelValue]:
    return {
        label.observation: label.value
        for label in study.labels
        if label.value in (POSITIVE, UNCERTAIN) and label.observation in FOURTEEN
    }


def test_the_vocabularies_are_as_large_as_published() -> None:
    assert len(KNOWN) >= 180
    assert len(vindr_cxr.COUNTERPARTS) == 28
    assert len(nih_cxr14.COUNTERPARTS) == 15  # fourteen and No Finding


@pytest.mark.parametrize("name", SPOKEN)
def test_each_padchest_string_alone(name: str) -> None:
    study = padchest([name])
    for seed in range(ROUNDS):
        found = asserted(written(study, seed)["findings"])
        if name in NAMED_AFTER_A_LESION:
            found.pop("Lung Lesion", None)
        if name == "heart insufficiency":  # a failing heart may be a large one
            assert found.pop("Cardiomegaly", UNCERTAIN) is UNCERTAIN
        assert found == wanted(study)


@pytest.mark.parametrize("name", sorted(KNOWN & SILENT))
def test_padchest_strings_that_say_nothing_give_no_fact(name: str) -> None:
    assert facts_of(padchest([name])) == ()


@pytest.mark.parametrize(
    ("source", "name"),
    [("nih_cxr14", name) for name in nih_cxr14.COUNTERPARTS]
    + [("vindr_cxr", name) for name in vindr_cxr.COUNTERPARTS],
)
def test_each_name_of_nih_and_vindr_alone(source: str, name: str) -> None:
    table = {"nih_cxr14": nih_cxr14.COUNTERPARTS, "vindr_cxr": vindr_cxr.COUNTERPARTS}[source]
    study = counterparts(source, table, [name])
    for seed in range(ROUNDS):
        assert asserted(written(study, seed)["findings"]) == wanted(study)


@pytest.mark.parametrize("value", [POSITIVE, UNCERTAIN, NEGATIVE])
@pytest.mark.parametrize("observation", FOURTEEN)
def test_each_observation_with_each_value(observation: str, value: LabelValue) -> None:
    study = _study("chexpert", {observation: value}, ())
    for seed in range(ROUNDS):
        sections = written(study, seed)
        assert asserted(sections["findings"]) == wanted(study)
        if value is NEGATIVE:
            assert label_report(sections["findings"]).get(observation) is NEGATIVE


def test_an_unmentioned_observation_is_no_fact() -> None:
    assert facts_of(_study("chexpert", {"Edema": LabelValue.UNMENTIONED}, ())) == ()


def test_a_normal_film_reads_as_no_finding() -> None:
    for study in (
        padchest(["normal"]),
        counterparts("nih_cxr14", {"No Finding": "No Finding"}, ["No Finding"]),
    ):
        for seed in range(ROUNDS):
            labels = label_report(written(study, seed)["findings"])
            assert labels["No Finding"] is POSITIVE


PLACES = st.sampled_from(
    [None, "loc left", "loc right", "loc bilateral", "loc right upper lobe", "loc left, loc basal"]
)
VALUES = st.sampled_from([POSITIVE, UNCERTAIN, NEGATIVE])


@settings(max_examples=120, deadline=None)
@given(
    st.lists(st.sampled_from(SPOKEN), min_size=1, max_size=6, unique=True),
    PLACES,
    st.integers(0, 1000),
)
def test_any_set_of_padchest_strings(names: list[str], place: str | None, seed: int) -> None:
    study = padchest(names, place)
    sections = written(study, seed)
    found, expected = asserted(sections["findings"]), wanted(study)
    if NAMED_AFTER_A_LESION & set(names) and "Lung Lesion" not in expected:
        found.pop("Lung Lesion", None)
    if "heart insufficiency" in names and "Cardiomegaly" not in expected:
        found.pop("Cardiomegaly", None)
    if "Lung Lesion" in expected and found.get("Lung Lesion") is POSITIVE:
        expected["Lung Lesion"] = POSITIVE
    assert found == expected, sections
    own = sides_of(" ".join(names))
    assert sides_of(sections["findings"]) <= sides_of(place or "") | own
    assert comparison_words(sections["findings"]) == []


@settings(max_examples=120, deadline=None)
@given(
    st.dictionaries(st.sampled_from(FOURTEEN), VALUES, min_size=1, max_size=13),
    st.integers(0, 1000),
)
def test_any_set_of_the_fourteen(labels: dict[str, LabelValue], seed: int) -> None:
    study = _study("chexpert", labels, ())
    text = written(study, seed)["findings"]
    assert asserted(text) == wanted(study), text
    for name, value in label_report(text).items():
        assert value is not NEGATIVE or labels.get(name) is NEGATIVE, (name, text)


@settings(max_examples=80, deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from(sorted(vindr_cxr.COUNTERPARTS)), st.integers(1, 3)),
        min_size=1,
        max_size=5,
        unique_by=lambda item: item[0],
    ),
    st.integers(0, 1000),
)
def test_any_votes_of_three_readers(names: list[tuple[str, int]], seed: int) -> None:
    rank = {UNCERTAIN: 0, POSITIVE: 1}
    labels: dict[str, LabelValue] = {}
    published = []
    names = [item for item in names if item[0] != "No finding"] or names
    for name, votes in names:
        value = POSITIVE if votes >= 2 else UNCERTAIN
        published.append(SourceLabel(name, value, votes=votes, readers=3))
        observation = vindr_cxr.COUNTERPARTS[name]
        if observation:
            labels[observation] = max(
                value, labels.get(observation, UNCERTAIN), key=rank.__getitem__
            )
    study = _study("vindr_cxr", labels, published)
    if not facts_of(study):
        assert [name for name, _ in names] == ["No finding"]
        return
    assert asserted(written(study, seed)["findings"]) == wanted(study)


@pytest.mark.parametrize("seed", range(ROUNDS))
def test_equal_facts_read_the_same(seed: int) -> None:
    study = padchest(["pleural effusion", "cardiomegaly", "scoliosis"], "loc left")
    assert written(study, seed) == written(study, seed)
    assert "left pleural effusion" in written(study, seed)["findings"].lower()
