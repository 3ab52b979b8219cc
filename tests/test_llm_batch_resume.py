"""Batches outlive the process that made them: killed at any step, nothing is sent or paid twice."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from batch_world import ask, events, listed, process, rule, seen_by, told, wait_until
from llm_faults_world import report_question, stored_statuses
from llm_world import QUICK

from infra.errors import LanguageModelError
from infra.llm import AnswerStatus, BatchRule, Client, Endpoint
from infra.llm.batch_state import BatchState
from tasks.reports.offline_faults import BatchFaults
from tasks.reports.offline_server import offline_server, server_stats

ALL_OK = {AnswerStatus.OK}
SLOW_REPLY = BatchFaults(reply_after_s=1.5)
SLOW_BATCH = BatchFaults(running_s=1.5)


def place_of(endpoint: Endpoint) -> str:
    return f"{endpoint.host}@test"


def kill_when(
    endpoint: Endpoint, state: Path, condition: Callable[[], bool], first: int, last: int
) -> None:
    """Start a process that asks, and kill it as soon as the condition holds."""
    child = process(endpoint, state, rule(), first, last)
    wait_until(condition)
    child.kill()
    child.communicate()
    assert child.returncode == -9


@pytest.mark.parametrize(
    ("faults", "moment"),
    [
        pytest.param(SLOW_REPLY, "uploads", marks=pytest.mark.slow),
        pytest.param(SLOW_REPLY, "batches", marks=pytest.mark.slow),
        (SLOW_BATCH, "polls"),
    ],
    ids=["before-the-file-is-known", "before-the-batch-is-known", "while-it-runs"],
)
def test_a_killed_process_s_batch_is_taken_up(
    tmp_path: Path, faults: BatchFaults, moment: str
) -> None:
    with offline_server(None, faults) as endpoint:
        kill_when(endpoint, tmp_path, lambda: server_stats(endpoint)[moment] > 0, 0, 40)
        before = server_stats(endpoint)
        assert before["uploads"] == 1
        answers, client = ask(seen_by(endpoint), tmp_path, range(40), rule())
        stats = server_stats(endpoint)
        assert listed(endpoint, "files") == []
    assert {answer.status for answer in answers} == ALL_OK
    assert (stats["uploads"], stats["batches"], stats["requests"]) == (1, 1, 0)
    assert (stats["batch_answered"], stats["repeated"]) == (40, 0)
    assert client.usage.sent == 40
    assert events(tmp_path) == {"sent": 40, "answered": 40}


@pytest.mark.slow
def test_a_finished_batch_of_a_killed_process_is_fetched(tmp_path: Path) -> None:
    with offline_server(None, SLOW_BATCH) as endpoint:
        kill_when(endpoint, tmp_path, lambda: server_stats(endpoint)["polls"] > 0, 0, 40)
        wait_until(lambda: listed(endpoint, "batches")[0]["status"] == "completed")
        answers, _ = ask(seen_by(endpoint), tmp_path, range(40), rule())
        stats = server_stats(endpoint)
    assert {answer.status for answer in answers} == ALL_OK
    assert (stats["batches"], stats["repeated"], stats["batch_answered"]) == (1, 0, 40)


@pytest.mark.slow
def test_a_killed_process_s_batch_serves_whoever_asks_a_part_of_it(tmp_path: Path) -> None:
    with offline_server(None, SLOW_BATCH) as endpoint:
        kill_when(endpoint, tmp_path, lambda: server_stats(endpoint)["polls"] > 0, 0, 40)
        part, first = ask(seen_by(endpoint), tmp_path, range(30, 50), rule())
        rest, second = ask(seen_by(endpoint), tmp_path, range(30), rule())
        stats = server_stats(endpoint)
    assert {answer.status for answer in [*part, *rest]} == ALL_OK
    assert (first.usage.sent, second.usage.sent, second.usage.replayed) == (20, 30, 0)
    assert (stats["uploads"], stats["answered"], stats["repeated"]) == (2, 50, 0)


@pytest.mark.slow
def test_a_job_that_was_never_sent_is_given_up_by_who_asks_something_else(tmp_path: Path) -> None:
    with offline_server() as endpoint:
        with_rules = seen_by(endpoint)
        state = BatchState(tmp_path, place_of(endpoint))
        keys = [report_question(number).identity() for number in (1, 2, 3)]
        (job,) = state.claim([keys], 1e12)
        answers, _ = ask(with_rules, tmp_path, [2, 3, 4], rule())
        assert state.job(job.job_id) is None
        state.close()
        stats = server_stats(endpoint)
    assert {answer.status for answer in answers} == ALL_OK
    assert (stats["uploads"], stats["batch_answered"], stats["repeated"]) == (1, 3, 0)


@pytest.mark.slow
@pytest.mark.parametrize(("ranges", "union"), [(((0, 40), (0, 40)), 40), (((0, 40), (20, 60)), 60)])
def test_two_processes_at_once_put_no_request_into_two_batches(
    tmp_path: Path, ranges: Any, union: int
) -> None:
    with offline_server(None, BatchFaults(running_s=0.5, expired_batches=1)) as endpoint:
        children = [process(endpoint, tmp_path, rule(), *ends) for ends in ranges]
        counts = [told(child) for child in children]
        stats = server_stats(endpoint)
        assert listed(endpoint, "files") == []
    assert [good for _, _, good in counts] == [40, 40]
    assert sum(sent for sent, _, _ in counts) == union
    assert (stats["answered"], stats["repeated"], stats["requests"]) == (union, 0, 0)
    assert stored_statuses(tmp_path) == {"ok": union}
    assert events(tmp_path)["sent"] == events(tmp_path)["answered"] >= union


@pytest.mark.slow
def test_a_follower_takes_over_from_an_owner_that_dies(tmp_path: Path) -> None:
    with offline_server(None, BatchFaults(running_s=2.0)) as endpoint:
        owner = process(endpoint, tmp_path, rule(), 0, 40)
        wait_until(lambda: server_stats(endpoint)["polls"] > 0)
        follower = process(endpoint, tmp_path, rule(), 0, 40)
        polls = server_stats(endpoint)["polls"]
        wait_until(lambda: server_stats(endpoint)["polls"] > polls + 2)
        owner.kill()
        owner.communicate()
        sent, replayed, good = told(follower)
        stats = server_stats(endpoint)
    assert (sent, replayed, good) == (40, 0, 40)
    assert (stats["batches"], stats["batch_answered"], stats["repeated"]) == (1, 40, 0)


def test_threads_of_one_client_share_their_batches(tmp_path: Path) -> None:
    found: list[Any] = [None, None]
    with (
        offline_server(None, BatchFaults(running_s=0.3)) as endpoint,
        Client(endpoint, tmp_path, QUICK, rule()) as client,
    ):

        def work(index: int) -> None:
            questions = [report_question(n) for n in range(index * 10, index * 10 + 30)]
            found[index] = client.complete_many(questions)

        threads = [threading.Thread(target=work, args=(index,)) for index in (0, 1)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        stats = server_stats(endpoint)
    assert {answer.status for answers in found for answer in answers} == ALL_OK
    assert (stats["answered"], stats["repeated"], stats["requests"]) == (40, 0, 0)


@pytest.mark.slow
def test_who_wants_no_batches_ends_an_open_one_and_keeps_its_answers(tmp_path: Path) -> None:
    with offline_server(None, BatchFaults(running_s=60.0)) as endpoint:
        kill_when(endpoint, tmp_path, lambda: server_stats(endpoint)["polls"] > 3, 0, 40)
        answers, _ = ask(seen_by(endpoint), tmp_path, range(40), rule("off"))
        stats = server_stats(endpoint)
    assert {answer.status for answer in answers} == ALL_OK
    assert (stats["batches"], stats["cancels"], stats["repeated"]) == (1, 1, 0)
    assert stats["batch_answered"] > 0
    assert stats["batch_answered"] + stats["requests"] == 40


@pytest.mark.slow
def test_who_wants_no_batches_makes_none_of_a_file_that_is_there(tmp_path: Path) -> None:
    with offline_server(None, SLOW_REPLY) as endpoint:
        kill_when(endpoint, tmp_path, lambda: server_stats(endpoint)["uploads"] > 0, 0, 40)
        answers, _ = ask(seen_by(endpoint), tmp_path, range(40), rule("off"))
        stats = server_stats(endpoint)
        assert listed(endpoint, "files") == []
    assert {answer.status for answer in answers} == ALL_OK
    assert (stats["uploads"], stats["batches"], stats["requests"]) == (1, 0, 40)
    assert events(tmp_path) == {"sent": 80, "answered": 80}  # once in the file, once alone


@pytest.mark.parametrize("due_at", [1.0, 1e12], ids=["late", "off"])
def test_a_job_that_was_never_sent_is_not_sent_too_late(tmp_path: Path, due_at: float) -> None:
    with offline_server() as endpoint:
        state = BatchState(tmp_path, place_of(endpoint))
        state.claim([[report_question(number).identity() for number in range(5)]], due_at)
        mode = "off" if due_at > 1.0 else "auto"
        answers, _ = ask(seen_by(endpoint), tmp_path, range(5), rule(mode))
        assert state.open_jobs([report_question(number).identity() for number in range(5)]) == []
        state.close()
        stats = server_stats(endpoint)
    assert {answer.status for answer in answers} == ALL_OK
    assert (stats["uploads"], stats["requests"]) == (0, 5)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


@pytest.mark.slow
def test_a_server_that_is_away_stops_the_run_and_keeps_the_batch(tmp_path: Path) -> None:
    port, store = free_port(), tmp_path / "store"
    slow = BatchFaults(running_s=2.0)
    with offline_server(None, slow, port=port, store=store) as endpoint:
        kill_when(endpoint, tmp_path, lambda: server_stats(endpoint)["polls"] > 0, 0, 40)
        place = seen_by(endpoint)
    with pytest.raises(LanguageModelError, match=r"gives no news of a batch .*run it again"):
        ask(place, tmp_path, range(40), rule(patience=2))
    with offline_server(None, BatchFaults(), port=port, store=store) as endpoint:
        answers, _ = ask(place, tmp_path, range(40), rule())
        stats = server_stats(endpoint)
        assert listed(endpoint, "files") == []
    assert {answer.status for answer in answers} == ALL_OK
    assert (stats["uploads"], stats["batches"], stats["requests"]) == (0, 0, 0)


def test_a_server_that_has_forgotten_the_batch_is_asked_anew(tmp_path: Path) -> None:
    port = free_port()
    with offline_server(None, SLOW_BATCH, port=port) as endpoint:
        kill_when(endpoint, tmp_path, lambda: server_stats(endpoint)["polls"] > 0, 0, 40)
        place = seen_by(endpoint)
    with offline_server(None, port=port) as endpoint:
        answers, _ = ask(place, tmp_path, range(40), rule())
        assert server_stats(endpoint)["uploads"] == 1
    assert {answer.status for answer in answers} == ALL_OK


@pytest.mark.slow
def test_another_endpoint_s_batches_are_left_alone(tmp_path: Path) -> None:
    with offline_server(None, SLOW_BATCH) as one, offline_server() as two:
        kill_when(one, tmp_path, lambda: server_stats(one)["polls"] > 0, 0, 40)
        ask(seen_by(two), tmp_path, range(40), rule())
        assert server_stats(two)["uploads"] == 1
        assert listed(one, "batches")[0]["status"] in ("in_progress", "completed")


@pytest.mark.slow
def test_files_that_could_not_be_deleted_are_deleted_by_the_next_run(tmp_path: Path) -> None:
    with offline_server() as endpoint:
        place = seen_by(endpoint)
        ask(place, tmp_path, range(5), rule(longest_poll_s=0.02))
        child = process(endpoint, tmp_path, rule(), 10, 40)
        told(child)
        state = BatchState(tmp_path, place_of(endpoint))
        (job,) = state.claim([["some request"]], 1e12)
        state.finish(job.job_id, {}, ["file-that-is-gone"])
        assert state.leftovers() == {job.job_id: ["file-that-is-gone"]}
        ask(place, tmp_path, range(50, 55), BatchRule())
        assert state.leftovers() == {}
        state.close()
