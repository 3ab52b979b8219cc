"""The published figures: each has its place, its signature and a value that its scale allows."""

from __future__ import annotations

import tomllib

import pytest

from evaluation.leaderboard import COMPARED, Entry, tables_of
from evaluation.published import FILE, published_entries, quoted_tables, systems
from infra.settings import preset_names

ENTRIES = published_entries()
DOCUMENT = tomllib.loads(FILE.read_text(encoding="utf-8"))


def figure(system: str, measure: str, within: str) -> Entry:
    [found] = [
        each
        for each in ENTRIES
        if (each.system, each.measure, each.standing.within) == (system, measure, within)
    ]
    return found


def test_the_three_systems_are_there_with_figures() -> None:
    assert [each.recipe for each in systems()] == ["llava_rad", "gla_rrg24", "medxchat"]
    held = {each.recipe for each in ENTRIES if each.recipe}
    assert held == {"llava_rad", "gla_rrg24", "medxchat"}
    recipes = {recipe for recipe, _ in preset_names()}
    assert recipes <= {each.recipe for each in systems()}, "a recipe without published figures"


def test_every_figure_says_where_it_stands() -> None:
    assert len(ENTRIES) > 150
    for each in ENTRIES:
        assert each.kind == "published"
        assert each.quoted_from
        assert each.standing.within in quoted_tables()
        assert each.standing.told["metric"]
        assert set(each.standing.told) <= set(COMPARED)
        assert "test_set" in each.standing.untold, "no paper tells a digest of its test set"


def test_every_value_lies_on_its_scale_and_in_its_interval() -> None:
    most = {"0-1": 1.0, "0-100": 100.0}
    for each in ENTRIES:
        assert 0.0 <= each.value <= most.get(each.scale, 1000.0), each
        if each.low is not None and each.high is not None:
            assert each.low <= each.value <= each.high, each


def test_tables_and_metrics_are_whole() -> None:
    names = [table["id"] for table in DOCUMENT["tables"]]
    assert len(set(names)) == len(names)
    used = {key for table in DOCUMENT["tables"] for key in table["metrics"]}
    assert used == set(DOCUMENT["metrics"])
    for table in DOCUMENT["tables"]:
        for row in table["rows"]:
            assert len(row["values"]) == len(table["metrics"]), (table["id"], row["system"])


@pytest.mark.parametrize(
    ("system", "measure", "within", "value"),
    [
        ("LLaVA-Rad 7B", "BLEU-4", "maira-2-d1", 15.4),
        ("LLaVA-Rad 7B", "CheXbert-micro-F1-14", "ra-rrg", 57.3),
        ("LLaVA-Rad 7B", "RadGraph-F1", "llava-ta", 29.4),
        ("Gla-AI4BioMed", "RRG24-overall", "rrg24-leaderboard", 31.01),
        ("MedXChat", "report-label-AUROC-micro", "medxchat-1", 0.672),
        ("MedXChat", "accuracy", "medxchat-2", 61.2),
        ("MedXChat", "Frechet", "medxchat-3", 43.46),
    ],
)
def test_known_figures(system: str, measure: str, within: str, value: float) -> None:
    assert figure(system, measure, within).value == value


def test_the_leaderboards_ranks_come_out() -> None:
    """RRG24's overall is the mean of the other five, and its rows are in their order."""
    parts = ("BLEU-4", "ROUGE-L", "BERTScore", "CheXbert-F1", "RadGraph-F1")
    within = "rrg24-leaderboard"
    [table] = [each for each in tables_of(ENTRIES) if each.measure == "RRG24-overall"]
    [group] = table.groups
    order = [each.entry.system for each in group.entries]
    assert order[3] == "Gla-AI4BioMed"
    assert [each.rank for each in group.entries] == list(range(1, 9))
    for name in order:
        mean = sum(figure(name, part, within).value for part in parts) / 5
        assert figure(name, "RRG24-overall", within).value == pytest.approx(mean, abs=0.011), name


def test_no_figure_is_ranked_with_one_of_another_table() -> None:
    for table in tables_of(ENTRIES):
        for group in table.groups:
            assert len({each.entry.standing.within for each in group.entries}) == 1


def test_rows_quoted_at_second_hand_are_not_ranked_with_the_papers_own() -> None:
    [table] = [each for each in tables_of(ENTRIES) if each.measure == "accuracy"]
    assert len(table.groups) == 2
    [refusal] = table.refusals
    assert refusal.untold
