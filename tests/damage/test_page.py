"""docs/bad-input.md says what the tests hold, and the catalogue is as wide as promised."""

from __future__ import annotations

from itertools import chain

import pytest

from sources.catalog import catalog
from tests.damage.kinds import Kind
from tests.damage.page import FAMILIES, PAGE, page_text
from tests.damage.test_questions import JSON_FILES
from tests.damage.worlds import TABLES

LEAST_KINDS = 50
KINDS: tuple[Kind, ...] = tuple(chain.from_iterable(FAMILIES.values()))


def test_the_page_is_what_the_catalogue_writes() -> None:
    assert PAGE.read_text() == page_text(), "run python -m tests.damage"


def test_there_are_enough_kinds() -> None:
    assert len({(kind.where, kind.name) for kind in KINDS}) == len(KINDS) >= LEAST_KINDS


def test_every_source_is_damaged() -> None:
    assert set(TABLES) | set(JSON_FILES) | {"rrg24"} == set(catalog())


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: f"{kind.where}-{kind.name[:40]}")
def test_a_line_says_what_was_found_expected_and_advised(kind: Kind) -> None:
    assert "\n" not in kind.sees and kind.sees
    if kind.sees.startswith("found "):
        assert "; expected " in kind.sees, "what was expected"
        assert kind.sees.partition("; expected ")[2].count("; ") >= 1, "what to do"
    else:
        reason, _, _ = kind.sees.partition(":")
        plain = reason.split(",")[0].split(" for ")[0]
        assert plain == plain.lower() and " " not in plain
