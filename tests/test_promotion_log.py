"""The log of promotions by itself: which entries hold, whoever wrote them and in whatever order."""

from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st

from infra.promotion_log import NOBODY, Entry, Kind, read_log


def entry(number: int, kind: Kind, version: int, expected: int, key: str = "") -> Entry:
    return Entry(number, key or f"k{number}", kind, version, expected, "ana@here", "2026-01-01")


def test_a_log_without_entries_has_no_champion() -> None:
    history = read_log([])
    assert (history.champion, history.earlier, history.last) == (NOBODY, (), None)


def test_each_promotion_follows_the_one_before() -> None:
    history = read_log([entry(1, "promote", 1, 0), entry(2, "promote", 2, 1)])
    assert (history.champion, history.earlier) == (2, (1,))
    assert [one.number for one in history.held] == [1, 2]


def test_of_two_judged_against_one_champion_the_first_holds() -> None:
    history = read_log(
        [entry(1, "promote", 1, 0), entry(2, "promote", 2, 1), entry(3, "promote", 3, 1)]
    )
    assert history.champion == 2
    assert history.holds("k2") and not history.holds("k3")
    replaced = history.after(1)
    assert replaced is not None
    assert replaced.version == 2


def test_a_promotion_of_the_champion_itself_holds_nothing() -> None:
    assert len(read_log([entry(1, "promote", 1, 0), entry(2, "promote", 1, 1)]).held) == 1


def test_an_entry_written_twice_counts_once() -> None:
    twice = [entry(1, "promote", 1, 0), entry(2, "promote", 2, 1, "same")]
    history = read_log([*twice, entry(3, "promote", 2, 1, "same")])
    assert [one.number for one in history.held] == [1, 2]


def test_rollbacks_go_back_one_by_one() -> None:
    log = [entry(n, "promote", n, n - 1) for n in (1, 2, 3)]
    log += [entry(4, "rollback", 2, 3)]
    assert read_log(log).champion == 2
    assert read_log(log).earlier == (1,), "what was rolled back is no place to go back to"
    assert read_log([*log, entry(5, "rollback", 1, 2)]).champion == 1


def test_a_rollback_to_what_was_never_champion_holds_nothing() -> None:
    log = [entry(1, "promote", 1, 0), entry(2, "promote", 2, 1), entry(3, "rollback", 7, 2)]
    assert read_log(log).champion == 2


def test_two_rollbacks_at_once_go_back_once() -> None:
    log = [entry(n, "promote", n, n - 1) for n in (1, 2, 3)]
    history = read_log([*log, entry(4, "rollback", 2, 3), entry(5, "rollback", 2, 3)])
    assert (history.champion, len(history.held)) == (2, 4)


def test_after_the_alias_was_taken_away_a_rollback_brings_the_champion_back() -> None:
    log = [entry(1, "promote", 5, 0), entry(2, "outside", NOBODY, 5)]
    assert (read_log(log).champion, read_log(log).earlier) == (NOBODY, (5,))
    assert read_log([*log, entry(3, "rollback", 5, NOBODY)]).champion == 5


def test_deleted_entries_are_told() -> None:
    assert read_log([entry(1, "promote", 1, 0), entry(4, "promote", 2, 1)]).missing == (2, 3)


ENTRIES = st.lists(
    st.tuples(
        st.sampled_from(["promote", "rollback", "outside"]),
        st.integers(0, 4),
        st.integers(0, 4),
    ),
    max_size=30,
).map(lambda rows: [entry(n, *row) for n, row in enumerate(rows, start=1)])


@given(ENTRIES, st.integers(0, 1000))
def test_all_readers_agree_in_whatever_order_they_are_told(log: list[Entry], seed: int) -> None:
    mixed = list(log)
    random.Random(seed).shuffle(mixed)
    assert read_log(mixed) == read_log(log)


@given(ENTRIES)
def test_what_is_written_later_changes_nothing_of_what_held(log: list[Entry]) -> None:
    for size in range(len(log)):
        earlier = read_log(log[:size]).held
        assert read_log(log).held[: len(earlier)] == earlier


@given(ENTRIES)
def test_held_entries_are_a_chain_of_champions(log: list[Entry]) -> None:
    champion = NOBODY
    history = read_log(log)
    for one in history.held:
        assert one.expected == champion != one.version
        champion = one.version
    assert history.champion == champion
    assert champion not in history.earlier


@given(ENTRIES, st.integers(0, 4), st.integers(0, 4))
def test_of_any_two_promoters_who_saw_the_same_at_most_one_wins(
    log: list[Entry], first: int, second: int
) -> None:
    champion, number = read_log(log).champion, len(log)
    both = [
        entry(number + 1, "promote", first, champion, "first"),
        entry(number + 2, "promote", second, champion, "second"),
    ]
    history = read_log([*log, *both])
    won = [history.holds("first"), history.holds("second")]
    assert sum(won) == int(first != champion or second != champion)
