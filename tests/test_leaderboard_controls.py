"""What stands beside a score on the leaderboard: every control by name, of the same examples."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from evaluation.answer_scores import score_predicted
from evaluation.controls import CONTROLS, MODEL
from evaluation.leaderboard_page import CONTROLS as NAMES
from evaluation.leaderboard_page import controls_text
from tasks.leaderboard.work import _of_examples, leaderboard
from tests.answers_world import predictions_of, yes_and_no
from tests.board_world import store_at, write_run
from tests.small_world import cxr_json

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


def test_answers_by_type_have_a_table_each_and_none_twice(tmp_path: Path) -> None:
    questions = yes_and_no()
    scores = score_predicted(predictions_of(questions), questions, 50, 3, 48)
    write_run(tmp_path, document=scores.to_dict())
    found = leaderboard([store_at(tmp_path)])
    ours = [
        (table.measure, placed.entry.system)
        for table in found.tables
        for group in table.groups
        for placed in group.entries
        if placed.entry.kind == "measured"
    ]
    assert len(ours) == len(set(ours))
    assert {"closed-accuracy, PRES", "set-F1, POS", "accuracy"} <= {name for name, _ in ours}
    assert not any("open" in name for name, _ in ours), "it counts nothing"
    folded = [table.measure for table in found.tables if table not in found.headlines]
    assert {"closed-accuracy, PRES", "set-F1, POS"} <= set(folded)


def test_brackets_of_a_type_are_no_profile(tmp_path: Path) -> None:
    questions = yes_and_no()
    document = score_predicted(predictions_of(questions), questions, 50, 3, 48).to_dict()
    for row in document["scores"]:
        row["group"] = {"PRES": "size", "POS": "size [small]"}.get(row["group"], row["group"])
    write_run(tmp_path, document=document)
    names = {table.measure for table in leaderboard([store_at(tmp_path)]).tables}
    assert {"accuracy, size", "accuracy, size [small]"} <= names


def test_a_root_may_be_named_as_every_other_command_names_it(tmp_path: Path) -> None:
    for name in ("one", "two"):
        write_run(tmp_path / name)
    root, option = str(tmp_path / "one"), ("--data-root", str(tmp_path / "two"))
    assert cxr_json("leaderboard", *option)["roots"] == [option[1]]
    assert cxr_json("leaderboard", root, *option)["roots"] == [root, option[1]]
