"""Every kind of fault: how each request ends, and that all counts add up."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
import threading
from collections import Counter
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from llm_faults_world import SECRET, audit_lines, report_question, stored_statuses
from llm_world import GOOD, QUICK, Reply, Script, Verdict, completion, question, scripted_server
from pydantic import SecretStr

from infra.errors import LanguageModelError
from infra.llm import AnswerStatus, Client, Endpoint
from infra.llm.cache import CACHE_FILE
from tasks.reports.offline_server import Faults, offline_server
from tasks.reports.prompts import StructuredReport

MANY = 50


@pytest.mark.parametrize(
    ("faults", "ends"),
    [
        (Faults(share_429=0.3, seed=1), {"ok"}),
        (Faults(share_429=0.3, retry_after_s=0.01, seed=2), {"ok"}),
        (Faults(share_500=0.3, seed=3), {"ok"}),
        (Faults(share_reset=0.3, seed=4), {"ok"}),
        (Faults(share_truncated_body=0.3, seed=5), {"ok"}),
        (Faults(share_truncated_answer=0.2, seed=6), {"ok", "truncated"}),
        (Faults(share_refused=0.2, seed=7), {"ok", "refused"}),
        (Faults(share_wrong_schema=0.1, seed=8), {"ok"}),
        (Faults(share_wrong_schema=1.0), {"invalid"}),
        (Faults(share_500=1.0), {"unreached"}),
        (Faults(no_schemas=True), {"ok"}),
        (
            Faults(
                share_429=0.03,
                share_500=0.03,
                share_reset=0.03,
                share_truncated_body=0.03,
                share_truncated_answer=0.03,
                share_wrong_schema=0.03,
                share_refused=0.02,
                seed=9,
            ),
            {"ok", "truncated", "refused"},
        ),
    ],
    ids=lambda value: "-".join(sorted(value)) if isinstance(value, set) else "",
)
def test_every_request_ends_in_one_way_and_the_counts_add_up(
    tmp_path: Path, faults: Faults, ends: set[str]
) -> None:
    limits = replace(QUICK, attempts=3 if faults.share_500 == 1.0 else 8, asks=4)
    requests = [report_question(number) for number in range(MANY)]
    with offline_server(faults) as endpoint, Client(endpoint, tmp_path, limits) as client:
        answers = client.complete_many(requests)
    counts = Counter(str(answer.status) for answer in answers)
    assert counts.total() == MANY and set(counts) == ends
    assert len({answer.request_hash for answer in answers}) == MANY
    kept = [answer for answer in answers if answer.status is AnswerStatus.OK]
    assert all(isinstance(answer.value, StructuredReport) for answer in kept)
    assert all(answer.value is None for answer in answers if answer.status is not AnswerStatus.OK)
    stored = stored_statuses(tmp_path)
    assert stored == Counter({name: n for name, n in counts.items() if name != "unreached"})
    events = Counter(line["event"] for line in audit_lines(tmp_path))
    assert events == {"sent": MANY, "answered": MANY}
    outcomes = Counter(
        line["outcome"] for line in audit_lines(tmp_path) if line["event"] == "answered"
    )
    named = {"status-500": "unreached"}
    assert Counter(named.get(name, name) for name in outcomes.elements()) == counts


def test_a_second_run_asks_only_for_what_was_not_reached(tmp_path: Path) -> None:
    requests = [report_question(number) for number in range(40)]
    hard = replace(QUICK, attempts=1)
    with offline_server(Faults(share_500=0.5)) as endpoint, Client(endpoint, tmp_path, hard) as one:
        first = one.complete_many(requests)
    reached = sum(answer.status is AnswerStatus.OK for answer in first)
    assert 0 < reached < 40
    with offline_server() as endpoint, Client(endpoint, tmp_path, QUICK) as two:
        second = two.complete_many(requests)
        assert (two.usage.replayed, two.usage.sent) == (reached, 40 - reached)
    assert {answer.status for answer in second} == {AnswerStatus.OK}


def test_a_damaged_cached_answer_is_asked_again_without_a_word_of_it(tmp_path: Path) -> None:
    script = Script(lambda *_: (200, GOOD))
    with scripted_server(script) as endpoint:
        with Client(endpoint, tmp_path, QUICK) as client:
            client.complete_many([question("a"), question("b")])
        with closing(sqlite3.connect(tmp_path / CACHE_FILE)) as connection:
            connection.execute(
                "UPDATE answers SET content = ? WHERE request_hash = ?",
                (json.dumps({"word": SECRET}), question("a").identity()),
            )
            connection.commit()
        for sent, replayed in ((1, 1), (0, 2)):
            with Client(endpoint, tmp_path, QUICK) as client:
                answers = client.complete_many([question("a"), question("b")])
                assert (client.usage.sent, client.usage.replayed) == (sent, replayed)
            assert [answer.value for answer in answers] == [Verdict(word="clear", number=3)] * 2


def test_two_clients_that_ask_at_once_end_with_one_answer(tmp_path: Path) -> None:
    meeting = threading.Barrier(2, timeout=10)

    def reply(number: int, _: Any) -> Reply:
        return 200, completion(json.dumps({"word": f"answer {number}", "number": number}))

    found: list[Any] = [None, None]

    def ask(index: int, endpoint: Endpoint) -> None:
        with Client(endpoint, tmp_path, QUICK) as client:
            meeting.wait()
            found[index] = client.complete_many([question("a")])[0]

    with scripted_server(Script(reply)) as endpoint:
        threads = [threading.Thread(target=ask, args=(n, endpoint)) for n in (0, 1)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        with Client(endpoint, tmp_path, QUICK) as client:
            later = client.complete_many([question("a")])[0]
    assert later.cached and found[0].value == found[1].value == later.value


PROCESS = """
import sys
from pathlib import Path
from pydantic import SecretStr
sys.path.insert(0, sys.argv[3])
from llm_faults_world import QUICK, report_question
from infra.llm import Client, Endpoint
with Client(Endpoint(sys.argv[1], SecretStr("k")), Path(sys.argv[2]), QUICK) as client:
    numbers = range(int(sys.argv[4]), int(sys.argv[5]))
    answers = client.complete_many([report_question(n) for n in numbers])
    print(client.usage.sent, client.usage.replayed, len([a for a in answers if a.value]))
"""


def test_two_processes_share_one_cache(tmp_path: Path) -> None:
    here = str(Path(__file__).parent)
    with offline_server(Faults(share_429=0.1)) as endpoint:
        ranges = (("0", "60"), ("30", "90"))
        children = [
            subprocess.Popen(
                [sys.executable, "-c", PROCESS, endpoint.base_url, str(tmp_path), here, *ends],
                stdout=subprocess.PIPE,
                text=True,
            )
            for ends in ranges
        ]
        told = [child.communicate(timeout=60)[0].split() for child in children]
        assert [child.returncode for child in children] == [0, 0]
        # as the children see it, a server of which no rules are known
        with Client(Endpoint(endpoint.base_url, SecretStr("k")), tmp_path, QUICK) as client:
            client.complete_many([report_question(n) for n in range(90)])
            assert (client.usage.sent, client.usage.replayed) == (0, 90)
    for sent, replayed, good in told:
        assert int(sent) + int(replayed) == int(good) == 60
    paid = sum(int(sent) for sent, _, _ in told)
    assert 90 <= paid <= 120
    lines = audit_lines(tmp_path)
    assert Counter(line["event"] for line in lines) == {"sent": paid, "answered": paid}
    assert stored_statuses(tmp_path) == Counter({"ok": 90})


def test_what_was_in_flight_is_kept_when_the_key_stops_working(tmp_path: Path) -> None:
    def reply(number: int, _: Any) -> Reply:
        return (200, GOOD) if number < 10 else (401, {"error": {"code": "invalid_api_key"}})

    with (
        scripted_server(Script(reply)) as endpoint,
        Client(endpoint, tmp_path, QUICK) as client,
        pytest.raises(LanguageModelError, match="status 401 invalid_api_key"),
    ):
        client.complete_many([question(str(n)) for n in range(50)])
    assert stored_statuses(tmp_path) == Counter({"ok": 10})
    events = Counter(line["event"] for line in audit_lines(tmp_path))
    assert events["sent"] == events["answered"] <= 10 + QUICK.concurrency
