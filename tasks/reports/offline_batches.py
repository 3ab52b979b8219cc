"""Files and batches of the offline server, as OpenAI documents them.

A batch goes ``validating``, ``in_progress``, ``finalizing``, ``completed``; or it ends ``failed``
(its file is no good), ``expired`` or ``cancelled``. Answers come in the output file, everything
else in the error file, both in no particular order.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from hashlib import blake2b
from secrets import token_hex
from typing import Any

from aiohttp import BodyPartReader, web

from tasks.reports.offline_faults import BatchFaults
from tasks.reports.offline_shelf import Shelf
from tasks.reports.offline_wire import error_body

ENDPOINT = "/v1/chat/completions"
WINDOW_S = 24 * 3600
FINAL = frozenset({"failed", "completed", "expired", "cancelled"})
STRETCHES = 20
"""A running batch answers its lines in so many goes, spread over its time."""
LINES_AT_ONCE = 50
"""Lines answered before other requests have their turn."""
PAGE = 20

Answer = Callable[[bytes, dict[str, Any]], tuple[int, dict[str, Any]]]
"""From a line's body to status and body of its reply."""


@dataclass
class Lines:
    """The files of a batch under way."""

    output: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)


class OfflineBatches:
    """The handlers of both endpoints; ``start`` goes on with what a restart has interrupted."""

    def __init__(
        self, faults: BatchFaults, answer: Answer, stats: Counter[str], shelf: Shelf
    ) -> None:
        self._faults, self._answer, self._stats, self._shelf = faults, answer, stats, shelf
        self._tasks: set[asyncio.Task[None]] = set()
        self._stops: dict[str, asyncio.Event] = {}

    def add_to(self, app: web.Application) -> None:
        """Add the routes to the application."""
        add = app.router.add_route
        add("POST", "/v1/files", self.upload)
        add("GET", "/v1/files", self.list_files)
        add("GET", "/v1/files/{id}", self.file)
        add("GET", "/v1/files/{id}/content", self.content)
        add("DELETE", "/v1/files/{id}", self.delete)
        add("POST", "/v1/batches", self.create)
        add("GET", "/v1/batches", self.list_batches)
        add("GET", "/v1/batches/{id}", self.batch)
        add("POST", "/v1/batches/{id}/cancel", self.cancel)
        app.on_startup.append(self.start)
        app.on_cleanup.append(self.stop)

    async def start(self, _: web.Application) -> None:
        for number, record in enumerate(self._shelf.batches.values(), 1):
            if record["status"] not in FINAL:
                self._begin(record, number)

    async def stop(self, _: web.Application) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def upload(self, request: web.Request) -> web.Response:
        fields: dict[str, str] = {}
        name, data = "", None
        async for part in await request.multipart():
            assert isinstance(part, BodyPartReader)
            if part.name == "file":
                name, data = part.filename or "", bytes(await part.read())
            else:
                fields[part.name or ""] = await part.text()
        if data is None or fields.get("purpose") != "batch":
            return _error(400, "a file with the purpose 'batch' is needed", "invalid_request")
        self._stats["uploads"] += 1
        record = self._shelf.add_file(name, "batch", data)
        await asyncio.sleep(self._faults.reply_after_s)
        return web.json_response(record)

    async def list_files(self, request: web.Request) -> web.Response:
        purpose = request.query.get("purpose")
        found = [
            record for record in self._shelf.files.values() if purpose in (None, record["purpose"])
        ]
        return _page(found, request, 10_000)

    async def file(self, request: web.Request) -> web.Response:
        record = self._shelf.files.get(request.match_info["id"])
        return _missing() if record is None else web.json_response(record)

    async def content(self, request: web.Request) -> web.StreamResponse:
        try:
            data = self._shelf.content(request.match_info["id"])
        except KeyError:
            return _missing()
        self._stats["downloads"] += 1
        if self._stats["downloads"] <= self._faults.cut_downloads:
            return await _cut_off(request, data)
        return web.Response(body=data, content_type="application/octet-stream")

    async def delete(self, request: web.Request) -> web.Response:
        key = request.match_info["id"]
        if not self._shelf.drop_file(key):
            return _missing()
        self._stats["files_deleted"] += 1
        return web.json_response({"id": key, "object": "file", "deleted": True})

    async def create(self, request: web.Request) -> web.Response:
        try:
            asked = json.loads(await request.read())
            known = asked["input_file_id"] in self._shelf.files
            fits = asked["endpoint"] == ENDPOINT and asked["completion_window"] == "24h"
        except (ValueError, KeyError, TypeError):
            known = fits = False
        if not (known and fits):
            return _error(400, "an uploaded file, the endpoint and 24h are needed", "bad")
        self._stats["batches"] += 1
        record = _new_batch(asked["input_file_id"], asked.get("metadata"))
        self._shelf.batches[record["id"]] = record
        self._begin(record, len(self._shelf.batches))
        self._shelf.save()
        await asyncio.sleep(self._faults.reply_after_s)
        return web.json_response(record)

    async def list_batches(self, request: web.Request) -> web.Response:
        return _page(list(reversed(self._shelf.batches.values())), request, PAGE)

    async def batch(self, request: web.Request) -> web.Response:
        self._stats["polls"] += 1
        record = self._shelf.batches.get(request.match_info["id"])
        return _missing() if record is None else web.json_response(record)

    async def cancel(self, request: web.Request) -> web.Response:
        record = self._shelf.batches.get(request.match_info["id"])
        if record is None:
            return _missing()
        if record["status"] in FINAL:
            return _error(409, f"a batch that is {record['status']}", "conflict")
        self._stats["cancels"] += 1
        self._enter(record, "cancelling")
        self._stops[record["id"]].set()
        return web.json_response(record)

    def _begin(self, record: dict[str, Any], number: int) -> None:
        self._stops[record["id"]] = asyncio.Event()
        task = asyncio.get_running_loop().create_task(self._process(record, number))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _enter(self, record: dict[str, Any], status: str) -> None:
        record["status"] = status
        record[f"{status}_at"] = int(time.time())
        self._shelf.save()

    async def _process(self, record: dict[str, Any], number: int) -> None:
        """Carry the n-th batch to its end."""
        data = self._shelf.content(record["input_file_id"])
        await asyncio.sleep(self._faults.validating_s)
        questions, problems = read_questions(data, self._faults)
        if number <= self._faults.failed_batches:
            problems = [problem(self._faults.failed_code, "injected")]
        if problems:
            record["errors"] = {"object": "list", "data": problems}
            self._enter(record, "failed")
            return
        record["request_counts"]["total"] = len(questions)
        if not self._stops[record["id"]].is_set():
            self._enter(record, "in_progress")
        end = self._end_of(number)
        lines = await self._run(record, number, questions, end)
        if not self._stops[record["id"]].is_set():
            self._enter(record, "finalizing")
            await asyncio.sleep(self._faults.finalizing_s)
        else:
            end = "cancelled"
        for kind, rows in (("output", lines.output), ("error", lines.errors)):
            if rows:
                rows.sort(key=lambda row: blake2b(row.encode(), digest_size=8).digest())
                text = "\n".join(rows) + "\n"
                name = f"{record['id']}_{kind}.jsonl"
                kept = self._shelf.add_file(name, "batch_output", text.encode())
                record[f"{kind}_file_id"] = kept["id"]
        self._enter(record, end)

    def _end_of(self, number: int) -> str:
        if number <= self._faults.expired_batches:
            return "expired"
        if number <= self._faults.expired_batches + self._faults.cancelled_batches:
            return "cancelled"
        return "completed"

    async def _run(
        self, record: dict[str, Any], number: int, questions: list[dict[str, Any]], end: str
    ) -> Lines:
        """Answer the lines in goes over the batch's time, until it is cancelled."""
        lines, stop = Lines(), self._stops[record["id"]]
        each = max(1, -(-len(questions) // STRETCHES))
        for index, question in enumerate(questions):
            key = question["custom_id"]
            early = end != "completed" and self._faults.is_undone(key, number)
            if stop.is_set() or early:
                code = f"batch_{'cancelled' if stop.is_set() else end}"
                lines.errors.append(_line(key, None, {"code": code, "message": "not executed"}))
                continue
            self._answer_line(record, number, question, lines)
            if index % each == each - 1:
                with suppress(TimeoutError):
                    await asyncio.wait_for(stop.wait(), self._faults.running_s / STRETCHES)
            elif index % LINES_AT_ONCE == 0:
                await asyncio.sleep(0)
        return lines

    def _answer_line(
        self, record: dict[str, Any], number: int, question: dict[str, Any], lines: Lines
    ) -> None:
        key, fault = question["custom_id"], self._faults.draw(question["custom_id"], number)
        if fault is not None:
            self._stats[f"line_{fault}"] += 1
        if fault == "missing":
            return
        if fault in ("429", "500"):
            status, body = int(fault), error_body("injected", "injected")
        else:
            raw = json.dumps(question["body"], ensure_ascii=False, separators=(",", ":"))
            status, body = self._answer(raw.encode(), question["body"])
        response = {"status_code": status, "request_id": f"req_{token_hex(8)}", "body": body}
        row = _line(key, response, None)
        if fault == "damaged":
            row = row[: len(row) // 2]
        rows = lines.output if status == 200 else lines.errors
        rows += [row, row] if fault == "doubled" else [row]
        record["request_counts"]["completed" if status == 200 else "failed"] += 1


def read_questions(
    data: bytes, faults: BatchFaults
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """The requests of an input file, and what is wrong with it."""
    rows = [row for row in data.split(b"\n") if row.strip()]
    if not rows:
        return [], [problem("empty_file", "the file has no lines")]
    if len(rows) > faults.most_requests or len(data) > faults.most_bytes:
        return [], [problem("file_too_large", "the file has too many lines or bytes")]
    questions: list[dict[str, Any]] = []
    problems, seen, models = [], set(), set()
    for number, row in enumerate(rows, 1):
        try:
            question = json.loads(row)
            key, model = question["custom_id"], question["body"]["model"]
            fits = (question["method"], question["url"]) == ("POST", ENDPOINT)
        except (ValueError, KeyError, TypeError):
            problems.append(problem("invalid_json_line", "not a request", number))
            continue
        if not fits:
            problems.append(problem("invalid_url", "another method or url", number))
        if not isinstance(key, str) or key in seen:
            problems.append(problem("duplicate_custom_id", "the id is there already", number))
        seen.add(str(key))
        models.add(model)
        questions.append(question)
    if len(models) > 1:
        problems.append(problem("mismatched_model", "a file asks one model"))
    return questions, problems


def problem(code: str, message: str, line: int | None = None) -> dict[str, Any]:
    """One entry of a failed batch's errors."""
    return {"code": code, "message": message, "line": line, "param": None}


def _new_batch(file_id: str, metadata: Any) -> dict[str, Any]:
    now = int(time.time())
    return {
        "id": f"batch_{token_hex(12)}",
        "object": "batch",
        "endpoint": ENDPOINT,
        "errors": None,
        "input_file_id": file_id,
        "completion_window": "24h",
        "status": "validating",
        "output_file_id": None,
        "error_file_id": None,
        "created_at": now,
        "expires_at": now + WINDOW_S,
        "request_counts": {"total": 0, "completed": 0, "failed": 0},
        "metadata": metadata,
    }


def _line(key: str, response: dict[str, Any] | None, error: dict[str, str] | None) -> str:
    name = f"batch_req_{token_hex(12)}"
    row = {"id": name, "custom_id": key, "response": response, "error": error}
    return json.dumps(row, ensure_ascii=False)


def _page(records: Sequence[dict[str, Any]], request: web.Request, default: int) -> web.Response:
    """A page of a list, after the id that the request names."""
    keys = [record["id"] for record in records]
    after = request.query.get("after")
    start = keys.index(after) + 1 if after in keys else 0
    limit = int(request.query.get("limit", default))
    found = list(records[start : start + limit])
    body: dict[str, Any] = {
        "object": "list",
        "data": found,
        "first_id": found[0]["id"] if found else None,
        "last_id": found[-1]["id"] if found else None,
        "has_more": start + limit < len(records),
    }
    return web.json_response(body)


async def _cut_off(request: web.Request, data: bytes) -> web.StreamResponse:
    """Half of the body that was announced, and the connection's end."""
    response = web.StreamResponse()
    response.content_length = len(data)
    await response.prepare(request)
    await response.write(data[: len(data) // 2])
    if request.transport is not None:
        request.transport.close()  # what is written still goes out
    return response


def _error(status: int, message: str, code: str) -> web.Response:
    return web.json_response(error_body(message, code), status=status)


def _missing() -> web.Response:
    return _error(404, "there is no such file or batch", "not_found")
