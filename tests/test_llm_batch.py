"""Jobs through the Batch API of a real server: every end that a batch and its lines can have."""

from __future__ import annotations

import logging
from collections import Counter
from pathlib import Path

import pytest
from batch_world import PRICES, ask, events, listed, rule, run_batch
from llm_faults_world import audit_lines, report_question, stored_statuses
from llm_world import QUICK
from pydantic import SecretStr
from test_llm_egress import listener

from infra.egress import Egress, Guarantee
from infra.errors import EgressRefused, LanguageModelError
from infra.llm import AnswerStatus, Client, Endpoint
from infra.llm.audit import AUDIT_FILE
from infra.llm.batch_state import BATCH_FILE
from tasks.reports.offline_faults import BatchFaults, Faults
from tasks.reports.offline_server import offline_server, server_stats

ALL_OK = {AnswerStatus.OK}


def test_a_job_is_one_file_answered_once_and_deleted_over_there(tmp_path: Path) -> None:
    with offline_server() as endpoint:
        answers, client = ask(endpoint, tmp_path, range(60), rule())
        stats = server_stats(endpoint)
        assert listed(endpoint, "files") == []
        again, second = ask(endpoint, tmp_path, range(60), rule())
        assert server_stats(endpoint)["uploads"] == 1
    sizes = [answer.value.findings for answer in answers]  # type: ignore[union-attr]
    assert [f"{n} mm" in text for n, text in enumerate(sizes)] == [True] * 60
    assert (stats["uploads"], stats["batches"], stats["requests"]) == (1, 1, 0)
    assert (stats["batch_answered"], stats["repeated"], stats["files_deleted"]) == (60, 0, 2)
    assert (client.usage.sent, second.usage.sent, second.usage.replayed) == (60, 0, 60)
    assert [item.value for item in again] == [item.value for item in answers]
    assert events(tmp_path) == {"sent": 60, "answered": 60}
    assert sum(line.get("input_tokens", 0) for line in audit_lines(tmp_path)) == sum(
        answer.input_tokens for answer in answers
    )


def test_a_batch_and_the_direct_path_ask_the_same_thing(tmp_path: Path) -> None:
    with offline_server() as endpoint:
        batched, _ = ask(endpoint, tmp_path / "a", range(20), rule())
        direct, _ = ask(endpoint, tmp_path / "b", range(20), rule("off"))
        stats = server_stats(endpoint)
    assert [item.value for item in batched] == [item.value for item in direct]
    assert stats["repeated"] == 20  # the server has seen the very same bodies


def test_the_discount_is_in_the_cost(tmp_path: Path) -> None:
    costs = []
    for mode in ("always", "off"):
        state = tmp_path / mode
        state.mkdir()
        (state / "llm-prices.toml").write_text(PRICES)
        answers, client, _ = run_batch(state, how=rule(mode), count=20)
        assert sum(item.cost_usd or 0.0 for item in answers) == pytest.approx(client.usage.cost_usd)
        costs.append(client.usage.cost_usd)
    assert costs[0] == pytest.approx(costs[1] / 2)
    assert costs[0] > 0


def test_an_expired_batch_is_followed_by_another_if_the_deadline_allows(tmp_path: Path) -> None:
    answers, client, stats = run_batch(tmp_path, BatchFaults(expired_batches=1))
    assert {answer.status for answer in answers} == ALL_OK
    assert (stats["uploads"], stats["batches"], stats["requests"]) == (2, 2, 0)
    assert (stats["batch_answered"], stats["repeated"]) == (60, 0)
    assert (client.usage.sent, stats["files_deleted"]) == (60, 5)  # output and errors, then output
    outcomes = Counter(line.get("outcome") for line in audit_lines(tmp_path))
    assert outcomes["ok"] == 60 and 10 < outcomes["batch-expired"] < 50


def test_an_expired_batch_is_followed_by_plain_requests_if_not(tmp_path: Path) -> None:
    how = rule(deadline_hours=24.0)
    answers, _, stats = run_batch(tmp_path, BatchFaults(expired_batches=1), how)
    assert {answer.status for answer in answers} == ALL_OK
    assert (stats["uploads"], stats["repeated"], stats["answered"]) == (1, 0, 60)
    assert 10 < stats["requests"] < 50
    assert stats["requests"] + stats["batch_answered"] == 60


@pytest.mark.slow
def test_a_batch_that_always_expires_ends_on_the_direct_path(tmp_path: Path) -> None:
    faults = BatchFaults(expired_batches=9, undone_share=1.0)
    answers, _, stats = run_batch(tmp_path, faults, rule(deadline_hours=1000.0), count=12)
    assert {answer.status for answer in answers} == ALL_OK
    assert (stats["batches"], stats["requests"], stats["repeated"]) == (3, 12, 0)


@pytest.mark.parametrize(
    ("fault", "repeated"),
    [("429", False), ("500", False), ("missing", False), ("doubled", False), ("damaged", True)],
)
def test_lines_that_go_wrong_are_asked_again_and_no_others(
    tmp_path: Path, fault: str, repeated: bool
) -> None:
    faults = BatchFaults(**{f"lines_{fault}": 0.3})  # type: ignore[arg-type]
    answers, client, stats = run_batch(tmp_path, faults)
    assert {answer.status for answer in answers} == ALL_OK
    assert client.usage.sent == 60
    hit = stats[f"line_{fault}"]
    assert hit > 0
    assert (stats["repeated"] > 0) is repeated
    assert stats["repeated"] <= hit
    assert stored_statuses(tmp_path) == {"ok": 60}
    sent = events(tmp_path)
    assert sent["sent"] == sent["answered"]
    assert (sent["sent"] > 60) is (fault != "doubled")


def test_a_batch_that_fails_validation_is_asked_directly(tmp_path: Path) -> None:
    answers, _, stats = run_batch(tmp_path, BatchFaults(failed_batches=1), count=20)
    assert {answer.status for answer in answers} == ALL_OK
    assert (stats["batches"], stats["requests"], stats["files_deleted"]) == (1, 20, 1)


@pytest.mark.slow
def test_an_account_with_too_much_waiting_is_asked_again_later(tmp_path: Path) -> None:
    faults = BatchFaults(failed_batches=5, failed_code="token_limit_exceeded")
    answers, _, stats = run_batch(tmp_path, faults, count=20)
    assert {answer.status for answer in answers} == ALL_OK
    assert (stats["batches"], stats["requests"], stats["batch_answered"]) == (6, 0, 20)


@pytest.mark.slow
def test_a_batch_that_somebody_cancels_keeps_what_it_did(tmp_path: Path) -> None:
    answers, _, stats = run_batch(tmp_path, BatchFaults(cancelled_batches=1))
    assert {answer.status for answer in answers} == ALL_OK
    assert (stats["batches"], stats["repeated"], stats["answered"]) == (2, 0, 60)


def test_a_batch_that_is_late_is_cancelled_and_the_rest_asked_directly(tmp_path: Path) -> None:
    how = rule(deadline_hours=1.0 / 3600)
    answers, _, stats = run_batch(tmp_path, BatchFaults(running_s=20.0), how)
    assert {answer.status for answer in answers} == ALL_OK
    assert (stats["batches"], stats["cancels"], stats["repeated"]) == (1, 1, 0)
    assert stats["batch_answered"] > 0 and stats["requests"] > 0
    assert stats["batch_answered"] + stats["requests"] == 60


def test_a_server_without_batches_is_asked_directly(tmp_path: Path) -> None:
    answers, _, stats = run_batch(tmp_path, BatchFaults(offered=False), rule("auto"), count=20)
    assert {answer.status for answer in answers} == ALL_OK
    assert (stats["requests"], stats["uploads"]) == (20, 0)


@pytest.mark.slow
def test_who_asks_for_batches_always_is_told_that_there_are_none(tmp_path: Path) -> None:
    with pytest.raises(LanguageModelError) as caught:
        run_batch(tmp_path, BatchFaults(offered=False), count=20)
    assert str(caught.value).endswith("refused a batch (status 404); set CXR_LLM_BATCH=auto or off")


@pytest.mark.slow
def test_answers_that_do_not_fit_are_asked_again_directly_and_paid_for(tmp_path: Path) -> None:
    (tmp_path / "llm-prices.toml").write_text(PRICES)
    answers, client, stats = run_batch(tmp_path, faults=Faults(share_wrong_schema=0.15))
    assert {answer.status for answer in answers} == ALL_OK
    outcomes = Counter(line.get("outcome") for line in audit_lines(tmp_path))
    assert 2 < outcomes["invalid"] < 30
    assert stats["requests"] >= outcomes["invalid"]
    assert (stats["uploads"], client.usage.sent) == (1, 60)
    spent = sum(line.get("input_tokens", 0) for line in audit_lines(tmp_path))
    assert client.usage.input_tokens == spent
    assert client.usage.cost_usd > sum(answer.cost_usd or 0.0 for answer in answers)


def test_refusals_cut_and_filtered_answers_are_final(tmp_path: Path) -> None:
    faults = Faults(share_refused=0.2, share_truncated_answer=0.2, share_filtered=0.2)
    answers, _, stats = run_batch(tmp_path, faults=faults)
    counts = Counter(str(answer.status) for answer in answers)
    assert counts.keys() == {"ok", "refused", "truncated", "content-filter"}
    assert counts == stored_statuses(tmp_path)
    assert (stats["requests"], stats["uploads"]) == (0, 1)


@pytest.mark.slow
def test_refused_requests_are_sorted_by_the_direct_path(tmp_path: Path) -> None:
    faults = Faults(share_content_filter=0.25, share_context_length=0.25)
    answers, _, stats = run_batch(tmp_path, faults=faults)
    counts = Counter(str(answer.status) for answer in answers)
    assert counts.keys() == {"ok", "content-filter", "context-length"}
    assert stats["uploads"] == 1 and stats["requests"] >= 60 - counts["ok"]


@pytest.mark.slow
def test_a_server_that_takes_no_schemas_gets_none_on_the_direct_path(tmp_path: Path) -> None:
    answers, _, stats = run_batch(tmp_path, faults=Faults(no_schemas=True), count=12)
    assert {answer.status for answer in answers} == ALL_OK
    assert (stats["uploads"], stats["batch_answered"], stats["answered"]) == (1, 0, 12)


@pytest.mark.slow
def test_a_download_that_breaks_off_is_begun_anew(tmp_path: Path) -> None:
    answers, _, stats = run_batch(tmp_path, BatchFaults(cut_downloads=2))
    assert {answer.status for answer in answers} == ALL_OK
    assert (stats["downloads"], stats["requests"], stats["uploads"]) == (3, 0, 1)


@pytest.mark.slow
def test_progress_tells_of_batches_and_plain_requests(tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    faults = BatchFaults(expired_batches=1)
    with (
        offline_server(None, faults) as endpoint,
        Client(endpoint, tmp_path, QUICK, rule(deadline_hours=24.0)) as client,
    ):
        client.complete_many([report_question(n) for n in range(40)], lambda *now: seen.append(now))
    assert {total for _, total in seen} == {40}
    done = [now for now, _ in seen]
    assert done == sorted(done) and done[-1] == 40 and done[0] > 1


def test_no_byte_leaves_when_the_guard_refuses(tmp_path: Path) -> None:
    with listener() as (url, received):
        endpoint = Endpoint(url, SecretStr("k"), Guarantee.ZERO_RETENTION)
        requests = [report_question(n) for n in range(20)]
        gated = [
            type(item)(**{**item.__dict__, "source": "padchest", "egress": Egress.NEVER})
            for item in requests
        ]
        with (
            Client(endpoint, tmp_path, QUICK, rule()) as client,
            pytest.raises(EgressRefused, match="for source padchest"),
        ):
            client.complete_many([*requests, gated[0]])
    assert received == []
    assert (tmp_path / AUDIT_FILE).read_text() == ""
    assert not (tmp_path / BATCH_FILE).exists()


def test_the_listener_would_have_heard_a_batch(tmp_path: Path) -> None:
    with listener() as (url, received):
        endpoint = Endpoint(url, SecretStr("k"), Guarantee.NONE)
        with Client(endpoint, tmp_path, QUICK, rule(attempts=1)) as client:
            client.complete_many([report_question(1)])
    assert any(data.startswith(b"POST /v1/files") for data in received)


def test_the_log_holds_no_text(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    run_batch(tmp_path, BatchFaults(expired_batches=1, lines_damaged=0.2), count=20)
    told = caplog.text
    assert "expired: " in told and "lines that cannot be read" in told
    assert "nodule" not in told.lower()
    assert (tmp_path / BATCH_FILE).stat().st_mode & 0o777 == 0o600
    assert b"odule" not in (tmp_path / BATCH_FILE).read_bytes()
