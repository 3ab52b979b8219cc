"""The offline server's limits and faults: buckets by a clock of our own, and over the wire."""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.request
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from llm_faults_world import report_question
from llm_world import QUICK

from infra.llm import AnswerStatus, Client, Endpoint
from tasks.reports.offline_faults import BatchFaults, Bucket, Faults, Quota, as_duration
from tasks.reports.offline_server import offline_server, server_stats


class Clock:
    """Seconds that pass when told to."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def post(endpoint: Endpoint, number: int) -> tuple[int, dict[str, str], dict[str, Any]]:
    """Status, headers and body of the reply to a plain question."""
    messages = [{"role": "user", "content": json.dumps({"report": f"FINDINGS: {number} mm."})}]
    shape = {"type": "json_schema", "json_schema": {"name": "structured_report"}}
    body = {"model": "m", "messages": messages, "response_format": shape}
    url = f"{endpoint.base_url}/chat/completions"
    try:
        with urllib.request.urlopen(url, json.dumps(body).encode(), timeout=20) as reply:
            return reply.status, dict(reply.headers), json.loads(reply.read())
    except urllib.error.HTTPError as error:
        with error:
            return error.code, dict(error.headers), json.loads(error.read())


def test_a_bucket_fills_evenly_and_runs_over() -> None:
    clock = Clock()
    bucket = Bucket(60.0, 5.0, clock)
    for _ in range(5):
        assert bucket.wait_s(1.0) == 0.0
        bucket.take(1.0)
    assert bucket.wait_s(1.0) == pytest.approx(1.0)
    clock.now += 0.25
    assert bucket.wait_s(1.0) == pytest.approx(0.75)
    assert bucket.full_in_s() == pytest.approx(4.75)
    clock.now += 1000.0
    assert bucket.level() == 5.0
    assert bucket.wait_s(6.0) == float("inf")


@pytest.mark.parametrize(
    ("per_minute", "burst", "expected"), [(3000.0, None, 50.0), (6.0, None, 1.0), (60.0, 9.0, 9.0)]
)
def test_the_burst_is_a_second_s_share_unless_given(
    per_minute: float, burst: float | None, expected: float
) -> None:
    assert Bucket(per_minute, burst, Clock()).level() == expected


def test_over_a_minute_the_quota_admits_its_rate_and_the_burst() -> None:
    clock = Clock()
    quota = Quota(Faults(requests_per_minute=600.0, burst=20.0), clock)
    admitted = 0
    for _ in range(6000):
        admitted += quota.wait_s(0) == 0.0
        clock.now += 0.01
    assert 618 <= admitted <= 621


def test_a_refused_request_takes_from_neither_bucket() -> None:
    clock = Clock()
    faults = Faults(requests_per_minute=60.0, burst=9.0, tokens_per_minute=600.0, token_burst=100.0)
    quota = Quota(faults, clock)
    assert quota.wait_s(80) == 0.0
    assert quota.wait_s(80) == pytest.approx(6.0)
    assert quota.wait_s(20) == 0.0
    clock.now += 6.0
    assert [quota.wait_s(60), quota.wait_s(1) > 0] == [0.0, True]


@pytest.mark.parametrize(
    ("faults", "wait_s", "said"),
    [
        (Faults(), 0.3, None),
        (Faults(limit_retry_after="exact"), 0.3, "0.300"),
        (Faults(limit_retry_after="whole"), 0.3, "1"),
        (Faults(limit_retry_after="whole"), 2.0, "2"),
        (Faults(limit_retry_after="exact"), float("inf"), None),
        (Faults(limit_retry_after="exact", retry_after_s=7.0), 0.3, "7.0"),
    ],
)
def test_what_a_429_says(faults: Faults, wait_s: float, said: str | None) -> None:
    assert Quota(faults).retry_after(wait_s) == said


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.0, "0ms"), (0.02, "20ms"), (1.0, "1s"), (1.5, "1.5s"), (360.0, "6m0s"), (61.25, "1m1.25s")],
)
def test_time_spans_as_openai_writes_them(seconds: float, text: str) -> None:
    assert as_duration(seconds) == text


@pytest.mark.slow
def test_limit_headers_tell_what_is_left() -> None:
    faults = Faults(
        requests_per_minute=3000.0, burst=10.0, tokens_per_minute=60_000.0, limit_headers=True
    )
    with offline_server(faults) as endpoint:
        status, headers, body = post(endpoint, 1)
    assert status == 200
    assert headers["x-ratelimit-limit-requests"] == "3000"
    assert headers["x-ratelimit-limit-tokens"] == "60000"
    assert headers["x-ratelimit-remaining-requests"] == "9"
    assert int(headers["x-ratelimit-remaining-tokens"]) == pytest.approx(
        1000 - body["usage"]["total_tokens"], abs=1
    )
    assert headers["x-ratelimit-reset-requests"].endswith("ms")
    with offline_server(Faults(requests_per_minute=3000.0)) as endpoint:
        assert not any("ratelimit" in name for name in post(endpoint, 1)[1])


def test_the_limit_holds_on_the_wire_and_what_it_refuses_is_counted() -> None:
    faults = Faults(requests_per_minute=60.0, burst=5.0, limit_retry_after="whole")
    with offline_server(faults) as endpoint, ThreadPoolExecutor(8) as pool:
        started = time.monotonic()
        replies = list(pool.map(lambda number: post(endpoint, number), range(40)))
        took = time.monotonic() - started
        stats = server_stats(endpoint)
    counts = Counter(status for status, _, _ in replies)
    assert counts.keys() == {200, 429}
    assert 5 <= counts[200] <= 5 + took + 1
    assert (stats["answered"], stats["limited"], stats["requests"]) == (
        counts[200],
        counts[429],
        40,
    )
    refused = [reply for reply in replies if reply[0] == 429]
    assert {headers["retry-after"] for _, headers, _ in refused} == {"1"}
    assert {body["error"]["code"] for _, _, body in refused} == {"rate_limit_exceeded"}


@pytest.mark.slow
def test_tokens_are_limited_by_prompt_and_answer() -> None:
    with offline_server() as endpoint:
        size = post(endpoint, 1)[2]["usage"]["total_tokens"]
    faults = Faults(tokens_per_minute=60.0, token_burst=3.0 * size)
    with offline_server(faults) as endpoint:
        assert [post(endpoint, 1)[0] for _ in range(4)] == [200, 200, 200, 429]


def test_a_drip_comes_slowly_and_whole(tmp_path: Path) -> None:
    with offline_server(Faults(share_drip=1.0, drip_s=0.5)) as endpoint:
        started = time.monotonic()
        status, _, body = post(endpoint, 1)
        assert time.monotonic() - started >= 0.4
        assert (status, body["object"]) == (200, "chat.completion")
        with Client(endpoint, tmp_path, QUICK) as client:
            (answer,) = client.complete_many([report_question(1)])
        assert server_stats(endpoint)["fault_drip"] == 2
    assert answer.status is AnswerStatus.OK


def test_jitter_is_added_to_latency() -> None:
    with offline_server(Faults(latency_s=0.05, latency_jitter_s=0.4)) as endpoint:
        times = []
        for number in range(8):
            started = time.monotonic()
            post(endpoint, number)
            times.append(time.monotonic() - started)
    assert min(times) >= 0.05
    assert max(times) - min(times) > 0.1  # eight even draws lie closer with odds of 1 in 10,000


@pytest.mark.parametrize(
    ("faults", "status", "code"),
    [
        (Faults(share_content_filter=1.0), 400, "content_filter"),
        (Faults(share_context_length=1.0), 400, "context_length_exceeded"),
        (Faults(share_503=1.0), 503, "injected"),
    ],
)
def test_errors_carry_their_codes(faults: Faults, status: int, code: str) -> None:
    with offline_server(faults) as endpoint:
        found, _, body = post(endpoint, 1)
        assert (found, body["error"]["code"]) == (status, code)
        assert server_stats(endpoint)["answered"] == 0


@pytest.mark.parametrize(
    ("faults", "ends"),
    [
        (Faults(share_content_filter=0.4, seed=1), {"ok", "content-filter"}),
        (Faults(share_filtered=0.4, seed=2), {"ok", "content-filter"}),
        (Faults(share_context_length=0.4, seed=3), {"ok", "context-length"}),
        (Faults(share_503=0.3, seed=4), {"ok"}),
        (Faults(share_drip=0.3, drip_s=0.2, seed=5), {"ok"}),
    ],
)
def test_the_client_tells_them_apart(tmp_path: Path, faults: Faults, ends: set[str]) -> None:
    with offline_server(faults) as endpoint, Client(endpoint, tmp_path, QUICK) as client:
        answers = client.complete_many([report_question(number) for number in range(40)])
    assert {str(answer.status) for answer in answers} == ends


def test_what_is_asked_twice_is_counted() -> None:
    with offline_server() as endpoint:
        for number in (1, 2, 1, 1):
            post(endpoint, number)
        stats = server_stats(endpoint)
    assert (stats["requests"], stats["answered"], stats["repeated"]) == (4, 4, 2)


def test_lines_are_drawn_by_request_and_batch() -> None:
    faults = BatchFaults(lines_429=0.3, lines_missing=0.3)
    drawn = Counter(faults.draw(f"request {number}", 1) for number in range(1000))
    assert drawn.keys() == {None, "429", "missing"}
    assert all(200 < count < 500 for count in drawn.values())
    first = [faults.draw(f"request {number}", 1) for number in range(50)]
    assert first == [faults.draw(f"request {number}", 1) for number in range(50)]
    assert first != [faults.draw(f"request {number}", 2) for number in range(50)]
    undone = sum(faults.is_undone(f"request {number}", 1) for number in range(1000))
    assert 400 < undone < 600
