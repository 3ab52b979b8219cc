"""Final failures are kept with what was asked, released on demand, and leave when answered."""

from __future__ import annotations

import json
import shutil
import sqlite3
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from cli_world import Say
from llm_faults_world import SECRET, stored_statuses
from llm_world import GOOD, QUICK, Reply, Script, completion, question, scripted_server
from raw_world import look, write_raw

from infra.errors import InputError
from infra.llm import AnswerStatus, Client
from infra.llm.quarantine import FINAL_FAILURES, QUARANTINE_FILE, Quarantine, retry_rounds
from infra.llm.status import read_status
from tasks.context import Context
from tasks.ingest.studies import REJECTED_FILE, ingest_studies
from tasks.reports.connection import Teacher
from tasks.reports.offline_server import Faults, offline_server
from tasks.reports.work import write_reports

REFUSAL = completion(None, refusal="No.")


def by_text(replies: dict[str, Any]) -> Script:
    """Answers by the first word of the question."""

    def reply(_: int, body: dict[str, Any]) -> Reply:
        found = replies.get(body["messages"][0]["content"].split()[0], GOOD)
        return found if isinstance(found, tuple) else (200, found)

    return Script(reply)


def ask(state: Path, script: Script, *texts: str, **changes: Any) -> list[Any]:
    with scripted_server(script) as endpoint, Client(endpoint, state, QUICK) as client:
        return client.complete_many([question(text, **changes) for text in texts])


def held(state: Path) -> list[tuple[str, str, int, int]]:
    with closing(Quarantine(state)) as quarantine:
        return [
            (item.source, item.reason, item.times, item.released) for item in quarantine.failures()
        ]


def test_every_final_failure_is_kept_with_its_reason(tmp_path: Path) -> None:
    script = by_text(
        {
            "refused": REFUSAL,
            "content-filter": (400, {"error": {"code": "content_filter"}}),
            "truncated": completion('{"wo', "length"),
            "invalid": completion("no shape"),
            "context-length": (413, {"error": {}}),
            "unreached": (500, {"error": {}}),
        }
    )
    texts = [str(status) for status in AnswerStatus]
    answers = ask(tmp_path, script, *texts)
    assert [str(item.status) for item in answers] == texts
    assert sorted(reason for _, reason, _, _ in held(tmp_path)) == sorted(FINAL_FAILURES)
    assert read_status(tmp_path).quarantine == dict.fromkeys(sorted(FINAL_FAILURES), 1)


def test_the_whole_request_is_kept_for_its_owner_alone(tmp_path: Path) -> None:
    ask(tmp_path, by_text({"Mr": REFUSAL}), SECRET, source="brax", seed=3)
    path = tmp_path / QUARANTINE_FILE
    assert path.stat().st_mode & 0o777 == 0o600
    with closing(sqlite3.connect(path)) as run:
        run.row_factory = sqlite3.Row
        row = dict(run.execute("SELECT * FROM failures").fetchone())
    assert json.loads(row.pop("request")) == {
        "messages": [["user", SECRET]],
        "answer": "verdict",
        "temperature": 0.0,
        "seed": 3,
        "max_output_tokens": 50,
    }
    assert row.pop("failed_at") > "2024"
    assert row.pop("request_key") == question(SECRET, seed=3).identity()
    assert row.pop("endpoint").startswith("127.0.0.1:")
    assert row == {
        "reason": "refused", "source": "brax", "egress": "any", "model": "scripted",
        "prompt_version": "verdict-1", "input_tokens": 11, "output_tokens": 5, "cost_usd": None,
        "times": 1, "released_at": None,
    }  # fmt: skip


def test_nothing_failed_makes_no_file(tmp_path: Path) -> None:
    ask(tmp_path, by_text({}), "a")
    assert not (tmp_path / QUARANTINE_FILE).exists()
    assert held(tmp_path) == []
    assert retry_rounds(tmp_path, ["verdict"]) == 0


def test_a_replayed_failure_changes_nothing(tmp_path: Path) -> None:
    for _ in range(2):
        ask(tmp_path, by_text({"a": REFUSAL}), "a")
    assert held(tmp_path) == [("openi", "refused", 1, 0)]


@pytest.mark.parametrize("code", ["content_filter", "context_length_exceeded"])
def test_what_was_declined_for_nothing_is_not_sent_again_before_a_retry(
    tmp_path: Path, code: str
) -> None:
    script = by_text({"a": (400, {"error": {"code": code, "message": "no"}})})
    (first,), (second,) = ask(tmp_path, script, "a"), ask(tmp_path, script, "a")
    assert len(script.bodies) == 1, "text that was refused does not leave a second time"
    assert second.status is first.status and second.cached
    assert sum(stored_statuses(tmp_path).values()) == 1


def test_released_requests_leave_when_answered_and_stay_when_they_fail_again(
    tmp_path: Path, cxr: Say
) -> None:
    state = tmp_path / ".state"
    ask(state, by_text({"a": REFUSAL, "b": REFUSAL}), "a", "b", "c")
    cxr("llm", "retry", "--data-root", tmp_path)
    assert held(state) == [("openi", "refused", 1, 1)] * 2
    script = by_text({"b": completion("no shape")})
    ask(state, script, "a", "b", "c")
    assert len(script.bodies) == 1 + QUICK.asks, "a once, b until it is given up, c not at all"
    assert held(state) == [("openi", "invalid", 2, 0)]


def test_an_answer_by_newer_rules_ends_a_failure_of_older_ones(tmp_path: Path) -> None:
    for rules, script in (("old", by_text({"a": REFUSAL})), ("new", by_text({}))):
        with (
            scripted_server(script) as endpoint,
            Client(replace(endpoint, rules=rules), tmp_path, QUICK) as client,
        ):
            client.complete_many([question("a")])
        assert len(held(tmp_path)) == (rules == "old")


def test_rounds_are_numbered_by_source_and_task(tmp_path: Path) -> None:
    for source, version in (("openi", "structure-1"), ("brax", "structure-2"), ("brax", "x-1")):
        ask(tmp_path, by_text({"a": REFUSAL}), "a", source=source, prompt_version=version)
    with closing(Quarantine(tmp_path)) as quarantine:
        quarantine.release(quarantine.failures(source="brax"))
        quarantine.release(quarantine.failures(reason="refused"))
    assert retry_rounds(tmp_path, ["structure"], "openi") == 1
    assert retry_rounds(tmp_path, ["structure"], "brax") == 2
    assert retry_rounds(tmp_path, ["structure", "x"], "brax") == 4
    assert retry_rounds(tmp_path, ["structure"]) == 3
    assert retry_rounds(tmp_path, ["translate"], "openi") == 0


def test_another_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / QUARANTINE_FILE).write_text("no database, whatever its name may say" * 50)
    with pytest.raises(InputError, match="that is no quarantine; expected a SQLite file"):
        held(tmp_path)


@pytest.fixture(scope="module")
def raw(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_raw("mimic_cxr", tmp_path_factory.mktemp("quarantine") / "raw", 24)


class Run:
    """Reports of one replica over servers whose faults a test chooses."""

    def __init__(self, raw: Path, data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self._raw, self.data, self._monkeypatch = raw, data, monkeypatch

    def context(self) -> Context:
        routes = 'sources.routes={mimic_cxr=["structure"]}'
        share = "reports.largest_failed_share=1.0"
        context = look(self.data, {"mimic_cxr": self._raw}, routes, share)
        ingest_studies(context, "mimic_cxr")
        return context

    def write(self, faults: Faults) -> tuple[Counter[str], int]:
        """Rejected studies by reason, and how many requests were sent."""
        with offline_server(faults) as endpoint:
            self._monkeypatch.setenv("CXR_LLM_BASE_URL", endpoint.base_url)
            context = self.context()
            with Teacher(context.environment) as teacher:
                artifact = write_reports(context, "mimic_cxr", teacher)
                sent = teacher.client("offline-rules").usage.sent
            self._monkeypatch.delenv("CXR_LLM_BASE_URL")
        tables = [pq.read_table(path) for path in artifact.files(REJECTED_FILE)]
        return Counter(row for table in tables for row in table["reason"].to_pylist()), sent

    @property
    def state(self) -> Path:
        return self.data / ".state"


@pytest.fixture
def run(raw: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Run]:
    yield Run(raw, tmp_path / "data", monkeypatch)


def test_retry_asks_again_what_failed_and_nothing_else(run: Run, cxr: Say) -> None:
    faulty = Faults(share_refused=0.3, share_truncated_answer=0.2, seed=5)
    lost, sent = run.write(faulty)
    refused, truncated = lost["refused"], lost["truncated"]
    assert refused > 0 and truncated > 0 and sent > refused + truncated
    assert run.write(Faults()) == (lost, 0), "a finished step asks nothing"
    root = ["--data-root", run.data]
    said = cxr("llm", "retry", "--reason", "refused", *root, "--dry-run")
    line = f"{refused} requests would be asked again: refused {refused}; of mimic_cxr {refused}\n"
    assert (said.code, said.out) == (0, line)
    assert run.write(Faults()) == (lost, 0), "a dry run releases nothing"
    said = cxr("llm", "retry", "--reason", "refused", "--source", "mimic_cxr", *root)
    assert said.out.startswith(line.replace("would", "will"))
    assert "now run the command that asked them ('cxr run', say)" in said.out
    assert stored_statuses(run.state)["refused"] == 0
    found = read_status(run.state)
    assert (found.released, sum(found.quarantine.values())) == (refused, refused + truncated)
    after, again = run.write(Faults())
    assert again == refused
    assert (after["refused"], after["truncated"]) == (0, truncated)
    assert read_status(run.state).quarantine == {"truncated": truncated}
    assert cxr("llm", "retry", "--reason", "refused", *root).out == (
        "nothing in quarantine matches\n"
    )


@pytest.mark.slow
def test_a_retry_that_fails_again_can_be_retried_again(run: Run, cxr: Say) -> None:
    lost, _ = run.write(Faults(share_refused=0.3, seed=5))
    for round_number in (1, 2):
        cxr("llm", "retry", "--data-root", run.data)
        again, sent = run.write(Faults(share_refused=0.3, seed=5))
        assert (again, sent) == (lost, lost["refused"])
        assert {times for _, _, times, _ in held(run.state)} == {1 + round_number}
    (row,) = read_status(run.state).work
    assert row.sent == row.kept + sum(row.failed.values())
    assert row.failed == {"refused": 3 * lost["refused"]}


def test_retry_tells_what_it_cannot_do(run: Run, cxr: Say, tmp_path: Path) -> None:
    said = cxr("llm", "retry", "--data-root", tmp_path / "nowhere")
    assert (said.code, said.err.count("\n")) == (2, 1)
    assert not (tmp_path / "nowhere").exists()
    run.context()
    said = cxr("llm", "retry", "--data-root", run.data, "--reason", "ok")
    assert said.code == 2
    assert said.err == (
        "error: found reason 'ok'; expected one of refused, content-filter, truncated, invalid, "
        "context-length; correct it\n"
    )
    said = cxr("llm", "retry", "--data-root", run.data)
    assert (said.code, said.out) == (0, "nothing in quarantine matches\n")
    shutil.rmtree(run.data)


def test_judging_is_made_again_by_a_round_of_its_own(run: Run) -> None:
    before = run.context().graph
    for source, version in (("mimic_cxr", "structure-1"), ("mimic_cxr", "chexprompt-1")):
        ask(run.state, by_text({"a": REFUSAL}), "a", source=source, prompt_version=version)
    with closing(Quarantine(run.state)) as quarantine:
        judged = [item for item in quarantine.failures() if "chexprompt" in item.prompt_version]
        quarantine.release(judged)
    after = run.context().graph
    changed = [key for key in before.steps if before[key].folder != after[key].folder]
    assert changed == ["scores/llava_rad", "models/llava_rad"]
    assert after["scores/llava_rad"].inputs["retries"] == "round 1"
