"""Errors planted in replicas' reports: what the offline judge finds in each kind and tier.

The bars hold on seeds and chests that no rule of the judge was written from; where a bar is below
what was measured, the measured figure is in docs/metrics.md.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from llm_world import QUICK, Script, completion, scripted_server

from evaluation.chexprompt import KINDS, ErrorCounts, kind_counts
from infra.llm import Client
from tasks.reports.offline_judge import MINOR
from tasks.reports.offline_server import offline_server
from tasks.validate.planted import (
    ACTED_UPON,
    CELLS,
    INCIDENTAL,
    Cell,
    PlantedPair,
    planted_pairs,
)
from tasks.validate.recovery import CellRecovery, Recovery, recover_planted, recovery_markdown

PER_CELL = 60
SEED = 20
RECOVERED, ALONE, FALSE_ALARMS = 0.97, 0.95, 0.02
"""Bars of every cell; our choice, under the 100 %, 100 % and 0 % that were measured."""


@pytest.fixture(scope="module")
def recovery(tmp_path_factory: pytest.TempPathFactory) -> Recovery:
    with offline_server() as place, Client(place, tmp_path_factory.mktemp("state")) as client:
        return recover_planted(client, ["offline-rules"], PER_CELL, SEED)


def of_cell(found: Recovery, cell: Cell) -> CellRecovery:
    (item,) = [item for item in found.cells if (item.tier, item.kind) == cell]
    return item


@pytest.mark.slow
@pytest.mark.parametrize("cell", CELLS, ids=" ".join)
def test_the_bar_of_each_cell(recovery: Recovery, cell: Cell) -> None:
    found = of_cell(recovery, cell)
    assert (found.planted, found.failed) == (PER_CELL, 0)
    assert found.recovered is not None and found.recovered >= RECOVERED
    assert found.alone is not None and found.alone >= ALONE
    assert found.false_alarms is not None and found.false_alarms <= FALSE_ALARMS
    assert found.spill is not None and found.spill <= FALSE_ALARMS


def test_every_kind_is_planted_in_both_tiers(recovery: Recovery) -> None:
    assert set(CELLS) == {
        (tier, kind) for tier in ("significant", "insignificant") for kind in KINDS
    }
    assert [(item.tier, item.kind) for item in recovery.cells] == list(CELLS)
    assert recovery.pairs == PER_CELL * (len(CELLS) + 1)


@pytest.fixture(scope="module")
def planted() -> list[PlantedPair]:
    return planted_pairs(40, 7)


def of(planted: list[PlantedPair], tier: str, kind: str) -> Iterator[PlantedPair]:
    return (pair for pair in planted if pair.cell == (tier, kind))


@pytest.mark.slow
def test_equal_seeds_give_equal_texts_and_others_do_not(planted: list[PlantedPair]) -> None:
    assert planted_pairs(40, 7) == planted
    texts = {(pair.reference, pair.prediction) for pair in planted}
    others = {(pair.reference, pair.prediction) for pair in planted_pairs(40, 8)}
    assert len(texts & others) < 0.05 * len(texts)


def test_the_texts_are_two_wordings(planted: list[PlantedPair]) -> None:
    same = Counter(pair.cell for pair in planted if pair.reference == pair.prediction)
    assert sum(same.values()) <= 0.02 * len(planted)


def sides(text: str) -> Counter[str]:
    return Counter(re.findall(r"\b(left|right)\b", text.lower()))


def test_a_significant_place_is_another_side(planted: list[PlantedPair]) -> None:
    for pair in of(planted, "significant", "incorrect_location"):
        assert sides(pair.reference) != sides(pair.prediction), pair


def test_an_insignificant_place_is_another_height(planted: list[PlantedPair]) -> None:
    zones = {"upper": "upper", "mid": "middle", "middle": "middle", "lower": "lower"}
    for pair in of(planted, "insignificant", "incorrect_location"):
        one, other = (
            Counter(zones[word] for word in re.findall(r"\b(upper|mid|middle|lower)\b", text))
            for text in (pair.reference.lower(), pair.prediction.lower())
        )
        assert one != other, pair


DEGREES = {"mild": 0, "small": 0, "moderate": 1, "severe": 2, "large": 2}


def degrees(text: str) -> Counter[int]:
    text = re.sub(r"(?:small|large) (?:round )?(?:nodule|mass)", "", text.lower())
    words = re.findall(r"\b(mild|small|moderate|severe|large)(?:ly)?\b", text)
    return Counter(DEGREES[word] for word in words)


@pytest.mark.parametrize(("tier", "steps"), [("significant", 2), ("insignificant", 1)])
def test_grades_lie_as_far_apart_as_their_tier(
    planted: list[PlantedPair], tier: str, steps: int
) -> None:
    for pair in of(planted, tier, "incorrect_severity"):
        one, other = degrees(pair.reference), degrees(pair.prediction)
        (lost,), (added,) = (one - other).elements(), (other - one).elements()
        assert abs(lost - added) == steps, pair


CHANGE = re.compile(r"increased|new since|worsened|decreased")
NO_CHANGE = re.compile(r"unchanged|stable|similar")


@pytest.mark.parametrize(("tier", "words"), [("significant", CHANGE), ("insignificant", NO_CHANGE)])
def test_comparisons_are_in_one_text_alone(
    planted: list[PlantedPair], tier: str, words: re.Pattern[str]
) -> None:
    for pair in of(planted, tier, "false_positive_comparison"):
        assert words.search(pair.prediction) and not words.search(pair.reference)
    for pair in of(planted, tier, "omission_comparison"):
        assert words.search(pair.reference) and not words.search(pair.prediction)


def test_insignificant_findings_are_incidental(planted: list[PlantedPair]) -> None:
    for pair in of(planted, "insignificant", "omission_finding"):
        assert any(text in pair.reference for text in INCIDENTAL)
        assert not any(text in pair.prediction for text in INCIDENTAL)
    for pair in of(planted, "insignificant", "false_positive_finding"):
        assert any(text in pair.prediction for text in INCIDENTAL)
    assert not set(ACTED_UPON) & MINOR, "the planted tiers and the judge's do not contradict"


def test_a_judge_that_counts_nothing_recovers_nothing(tmp_path: Path) -> None:
    nothing = ErrorCounts(significant=kind_counts(), insignificant=kind_counts())
    found = scripted(tmp_path, lambda _: completion(nothing.model_dump_json()))
    assert {item.recovered for item in found.cells} == {0.0}
    assert {item.false_alarms for item in found.cells} == {0.0}


def test_a_judge_that_always_cries_is_seen_to(tmp_path: Path) -> None:
    ones = kind_counts(**dict.fromkeys(KINDS, 1))
    always = ErrorCounts(significant=ones, insignificant=ones)
    found = scripted(tmp_path, lambda _: completion(always.model_dump_json()))
    assert {(item.recovered, item.alone) for item in found.cells} == {(1.0, 0.0)}
    assert {(item.false_alarms, item.spill) for item in found.cells} == {(1.0, 1.0)}


def test_refusals_are_counted_and_are_no_recovery(tmp_path: Path) -> None:
    found = scripted(tmp_path, lambda _: completion(None, refusal="no"))
    assert {(item.planted, item.failed, item.recovered) for item in found.cells} == {(2, 2, None)}
    assert "| 2 | 2 | – | – | – | – |" in recovery_markdown(found)


def scripted(state: Path, reply: Any) -> Recovery:
    script = Script(lambda _, body: (200, reply(body)))
    with scripted_server(script) as place, Client(place, state, QUICK) as client:
        return recover_planted(client, ["one"], 2, 0)


def test_the_table_names_every_cell(recovery: Recovery) -> None:
    page = recovery_markdown(recovery)
    assert page.count("\n| ") == 1 + len(CELLS)
    assert "| omission comparison | insignificant | 60 | 0 | 100.0 % |" in page
    assert recovery.to_dict()["cells"][0]["judge"] == "offline-rules"
    unknown = replace(recovery, cells=(replace(recovery.cells[0], recovered=None),))
    assert "| – |" in recovery_markdown(unknown)
