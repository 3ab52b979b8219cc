"""Cohorts of chests as random processes: rates, persons over time, and what must not depend."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import replace
from itertools import combinations, pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sources.record import View
from sources.replicas import brax, chexpert
from sources.replicas.truth import (
    FINDING_NAMES,
    NORMAL_RATE,
    ChestTruth,
    ReplicaSpec,
    TrueFinding,
    draw_cohort,
    draw_person,
    draw_truth,
)

IN_LUNG = {"consolidation", "lung opacity", "nodule", "atelectasis"}
WITHOUT_ZONE = {
    "cardiomegaly", "enlarged mediastinum", "pleural effusion", "pneumothorax", "edema",
    "support device",
}  # fmt: skip


@pytest.fixture(scope="module")
def cohort() -> list[ChestTruth]:
    """One study per person, so that rates are those of single draws."""
    return draw_cohort(ReplicaSpec(3000, seed=17), "independent")


@pytest.fixture(scope="module")
def histories() -> dict[int, list[ChestTruth]]:
    """Studies by person, three on average."""
    found = defaultdict(list)
    for truth in draw_cohort(ReplicaSpec(1500, seed=18), "histories", studies_per_subject=3.0):
        found[truth.person.number].append(truth)
    return found


def of_name(cohort: list[ChestTruth], name: str) -> list[TrueFinding]:
    return [finding for truth in cohort for finding in truth.findings if finding.name == name]


def is_near(share: float, expected: float, count: int) -> bool:
    """Within four standard deviations of a binomial share."""
    return abs(share - expected) < 4 * np.sqrt(expected * (1 - expected) / count)


def test_the_share_of_normal_chests(cohort: list[ChestTruth]) -> None:
    share = np.mean([truth.is_normal for truth in cohort])
    assert is_near(float(share), NORMAL_RATE, len(cohort))


def test_views_have_their_shares(cohort: list[ChestTruth]) -> None:
    views = Counter(truth.views for truth in cohort)
    expected = {(View.PA,): 0.2, (View.AP,): 0.4, (View.PA, View.LATERAL): 0.4}
    assert set(views) == set(expected)
    for key, share in expected.items():
        assert is_near(views[key] / len(cohort), share, len(cohort))


@pytest.mark.parametrize(
    "name",
    ["pneumothorax", "pleural effusion", "consolidation", "lung opacity", "nodule", "atelectasis",
     "pleural thickening", "rib fracture"],
)  # fmt: skip
def test_left_and_right_are_equally_likely(cohort: list[ChestTruth], name: str) -> None:
    sides = Counter(finding.side for finding in of_name(cohort, name))
    one_sided = sides["left"] + sides["right"]
    assert is_near(sides["left"] / one_sided, 0.5, one_sided), sides


def test_which_findings_lie_on_both_sides(cohort: list[ChestTruth]) -> None:
    both = {f.name for t in cohort for f in t.findings if f.side == "bilateral"}
    assert both == {"edema", "pleural effusion", "lung opacity", "atelectasis"}
    assert {finding.side for finding in of_name(cohort, "edema")} == {"bilateral"}


def test_which_findings_have_no_side(cohort: list[ChestTruth]) -> None:
    none = {(f.name, f.kind) for t in cohort for f in t.findings
            if f.side is None and not f.lateral_only}  # fmt: skip
    assert none == {
        ("cardiomegaly", None), ("enlarged mediastinum", None),
        ("support device", "endotracheal tube"), ("foreign object", "necklace"),
    }  # fmt: skip


def test_pacemakers_are_mostly_left_and_central_lines_right(cohort: list[ChestTruth]) -> None:
    sides = Counter((f.kind, f.side) for f in of_name(cohort, "support device"))
    assert sides["pacemaker", "left"] > 3 * sides["pacemaker", "right"]
    assert sides["central line", "right"] > 1.5 * sides["central line", "left"]


def test_zones_are_set_where_a_place_in_the_lung_is(cohort: list[ChestTruth]) -> None:
    for truth in cohort:
        for finding in truth.findings:
            if finding.lateral_only:
                assert (finding.side, finding.zone, finding.severity) == (None, "lower", "small")
            elif finding.name in WITHOUT_ZONE or finding.kind == "necklace":
                assert finding.zone is None
            else:
                assert finding.zone in ("upper", "middle", "lower")


def test_thickening_is_apical_and_atelectasis_basal(cohort: list[ChestTruth]) -> None:
    assert {finding.zone for finding in of_name(cohort, "pleural thickening")} == {"upper"}
    assert {finding.zone for finding in of_name(cohort, "atelectasis")} == {"lower"}


def test_lateral_only_findings_are_a_fifth_of_those_that_can_be(cohort: list[ChestTruth]) -> None:
    with_lateral = [truth for truth in cohort if View.LATERAL in truth.views]
    for name in ("pleural effusion", "nodule"):
        hidden = [finding.lateral_only for finding in of_name(with_lateral, name)]
        assert is_near(float(np.mean(hidden)), 0.2, len(hidden))
    assert not any(f.lateral_only for t in cohort if t not in with_lateral for f in t.findings)


def test_findings_stand_in_the_order_of_their_names(cohort: list[ChestTruth]) -> None:
    for truth in cohort:
        places = [FINDING_NAMES.index(finding.name) for finding in truth.findings]
        assert places == sorted(set(places))


def test_no_two_findings_hide_each_other(cohort: list[ChestTruth]) -> None:
    for truth in cohort:
        for one, other in combinations(truth.findings, 2):
            names = {one.name, other.name}
            same_side = one.side == other.side or "bilateral" in (one.side, other.side)
            assert names not in ({"edema", "lung opacity"}, {"edema", "consolidation"})
            if names in ({"pleural effusion", "pneumothorax"},
                         {"pneumothorax", "pleural thickening"}):  # fmt: skip
                assert not same_side
            if names <= IN_LUNG and same_side:
                assert one.zone != other.zone


def test_pixels_of_no_two_chests_share_their_noise(cohort: list[ChestTruth]) -> None:
    assert len({truth.seed for truth in cohort}) == len(cohort)


def test_builds_stay_in_their_range() -> None:
    rng = np.random.default_rng(5)
    persons = [draw_person(rng, number) for number in range(500)]
    for person in persons:
        build = person.habitus
        values = [value for name, value in vars(build).items() if name != "heart"]
        assert all(0.0 <= value <= 1.0 for value in values)
        assert 0.40 <= build.heart <= 0.48
        assert 18 <= person.age <= 94
        assert (build.breast > 0) == (person.sex == "F")
    assert is_near(float(np.mean([p.sex == "F" for p in persons])), 0.5, 500)
    young = [p.habitus.bone for p in persons if p.age < 45]
    old = [p.habitus.bone for p in persons if p.age > 70]
    assert np.mean(young) > np.mean(old) + 0.2


def test_numbers_of_studies_are_geometric(histories: dict[int, list[ChestTruth]]) -> None:
    sizes = Counter(len(truths) for truths in histories.values())
    persons = sum(sizes.values())
    assert is_near(sizes[1] / persons, 1 / 3, persons)
    assert max(sizes) > 6


def test_a_person_ages_and_stays_the_same(histories: dict[int, list[ChestTruth]]) -> None:
    for truths in histories.values():
        assert [truth.study for truth in truths] == list(range(1, len(truths) + 1))
        assert len({truth.person for truth in truths}) == 1
        ages = [truth.age for truth in truths]
        assert ages == sorted(ages)
        assert ages[0] == truths[0].person.age
        assert ages[-1] - ages[0] == (len(truths) - 1) // 2


def test_half_of_the_findings_persist(histories: dict[int, list[ChestTruth]]) -> None:
    kept, could = 0, 0
    for truths in histories.values():
        for before, after in pairwise(truths):
            for finding in before.findings:
                if finding.lateral_only and View.LATERAL not in after.views:
                    continue
                could += 1
                again = replace(finding, persists=True)
                kept += again in after.findings
    assert is_near(kept / could, 0.5, could)


def test_a_finding_that_persists_was_there_before(
    histories: dict[int, list[ChestTruth]],
) -> None:
    for truths in histories.values():
        assert not any(finding.persists for finding in truths[0].findings)
        for before, after in pairwise(truths):
            earlier = {replace(finding, persists=False) for finding in before.findings}
            for finding in after.findings:
                if finding.persists:
                    assert replace(finding, persists=False) in earlier


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    excluded=st.sets(st.sampled_from(FINDING_NAMES), max_size=10),
    data=st.data(),
)
def test_excluded_and_required_names_are_obeyed_over_time(
    seed: int, excluded: set[str], data: st.DataObject
) -> None:
    required = data.draw(st.sampled_from([n for n in FINDING_NAMES if n not in excluded]))
    rng = np.random.default_rng(seed)
    truth = draw_truth(rng, require=required, exclude=excluded)
    for _ in range(4):
        names = {finding.name for finding in truth.findings}
        assert not names & excluded
        is_kept_out = any(finding.persists for finding in truth.findings)
        assert required in names or is_kept_out
        assert len(truth.findings) <= 6
        truth = draw_truth(rng, previous=truth, require=required, exclude=excluded)


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    short=st.integers(0, 15),
    more=st.integers(0, 15),
    mean=st.floats(1.0, 4.0),
)
def test_a_cohort_is_a_prefix_of_a_longer_one(
    seed: int, short: int, more: int, mean: float
) -> None:
    one = draw_cohort(ReplicaSpec(short, seed), "prefix", studies_per_subject=mean)
    other = draw_cohort(ReplicaSpec(short + more, seed), "prefix", studies_per_subject=mean)
    assert len(one) == short
    assert other[:short] == one


def test_size_and_processes_change_no_truth() -> None:
    plain = draw_cohort(ReplicaSpec(20, seed=3), "same")
    assert draw_cohort(ReplicaSpec(20, seed=3, side_px=64, processes=7), "same") == plain


@pytest.mark.slow
def test_two_processes_write_the_same_replica(tmp_path: Path) -> None:
    for processes in (1, 2):
        brax.write(tmp_path / str(processes), ReplicaSpec(10, 4, 64, processes))
    one, two = (
        {p.relative_to(tmp_path / name): p.read_bytes()
         for p in (tmp_path / name).rglob("*") if p.is_file()}
        for name in ("1", "2")
    )  # fmt: skip
    assert one == two
    assert len(one) > 10


def test_a_larger_film_changes_no_table(tmp_path: Path) -> None:
    for side_px in (64, 80):
        chexpert.write(tmp_path / str(side_px), ReplicaSpec(10, 4, side_px))
    for name in ("train.csv", "valid.csv"):
        small, large = (
            (tmp_path / size / "CheXpert-v1.0-small" / name).read_text() for size in ("64", "80")
        )
        assert small == large
    assert (tmp_path / "64/.truth.jsonl").read_text() == (tmp_path / "80/.truth.jsonl").read_text()
