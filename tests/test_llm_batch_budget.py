"""Batches and money: reserved before the upload, counted reply by reply, never past the budget."""

from __future__ import annotations

import threading
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from batch_world import PRICES, ask, process, rule, run_batch, told, wait_until
from llm_faults_world import report_question
from llm_world import QUICK

from infra.errors import BudgetExceeded
from infra.llm import Client
from infra.llm.audit import AUDIT_FILE
from infra.llm.batch_state import BatchState
from infra.llm.status import Status, WorkCounts, read_status
from tasks.reports.offline_faults import BatchFaults, Faults
from tasks.reports.offline_server import offline_server, server_stats


def priced(state: Path) -> Path:
    (state / "llm-prices.toml").write_text(PRICES)
    return state


def one_row(status: Status) -> WorkCounts:
    (row,) = status.work
    return row


def test_a_batch_that_may_cost_more_than_is_left_is_not_uploaded(tmp_path: Path) -> None:
    limits = replace(QUICK, budget_usd=0.01)
    with offline_server() as endpoint:
        with (
            Client(endpoint, priced(tmp_path), limits, rule()) as client,
            pytest.raises(BudgetExceeded, match="is used up"),
        ):
            client.complete_many([report_question(number) for number in range(40)])
        stats = server_stats(endpoint)
        with closing(BatchState(tmp_path, f"{endpoint.host}@{endpoint.rules}")) as state:
            keys = [report_question(number).identity() for number in range(40)]
            assert state.open_jobs(keys) == []
    assert (stats["uploads"], stats["requests"]) == (0, 0)
    assert (tmp_path / AUDIT_FILE).read_text() == ""
    status = read_status(tmp_path, 0.01)
    assert (status.spent_usd, status.reserved_usd) == (0.0, 0.0)
    assert all((row.sent, row.in_flight, row.lost) == (0, 0, 0) for row in status.work)


def test_what_a_batch_costs_is_counted_at_its_discount(tmp_path: Path) -> None:
    limits = replace(QUICK, budget_usd=100.0)
    with (
        offline_server() as endpoint,
        Client(endpoint, priced(tmp_path), limits, rule()) as client,
    ):
        answers = client.complete_many([report_question(number) for number in range(40)])
        paid = sum(answer.cost_usd or 0.0 for answer in answers)
        status = read_status(tmp_path, 100.0)
    row = one_row(status)
    assert (row.sent, row.kept, row.failed, row.in_flight, row.lost) == (40, 40, {}, 0, 0)
    assert row.input_tokens == sum(answer.input_tokens for answer in answers)
    assert status.spent_usd == pytest.approx(paid) and paid > 0
    assert status.reserved_usd == 0.0


@pytest.mark.parametrize(
    ("batch_faults", "faults"),
    [
        (BatchFaults(expired_batches=1), Faults()),
        (BatchFaults(lines_500=0.2, lines_damaged=0.2), Faults()),
        (BatchFaults(failed_batches=1), Faults()),
        (BatchFaults(), Faults(share_refused=0.2, share_truncated_answer=0.2)),
        (BatchFaults(), Faults(share_wrong_schema=0.2, share_context_length=0.2)),
    ],
)
def test_counts_add_up_whatever_goes_wrong(
    tmp_path: Path, batch_faults: BatchFaults, faults: Faults
) -> None:
    answers, client, _ = run_batch(priced(tmp_path), batch_faults, rule(), faults)
    status = read_status(tmp_path)
    row = one_row(status)
    ends = [str(answer.status) for answer in answers]
    assert (row.sent, row.lost, row.in_flight) == (60, 0, 0)
    assert row.kept == ends.count("ok")
    assert dict(row.failed) == {end: ends.count(end) for end in set(ends) - {"ok"}}
    assert dict(status.quarantine) == dict(row.failed)
    assert status.spent_usd == pytest.approx(client.usage.cost_usd)


def test_a_batch_under_way_is_in_flight_and_its_cost_reserved(tmp_path: Path) -> None:
    seen: list[Any] = []
    how, limits = rule(), replace(QUICK, budget_usd=100.0)
    with (
        offline_server(None, BatchFaults(running_s=2.0)) as endpoint,
        Client(endpoint, priced(tmp_path), limits, how) as client,
    ):
        questions = [report_question(number) for number in range(40)]
        thread = threading.Thread(target=lambda: seen.append(client.complete_many(questions)))
        thread.start()
        wait_until(lambda: server_stats(endpoint)["polls"] > 20)
        status = read_status(tmp_path, 100.0)
        thread.join()
        after = read_status(tmp_path, 100.0)
    row = one_row(status)
    assert (row.sent, row.in_flight, row.kept, row.lost) == (40, 40, 0, 0)
    assert status.reserved_usd > after.spent_usd > 0
    assert after.reserved_usd == 0.0


@pytest.mark.slow
def test_a_killed_process_s_batch_is_counted_once(tmp_path: Path) -> None:
    with offline_server(None, BatchFaults(running_s=1.0)) as endpoint:
        child = process(endpoint, priced(tmp_path), rule(), 0, 40)
        wait_until(lambda: server_stats(endpoint)["polls"] > 0)
        child.kill()
        child.communicate()
        told(process(endpoint, tmp_path, rule(), 0, 40))
    row = one_row(read_status(tmp_path))
    assert row.kept == 40 and row.in_flight == 0
    assert row.sent - row.lost == 40  # what the killed process had in flight counts as lost
    assert row.cost_usd > 0


def test_money_spent_in_batches_leaves_less_for_plain_requests(tmp_path: Path) -> None:
    with offline_server() as endpoint:
        _, client = ask(endpoint, priced(tmp_path), range(40), rule())
        spent = client.usage.cost_usd
        limits = replace(QUICK, budget_usd=spent + 1e-9)
        with (
            Client(endpoint, tmp_path, limits, rule("off")) as later,
            pytest.raises(BudgetExceeded),
        ):
            later.complete_many([report_question(number) for number in range(50, 60)])
        assert server_stats(endpoint)["requests"] == 0
