"""Where traps go, and the truth file of a replica."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from sources.record import OBSERVATIONS, LabelValue
from sources.replicas.traps import spread, truncate
from sources.replicas.truth import draw_truth
from sources.replicas.truth_file import TrueStudy, write_truth


@pytest.mark.parametrize("count", [3, 4, 10, 1000])
def test_each_trap_has_a_study_of_its_own(count: int) -> None:
    placed = spread(("a", "b", "c"), count)
    assert sorted(placed.values()) == ["a", "b", "c"]
    assert max(placed) < count


def test_traps_are_spread_evenly() -> None:
    assert spread(("a", "b", "c"), 9) == {0: "a", 3: "b", 6: "c"}


@pytest.mark.parametrize("count", [0, 1, 2])
def test_too_few_studies_take_the_first_traps(count: int) -> None:
    assert spread(("a", "b", "c"), count) == dict(enumerate("abc"[:count]))


def test_a_truncated_file_is_half() -> None:
    assert truncate(b"12345678") == b"1234"


def test_the_truth_file_has_a_line_per_study(tmp_path: Path) -> None:
    truth = draw_truth(np.random.default_rng(1), require="cardiomegaly")
    labels = dict.fromkeys(OBSERVATIONS, LabelValue.UNMENTIONED)
    write_truth(tmp_path, [TrueStudy("s1", truth), TrueStudy("s2", truth, labels, "empty")])
    first, second = map(json.loads, (tmp_path / ".truth.jsonl").read_text().splitlines())
    assert (first["study_id"], first["trap"]) == ("s1", None)
    assert first["labels"]["Cardiomegaly"] == "positive"
    assert "cardiomegaly" in {finding["name"] for finding in first["findings"]}
    assert (second["study_id"], second["trap"]) == ("s2", "empty")
    assert set(second["labels"].values()) == {"unmentioned"}
