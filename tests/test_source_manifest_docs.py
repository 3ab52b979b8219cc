"""docs/sources.md says what the code does: cards, views, manifest columns, counts."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from sources.card import Access, Card
from sources.catalog import catalog
from sources.manifest_columns import OPTIONAL, REQUIRED, VIEW_WORDS
from sources.padchest_labels import KNOWN, mapping
from sources.record import OBSERVATIONS

DOCS = (Path(__file__).parent.parent / "docs" / "sources.md").read_text()


def catalogue_row(card: Card) -> str:
    def number(count: int | None) -> str:
        return "?" if count is None else f"{count:,}"

    split = "publisher" if card.official_split else "subject hash"
    cells = (
        f"`{card.name}`",
        card.title,
        card.access,
        card.language if card.has_reports else "none",
        "own column" if card.access is Access.OWN else split,
        f"{number(card.expected.studies)} / {number(card.expected.images)}",
        card.llm_egress,
    )
    return f"| {' | '.join(str(cell) for cell in cells)} |"


@pytest.mark.parametrize("name", sorted(catalog()))
def test_every_card_is_in_the_catalogue(name: str) -> None:
    assert catalogue_row(catalog()[name].card) in DOCS.splitlines()


def test_the_catalogue_lists_no_other_source() -> None:
    section = DOCS.split("## The catalogue")[1].split("\n## ")[0]
    assert re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE) == sorted(catalog())


def test_every_manifest_column_is_documented() -> None:
    section = DOCS.split("## Your own data")[1].split("\n## ")[0]
    documented = set(re.findall(r"`(\w+)`", section))
    assert {*REQUIRED, *OPTIONAL} - set(OBSERVATIONS) <= documented


def test_the_manifest_views_are_documented() -> None:
    (row,) = re.findall(r"^\| `manifest` \| `view`.*$", DOCS, re.MULTILINE)
    for word in VIEW_WORDS:
        assert re.search(rf"\b{word}\b", row), word


def test_the_padchest_figures_are_those_of_the_mapping() -> None:
    mapped = {name for name, _, _ in mapping()}
    uncertain = {name for name, _, value in mapping() if value == "uncertain"}
    assert f"{len(mapped)} of the {len(KNOWN)} known label strings" in " ".join(DOCS.split())
    assert len(uncertain) == 8
