"""What stands beside a score on the leaderboard: every control by name, of the same examples."""

from __future__ import annotations

from typing import Any

from evaluation.controls import CONTROLS, MODEL
from evaluation.leaderboard_page import CONTROLS as NAMES
from evaluation.leaderboard_page import controls_text
from tasks.leaderboard.work import _of_examples

METRIC = "rule14-micro-F1"


def test_every_control_has_a_name_for_the_page() -> None:
    known = {"majority", "untrained", *(name for name in CONTROLS if name != MODEL)}
    assert known <= NAMES.keys()
    told = controls_text(dict.fromkeys(sorted(known), 0.5), "0-1")
    assert "first film black 0.500" in told


def test_a_control_of_fewer_examples_stands_beside_no_score_of_all() -> None:
    def row(control: str, examples: int) -> dict[str, Any]:
        return {"metric": METRIC, "control": control, "signature": {"examples": examples}}

    model, some, all_of_them = row("none", 9), row("without-first", 6), row("blank", 9)
    assert _of_examples(model) == _of_examples(all_of_them) != _of_examples(some)
