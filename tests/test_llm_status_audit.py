"""What ``cxr llm`` says: counts that add up, money, and where text went."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from cli_world import Say
from llm_faults_world import report_question, stored_statuses
from llm_world import GOOD, QUICK, Reply, Script, completion, question, scripted_server
from test_llm_budget import EACH, PRICE, priced
from test_llm_compaction import fill, names

from infra.egress import Egress, Guarantee
from infra.errors import InputError
from infra.llm import AnswerStatus, Client
from infra.llm.archive import ARCHIVE_FOLDER
from infra.llm.audit import AUDIT_FILE, AuditLog
from infra.llm.audit_summary import Sent, summarize_audit
from infra.llm.cache import AnswerCache
from infra.llm.prices import load_prices
from infra.llm.status import FAILURES, Status, read_status
from tasks.reports.offline_server import Faults, offline_server

SECRET = "a golden ring in the oesophagus"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A data root with a state folder."""
    (tmp_path / ".state").mkdir()
    return tmp_path


def test_under_faults_every_count_adds_up(tmp_path: Path) -> None:
    faults = Faults(
        share_429=0.05, share_500=0.05, share_reset=0.05, share_truncated_body=0.05,
        share_truncated_answer=0.05, share_wrong_schema=0.05, share_refused=0.05, seed=4,
    )  # fmt: skip
    with offline_server(faults) as endpoint, Client(endpoint, tmp_path, QUICK) as client:
        answers = client.complete_many([report_question(number) for number in range(150)])
        usage = client.usage
    ends = [str(item.status) for item in answers]
    found = read_status(tmp_path)
    (row,) = found.work
    assert (row.sent, row.in_flight, row.lost) == (150, 0, 0)
    assert row.kept == ends.count("ok")
    assert row.failed == {why: ends.count(why) for why in FAILURES if why in ends}
    assert row.kept + sum(row.failed.values()) == row.sent
    assert (row.input_tokens, row.output_tokens) == (usage.input_tokens, usage.output_tokens)
    final = {why: count for why, count in row.failed.items() if why != "unreached"}
    assert found.quarantine == dict(sorted(final.items()))
    assert (
        found.answers == sum(stored_statuses(tmp_path).values()) == row.kept + sum(final.values())
    )
    (sent,) = summarize_audit(tmp_path).sent
    assert (sent.requests, sent.unanswered) == (150, 0)
    assert (sent.input_tokens, sent.output_tokens) == (usage.input_tokens, usage.output_tokens)
    assert sum(sent.outcomes.values()) == 150


def test_requests_in_flight_are_seen_while_they_are(root: Path, cxr: Say) -> None:
    release, state = threading.Event(), root / ".state"

    def reply(_: int, __: dict[str, Any]) -> Reply:
        release.wait(30)
        return 200, GOOD

    with scripted_server(Script(reply)) as endpoint, Client(endpoint, state, QUICK) as client:
        texts = [question(text) for text in "abc"]
        asking = threading.Thread(target=client.complete_many, args=(texts,))
        asking.start()
        found = _wait_for(state)
        said = cxr("llm", "status", "--data-root", root)
        release.set()
        asking.join()
    (row,) = found.work
    assert (row.sent, row.kept, row.in_flight, row.lost) == (3, 0, 3, 0)
    header, line = said.out.splitlines()[:2]
    assert dict(zip(header.split("  "), line.split("  "), strict=False))["source"] == "openi"
    (row,) = read_status(state).work
    assert (row.sent, row.kept, row.in_flight) == (3, 3, 0)


def _wait_for(state: Path) -> Status:
    """The status once three requests are in flight; the pytest timeout is the limit."""
    pause = threading.Event()
    for _ in range(600):
        found = read_status(state)
        if found.work and found.work[0].in_flight == 3:
            return found
        pause.wait(0.05)
    raise AssertionError(f"never in flight: {found}")


def test_the_status_of_a_run_with_a_budget(
    root: Path,
    cxr: Say,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    state = priced(root / ".state")
    script = Script(lambda n, _: (200, GOOD if n else completion(None, refusal="No.")))
    with scripted_server(script) as endpoint, Client(endpoint, state, QUICK) as client:
        client.complete_many([question("a")])
        client.complete_many([question(text) for text in "bc"])
    monkeypatch.setenv("CXR_LLM_BUDGET_USD", "2")
    document = json.loads(cxr("llm", "status", "--data-root", root, "--json").out)
    (row,) = document.pop("work")
    assert row == {
        "source": "openi", "task": "verdict", "model": "scripted", "sent": 3, "kept": 2,
        "failed": {"refused": 1}, "in_flight": 0, "lost": 0, "replayed": 0, "input_tokens": 33,
        "output_tokens": 15, "cost_usd": pytest.approx(3 * EACH), "unpriced": 0,
        "rate_limited": 0, "retried": 0,
    }  # fmt: skip
    (quota,) = document.pop("quotas")
    assert quota == {
        "label": f"{endpoint.host} scripted", "requests_per_minute": None,
        "tokens_per_minute": None, "is_guess": False, "sent": 3, "refused": 0, "closed_s": 0.0,
    }  # fmt: skip
    assert document == {
        "spent_usd": pytest.approx(3 * EACH), "reserved_usd": 0.0, "budget_usd": 2.0,
        "left_usd": pytest.approx(2 - 3 * EACH), "answers": 3, "answers_in_parquet": 0,
        "quarantine": {"refused": 1}, "released": 0,
    }  # fmt: skip
    assert cxr("llm", "status", "--data-root", root).out.splitlines() == [
        "source  task     model     sent  kept  failed     in flight  lost  replayed  tokens in  "
        "tokens out  cost",
        "openi   verdict  scripted  3     2     refused 1  0          0     0         33         "
        "15          $0.1830",
        "spent $0.1830, reserved $0.0000; $1.8170 left of $2.00",
        "3 answers stored, 0 of them in Parquet",
        "1 in quarantine, 0 released to be asked again: refused 1",
        f"{endpoint.host} scripted: no limit met; 0 of 3 answered 429",
    ]


def test_a_state_folder_without_answers(root: Path, cxr: Say) -> None:
    assert cxr("llm", "status", "--data-root", root).out.splitlines() == [
        "nothing was asked yet",
        "spent $0.0000, reserved $0.0000; no budget is set (CXR_LLM_BUDGET_USD)",
        "0 answers stored, 0 of them in Parquet",
        "0 in quarantine, 0 released to be asked again",
    ]
    for command, problem in (("audit", "no audit log at"), ("compact", "no answers under")):
        said = cxr("llm", command, "--data-root", root)
        assert (said.code, said.err.count("\n")) == (2, 1)
        assert problem in said.err
    assert list((root / ".state").iterdir()) == [], "looking makes nothing"


@pytest.mark.parametrize("command", ["status", "audit", "retry", "compact"])
def test_looking_at_a_place_that_is_none_makes_nothing(
    tmp_path: Path,
    cxr: Say,
    command: str,
) -> None:
    said = cxr("llm", command, "--data-root", tmp_path / "typo")
    assert said.code == 2
    assert said.err == (
        f"error: found no state folder at {tmp_path / 'typo' / '.state'}; expected a data root "
        "that was used; see --data-root\n"
    )
    assert not (tmp_path / "typo").exists()


def test_compact_says_what_it_did(root: Path, cxr: Say) -> None:
    with closing(AnswerCache(root / ".state")) as cache:
        fill(cache, names(1200))
        fill(cache, ["zz"], "refused")
    said = cxr("llm", "compact", "--data-root", root)
    folder = root / ".state" / ARCHIVE_FOLDER
    assert said.out == f"1,200 answers moved; Parquet files in {folder}: 1\n"
    found = read_status(root / ".state")
    assert (found.answers, found.answers_in_parquet) == (1, 1200)
    assert "1,201 answers stored, 1,200 of them in Parquet" in (
        cxr("llm", "status", "--data-root", root).out
    )
    next(folder.iterdir()).unlink()
    said = cxr("llm", "compact", "--data-root", root, "--forget-damaged")
    assert "1,200 could not be read and will be asked again" in said.out


@pytest.fixture
def log(tmp_path: Path) -> Iterator[AuditLog]:
    with closing(AuditLog(tmp_path, "llm.example:443", Guarantee.ZERO_RETENTION)) as opened:
        yield opened


def test_the_audit_is_summed_by_place(log: AuditLog, tmp_path: Path) -> None:
    for key, source, model in (("a", "openi", "m"), ("b", "openi", "m"), ("c", "brax", "n")):
        log.sent(source, key, model)
    log.answered("openi", "b", "ok", 10, 2)
    log.answered("openi", "a", "refused", 5, 1)
    log.answered("openi", "never-sent", "ok", 100, 100)
    with closing(AuditLog(tmp_path, "other", Guarantee.LOCAL)) as other:
        other.sent("openi", "a", "m")
        other.answered("openi", "a", "ok", 1, 1)
    found = summarize_audit(tmp_path)
    assert (found.damaged_lines, found.stray_answers) == (0, 1)
    brax, openi, local = found.sent
    for item in found.sent:
        assert "2024" < item.first <= item.last
        item.first = item.last = ""
    place = ("llm.example:443", "zero-retention")
    assert brax == Sent("brax", *place, "n", 1, {}, 1)
    assert openi == Sent("openi", *place, "m", 2, {"ok": 1, "refused": 1}, 0, 15, 3)
    assert local == Sent("openi", "other", "local", "m", 1, {"ok": 1}, 0, 1, 1)


@pytest.mark.parametrize(
    "line",
    [
        b"{ cut off",
        b"[]",
        b"\xff\xfe",
        b'{"event": "sent"}',
        b'{"at": 3, "event": "sent"}',
        b'{"at": "t", "event": "left", "source": "s", "request": "r", "endpoint": "e", '
        b'"guarantee": "none"}',
        b'{"at": "t", "event": "answered", "source": "s", "request": "r", "endpoint": "e", '
        b'"guarantee": "none", "outcome": "ok", "input_tokens": "many", "output_tokens": 1}',
    ],
)
def test_damaged_lines_are_counted_and_the_rest_is_read(
    log: AuditLog, tmp_path: Path, line: bytes
) -> None:
    log.sent("openi", "a", "m")
    with log.path.open("ab") as file:
        file.write(line + b"\n")
    log.answered("openi", "a", "ok", 1, 1)
    found = summarize_audit(tmp_path)
    assert (found.damaged_lines, found.stray_answers) == (1, 0)
    assert found.sent[0].outcomes == {"ok": 1}


def test_the_same_request_twice_is_two(log: AuditLog, tmp_path: Path) -> None:
    for _ in range(2):
        log.sent("openi", "a", "m")
    log.answered("openi", "a", "ok", 1, 1)
    (row,) = summarize_audit(tmp_path).sent
    assert (row.requests, row.unanswered, row.outcomes) == (2, 1, {"ok": 1})


def test_no_log_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        summarize_audit(tmp_path)
    assert str(caught.value) == (
        f"found no audit log at {tmp_path / AUDIT_FILE}; expected a log of what was sent; nothing "
        "was sent yet"
    )


def test_what_is_printed_names_no_text(root: Path, cxr: Say) -> None:
    replies = [completion(None, refusal=SECRET), GOOD]
    script = Script(lambda number, _: (200, replies[number]))
    with scripted_server(script) as endpoint, Client(endpoint, root / ".state", QUICK) as client:
        first = client.complete_many([question(SECRET, egress=Egress.NEVER)])
        client.complete_many([question("b")])
    assert first[0].status is AnswerStatus.REFUSED
    said = [
        cxr("llm", *words, "--data-root", root)
        for words in (
            ["status"],
            ["status", "--json"],
            ["audit"],
            ["audit", "--json"],
            ["retry", "--dry-run"],
            ["retry"],
            ["compact"],
            ["prices"],
        )
    ]
    assert {item.code for item in said} == {0}
    assert "golden" not in "".join(item.out + item.err for item in said)
    lines = said[2].out.splitlines()
    assert lines[0].split()[:5] == ["source", "endpoint", "guarantee", "model", "requests"]
    assert lines[1].split()[2:5] == ["none", "scripted", "2"]
    assert lines[-1] == "0 damaged lines, 0 answers to nothing sent"
    document = json.loads(said[3].out)
    assert document["sent"][0]["outcomes"] == {"ok": 1, "refused": 1}
    assert (document["damaged_lines"], document["stray_answers"]) == (0, 0)


def test_prices_in_force_are_listed(root: Path, cxr: Say) -> None:
    rows = json.loads(cxr("llm", "prices", "--data-root", root, "--json").out)
    assert rows == sorted(rows, key=lambda row: row["model"])
    gpt = [row for row in rows if row["model"] == "gpt-4o"]
    (row,) = gpt
    assert row == {
        "model": "gpt-4o",
        "since": "2024-10-02",
        "input": 2.5,
        "output": 10.0,
        "batch_discount": 0.5,
    }
    own = root / ".state" / "llm-prices.toml"
    assert cxr("llm", "prices", "--data-root", root).out.splitlines()[-1] == (
        f"as shipped; a file {own} replaces them"
    )
    own.write_text(PRICE + PRICE.replace("2024-01-01", "2999-01-01").replace("1000.0", "1.0"))
    assert cxr("llm", "prices", "--data-root", root).out.splitlines() == [
        "model     since       input   output   batch_discount",
        "scripted  2024-01-01  1000.0  10000.0  0.0",
        f"from {own}",
    ]
    assert len(load_prices(own.parent).prices) == 2


def test_the_pace_is_told(root: Path, cxr: Say) -> None:
    state = root / ".state"
    script = Script(lambda n, _: (200, GOOD) if n else (429, {}, {"retry-after": "0.01"}))
    limits = replace(QUICK, tokens_per_minute=60_000.0)
    with scripted_server(script) as endpoint, Client(endpoint, state, limits) as client:
        client.complete_many([question("a")])
    line = cxr("llm", "status", "--data-root", root).out.splitlines()[-1]
    pace = "600 requests (a guess) a minute, 60,000 tokens a minute; 1 of 2 answered 429"
    assert line.startswith(f"{endpoint.host} scripted: ")
    assert re.sub(r"\d+ requests", "600 requests", line).endswith(pace)
