"""Counts that were made in two ways are not held against each other, and the reason is told."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from test_paired import BAD, GOOD, judged_system, predictions_of, system

from evaluation.comparable import common_judge, family_versions, why_not_comparable
from evaluation.compare import compare_systems, example_changes
from evaluation.counts_table import VERSIONS, no_counts, read_versions
from evaluation.measures import clinical_measures
from evaluation.measures_neural import Slot, slots
from evaluation.paired import System, read_system
from evaluation.scores import score_predictions
from infra.settings.sections import ScoreSettings
from tasks.compare.show import comparison_text

F1 = "rule14-micro-F1"
ROUGE = "ROUGE-L[rouge-score-nostem]"
ERRORS = "chexprompt[gpt]-significant-errors"


def counted(texts: list[str], *, uncertain_as: str = "negative", **versions: str) -> System:
    """A system whose counts table says that some families were made by other versions."""
    settings = ScoreSettings.model_validate({"judges": [], "uncertain_as": uncertain_as})
    table = predictions_of(system(texts).outputs)
    counts = score_predictions(table, None, settings).counts
    told = json.dumps({**read_versions(counts), **versions})
    return read_system(table, counts.replace_schema_metadata({VERSIONS: told}), None, settings)


def test_equal_counts_are_comparable_in_every_metric() -> None:
    own, other = counted([GOOD] * 4), counted([BAD] * 4)
    assert {why_not_comparable(own, other, name) for name in own.measures} == {None}


def test_an_edited_labeler_is_refused_with_both_versions() -> None:
    own, other = counted([GOOD] * 30), counted([BAD] * 30, rule14="999-edited")
    reason = why_not_comparable(own, other, F1)
    assert reason is not None
    assert reason.endswith("999-edited in the second")
    assert own.versions["rule14-negative"] in reason
    found = {item.metric: item for item in compare_systems(own, other, 50, 0, shown=3).differences}
    assert (found[F1].p, found[F1].p_holm, found[F1].reason) == (None, None, reason)
    assert found[F1].own is not None
    assert found[ROUGE].p is not None


def test_examples_of_two_labelers_are_not_held_against_each_other() -> None:
    own, other = counted([GOOD] * 6), counted([BAD] * 6, rule14="999-edited")
    assert example_changes(own, other) == []
    shown = comparison_text(("a", "b"), compare_systems(own, other, 20, 0, shown=3), None)
    assert "their labelers differ" in shown
    assert f"999-edited in the second: {F1}" in shown


def test_another_policy_for_uncertain_labels_is_refused() -> None:
    own, other = counted([GOOD] * 4), counted([GOOD] * 4, uncertain_as="positive")
    assert why_not_comparable(own, other, F1) == (
        "uncertain labels count as negative in the first, positive in the second"
    )
    assert why_not_comparable(own, other, ROUGE) is None


def test_a_metric_of_one_run_alone_is_told() -> None:
    own, other = judged_system({0: 1}), system([GOOD] * 20)
    assert why_not_comparable(own, other, ERRORS) == "the second has no such metric"
    assert why_not_comparable(other, own, ERRORS) == "the first has no such metric"
    for pair in ((own, other), (other, own)):
        names = [item.metric for item in compare_systems(*pair, 20, 0, shown=1).differences]
        assert ERRORS in names


@pytest.mark.parametrize("slot", slots(), ids=lambda slot: slot.measure.name)
def test_other_weights_of_an_encoder_are_another_version(slot: Slot) -> None:
    one = {name: f"1 {name}" for name in slot.encoders}
    two = {**one, slot.encoders[-1]: "1 replaced"}
    tables = [
        no_counts().replace_schema_metadata({VERSIONS: json.dumps(told)}) for told in (one, two)
    ]
    first, second = (family_versions(table, [slot.measure]) for table in tables)
    assert first[slot.measure.family] != second[slot.measure.family]
    assert "replaced" in second[slot.measure.family]


def test_a_table_that_tells_no_versions_is_unknown() -> None:
    measures = clinical_measures("negative")
    assert set(family_versions(no_counts(), measures).values()) == {"unknown"}


# Judges.


def test_runs_are_held_against_each_other_by_the_judge_they_share() -> None:
    own, other = judged_system({0: 1, 1: 3}), judged_system({0: 2, 1: 1})
    assert common_judge(own, other) == "judge gpt"
    changes = example_changes(own, other)
    assert [change.errors for change in changes[:3]] == [(1.0, 2.0), (3.0, 1.0), None]
    assert all(isinstance(count, float) for count in changes[0].errors or ())


def test_other_judges_share_nothing() -> None:
    own, other = judged_system({0: 0}), judged_system({0: 5}, judge="claude")
    assert common_judge(own, other) is None
    assert {change.errors for change in example_changes(own, other)} == {None}
    found = compare_systems(own, other, 20, 0, shown=3)
    assert (found.judge, found.worsened) == (None, ())


def test_another_version_of_a_judge_is_refused() -> None:
    own, other = judged_system({0: 0}), judged_system({0: 5}, version="v2")
    assert common_judge(own, other) is None
    assert why_not_comparable(own, other, ERRORS) == (
        "counted in two ways: v1 in the first, v2 in the second"
    )


def test_a_mean_of_judges_is_never_the_shared_judge() -> None:
    own = judged_system({0: 1})
    mean = replace(
        own, families={**own.families, "judge mean of 2 judges": own.families["judge gpt"]}
    )
    assert common_judge(mean, mean) == "judge gpt"
    families = {"judge aaa mean of 2 judges": own.families["judge gpt"], **own.families}
    assert common_judge(replace(own, families=families), own) == "judge gpt"
