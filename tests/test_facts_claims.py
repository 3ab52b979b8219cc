"""What was asked of language models: each request of the ledger in one run's facts, after all."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from infra.facts.claims import CLAIM_FILE, claim_requests
from infra.facts.files import read_facts
from infra.facts.open_runs import OPEN, beat, find_open, notes_of, settle
from infra.llm.ledger import COST, NANO, REFUSED_429, REPLAYED, RETRIED, SENT, Ledger, Work
from infra.llm.status import read_status
from infra.store import Store
from tests.facts_world import house
from tests.test_facts_open_runs import started

WORK = Work("mimic_cxr", "structure", "gpt-4")
OTHER = Work("padchest", "translate", "gpt-4")


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return house(tmp_path)


@pytest.fixture
def ledger(store: Store) -> Iterator[Ledger]:
    opened = Ledger(store.state)
    yield opened
    opened.close()


def ask(ledger: Ledger, work: Work, kept: int, **more: int) -> None:
    """So many requests were sent and kept."""
    ledger.add(work, **{SENT: kept, "ok": kept, **more})
    ledger.flush()


def key(store: Store, run_id: str = "run") -> str:
    found = find_open(store, run_id)
    assert found is not None
    return found


def claimed(store: Store, run_id: str) -> list[tuple[str, int, float]]:
    return [
        (row["source"], row["requests"], row["cost_usd"])
        for row in notes_of(store, key(store, run_id))["llm"]
    ]


def test_a_run_claims_what_grew_since_the_last_claim(store: Store, ledger: Ledger) -> None:
    started(store, "first")
    assert claim_requests(store, key(store, "first")) == 0
    ask(ledger, WORK, 3, input_tokens=30, output_tokens=9, **{COST: NANO // 2, REPLAYED: 1})
    ledger.add(WORK, **{SENT: 1, "refused": 1, RETRIED: 4, REFUSED_429: 2, "unpriced": 1})
    ledger.flush()
    assert claim_requests(store, key(store, "first")) == 1
    [row] = notes_of(store, key(store, "first"))["llm"]
    assert {name: row[name] for name in list(row)[3:]} == {
        "task": "structure",
        "model": "gpt-4",
        "requests": 4,
        "kept": 3,
        "failed": 1,
        "cached": 1,
        "retried": 4,
        "rate_limited": 2,
        "input_tokens": 30,
        "output_tokens": 9,
        "cost_usd": 0.5,
        "unpriced": 1,
    }
    assert claim_requests(store, key(store, "first")) == 0
    started(store, "second")
    ask(ledger, OTHER, 2)
    assert claim_requests(store, key(store, "second")) == 1
    assert claimed(store, "second") == [("padchest", 2, 0.0)]


def test_requests_in_flight_are_claimed_when_they_end(store: Store, ledger: Ledger) -> None:
    started(store)
    ledger.add(WORK, **{SENT: 5})
    ledger.move(WORK, 5)
    ledger.flush()
    assert claim_requests(store, key(store, "run")) == 0
    ledger.add(WORK, ok=5)
    ledger.move(WORK, -5)
    ledger.flush()
    assert claim_requests(store, key(store, "run")) == 1
    assert claimed(store, "run") == [("mimic_cxr", 5, 0.0)]


def test_a_claim_that_was_cut_off_before_its_note_counts_for_nothing(
    store: Store, ledger: Ledger
) -> None:
    started(store)
    ask(ledger, WORK, 3)
    claim_requests(store, key(store, "run"))
    claim = json.loads((store.state / CLAIM_FILE).read_text())
    store.remove(f"{OPEN}/{key(store)}/{claim['note']}.json")
    ask(ledger, WORK, 2)
    claim_requests(store, key(store, "run"))
    assert claimed(store, "run") == [("mimic_cxr", 5, 0.0)]


def test_a_settled_run_has_had_its_notes(store: Store, ledger: Ledger) -> None:
    opened = started(store)
    ask(ledger, WORK, 3)
    claim_requests(store, key(store, "run"))
    settle(store, beat(store, opened, ("completed", "")), anew=True)
    started(store, "next")
    ask(ledger, WORK, 1)
    claim_requests(store, key(store, "next"))
    assert claimed(store, "next") == [("mimic_cxr", 1, 0.0)]
    assert [row["requests"] for row in read_facts(store, "llm")] == [3]


def test_a_ledger_that_was_removed_begins_anew(store: Store) -> None:
    started(store)
    first = Ledger(store.state)
    ask(first, WORK, 9)
    first.close()
    claim_requests(store, key(store, "run"))
    for path in store.state.glob("llm-ledger.sqlite*"):
        path.unlink()
    second = Ledger(store.state)
    ask(second, WORK, 4)
    second.close()
    claim_requests(store, key(store, "run"))
    assert sorted(claimed(store, "run")) == [("mimic_cxr", 4, 0.0), ("mimic_cxr", 9, 0.0)]


@settings(
    max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    asked=st.lists(
        st.tuples(
            st.sampled_from(["a", "b", "c"]),
            st.integers(0, 5),
            st.integers(0, 10**9),
            st.booleans(),
        ),
        min_size=1,
        max_size=12,
    )
)
def test_whoever_claims_and_whenever_the_sums_are_the_ledgers(
    tmp_path_factory: pytest.TempPathFactory, asked: list[tuple[str, int, int, bool]]
) -> None:
    """Of three runs at once, some of which end on the way, each may claim what others asked."""
    store = house(tmp_path_factory.mktemp("claims"))
    opened = {name: started(store, name) for name in "abc"}
    ledger = Ledger(store.state)
    for name, kept, nano, ends in asked:
        ask(ledger, WORK, kept, **{COST: nano})
        if name in opened:
            claim_requests(store, key(store, name))
            if ends:
                settle(store, beat(store, opened.pop(name), ("completed", "")), anew=True)
    started(store, "last")
    claim_requests(store, key(store, "last"))
    ledger.close()
    rows = [*read_facts(store, "llm"), *notes_of(store, key(store, "last"))["llm"]]
    rows += [row for name in opened for row in notes_of(store, key(store, name))["llm"]]
    total = read_status(store.state).work
    assert sum(row["requests"] for row in rows) == sum(work.kept for work in total)
    assert sum(row["cost_usd"] for row in rows) == pytest.approx(
        sum(work.cost_usd for work in total), abs=1e-9
    )
