"""10,000 requests against servers that fail in every way they know, under one shared budget.

Four servers at once, each in a process of its own, and one client for each; ledger, cache,
quarantine and budget are shared. Every kind of fault hits 20 % of the tries at its server.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, get_args, get_type_hints

import pytest
from cli_world import Say
from llm_faults_world import audit_lines, report_question, stored_statuses
from llm_world import Limits

from infra.errors import BudgetExceeded
from infra.llm import AnswerStatus, ChatRequest, Client, Endpoint
from infra.llm.ledger import NANO
from infra.llm.quarantine import FINAL_FAILURES, Quarantine
from tasks.reports.offline_faults import SHARE, Faults
from tasks.reports.offline_server import offline_server, server_stats

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200)]

ROWS = 10_000
SHARE_OF_EACH = 0.2
CONCURRENCY = 16
PRICE = '[[price]]\nmodel = "offline-rules"\nsince = 2024-01-01\ninput = 10.0\noutput = 30.0\n'
"""In gpt-4-turbo's sizes, so that money moves: the rules themselves cost nothing."""
SERVERS = (
    Faults(
        latency_s=0.02,
        latency_jitter_s=0.03,
        share_429=SHARE_OF_EACH,
        share_wrong_schema=SHARE_OF_EACH,
        share_refused=SHARE_OF_EACH,
        requests_per_minute=9000.0,
        burst=8.0,
        seed=1,
    ),
    Faults(
        latency_s=0.02,
        share_429=SHARE_OF_EACH,
        retry_after_s=0.05,
        share_500=SHARE_OF_EACH,
        share_truncated_answer=SHARE_OF_EACH,
        share_context_length=SHARE_OF_EACH,
        seed=2,
    ),
    Faults(
        latency_s=0.02,
        share_503=SHARE_OF_EACH,
        share_truncated_body=SHARE_OF_EACH,
        share_content_filter=SHARE_OF_EACH,
        requests_per_minute=9000.0,
        burst=8.0,
        limit_retry_after="exact",
        seed=3,
    ),
    Faults(
        share_reset=SHARE_OF_EACH,
        share_drip=SHARE_OF_EACH,
        drip_s=0.3,
        share_filtered=SHARE_OF_EACH,
        no_schemas=True,
        tokens_per_minute=6_000_000.0,
        token_burst=6_000.0,
        limit_retry_after="whole",
        limit_headers=True,
        seed=4,
    ),
)
WITH_LIMITS = (0, 2, 3)
LIMITS = {"concurrency": CONCURRENCY, "attempts": 20, "asks": 2, "first_wait_s": 0.02}
"""Twenty tries against at most 40 % failing for a time: one row in 10^8 would stay unreached. Two
asks, so that no body is rightly sent twice: the complaint is the same at each further ask."""


def test_no_switch_of_the_server_is_left_out() -> None:
    """A new kind of fault fails here until it is among the servers above."""
    plain = Faults()
    for item in fields(Faults):
        used = {getattr(server, item.name) for server in SERVERS}
        assert used - {getattr(plain, item.name)}, f"{item.name} is switched on nowhere"
        if item.name.startswith(SHARE):
            assert used <= {0.0, SHARE_OF_EACH}
    words = set(get_args(get_type_hints(Faults)["limit_retry_after"]))
    assert {SERVERS[at].limit_retry_after for at in WITH_LIMITS} == words


@dataclass(frozen=True)
class Round:
    """What one pass over all rows came to; ``stats`` are the servers' own, by server."""

    answers: list[Any]
    stopped: int
    stats: list[Counter[str]]
    sent: int
    replayed: int

    @property
    def served(self) -> Counter[str]:
        return sum(self.stats, Counter())


def rows_of(server: int) -> list[ChatRequest]:
    return [report_question(number) for number in range(server, ROWS, len(SERVERS))]


def ask(endpoint: Endpoint, state: Path, server: int, budget_usd: float) -> Any:
    """The answers, None where the budget stopped the call; requests sent and replayed."""
    limits = Limits(**LIMITS, timeout_s=30.0, longest_wait_s=0.2, budget_usd=budget_usd)
    with Client(endpoint, state, limits) as client:
        try:
            answers = client.complete_many(rows_of(server))
        except BudgetExceeded:
            return None, client.usage.sent, client.usage.replayed
        return answers, client.usage.sent, client.usage.replayed


def play(state: Path, servers: tuple[Faults, ...], budget_usd: float) -> Round:
    """All rows once, a quarter at each server, all at the same time."""
    with several(servers) as endpoints, ThreadPoolExecutor(len(servers)) as pool:
        jobs = [
            pool.submit(ask, endpoint, state, at, budget_usd)
            for at, endpoint in enumerate(endpoints)
        ]
        found = [job.result() for job in jobs]
        stats = [server_stats(endpoint) for endpoint in endpoints]
    answers = [answer for given, _, _ in found for answer in given or ()]
    stopped = sum(given is None for given, _, _ in found)
    return Round(
        answers, stopped, stats, sum(sent for _, sent, _ in found), sum(old for *_, old in found)
    )


@contextmanager
def several(servers: tuple[Faults, ...]) -> Iterator[list[Endpoint]]:
    with offline_server(servers[0]) as first:
        if len(servers) == 1:
            yield [first]
            return
        with several(servers[1:]) as others:
            yield [first, *others]


def quarantined(state: Path) -> Counter[str]:
    with closing(Quarantine(state)) as quarantine:
        failures = quarantine.failures()
    assert len({item.request_key for item in failures}) == len(failures)
    return Counter(item.reason for item in failures)


def told(cxr: Say, data: Path) -> dict[str, Any]:
    """``cxr llm status``, which here has one source, task and model."""
    said = cxr("llm", "status", "--data-root", data, "--json")
    assert said.code == 0
    document: dict[str, Any] = json.loads(said.out)
    (document["row"],) = document["work"]
    return document


def bill_usd(served: Counter[str]) -> float:
    """What the servers say that they did, at the price of the table."""
    return (served["prompt_tokens"] * 10.0 + served["completion_tokens"] * 30.0) / 1e6


def assert_every_fault_struck(stats: list[Counter[str]], least: float) -> None:
    """Each server showed each of its faults to about the share of the tries that it should: within
    four standard deviations of that many draws."""
    for at, (faults, counts) in enumerate(zip(SERVERS, stats, strict=True)):
        tried = counts["requests"] - counts["limited"]
        assert tried >= least
        for name, share in faults.shares:
            chance = 4 * math.sqrt(share * (1 - share) / tried)
            assert counts[f"fault_{name}"] / tried == pytest.approx(share, abs=chance), name
        assert (counts["limited"] > 0) == (at in WITH_LIMITS)


def assert_books_agree(found: dict[str, Any], state: Path, served: Counter[str]) -> None:
    """Ledger, quarantine, cache, audit log and the servers tell of the same requests and money."""
    row, failed = found["row"], Counter(found["row"]["failed"])
    assert row["sent"] == row["kept"] + failed.total()
    assert (row["in_flight"], row["lost"], found["reserved_usd"]) == (0, 0, 0.0)
    held = quarantined(state)
    assert held == Counter({why: n for why, n in failed.items() if why in FINAL_FAILURES})
    assert held == Counter(found["quarantine"])
    stored = stored_statuses(state)
    assert stored["ok"] == row["kept"]
    assert found["answers"] + found["answers_in_parquet"] == stored.total()
    lines = audit_lines(state)
    ends = Counter(line["outcome"] for line in lines if line["event"] == "answered")
    assert ends == failed + Counter(ok=row["kept"])
    assert sum(line["event"] == "sent" for line in lines) == row["sent"]
    assert row["input_tokens"] == served["prompt_tokens"]
    assert row["output_tokens"] == served["completion_tokens"]
    assert found["spent_usd"] == pytest.approx(bill_usd(served), abs=served["answered"] / NANO)
    assert served["repeated"] == 0, "no body that had been answered was sent again"


def assert_the_rest_is_asked_once(cxr: Say, data: Path, first: Round, kept: int) -> None:
    """Faults off, budget raised, failures released: what was kept is not sent and not paid."""
    state = data / ".state"
    released = quarantined(state).total()
    assert cxr("llm", "retry", "--data-root", data).out.startswith(f"{released} requests will be")
    second = play(state, tuple(Faults() for _ in SERVERS), 1000.0)
    assert (second.stopped, second.sent, second.replayed) == (0, ROWS - kept, kept)
    assert {answer.status for answer in second.answers} == {AnswerStatus.OK}
    assert second.served["requests"] == second.served["answered"] == ROWS - kept
    assert len({answer.request_hash for answer in second.answers}) == ROWS
    assert stored_statuses(state) == Counter(ok=ROWS)
    assert quarantined(state) == Counter()
    after = told(cxr, data)
    assert after["spent_usd"] == pytest.approx(bill_usd(first.served + second.served), rel=1e-6)
    third = play(state, tuple(Faults() for _ in SERVERS), 1000.0)
    assert (third.sent, third.replayed, third.served["requests"]) == (0, ROWS, 0)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A data root whose price table knows the rules."""
    (tmp_path / ".state").mkdir()
    (tmp_path / ".state" / "llm-prices.toml").write_text(PRICE)
    return tmp_path


def test_with_room_in_the_budget_every_row_is_kept_or_quarantined(data: Path, cxr: Say) -> None:
    state = data / ".state"
    first = play(state, SERVERS, 1000.0)
    assert first.stopped == 0 and len(first.answers) == ROWS
    ends = Counter(str(answer.status) for answer in first.answers)
    assert set(ends) == {"ok", *FINAL_FAILURES}, "every way to end, and nothing unreached"
    assert len({answer.request_hash for answer in first.answers}) == ROWS
    assert all((item.value is None) == (item.status != "ok") for item in first.answers)
    assert_every_fault_struck(first.stats, least=ROWS / len(SERVERS))
    found = told(cxr, data)
    assert Counter(found["row"]["failed"]) + Counter(ok=found["row"]["kept"]) == ends
    assert_books_agree(found, state, first.served)
    assert_the_rest_is_asked_once(cxr, data, first, ends["ok"])


def test_a_budget_that_binds_is_passed_by_no_more_than_what_is_in_flight(
    data: Path, cxr: Say
) -> None:
    state, limit = data / ".state", 20.0
    first = play(state, SERVERS, limit)
    assert first.stopped == len(SERVERS), "one budget stops all of them"
    # how the servers share the money depends on the machine: a slow one is reached less
    assert_every_fault_struck(first.stats, least=100)
    found = told(cxr, data)
    assert_books_agree(found, state, first.served)
    row = found["row"]
    assert set(row["failed"]) == {*FINAL_FAILURES, "over-budget"}
    assert 0 < row["kept"] < row["sent"] < ROWS, "some were never sent"
    in_flight = CONCURRENCY * len(SERVERS)
    dearest = 2 * bill_usd(first.served) / first.served["answered"]
    assert 0.95 * limit < bill_usd(first.served) <= limit + in_flight * dearest
    assert_the_rest_is_asked_once(cxr, data, first, row["kept"])
