"""Standings, groups and ranks: what may be ranked together, and what is said where it may not."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evaluation.leaderboard import (
    COMPARED,
    Entry,
    Standing,
    Table,
    measure_of,
    tables_of,
)
from evaluation.leaderboard_page import reasons, standing_parts

TOLD = {
    "metric": "BLEU-4[13a]", "version": "1", "labels": "none", "uncertain_as": "none",
    "dataset": "mimic_cxr", "split": "test", "section": "findings", "n": "100", "test_set": "abc",
}  # fmt: skip
ENTRY = Entry(
    system="a system", recipe="llava_rad", kind="measured", task="findings", measure="BLEU-4",
    value=10.0, low=9.0, high=11.0, scale="0-100", higher_is_better=True,
    standing=Standing(TOLD), run="run",
)  # fmt: skip


def entry(value: float, name: str = "system", **changes: object) -> Entry:
    return replace(ENTRY, value=value, system=name, **changes)  # type: ignore[arg-type]


def quoted(value: float, name: str, within: str, without: tuple[str, ...] = ()) -> Entry:
    told = {key: told for key, told in TOLD.items() if key not in ("test_set", *without)}
    return entry(
        value, name, kind="published", recipe=None, run=None, quoted_from=within,
        standing=Standing(told, within=within),
    )  # fmt: skip


def one_table(*entries: Entry) -> Table:
    [table] = tables_of(entries)
    return table


def ranks(table: Table) -> dict[str, int | None]:
    return {each.entry.system: each.rank for group in table.groups for each in group.entries}


def test_equal_signatures_are_ranked() -> None:
    table = one_table(entry(1, "c"), entry(3, "a"), entry(2, "b"))
    assert [group.name for group in table.groups] == ["a"]
    assert ranks(table) == {"a": 1, "b": 2, "c": 3}
    assert table.refusals == ()
    lower = one_table(*(entry(v, n, higher_is_better=False) for v, n in ((1, "a"), (3, "c"))))
    assert ranks(lower) == {"a": 1, "c": 2}


def test_equal_values_share_a_rank() -> None:
    assert ranks(one_table(entry(2, "a"), entry(2, "b"), entry(1, "c"))) == {"a": 1, "b": 1, "c": 3}


@pytest.mark.parametrize("name", COMPARED)
def test_any_other_field_of_the_signature_refuses(name: str) -> None:
    other = entry(99, "other", standing=Standing({**TOLD, name: "something else"}))
    table = one_table(entry(1, "own"), other)
    assert ranks(table) == {"own": None, "other": None}
    [refusal] = table.refusals
    assert (refusal.groups, refusal.differ, refusal.untold) == (("a", "b"), (name,), ())


@pytest.mark.parametrize("name", COMPARED)
def test_a_field_that_is_not_told_refuses(name: str) -> None:
    told = {key: value for key, value in TOLD.items() if key != name}
    table = one_table(entry(1, "own"), entry(2, "other", standing=Standing(told, within="paper")))
    assert ranks(table) == {"own": None, "other": None}
    assert table.refusals[0].untold == (name,)


def test_other_weights_refuse() -> None:
    one, other = (entry(1, n, standing=Standing(TOLD, {"weights": n})) for n in ("x", "y"))
    assert one_table(one, other).refusals[0].differ == ("weights",)
    without = entry(1, "z", standing=Standing(TOLD))
    assert one_table(one, without).refusals[0].differ == ("weights",)


def test_what_one_table_leaves_out_is_equal_within_it_alone() -> None:
    rows = [quoted(1, "a", "paper one"), quoted(2, "b", "paper one"), quoted(3, "c", "paper two")]
    table = one_table(*rows)
    assert ranks(table) == {"a": 2, "b": 1, "c": None}
    assert table.refusals[0].untold == ("test_set",)


def test_a_published_figure_that_tells_everything_is_ranked_with_a_measured_one() -> None:
    whole = entry(12, "paper", kind="published", standing=Standing(TOLD, within="paper"))
    assert ranks(one_table(entry(10, "own"), whole)) == {"paper": 1, "own": 2}


def test_a_protocol_of_its_own_parts_a_row_from_its_table() -> None:
    odd = entry(9, "odd", standing=Standing(TOLD, {"protocol": "two films"}, within="paper"))
    table = one_table(entry(1, "own"), odd)
    assert table.refusals[0].differ == ("protocol",)


def test_what_was_measured_here_stands_first_and_shares_have_one_scale() -> None:
    share = entry(0.3, "own", low=0.2, high=None, scale="0-1")
    table = one_table(quoted(40, "paper", "one"), share)
    assert table.scale == "0-100"
    assert [each.system for each in table.entries] == ["own", "paper"]
    row = table.to_dict()["groups"][0]["entries"][0]
    assert (row["value"], row["low"], row["high"]) == (pytest.approx(30), pytest.approx(20), None)


def test_errors_and_shares_of_one_name_are_two_tables() -> None:
    found = tables_of([entry(1), entry(2, scale="errors per report")])
    assert [table.scale for table in found] == ["0-100", "errors per report"]


@settings(deadline=None, max_examples=40)
@given(
    st.lists(
        st.tuples(st.sampled_from("xyz"), st.sampled_from(["1", "2", None]), st.integers(0, 5)),
        min_size=1,
        max_size=12,
    )
)
def test_ranks_are_given_within_equal_keys_and_nowhere_else(
    drawn: list[tuple[str, str | None, int]],
) -> None:
    entries = []
    for place, (within, version, value) in enumerate(drawn):
        told = {**TOLD, "version": version} if version else {**TOLD}
        if version is None:
            del told["version"]
        entries.append(entry(value, str(place), standing=Standing(told, within=within)))
    table = one_table(*entries)
    assert sorted(each.system for each in table.entries) == sorted(map(str, range(len(drawn))))
    for group in table.groups:
        keys = {each.entry.standing.key for each in group.entries}
        assert len(keys) == 1
        held = [(each.entry.value, each.rank) for each in group.entries]
        if len(held) == 1:
            assert held[0][1] is None
        else:
            assert all(r == 1 + sum(o > v for o, _ in held) for v, r in held)
    assert len(table.refusals) == len(table.groups) - 1
    assert all(each.differ or each.untold for each in table.refusals)


@pytest.mark.parametrize(
    ("metric", "measure"),
    [
        ("BLEU-4[sacrebleu-13a-cased]", "BLEU-4"),
        ("chexprompt[offline-rules]-significant-errors", "chexprompt-significant-errors"),
        ("rule14-micro-F1", "rule14-micro-F1"),
        ("odd]name[", "odd]name["),
    ],
)
def test_a_measure_is_a_metric_without_its_profile(metric: str, measure: str) -> None:
    assert measure_of(metric) == measure


def test_thirty_groups_have_thirty_names() -> None:
    many = [entry(1, str(n), standing=Standing({**TOLD, "n": str(n)})) for n in range(30)]
    names = [group.name for group in one_table(*many).groups]
    assert len(set(names)) == 30
    assert names[:2] == ["a", "b"]
    assert names[25:28] == ["z", "aa", "ab"]


def test_a_standing_in_words() -> None:
    parts = standing_parts({**TOLD, "n": "2461", "uncertain_as": "negative"}, {"protocol": "odd"})
    assert parts == [
        "BLEU-4[13a]", "version 1", "uncertain as negative", "mimic_cxr test", "findings",
        "n 2,461", "test set abc", "odd",
    ]  # fmt: skip
    assert standing_parts({"metric": "FID", "dataset": None}, {}) == ["FID"]
    assert reasons(("dataset", "n"), ("test_set",)) == "other dataset, n; not told: test set"
    assert reasons((), ("uncertain_as",)) == "not told: uncertain"


def test_what_is_no_number_stands_last() -> None:
    table = one_table(entry(float("nan"), "none"), entry(0.2, "low"), entry(0.4, "high"))
    [group] = table.groups
    assert [placed.entry.system for placed in group.entries] == ["high", "low", "none"]
