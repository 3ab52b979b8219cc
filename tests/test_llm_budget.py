"""The budget: a hard stop that all processes of a data root share."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from llm_world import GOOD, QUICK, Script, completion, question, scripted_server
from test_llm_ledger import WORK, holder, kill

from infra.errors import BudgetExceeded, LanguageModelError, SettingsError
from infra.llm import AnswerStatus, Client, raise_unreached
from infra.llm.audit import AUDIT_FILE
from infra.llm.budget import ENOUGH_ASKS, Budget, count_characters, dollars, in_nano
from infra.llm.ledger import NANO, Ledger, money
from infra.llm.prices import load_prices
from infra.llm.status import read_status

PRICE = '[[price]]\nmodel = "scripted"\nsince = 2024-01-01\ninput = 1000.0\noutput = 10000.0\n'
"""A request of the scripted server takes 11 and 5 tokens: 0.011 + 0.05 dollars."""
EACH = 0.061


def priced(state: Path) -> Path:
    state.mkdir(exist_ok=True)
    (state / "llm-prices.toml").write_text(PRICE)
    return state


@contextmanager
def budget(state: Path, limit: float | None) -> Iterator[tuple[Ledger, Budget]]:
    ledger = Ledger(priced(state))
    with closing(ledger):
        yield ledger, Budget(ledger, load_prices(state), limit)


def ask(state: Path, count: int, limit: float, script: Script, **limits: Any) -> list[Any]:
    chosen = replace(QUICK, budget_usd=limit, **limits)
    with scripted_server(script) as endpoint, Client(endpoint, state, chosen) as client:
        return client.complete_many(
            [question(f"text {number}", max_output_tokens=5) for number in range(count)]
        )


def test_an_estimate_starts_with_characters_and_ends_with_what_was_observed(
    tmp_path: Path,
) -> None:
    request = question("x" * 4000)
    characters = count_characters(request, request.messages)
    assert characters > 4000, "the schema goes out too"
    with budget(tmp_path, 1.0) as (ledger, guard):
        tokens = -(-characters // 4)
        assert guard.estimate(request, request.messages) == in_nano(tokens * 1e-3 + 50 * 1e-2)
        seen = {"input_characters": 4000, "input_tokens": 500, "output_tokens": 10}
        ledger.add(WORK, asks=ENOUGH_ASKS, **{k: v * ENOUGH_ASKS for k, v in seen.items()})
        observed = -(-characters // 8) * 1e-3 + 15 * 1e-2
        assert guard.estimate(request, request.messages) == in_nano(observed)
        ledger.add(WORK, output_tokens=10**6)
        most = -(-characters // 8) * 1e-3 + 50 * 1e-2
        assert guard.estimate(request, request.messages) == in_nano(most)


def test_without_a_budget_nothing_is_reserved(tmp_path: Path) -> None:
    with budget(tmp_path, None) as (ledger, guard):
        assert guard.estimate(question("a"), question("a").messages) == 0
        assert guard.reserve(10**18)
        with ledger.transaction() as run:
            assert money(run) == (0, 0)
        guard.require_prices(["nobody-knows-it"])


def test_spent_and_reserved_never_pass_the_limit(tmp_path: Path) -> None:
    with budget(tmp_path, 1.0) as (ledger, guard):
        assert guard.reserve(6 * NANO // 10)
        assert not guard.reserve(5 * NANO // 10), "wait for the first to settle"
        assert guard.reserve(4 * NANO // 10)
        guard.settle(6 * NANO // 10, WORK, 7 * NANO // 10)
        with ledger.transaction() as run:
            assert money(run) == (7 * NANO // 10, 4 * NANO // 10)
        with pytest.raises(BudgetExceeded) as caught:
            guard.reserve(4 * NANO // 10)
    assert str(caught.value) == (
        "the budget of $1.0000 for language models is used up: $0.7000 spent and $0.4000 in "
        "flight, the next request may cost $0.4000; what was answered is kept and costs nothing "
        "again: raise CXR_LLM_BUDGET_USD and run it again"
    )
    assert isinstance(caught.value, LanguageModelError)


def test_what_costs_nothing_is_asked_beyond_the_limit(tmp_path: Path) -> None:
    with budget(tmp_path, 1.0) as (_, guard):
        guard.settle(0, WORK, 2 * NANO)
        assert guard.reserve(0)
        with pytest.raises(BudgetExceeded):
            guard.reserve(1)


def test_a_model_without_a_price_cannot_be_guarded(tmp_path: Path) -> None:
    script = Script(lambda *_: (200, GOOD))
    with pytest.raises(SettingsError) as caught:
        ask(tmp_path, 1, 1.0, script)
    assert str(caught.value) == (
        "found a budget for model 'scripted', whose price is not known; expected a price for every "
        "model that is asked; add it to llm-prices.toml in the state folder (see 'cxr llm prices'),"
        " or unset CXR_LLM_BUDGET_USD"
    )
    assert script.bodies == []
    assert not (tmp_path / AUDIT_FILE).read_text()


def test_the_client_stops_at_the_budget_and_keeps_what_was_paid(tmp_path: Path) -> None:
    script, state = Script(lambda *_: (200, GOOD)), priced(tmp_path)
    limit = 10 * EACH
    with pytest.raises(BudgetExceeded):
        ask(state, 40, limit, script)
    paid = len(script.bodies)
    assert 2 <= paid <= 10
    assert read_status(state).spent_usd == pytest.approx(paid * EACH)
    found = read_status(state, limit)
    assert found.reserved_usd == 0.0
    assert found.left_usd == pytest.approx(limit - paid * EACH)
    (row,) = found.work
    assert row.sent == row.kept + sum(row.failed.values())
    assert row.sent == paid and not any(row.failed.values())
    ask(state, 40, 1000.0, script)
    assert len(script.bodies) == 40, "nothing that was paid is paid again"


def test_what_the_budget_holds_back_never_left_and_is_in_no_book(tmp_path: Path) -> None:
    script = Script(lambda *_: (200, GOOD))
    with pytest.raises(BudgetExceeded):
        ask(priced(tmp_path), 3, 0.01, script)
    assert script.bodies == []
    assert not (tmp_path / AUDIT_FILE).read_text()
    assert read_status(tmp_path).work == ()


def test_refusals_and_unfit_answers_are_spent_too(tmp_path: Path) -> None:
    answers = [completion(None, refusal="No."), *[completion("no shape")] * QUICK.asks]
    script = Script(lambda index, _: (200, answers[index]))
    first = ask(priced(tmp_path), 2, 100.0, script, concurrency=1)
    assert [item.status for item in first] == [AnswerStatus.REFUSED, AnswerStatus.INVALID]
    assert len(script.bodies) == 1 + QUICK.asks
    assert read_status(tmp_path).spent_usd == pytest.approx(EACH * (1 + QUICK.asks))


def test_a_failed_exchange_costs_nothing_and_gives_its_reservation_back(tmp_path: Path) -> None:
    script = Script(lambda *_: (500, {"error": {}}))
    answers = ask(priced(tmp_path), 4, 100.0, script)
    with pytest.raises(LanguageModelError):
        raise_unreached(answers)
    found = read_status(tmp_path)
    assert (found.spent_usd, found.reserved_usd) == (0.0, 0.0)


def test_small_room_is_waited_for_not_an_error(tmp_path: Path) -> None:
    """Reservations are larger than bills: requests go one after the other, and all are asked."""
    script, state = Script(lambda *_: (200, GOOD)), priced(tmp_path)
    with budget(tmp_path, 1.0) as (_, guard):
        request = question("text 1", max_output_tokens=5)
        each = guard.estimate(request, request.messages) / NANO
    assert each > EACH
    assert len(ask(state, 6, 5 * EACH + each + 1e-6, script)) == 6
    assert len(script.bodies) == 6


_ASKER = """
import sys
from dataclasses import replace
from pathlib import Path
sys.path.insert(0, sys.argv[4])
from llm_world import QUICK, question
from pydantic import SecretStr
from infra.errors import BudgetExceeded
from infra.llm import Client, Endpoint
limits = replace(QUICK, budget_usd=float(sys.argv[3]))
with Client(Endpoint(sys.argv[1], SecretStr("k")), Path(sys.argv[2]), limits) as client:
    client.complete_many([question(f"{sys.argv[5]} first", max_output_tokens=5)])
    print("ready", flush=True)
    sys.stdin.readline()
    try:
        name = sys.argv[5]
        client.complete_many([question(f"{name} {i}", max_output_tokens=5) for i in range(60)])
    except BudgetExceeded:
        print("stopped")
"""


def test_two_processes_share_one_budget(tmp_path: Path) -> None:
    script, state, limit = Script(lambda *_: (200, GOOD)), priced(tmp_path / "state"), 30 * EACH
    tests = str(Path(__file__).parent)
    with scripted_server(script) as endpoint:
        command = [sys.executable, "-c", _ASKER, endpoint.base_url, str(state), str(limit), tests]
        children = [
            subprocess.Popen(
                [*command, name], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
            )
            for name in "ab"
        ]
        for child in children:
            assert child.stdout is not None
            assert child.stdout.readline() == "ready\n"
        for child in children:
            assert child.stdin is not None
            child.stdin.write("go\n")
            child.stdin.flush()
        said = [child.communicate(timeout=120)[0] for child in children]
    assert said == ["stopped\n"] * 2
    paid = len(script.bodies)
    found = read_status(state, limit)
    assert found.spent_usd == pytest.approx(paid * EACH)
    assert found.spent_usd <= limit
    assert paid >= 15, "most of the budget was used"
    assert {body["messages"][0]["content"][0] for body in script.bodies} == {"a", "b"}
    assert found.reserved_usd == 0.0


def test_a_killed_process_leaves_no_reservation(tmp_path: Path) -> None:
    state = priced(tmp_path)
    child = holder(state)
    with budget(state, 600 / NANO) as (ledger, guard):
        assert not guard.reserve(300), "500 of 600 are reserved and 7 are spent"
        kill(child)
        assert guard.reserve(300)
        with ledger.transaction() as run:
            assert money(run) == (7, 300)


@pytest.mark.parametrize(
    ("usd", "nano"), [(0.0, 0), (1e-9, 1), (1.5e-7, 150), (0.1 + 0.2, 300_000_000), (1e-10, 1)]
)
def test_dollars_become_whole_billionths_rounded_up(usd: float, nano: int) -> None:
    assert in_nano(usd) == nano


def test_money_is_shown_with_what_matters() -> None:
    assert dollars(12_345 * NANO) == "$12,345.00"
    assert dollars(1_234_567) == "$0.0012"


def test_the_day_of_the_price_is_today(tmp_path: Path) -> None:
    tomorrow = PRICE.replace("2024-01-01", str(datetime.now(UTC).year + 1) + "-01-01")
    (tmp_path / "llm-prices.toml").write_text(tomorrow)
    with closing(Ledger(tmp_path)) as ledger, pytest.raises(SettingsError):
        Budget(ledger, load_prices(tmp_path), 1.0).require_prices(["scripted"])
