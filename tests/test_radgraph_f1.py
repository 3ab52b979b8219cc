"""RadGraph F1 on graphs made by hand: every level, the empty rules, case."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evaluation.radgraph import LEVELS, Entity, Graph, Level, radgraph_f1, set_f1, yu_f1

EFFUSION: Graph = (
    Entity("effusion", "OBS-DP", (("located_at", 2),)),
    Entity("small", "OBS-DP", (("modify", 0),)),
    Entity("pleural", "ANAT-DP"),
)
HEART: Graph = (Entity("heart", "ANAT-DP"), Entity("enlarged", "OBS-DA", (("located_at", 0),)))
ALONE: Graph = (Entity("heart", "ANAT-DP"), Entity("lungs", "ANAT-DP"))


def changed(graph: Graph, place: int, entity: Entity) -> Graph:
    return (*graph[:place], entity, *graph[place + 1 :])


@pytest.mark.parametrize("level", LEVELS)
def test_identical_graphs_score_one_and_disjoint_ones_zero(level: Level) -> None:
    assert radgraph_f1(EFFUSION, EFFUSION, level) == 1
    assert radgraph_f1(EFFUSION, HEART, level) == 0


def test_a_flipped_label_costs_its_entity() -> None:
    denied = changed(EFFUSION, 0, Entity("effusion", "OBS-DA", (("located_at", 2),)))
    assert radgraph_f1(EFFUSION, denied, "simple") == pytest.approx(2 / 3)
    assert radgraph_f1(EFFUSION, denied, "partial") == pytest.approx(2 / 3)
    # complete: "pleural" alone and (small, modify, effusion), whose target is told by its words
    assert radgraph_f1(EFFUSION, denied, "complete") == pytest.approx(2 / 3)
    # Yu: entities 2 of 3; both relations name the flipped entity with its label
    assert yu_f1(EFFUSION, denied) == pytest.approx(1 / 3)


def test_a_missing_relation_costs_all_levels_but_simple() -> None:
    loose = changed(EFFUSION, 1, Entity("small", "OBS-DP"))
    assert radgraph_f1(EFFUSION, loose, "simple") == 1
    assert radgraph_f1(EFFUSION, loose, "partial") == pytest.approx(2 / 3)
    assert radgraph_f1(EFFUSION, loose, "complete") == pytest.approx(2 / 3)
    assert yu_f1(EFFUSION, loose) == pytest.approx((1 + 2 / 3) / 2)


def test_partial_asks_for_any_relation_and_complete_for_which() -> None:
    other = changed(EFFUSION, 1, Entity("small", "OBS-DP", (("suggestive_of", 2),)))
    assert radgraph_f1(EFFUSION, other, "partial") == 1
    assert radgraph_f1(EFFUSION, other, "complete") == pytest.approx(2 / 3)


def test_an_empty_side_scores_zero_even_beside_another() -> None:
    for level in LEVELS:
        assert radgraph_f1((), (), level) == 0
        assert radgraph_f1(EFFUSION, (), level) == 0
        assert radgraph_f1((), EFFUSION, level) == 0
    assert yu_f1((), ()) == 0
    assert yu_f1(EFFUSION, ()) == 0


def test_an_identical_pair_without_relations_has_half_of_yus() -> None:
    assert radgraph_f1(ALONE, ALONE, "complete") == 1
    assert yu_f1(ALONE, ALONE) == 0.5
    assert yu_f1(EFFUSION, EFFUSION) == 1


def test_case_counts_but_in_relations() -> None:
    capital = tuple(Entity(e.tokens.capitalize(), e.label, e.relations) for e in EFFUSION)
    assert radgraph_f1(EFFUSION, capital, "simple") == 0
    assert radgraph_f1(EFFUSION, capital, "partial") == 0
    assert radgraph_f1(EFFUSION, capital, "complete") == pytest.approx(2 / 3), "Pleural is alone"
    assert yu_f1(EFFUSION, capital) == 0


def test_repeated_entities_count_once() -> None:
    twice = (*ALONE, Entity("heart", "ANAT-DP"))
    assert radgraph_f1(ALONE, twice, "simple") == 1


def test_several_relations_of_an_entity_are_items_of_their_own() -> None:
    both = changed(EFFUSION, 0, Entity("effusion", "OBS-DP", (("located_at", 2), ("modify", 1))))
    assert radgraph_f1(EFFUSION, both, "partial") == 1
    assert radgraph_f1(EFFUSION, both, "complete") == pytest.approx(2 * 3 / (3 + 4))
    assert yu_f1(EFFUSION, both) == pytest.approx((1 + 2 * 2 / (2 + 3)) / 2)


ENTITIES = st.builds(
    Entity,
    st.sampled_from(["heart", "Heart", "effusion", "left lung"]),
    st.sampled_from(["OBS-DP", "OBS-DA"]),
)


@given(st.lists(ENTITIES, max_size=5), st.lists(ENTITIES, max_size=5), st.sampled_from(LEVELS))
def test_f1_is_symmetric_bounded_and_blind_to_order(
    one: list[Entity], other: list[Entity], level: Level
) -> None:
    value = radgraph_f1(tuple(one), tuple(other), level)
    assert 0 <= value <= 1
    assert value == radgraph_f1(tuple(other), tuple(one), level)
    assert value == radgraph_f1(tuple(reversed(one)), tuple(other), level)
    assert yu_f1(tuple(one), tuple(other)) == yu_f1(tuple(other), tuple(one))


def test_set_f1_is_the_harmonic_mean_of_precision_and_recall() -> None:
    reference, told = {1, 2, 3, 4}, {3, 4, 5}
    precision, recall = 2 / 3, 2 / 4
    expected = 2 * precision * recall / (precision + recall)
    assert set_f1(set(reference), set(told)) == pytest.approx(expected)
    assert set_f1(set(), set()) == 0
