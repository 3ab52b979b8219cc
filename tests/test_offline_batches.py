"""Files and batches of the offline server, asked by the openai package itself."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import openai
import pytest
from openai.types import Batch

from infra.llm import Endpoint
from tasks.reports.offline_batches import read_questions
from tasks.reports.offline_faults import BatchFaults
from tasks.reports.offline_server import offline_server

SHAPE = {"type": "json_schema", "json_schema": {"name": "structured_report"}}
FINAL = ("completed", "failed", "expired", "cancelled")


def line(number: int, **changes: Any) -> dict[str, Any]:
    content = json.dumps({"report": f"FINDINGS: A {number} mm nodule."})
    messages = [{"role": "user", "content": content}]
    body = {"model": "gpt-4o", "messages": messages, "response_format": SHAPE}
    row = {"custom_id": f"r{number}", "method": "POST", "url": "/v1/chat/completions", "body": body}
    return {**row, **changes}


def as_file(rows: list[Any]) -> bytes:
    return "\n".join(json.dumps(row) for row in rows).encode()


def connected(endpoint: Endpoint) -> openai.OpenAI:
    return openai.OpenAI(base_url=endpoint.base_url, api_key="k", max_retries=0)


def begin(client: openai.OpenAI, rows: list[Any]) -> Batch:
    file = client.files.create(file=("in.jsonl", as_file(rows)), purpose="batch")
    return client.batches.create(
        input_file_id=file.id,
        endpoint="/v1/chat/completions",
        completion_window="24h",
        metadata={"job": "one"},
    )


def seen_until_its_end(client: openai.OpenAI, batch: Batch) -> tuple[list[str], Batch]:
    """The states that were seen, and the batch at its end."""
    seen, limit = [batch.status], time.monotonic() + 30
    while batch.status not in FINAL:
        assert time.monotonic() < limit
        time.sleep(0.02)
        batch = client.batches.retrieve(batch.id)
        if batch.status != seen[-1]:
            seen.append(batch.status)
    return list(seen), batch


def rows_of(client: openai.OpenAI, file_id: str | None) -> list[dict[str, Any]]:
    if file_id is None:
        return []
    return [json.loads(row) for row in client.files.content(file_id).text.splitlines()]


@pytest.fixture(scope="module")
def client() -> Iterator[openai.OpenAI]:
    slow = BatchFaults(validating_s=0.15, running_s=0.3, finalizing_s=0.15)
    with offline_server(None, slow) as endpoint, connected(endpoint) as found:
        yield found


def test_a_file_is_kept_shown_and_deleted(client: openai.OpenAI) -> None:
    data = "ä\u2028\n".encode()
    file = client.files.create(file=("in.jsonl", data), purpose="batch")
    assert (file.bytes, file.filename, file.purpose) == (len(data), "in.jsonl", "batch")
    assert client.files.retrieve(file.id) == file
    assert client.files.content(file.id).content == data
    assert file in list(client.files.list(purpose="batch"))
    assert file not in list(client.files.list(purpose="assistants"))
    assert client.files.delete(file.id).deleted
    for call in (client.files.retrieve, client.files.content, client.files.delete):
        with pytest.raises(openai.NotFoundError):
            call(file.id)


def test_a_file_for_another_purpose_is_refused(client: openai.OpenAI) -> None:
    with pytest.raises(openai.BadRequestError):
        client.files.create(file=("in.jsonl", b"{}"), purpose="assistants")


def test_a_large_file_is_taken(client: openai.OpenAI) -> None:
    data = b"x" * (20 * 2**20)
    file = client.files.create(file=("in.jsonl", data), purpose="batch")
    assert file.bytes == len(data)
    client.files.delete(file.id)


def test_a_batch_goes_through_its_states_and_answers_every_line(client: openai.OpenAI) -> None:
    seen, batch = seen_until_its_end(client, begin(client, [line(n) for n in range(50)]))
    assert seen == ["validating", "in_progress", "finalizing", "completed"]
    assert batch.metadata == {"job": "one"}
    assert batch.request_counts is not None and batch.error_file_id is None
    assert batch.request_counts.model_dump() == {"total": 50, "completed": 50, "failed": 0}
    times = (batch.created_at, batch.in_progress_at, batch.finalizing_at, batch.completed_at)
    assert list(times) == sorted(times)  # type: ignore[type-var]
    assert batch.expires_at == batch.created_at + 24 * 3600
    rows = rows_of(client, batch.output_file_id)
    keys = [row["custom_id"] for row in rows]
    assert sorted(keys) == sorted(f"r{n}" for n in range(50))
    assert keys != [f"r{n}" for n in range(50)]
    for row in rows:
        assert row["error"] is None and row["response"]["status_code"] == 200
        text = row["response"]["body"]["choices"][0]["message"]["content"]
        assert f"{row['custom_id'][1:]} mm" in json.loads(text)["findings"]


def test_batches_are_listed_newest_first_and_by_pages(client: openai.OpenAI) -> None:
    made = [begin(client, [line(1)]).id for _ in range(5)]
    listed = [batch.id for batch in client.batches.list(limit=2)]
    assert listed[:5] == made[::-1]
    assert len(listed) == len(set(listed))
    page = client.batches.list(limit=2)
    assert (len(page.data), page.has_more) == (2, True)


def test_a_cancelled_batch_keeps_what_it_did(client: openai.OpenAI) -> None:
    batch = begin(client, [line(n) for n in range(40)])
    while client.batches.retrieve(batch.id).status == "validating":
        time.sleep(0.01)
    batch = client.batches.cancel(batch.id)
    assert batch.status == "cancelling"
    _, batch = seen_until_its_end(client, batch)
    assert batch.status == "cancelled" and batch.cancelled_at is not None
    done, undone = rows_of(client, batch.output_file_id), rows_of(client, batch.error_file_id)
    assert len(done) + len(undone) == 40 and undone
    assert {row["error"]["code"] for row in undone} == {"batch_cancelled"}
    with pytest.raises(openai.ConflictError):
        client.batches.cancel(batch.id)


def test_what_is_not_there_is_said(client: openai.OpenAI) -> None:
    for call in (client.batches.retrieve, client.batches.cancel):
        with pytest.raises(openai.NotFoundError):
            call("batch_none")
    with pytest.raises(openai.BadRequestError):
        client.batches.create(
            input_file_id="file-none", endpoint="/v1/chat/completions", completion_window="24h"
        )


@pytest.mark.parametrize(
    ("rows", "code", "at"),
    [
        ([], "empty_file", None),
        ([line(1), line(1)], "duplicate_custom_id", 2),
        ([line(1), {"custom_id": "x"}], "invalid_json_line", 2),
        ([line(1), "text"], "invalid_json_line", 2),
        ([line(1, url="/v1/embeddings")], "invalid_url", 1),
        ([line(1, method="GET")], "invalid_url", 1),
        ([line(1), line(2, body={**line(2)["body"], "model": "b"})], "mismatched_model", None),
        ([line(1, custom_id=7)], "duplicate_custom_id", 1),
        ([line(n) for n in range(4)], "file_too_large", None),
    ],
)
def test_what_fails_validation(rows: list[Any], code: str, at: int | None) -> None:
    _, problems = read_questions(as_file(rows), BatchFaults(most_requests=3))
    assert [(item["code"], item["line"]) for item in problems] == [(code, at)]
    assert read_questions(as_file([line(1), line(2)]), BatchFaults(most_requests=3))[1] == []
    small = BatchFaults(most_bytes=10)
    assert read_questions(as_file([line(1)]), small)[1][0]["code"] == "file_too_large"


def test_a_bad_file_s_batch_fails_with_the_reason() -> None:
    with offline_server() as endpoint, connected(endpoint) as client:
        _, batch = seen_until_its_end(client, begin(client, [line(1), line(1)]))
    assert batch.status == "failed" and batch.failed_at is not None
    assert batch.errors is not None and batch.errors.data is not None
    assert [(item.code, item.line) for item in batch.errors.data] == [("duplicate_custom_id", 2)]
    assert (batch.output_file_id, batch.error_file_id) == (None, None)


def test_an_expired_batch_says_which_lines_it_left() -> None:
    faults = BatchFaults(expired_batches=1, undone_share=0.3, lines_500=0.2)
    with offline_server(None, faults) as endpoint, connected(endpoint) as client:
        _, batch = seen_until_its_end(client, begin(client, [line(n) for n in range(80)]))
        done, rest = rows_of(client, batch.output_file_id), rows_of(client, batch.error_file_id)
    assert batch.status == "expired" and batch.expired_at is not None
    assert len(done) + len(rest) == 80
    expired = [row for row in rest if row["response"] is None]
    failed = [row for row in rest if row["response"] is not None]
    assert {row["error"]["code"] for row in expired} == {"batch_expired"}
    assert {row["response"]["status_code"] for row in failed} == {500}
    assert min(len(done), len(expired), len(failed)) > 3


@pytest.mark.slow
def test_a_store_outlives_the_server(tmp_path: Path) -> None:
    slow = BatchFaults(running_s=60.0)
    with offline_server(None, slow, store=tmp_path) as endpoint, connected(endpoint) as client:
        batch = begin(client, [line(n) for n in range(10)])
        kept = client.files.create(file=("other.jsonl", b"{}"), purpose="batch")
    assert {path.stat().st_mode & 0o777 for path in tmp_path.iterdir()} == {0o600}
    with offline_server(store=tmp_path) as endpoint, connected(endpoint) as client:
        _, batch = seen_until_its_end(client, client.batches.retrieve(batch.id))
        assert batch.status == "completed"
        assert len(rows_of(client, batch.output_file_id)) == 10
        assert client.files.content(kept.id).content == b"{}"
        client.files.delete(kept.id)
    assert not (tmp_path / kept.id).exists()
    with offline_server() as endpoint, connected(endpoint) as client:
        assert list(client.batches.list()) == []
