"""What the tests of the client under faults share: questions, and counts of what was kept."""

from __future__ import annotations

import json
import sqlite3
from collections import Counter
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

from llm_world import QUICK, Script, question, scripted_server

from infra.llm import Client
from infra.llm.audit import AUDIT_FILE
from infra.llm.cache import CACHE_FILE
from tasks.reports.prompts import STRUCTURE, StructuredReport

SECRET = "Mr Doe has a cavitary lesion"
KEY = "sk-never-shown"


def report_question(number: int) -> Any:
    payload = {"report": f"FINDINGS: A {number} mm nodule in the left lung.\nIMPRESSION: Nodule."}
    return replace(
        question("x"),
        messages=STRUCTURE.messages(payload),
        answer=StructuredReport,
        prompt_version=STRUCTURE.version,
        model="offline-rules",
        max_output_tokens=400,
    )


def audit_lines(state: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (state / AUDIT_FILE).read_text().splitlines()]


def stored_statuses(state: Path) -> Counter[str]:
    with closing(sqlite3.connect(state / CACHE_FILE)) as connection:
        return Counter(row[0] for row in connection.execute("SELECT status FROM answers"))


def one_answer(tmp_path: Path, reply: Any, **limits: Any) -> Any:
    script = Script(reply)
    with (
        scripted_server(script) as endpoint,
        Client(endpoint, tmp_path, replace(QUICK, **{"attempts": 2, **limits})) as client,
    ):
        return client.complete_many([question("a")])[0], len(script.bodies)
