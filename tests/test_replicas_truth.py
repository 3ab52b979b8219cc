"""What is drawn as true of a synthetic chest: rates, sides, compatibility, and the 14 labels."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from sources.record import OBSERVATIONS, LabelValue, View
from sources.replicas.truth import (
    ATELECTASIS_KINDS,
    DEVICE_KINDS,
    FINDING_NAMES,
    OBJECT_KINDS,
    OBSERVATION_OF,
    ChestTruth,
    ReplicaSpec,
    TrueFinding,
    draw_cohort,
    draw_person,
    draw_truth,
    observations,
)

POSITIVE, NEGATIVE = LabelValue.POSITIVE, LabelValue.NEGATIVE
UNCERTAIN, UNMENTIONED = LabelValue.UNCERTAIN, LabelValue.UNMENTIONED


@pytest.fixture(scope="module")
def cohort() -> list[ChestTruth]:
    return draw_cohort(ReplicaSpec(2000, seed=3), "rates")


def chest(*findings: TrueFinding) -> ChestTruth:
    person = draw_person(np.random.default_rng(0), 1)
    return ChestTruth(person, 1, 7, (View.PA,), findings)


def test_about_three_in_ten_are_normal(cohort: list[ChestTruth]) -> None:
    share = sum(truth.is_normal for truth in cohort) / len(cohort)
    assert 0.27 < share < 0.33


def test_abnormal_chests_hold_about_one_and_a_half_findings(cohort: list[ChestTruth]) -> None:
    counts = [len(truth.findings) for truth in cohort if not truth.is_normal]
    assert 1.35 < np.mean(counts) < 1.6
    assert max(counts) == 3


def test_every_finding_occurs_in_at_least_one_chest_of_a_hundred(cohort: list[ChestTruth]) -> None:
    seen = Counter(finding.name for truth in cohort for finding in truth.findings)
    assert set(seen) == set(FINDING_NAMES)
    assert min(seen.values()) >= 0.01 * len(cohort)


def test_sides_are_balanced(cohort: list[ChestTruth]) -> None:
    for name in ("pneumothorax", "consolidation", "pleural effusion", "nodule", "rib fracture"):
        sides = Counter(f.side for truth in cohort for f in truth.findings if f.name == name)
        share = sides["left"] / (sides["left"] + sides["right"])
        assert 0.35 < share < 0.65, (name, sides)


def test_all_fourteen_observations_are_reached(cohort: list[ChestTruth]) -> None:
    reached = {
        name for truth in cohort for name, value in observations(truth).items() if value is POSITIVE
    }
    assert reached == set(OBSERVATIONS)


def test_kinds_are_set_where_a_finding_has_kinds(cohort: list[ChestTruth]) -> None:
    kinds = {
        "support device": set(DEVICE_KINDS),
        "foreign object": set(OBJECT_KINDS),
        "atelectasis": set(ATELECTASIS_KINDS),
        "consolidation": {None, "pneumonia", "possible pneumonia"},
        "nodule": {None},
    }
    for name, expected in kinds.items():
        assert {f.kind for t in cohort for f in t.findings if f.name == name} == expected


def test_degrees_are_set_where_a_finding_has_degrees(cohort: list[ChestTruth]) -> None:
    degrees = {
        "cardiomegaly": {"small", "moderate", "large"},
        "pneumothorax": {"small", "moderate", "large"},
        "nodule": {"small", "large"},
        "consolidation": {None},
    }
    for name, expected in degrees.items():
        assert {f.severity for t in cohort for f in t.findings if f.name == name} == expected


def test_no_chest_holds_a_finding_twice(cohort: list[ChestTruth]) -> None:
    for truth in cohort:
        names = [finding.name for finding in truth.findings]
        assert len(names) == len(set(names))


def test_fluid_and_free_air_never_share_a_side(cohort: list[ChestTruth]) -> None:
    both = 0
    for truth in cohort:
        fluid, air = truth.find("pleural effusion"), truth.find("pneumothorax")
        if fluid is not None and air is not None:
            both += 1
            assert fluid.side not in (air.side, "bilateral")
    assert both > 0


def test_two_lung_findings_never_share_a_place(cohort: list[ChestTruth]) -> None:
    in_lung = {"consolidation", "lung opacity", "nodule", "atelectasis"}
    for truth in cohort:
        places = [(f.side, f.zone) for f in truth.findings if f.name in in_lung]
        assert len(places) == len(set(places))


def test_lateral_only_findings_need_a_lateral_view(cohort: list[ChestTruth]) -> None:
    hidden = [(t, f) for t in cohort for f in t.findings if f.lateral_only]
    assert {f.name for _, f in hidden} == {"pleural effusion", "nodule"}
    for truth, finding in hidden:
        assert View.LATERAL in truth.views
        assert finding.side is None
        assert finding not in truth.visible_in(View.PA)
        assert finding in truth.visible_in(View.LATERAL)


def test_equal_seeds_give_equal_cohorts_and_other_seeds_others() -> None:
    first = draw_cohort(ReplicaSpec(40, seed=1), "same", studies_per_subject=1.5)
    assert first == draw_cohort(ReplicaSpec(40, seed=1), "same", studies_per_subject=1.5)
    assert first != draw_cohort(ReplicaSpec(40, seed=2), "same", studies_per_subject=1.5)


def test_a_longer_cohort_starts_with_the_shorter() -> None:
    short = draw_cohort(ReplicaSpec(10, seed=5), "prefix")
    assert draw_cohort(ReplicaSpec(30, seed=5), "prefix")[:10] == short


def test_sources_of_one_seed_share_no_chest() -> None:
    ours, theirs = (draw_cohort(ReplicaSpec(200), name) for name in ("brax", "padchest"))
    assert not {truth.seed for truth in ours} & {truth.seed for truth in theirs}


def test_a_subject_keeps_its_build_and_counts_its_studies() -> None:
    cohort = draw_cohort(ReplicaSpec(300, seed=2), "many", studies_per_subject=3.0)
    by_subject: dict[int, list[ChestTruth]] = {}
    for truth in cohort:
        by_subject.setdefault(truth.person.number, []).append(truth)
    assert 2.2 < len(cohort) / len(by_subject) < 3.8
    for truths in by_subject.values():
        assert {truth.person for truth in truths} == {truths[0].person}
        assert [truth.study for truth in truths] == list(range(1, len(truths) + 1))
        assert len({truth.seed for truth in truths}) == len(truths)


def test_persisting_findings_were_there_before() -> None:
    cohort = draw_cohort(ReplicaSpec(300, seed=2), "persist", studies_per_subject=4.0)
    stayed = 0
    for before, after in pairwise(cohort):
        if after.study == 1:
            assert not any(finding.persists for finding in after.findings)
            continue
        for finding in after.findings:
            if finding.persists:
                stayed += 1
                earlier = {replace(item, persists=False) for item in before.findings}
                assert replace(finding, persists=False) in earlier
    assert stayed > 20


def test_age_grows_by_half_a_year_per_study() -> None:
    truth = chest()
    ages = [replace(truth, study=study).age - truth.person.age for study in (1, 2, 3, 5)]
    assert ages == [0, 0, 1, 2]


def test_a_required_finding_is_always_there_and_an_excluded_one_never() -> None:
    rng = np.random.default_rng(0)
    for _ in range(100):
        truth = draw_truth(rng, require="rib fracture", exclude=("support device", "edema"))
        names = {finding.name for finding in truth.findings}
        assert "rib fracture" in names
        assert not names & {"support device", "edema"}


def test_a_cohort_holds_the_required_share() -> None:
    cohort = draw_cohort(ReplicaSpec(600), "share", require=("pneumothorax", 0.5))
    share = sum(truth.find("pneumothorax") is not None for truth in cohort) / len(cohort)
    assert 0.48 < share < 0.62


def test_the_demanded_views_are_kept() -> None:
    cohort = draw_cohort(ReplicaSpec(20), "views", views=(View.AP, View.LATERAL))
    assert {truth.views for truth in cohort} == {(View.AP, View.LATERAL)}


def test_a_normal_chest_denies_all_and_has_no_finding() -> None:
    values = observations(chest())
    assert tuple(values) == OBSERVATIONS
    assert values.pop("No Finding") is POSITIVE
    assert set(values.values()) == {NEGATIVE}


@pytest.mark.parametrize("name", sorted(OBSERVATION_OF))
def test_each_finding_sets_the_observation_of_its_name_alone(name: str) -> None:
    values = observations(chest(TrueFinding(name, "left")))
    expected = {OBSERVATION_OF[name]}
    if name == "support device":
        expected.add("No Finding")
    assert {key for key, value in values.items() if value is POSITIVE} == expected


def test_a_foreign_object_neither_sets_nor_cancels() -> None:
    values = observations(chest(TrueFinding("foreign object", "left", "middle", kind="coin")))
    assert {key for key, value in values.items() if value is POSITIVE} == {"No Finding"}


@pytest.mark.parametrize(
    ("kind", "value"),
    [(None, NEGATIVE), ("pneumonia", POSITIVE), ("possible pneumonia", UNCERTAIN)],
)
def test_pneumonia_follows_the_kind_of_consolidation(kind: str | None, value: LabelValue) -> None:
    values = observations(chest(TrueFinding("consolidation", "left", "lower", kind=kind)))
    assert values["Consolidation"] is POSITIVE
    assert values["Pneumonia"] is value


def test_what_the_text_does_not_deny_is_unmentioned() -> None:
    values = observations(chest(TrueFinding("edema", "bilateral")), negated=["Pneumothorax"])
    assert values["Edema"] is POSITIVE
    assert values["Pneumothorax"] is NEGATIVE
    assert values["Fracture"] is UNMENTIONED
    assert values["No Finding"] is UNMENTIONED


def test_a_doubtful_finding_is_uncertain_and_cancels_no_finding() -> None:
    truth = chest(TrueFinding("pneumothorax", "left", severity="small"))
    values = observations(truth, negated=[], uncertain=["Pneumothorax"])
    assert values["Pneumothorax"] is UNCERTAIN
    assert values["No Finding"] is UNMENTIONED
