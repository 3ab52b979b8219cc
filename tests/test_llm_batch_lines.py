"""Lines of batch files, the files' sizes, and which jobs become batches."""

from __future__ import annotations

import json
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from llm_world import completion

from infra.llm.batch_lines import Outcome, read_line, request_line, split_by_size
from infra.llm.batch_rule import MOST_ROUNDS, BatchRule
from infra.llm.transport import Reply

BODY = completion('{"word": "clear", "number": 3}')
REPLY = Reply('{"word": "clear", "number": 3}', "stop", "scripted-2024-01-01", 11, 5)


def line(key: Any = "k", response: Any = None, error: Any = None) -> bytes:
    row = {"id": "batch_req_1", "custom_id": key, "response": response, "error": error}
    return json.dumps(row, ensure_ascii=False).encode()


def answered(status: Any, body: Any) -> dict[str, Any]:
    return {"status_code": status, "request_id": "r", "body": body}


def test_a_request_is_one_line_of_plain_characters() -> None:
    body = {"model": "m", "messages": [{"role": "user", "content": "a\u2028b\nñ\ud800"}]}
    text = request_line("k", "/v1/chat/completions", body)
    assert text.count(b"\n") == 1 and text.endswith(b"\n") and text.isascii()
    assert json.loads(text) == {
        "custom_id": "k",
        "method": "POST",
        "url": "/v1/chat/completions",
        "body": body,
    }


@pytest.mark.parametrize(
    ("text", "outcome"),
    [
        (line(response=answered(200, BODY)), Outcome(REPLY)),
        (line(response=answered("200", BODY)), Outcome(REPLY)),
        (line(response=answered(429, {"error": {}})), Outcome(None, "status-429")),
        (line(response=answered(500, None)), Outcome(None, "status-500")),
        (line(response=answered(408, None)), Outcome(None, "status-408")),
        (line(response=answered(400, {"error": {}})), Outcome(None, "status-400", True)),
        (line(response=answered(413, {"error": {}})), Outcome(None, "status-413", True)),
        (line(error={"code": "batch_expired"}), Outcome(None, "batch-expired")),
        (line(error={"code": "batch_cancelled"}), Outcome(None, "batch-cancelled")),
        (line(error={"code": "Mr Doe has a nodule"}), Outcome(None, "error")),
    ],
)
def test_what_a_line_says(text: bytes, outcome: Outcome) -> None:
    assert read_line(text) == ("k", outcome)


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"null",
        b"[]",
        b"{}",
        b'"k"',
        b"\xff\xfe",
        b"[" * 100_000,
        line(response=answered(200, BODY))[:-20],
        line(key=None, response=answered(200, BODY)),
        line(key=7, response=answered(200, BODY)),
        line(key=["k"], error={"code": "batch_expired"}),
        line(),
        line(error="batch_expired"),
        line(error={"code": ["batch_expired"]}),
        line(response="200"),
        line(response=answered("two hundred", BODY)),
        line(response=answered(float("inf"), BODY)),
        line(response=answered(None, BODY)),
        line(response=answered(200, None)),
        line(response=answered(200, {"choices": []})),
        line(response=answered(200, {**BODY, "model": 7})),
        line(response=answered(200, "Mr Doe")),
    ],
)
def test_a_damaged_line_says_nothing(text: bytes) -> None:
    assert read_line(text) is None


@given(st.binary(max_size=60))
def test_no_bytes_break_the_reader(data: bytes) -> None:
    read = read_line(data)
    assert read is None or isinstance(read[1], Outcome)


@given(st.lists(st.integers(1, 12), max_size=60), st.integers(1, 7), st.integers(12, 40))
def test_files_keep_both_limits_and_every_request(
    sizes: list[int], most_requests: int, most_bytes: int
) -> None:
    named = [(str(index), size) for index, size in enumerate(sizes)]
    groups = split_by_size(named, most_requests, most_bytes)
    assert [key for group in groups for key in group] == [key for key, _ in named]
    weights = dict(named)
    for group in groups:
        assert 1 <= len(group) <= most_requests
        assert sum(weights[key] for key in group) <= most_bytes
    for group, following in pairwise(groups):
        full = len(group) == most_requests
        assert full or sum(weights[k] for k in group) + weights[following[0]] > most_bytes


def test_openai_s_limits_are_the_default() -> None:
    groups = split_by_size((str(index), 1000) for index in range(120_001))
    assert [len(group) for group in groups] == [50_000, 50_000, 20_001]
    groups = split_by_size((str(index), 10_000_000) for index in range(50))
    assert [len(group) for group in groups] == [20, 20, 10]


@pytest.mark.parametrize(
    ("mode", "count", "discount", "hours_left", "rounds", "admitted"),
    [
        ("off", 10**6, 0.5, 1000.0, 0, False),
        ("auto", 1000, 0.5, 24.0, 0, True),
        ("auto", 999, 0.5, 24.0, 0, False),
        ("auto", 1000, 0.0, 24.0, 0, False),
        ("auto", 1000, 0.5, 23.1, 0, True),
        ("auto", 1000, 0.5, 22.9, 0, False),
        ("auto", 1000, 0.5, 48.0, 1, True),
        ("auto", 1000, 0.5, 23.9, 1, False),
        ("auto", 1000, 0.5, 48.0, MOST_ROUNDS, False),
        ("always", 1, 0.0, 1.0, 0, True),
        ("always", 1, 0.0, 23.9, 1, False),
        ("always", 1, 0.0, 24.0, 1, True),
        ("always", 1, 0.0, 24.0, MOST_ROUNDS, False),
        ("always", 1, 0.5, 0.0, 0, False),
    ],
)
def test_which_jobs_become_batches(
    mode: Any, count: int, discount: float, hours_left: float, rounds: int, admitted: bool
) -> None:
    assert BatchRule(mode).admits(count, discount, hours_left, rounds) is admitted


@pytest.mark.parametrize(
    ("mode", "deadline", "hours"),
    [("auto", None, 0.0), ("auto", 30.0, 30.0), ("always", None, 72.0), ("always", 2.0, 2.0)],
)
def test_no_deadline_means_now_or_as_many_days_as_rounds(
    mode: Any, deadline: float | None, hours: float
) -> None:
    assert BatchRule(mode, deadline).hours == hours
