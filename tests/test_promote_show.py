"""The log of promotions on a terminal: newest first, what is out of order told."""

from __future__ import annotations

from infra.promotion_log import NOBODY, Entry, Kind, read_log
from tasks.promote.show import entry_text, history_json, history_text


def entry(number: int, kind: Kind, version: int, expected: int, reason: str = "") -> Entry:
    at = f"2026-01-0{number}T10:00:00+00:00"
    return Entry(number, f"k{number}", kind, version, expected, "ana@here", at, reason=reason)


LOG = [
    entry(1, "promote", 1, NOBODY),
    entry(2, "promote", 2, 1, "fewer\x1b[2J misses"),
    entry(3, "promote", 3, 1),
    entry(5, "outside", NOBODY, 2),
]


def test_a_line_for_each_entry_the_newest_first() -> None:
    lines = history_text("llava_rad", read_log(LOG), NOBODY).splitlines()
    assert [line.split()[0] for line in lines[1:5]] == ["5", "3", "2", "1"]
    assert lines[1].split()[2:5] == ["outside", "none", "2"]
    assert "without effect, another one was first; ana@here" in lines[2]
    assert "ana@here: fewer" in lines[3]
    assert "champion of llava_rad: no champion" in lines
    assert lines[-1] == "deleted from the log: entries 4"
    assert "\x1b" not in "\n".join(lines)


def test_an_alias_that_disagrees_is_told() -> None:
    text = history_text("llava_rad", read_log(LOG[:2]), 1)
    assert "alias champion points at version 1: the next promotion or rollback puts it" in text
    assert "points at" not in history_text("llava_rad", read_log(LOG[:2]), 2)


def test_the_document_says_which_entries_hold() -> None:
    found = history_json("llava_rad", read_log(LOG), NOBODY)
    assert [one["holds"] for one in found["entries"]] == [True, True, False, True]
    assert (found["champion"], found["alias"], found["missing"]) == (0, 0, [4])


def test_what_an_entry_did_is_one_line() -> None:
    assert entry_text("m", LOG[0]) == "models:/m@champion is version 1, the first (entry 1)"
    assert entry_text("m", LOG[1]).endswith("is version 2, in place of version 1 (entry 2)")
