"""The quota: how near it comes to a server's limits in simulated time, and its file."""

from __future__ import annotations

import math
import multiprocessing
import os
import time
from pathlib import Path

import pytest
from quota_world import START, Plan, Simulation

from infra.llm.quota import QUOTA_FOLDER, KnownLimits, Leave, Quota, read_quotas
from infra.llm.quota_state import STALE_S

UNKNOWN = {
    "no-retry-after": Plan(),
    "retry-after": Plan(retry_after_s=1.0),
    "short-retry-after": Plan(retry_after_s=0.02),
    "quick-refusals": Plan(refusal_s=0.005),
    "quick-refusals-with-retry-after": Plan(refusal_s=0.005, retry_after_s=1.0),
    "slow-answers": Plan(latency_s=1.0),
    "quick-answers": Plan(latency_s=0.05),
    "small-bucket": Plan(burst=5.0),
    "small-bucket-with-retry-after": Plan(burst=5.0, retry_after_s=1.0),
    "large-bucket": Plan(burst=200.0),
    "slow-server": Plan(300, rate=5.0, burst=5.0),
    "slow-server-with-retry-after": Plan(300, rate=5.0, burst=5.0, retry_after_s=1.0),
    "quick-server": Plan(6000, rate=300.0, burst=300.0, concurrency=200),
    "quick-server-with-retry-after": Plan(
        6000, rate=300.0, burst=300.0, concurrency=200, retry_after_s=1.0
    ),
    "two-processes": Plan(processes=2),
    "four-processes-with-retry-after": Plan(processes=4, retry_after_s=1.0),
}


@pytest.mark.parametrize("name", UNKNOWN)
def test_an_unknown_limit_is_nearly_used_up_and_seldom_passed(name: str, tmp_path: Path) -> None:
    plan = UNKNOWN[name]
    result = Simulation(plan, tmp_path).run()
    assert result.served == plan.requests
    assert plan.ideal_s() / result.seconds >= 0.93
    assert result.refused_late / result.sent_late < 0.05


@pytest.mark.parametrize("share", [0.02, 0.1, 0.3])
def test_refusals_that_no_pace_would_spare_do_not_slow_it_down_for_ever(
    share: float, tmp_path: Path
) -> None:
    plan = Plan(20_000, rate=1e9, burst=1e9, refused_anyway=share)
    result = Simulation(plan, tmp_path).run()
    fastest_s = plan.requests / (1 - share) * plan.latency_s / plan.concurrency
    assert fastest_s / result.seconds >= 0.6


def test_a_known_limit_is_hardly_ever_passed(tmp_path: Path) -> None:
    plan = Plan(known=KnownLimits(requests_per_minute=3000))
    result = Simulation(plan, tmp_path).run()
    assert plan.ideal_s() / result.seconds >= 0.99
    assert result.refused <= 3


def test_a_stated_limit_that_others_share_is_found_out(tmp_path: Path) -> None:
    plan = Plan(rate=25.0, burst=25.0, known=KnownLimits(requests_per_minute=3000))
    result = Simulation(plan, tmp_path).run()
    assert plan.ideal_s() / result.seconds >= 0.93
    assert result.refused_late / result.sent_late < 0.05


@pytest.mark.parametrize(("known", "least"), [(200_000.0, 0.9), (None, 0.75)])
def test_tokens_per_minute(known: float | None, least: float, tmp_path: Path) -> None:
    rate = 200_000 / 60
    plan = Plan(
        150,
        rate=rate,
        burst=rate,
        latency_s=5.0,
        tokens=(900.0, 1500.0),
        known=KnownLimits(tokens_per_minute=known),
    )
    assert plan.ideal_s() / Simulation(plan, tmp_path).run().seconds >= least


def test_a_limit_that_was_raised_is_noticed(tmp_path: Path) -> None:
    simulation = Simulation(Plan(6000), tmp_path)
    simulation.push(30.0, "raise_limit")
    raised_at = [0]

    def raise_limit() -> None:
        simulation.bucket.rate, raised_at[0] = 100.0, simulation.served

    simulation.raise_limit = raise_limit  # type: ignore[attr-defined]
    result = simulation.run()
    assert (6000 - raised_at[0]) / (result.seconds - 30) >= 65.0


def test_a_small_job_is_not_kept_waiting_by_another_process(tmp_path: Path) -> None:
    simulation = Simulation(Plan(1500, processes=2), tmp_path)
    small = simulation.waiting[1]
    while len(small) > 100:
        simulation.waiting[0].append(small.popleft())
    ended_at = [0.0]
    serve = simulation.serve

    def watch(number: int, leave: Leave, size: float) -> None:
        serve(number, leave, size)
        if number == 1:
            ended_at[0] = simulation.now

    simulation.serve = watch  # type: ignore[method-assign]
    result = simulation.run()
    assert result.served == 1500
    assert ended_at[0] - START < 0.5 * result.seconds


class Clock:
    """Time that a test moves."""

    def __init__(self) -> None:
        self.now = 1_000_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def taken(quota: Quota, tokens: float = 1.0) -> Leave:
    leave = quota.take(tokens)
    assert isinstance(leave, Leave)
    return leave


def test_a_retry_after_holds_everybody_while_the_rate_is_a_guess(
    tmp_path: Path, clock: Clock
) -> None:
    quota, other = Quota(tmp_path, "m", clock=clock), Quota(tmp_path, "m", clock=clock)
    quota.refuse(taken(quota), 7.0)
    assert other.take(1.0) == pytest.approx(7.0)
    clock.now += 8.0
    taken(other)


def test_a_long_retry_after_always_holds_everybody(tmp_path: Path, clock: Clock) -> None:
    quota = Quota(tmp_path, "m", KnownLimits(600.0), clock)
    leave = taken(quota)
    quota.refuse(leave, 5.0)
    assert quota.take(1.0) < 5.0 or isinstance(quota.take(1.0), Leave)
    quota.refuse(leave, 60.0)
    assert quota.take(1.0) == pytest.approx(60.0)


def test_tokens_are_reserved_and_settled(tmp_path: Path, clock: Clock) -> None:
    quota = Quota(tmp_path, "m", KnownLimits(tokens_per_minute=6000.0), clock)
    leave = taken(quota, 100.0)
    assert quota.take(50.0) == pytest.approx(0.5, rel=1e-3)
    quota.settle(leave, 20.0)
    taken(quota, 50.0)


def test_a_request_larger_than_the_bucket_waits_for_a_full_one_and_leaves_a_debt(
    tmp_path: Path, clock: Clock
) -> None:
    quota = Quota(tmp_path, "m", KnownLimits(tokens_per_minute=6000.0), clock)
    taken(quota, 250.0)
    assert quota.take(100.0) == pytest.approx(2.5, rel=1e-3)
    clock.now += 2.6
    taken(quota, 100.0)


def test_limits_that_the_server_states_are_taken_over_and_settings_win(
    tmp_path: Path, clock: Clock
) -> None:
    told = KnownLimits(requests_per_minute=60.0, tokens_per_minute=60_000.0)
    quota = Quota(tmp_path, "m", clock=clock)
    quota.learn(told)
    taken(quota)
    assert quota.take(1.0) == pytest.approx(1.0)
    set_by_hand = Quota(tmp_path, "n", KnownLimits(requests_per_minute=120.0), clock)
    set_by_hand.learn(told)
    assert set_by_hand.snapshot()["rate"] == pytest.approx(2.0)
    assert set_by_hand.snapshot()["token_rate"] == pytest.approx(1000.0)


@pytest.mark.parametrize("step", [-3600.0, 7200.0])
def test_a_clock_that_leaps_starts_the_search_anew(
    step: float, tmp_path: Path, clock: Clock
) -> None:
    quota = Quota(tmp_path, "m", clock=clock)
    quota.refuse(taken(quota), 500.0)
    clock.now += step
    taken(quota)
    assert math.isinf(quota.snapshot()["rate"])
    assert quota.snapshot()["sent"] == 2.0


@pytest.mark.parametrize("content", [b"", b"short", os.urandom(4096), b"cxrquot1" + b"\xff" * 200])
def test_a_damaged_file_is_a_new_one(content: bytes, tmp_path: Path, clock: Clock) -> None:
    Quota(tmp_path, "m", clock=clock).close()
    (path,) = (tmp_path / QUOTA_FOLDER).iterdir()
    path.write_bytes(content)
    quota = Quota(tmp_path, "m", clock=clock)
    taken(quota)
    assert quota.snapshot()["sent"] == 1.0


def test_the_file_holds_no_word_and_is_its_owners_alone(tmp_path: Path) -> None:
    Quota(tmp_path, "https://user:secret@example.org/v1 model").close()
    (path,) = (tmp_path / QUOTA_FOLDER).iterdir()
    assert path.stat().st_mode & 0o077 == 0
    assert b"secret" not in path.read_bytes() and "example" not in path.name


def _take_many(folder: str, count: int) -> None:
    quota = Quota(Path(folder), "m", KnownLimits(requests_per_minute=60.0 * 10**6))
    for _ in range(count):
        while not isinstance(leave := quota.take(1.0), Leave):
            pass
        quota.settle(leave, 1.0)


def test_no_leave_is_lost_between_processes(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    workers = [
        context.Process(target=_take_many, args=(str(tmp_path), 2000), daemon=True)
        for _ in range(3)
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
        assert worker.exitcode == 0
    assert Quota(tmp_path, "m").snapshot()["sent"] == 6000.0


def test_what_a_quota_says_of_itself(tmp_path: Path, clock: Clock) -> None:
    assert read_quotas(tmp_path) == []
    free = Quota(tmp_path, "https://user:secret@example.org/v1 m", clock=clock, label="a m")
    clock.now = time.time() - 10
    Quota(tmp_path, "old", clock=lambda: clock.now - STALE_S, label="old").take(1.0)
    known = KnownLimits(requests_per_minute=120.0, tokens_per_minute=6000.0)
    limited = Quota(tmp_path, "n", known, clock, label="b n")
    free.refuse(taken(free), None)
    clock.now += 1.0
    free.settle(taken(free), 1.0)
    limited.settle(taken(limited, 10.0), 10.0)
    (tmp_path / QUOTA_FOLDER / "other.bin").write_bytes(b"not a quota")
    first, second = read_quotas(tmp_path)
    assert (first.label, first.is_guess, first.sent, first.refused) == ("a m", True, 2, 1)
    assert (second.label, second.is_guess, second.sent, second.refused) == ("b n", False, 1, 0)
    assert (second.requests_per_minute, second.tokens_per_minute) == (120.0, 6000.0)
    assert first.tokens_per_minute is None


def test_a_pause_that_the_server_asked_for_is_told(tmp_path: Path) -> None:
    quota = Quota(tmp_path, "m", label="host m")
    assert [item.requests_per_minute for item in read_quotas(tmp_path)] == []
    quota.refuse(taken(quota), 60.0)
    (seen,) = read_quotas(tmp_path)
    assert 50.0 < seen.closed_s <= 60.0


def test_what_is_returned_with_the_next_take_is_not_lost(tmp_path: Path, clock: Clock) -> None:
    known = KnownLimits(tokens_per_minute=6000.0)
    quota = Quota(tmp_path, "m", known, clock)
    leave = taken(quota, 100.0)
    quota.settle(leave, 40.0, at_once=False)
    assert isinstance(quota.take(60.0), Leave)
    leave = quota.take(30.0)
    assert not isinstance(leave, Leave)
    quota.settle(Leave(1.0, clock.now, 60.0), 30.0, at_once=False)
    quota.close()
    other = Quota(tmp_path, "m", known, clock)
    assert isinstance(other.take(30.0), Leave)
