"""State folders that are full, damaged, foreign or half made: one line, nothing hidden or hung."""

from __future__ import annotations

import json
import math
import os
import resource
import sqlite3
import struct
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError
from contextlib import closing, contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from llm_faults_world import SECRET, audit_lines, one_answer
from llm_world import GOOD, QUICK, Script, question, scripted_server

from flows.cli_llm import status_text
from infra.egress import Guarantee
from infra.errors import BudgetExceeded, InputError, LanguageModelError, SettingsError
from infra.llm import AnswerStatus, Client
from infra.llm.audit import AUDIT_FILE, AuditLog
from infra.llm.audit_summary import summarize_audit
from infra.llm.cache import CACHE_FILE, AnswerCache
from infra.llm.compaction import compact
from infra.llm.ledger import LEDGER_FILE
from infra.llm.prices import OWN_FILE, load_prices
from infra.llm.quarantine import QUARANTINE_FILE
from infra.llm.quota import LABEL_BYTES, SEATS, KnownLimits, Leave, Quota, read_quotas
from infra.llm.quota_state import LONGEST_DEBT_S
from infra.llm.sizes import Sizes
from infra.llm.state_folder import StateUnusable, in_one_line
from infra.llm.status import read_status

DATABASES = (LEDGER_FILE, CACHE_FILE, QUARANTINE_FILE)


@contextmanager
def files_no_longer_than(size: int) -> Iterator[None]:
    """As on a full disk: writing more fails, or is cut."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_line_of_the_audit_log_that_does_not_fit_is_an_error(tmp_path: Path) -> None:
    log = AuditLog(tmp_path, "host", Guarantee.NONE)
    log.sent("openi", "first", "m")
    with (
        files_no_longer_than(log.path.stat().st_size + 20),
        pytest.raises(OSError, match="No space"),
    ):
        log.sent("openi", "cut", "m")
    log.sent("openi", "second", "m")
    log.close()
    *whole, torn, last = (tmp_path / AUDIT_FILE).read_bytes().splitlines()
    assert [json.loads(line)["request"] for line in (*whole, last)] == ["first", "second"]
    assert len(torn) == 20
    summary = summarize_audit(tmp_path)
    assert (summary.sent[0].requests, summary.damaged_lines) == (2, 1)


def test_what_another_process_left_torn_swallows_no_line(tmp_path: Path) -> None:
    (tmp_path / AUDIT_FILE).write_text('{"at": "20')
    log = AuditLog(tmp_path, "host", Guarantee.NONE)
    log.sent("openi", "first", "m")
    log.sent("openi", "second", "m")
    log.close()
    summary = summarize_audit(tmp_path)
    assert (summary.sent[0].requests, summary.damaged_lines) == (2, 1)


def test_a_disk_that_fills_up_ends_the_run_in_one_line_and_loses_nothing(tmp_path: Path) -> None:
    """What was stored before is replayed once there is room; the counts add up."""
    texts = [f"{SECRET} {number}" for number in range(40)]
    with scripted_server(Script(lambda *_: (200, GOOD))) as endpoint:
        with Client(endpoint, tmp_path, QUICK) as client:
            client.complete_many([question(text) for text in texts[:10]])
        with (
            pytest.raises(LanguageModelError) as caught,
            Client(endpoint, tmp_path, QUICK) as again,
        ):
            largest = max(path.stat().st_size for path in tmp_path.glob("llm-*"))
            with files_no_longer_than(min(largest, (tmp_path / AUDIT_FILE).stat().st_size + 100)):
                again.complete_many([question(text) for text in texts])
        with Client(endpoint, tmp_path, QUICK) as client:
            answers = client.complete_many([question(text) for text in texts])
    assert f"the state folder {tmp_path} cannot be used" in str(caught.value)
    assert "Doe" not in str(caught.value) and "\n" not in str(caught.value)
    assert sum(answer.cached for answer in answers) >= 10
    (counts,) = read_status(tmp_path).work
    assert counts.sent == counts.kept + sum(counts.failed.values()) + counts.lost
    assert counts.kept >= 40


@pytest.mark.parametrize("name", [*DATABASES, AUDIT_FILE])
def test_a_folder_in_place_of_a_file_is_told_in_one_line(tmp_path: Path, name: str) -> None:
    (tmp_path / name).mkdir()
    if name != AUDIT_FILE:
        with pytest.raises((InputError, StateUnusable)), in_one_line(tmp_path):
            read_status(tmp_path)
    filtered = Script(lambda *_: (400, {"error": {"code": "content_filter"}}))
    with (
        scripted_server(filtered) as place,
        pytest.raises((InputError, StateUnusable)),
        Client(place, tmp_path, QUICK) as client,
    ):
        client.complete_many([question(SECRET)])


@pytest.mark.parametrize("name", DATABASES)
def test_a_file_that_a_killed_process_had_only_just_made_holds_nothing(
    tmp_path: Path, name: str
) -> None:
    (tmp_path / name).touch()
    found = read_status(tmp_path)
    assert (found.work, found.answers, dict(found.quarantine)) == ((), 0, {})


@pytest.mark.parametrize("name", [LEDGER_FILE, CACHE_FILE])
def test_a_database_damaged_inside_is_bad_input_and_not_quoted(tmp_path: Path, name: str) -> None:
    one_answer(tmp_path, lambda *_: (200, GOOD))
    with closing(sqlite3.connect(tmp_path / name)) as run:
        run.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    content = bytearray((tmp_path / name).read_bytes())
    content[4096:] = bytes(SECRET.encode() * (len(content) // len(SECRET) + 1))[
        : len(content) - 4096
    ]
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match="SQLITE_CORRUPT") as caught:
        read_status(tmp_path)
    assert "Doe" not in str(caught.value)


def damage_text(state: Path) -> None:
    with closing(sqlite3.connect(state / CACHE_FILE)) as run, run:
        damaged = b'{"word": "cl\xff' + SECRET.encode() + b'", "number": 3}'
        run.execute("UPDATE answers SET content = CAST(? AS TEXT)", (damaged,))


def test_an_answer_with_damaged_letters_is_asked_again_and_never_quoted(tmp_path: Path) -> None:
    one_answer(tmp_path, lambda *_: (200, GOOD))
    damage_text(tmp_path)
    answer, asked = one_answer(tmp_path, lambda *_: (200, GOOD))
    assert (answer.status, answer.cached, asked) == (AnswerStatus.OK, False, 1)
    assert one_answer(tmp_path, lambda *_: (200, GOOD))[1] == 0


def test_a_compaction_drops_damaged_letters(tmp_path: Path) -> None:
    one_answer(tmp_path, lambda *_: (200, GOOD))
    damage_text(tmp_path)
    with closing(AnswerCache(tmp_path)) as cache:
        compact(cache)
        assert cache.size()[:2] == (0, 0)


def test_an_answer_without_its_text_is_asked_again(tmp_path: Path) -> None:
    one_answer(tmp_path, lambda *_: (200, GOOD))
    with closing(sqlite3.connect(tmp_path / CACHE_FILE)) as run, run:
        run.execute("UPDATE answers SET content = NULL")
    answer, asked = one_answer(tmp_path, lambda *_: (200, GOOD))
    assert (answer.value is not None, asked) == (True, 1)


FIELDS = ("rate", "measured", "level", "token_rate", "token_level", "at", "closed_until", "sent")
NONSENSE = [("rate", 0.0), ("rate", -1.0), ("rate", 1e-300), ("level", -1e300), ("sent", math.inf)]
NONSENSE += [("closed_until", 1e300), ("closed_until", math.inf), ("token_rate", 0.0)]
NONSENSE += [("sent", -1.0), ("token_level", -math.inf), ("measured", -3.0), ("at", math.inf)]


@pytest.mark.parametrize(("field", "number"), NONSENSE)
def test_a_quota_that_makes_no_sense_is_begun_anew(
    tmp_path: Path, field: str, number: float
) -> None:
    quota = Quota(tmp_path, "m")
    assert isinstance(quota.take(10), Leave)
    quota.close()
    with quota.path.open("r+b") as file:
        file.seek(8 + 8 * FIELDS.index(field))
        file.write(struct.pack("<d", number))
    assert read_quotas(tmp_path) == []
    quota = Quota(tmp_path, "m")
    assert isinstance(quota.take(10), Leave)
    quota.close()


def test_what_a_quota_is_called_moves_no_cursor(tmp_path: Path) -> None:
    quota = Quota(tmp_path, "m", label="host \x1b[31mm\n")
    quota.take(1)
    quota.close()
    (tmp_path / "llm-quota" / "other.bin").mkdir()
    assert [seen.label for seen in read_quotas(tmp_path)] == ["host ?[31mm?"]
    assert "\x1b" not in status_text(read_status(tmp_path))


def test_a_quota_takes_its_room_at_once(tmp_path: Path) -> None:
    """A mapped page without a place on the disk would end the process by a signal."""
    quota = Quota(tmp_path, "m")
    quota.close()
    assert quota.path.stat().st_blocks * 512 >= quota.path.stat().st_size > SEATS * 32 + LABEL_BYTES
    with files_no_longer_than(100), pytest.raises(OSError):
        Quota(tmp_path, "other")


def test_one_wild_count_of_tokens_does_not_stop_the_others_for_days(tmp_path: Path) -> None:
    quota = Quota(tmp_path, "m", KnownLimits(tokens_per_minute=60_000))
    leave = quota.take(500)
    assert isinstance(leave, Leave)
    quota.settle(leave, 2**31)
    wait_s = quota.take(500)
    quota.close()
    assert not isinstance(wait_s, Leave) and 1 < wait_s <= LONGEST_DEBT_S + 1


def test_sizes_learn_nothing_that_cannot_be() -> None:
    sizes, asked = Sizes(), question("a" * 1000)
    sizes.note(asked, 2**31, 2**31)
    before = 4 * (1000 + 400) + asked.max_output_tokens
    assert sizes.expect(asked) <= before


def test_a_limit_that_admits_nothing_in_a_minute_is_none(tmp_path: Path) -> None:
    tiny = {"x-ratelimit-limit-requests": "1e-300", "x-ratelimit-limit-tokens": "0.001"}
    answer, _ = one_answer(tmp_path, lambda *_: (200, GOOD, tiny))
    assert answer.status is AnswerStatus.OK
    (seen,) = read_quotas(tmp_path)
    assert (seen.requests_per_minute, seen.tokens_per_minute) == (None, None)


PRICE = {"model": '"m"', "since": "2024-01-01", "input": "1.0", "output": "1"}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("model", "3"),
        ("model", '""'),
        ("since", '"2024-01-01"'),
        ("since", "2024-01-01T00:00:00"),
        ("input", "-1"),
        ("input", "nan"),
        ("output", "inf"),
        ("output", '"1"'),
        ("output", "true"),
        ("batch_discount", '"much"'),
    ],
)
def test_a_price_that_is_none_is_refused(tmp_path: Path, name: str, value: str) -> None:
    table = tmp_path / OWN_FILE
    good = "[[price]]\n" + "".join(f"{key} = {is_}\n" for key, is_ in PRICE.items())
    table.write_text(good)
    assert load_prices(tmp_path).find("m", datetime.now(UTC).date()) is not None
    bad = {**PRICE, name: value}
    table.write_text("[[price]]\n" + "".join(f"{key} = {is_}\n" for key, is_ in bad.items()))
    with pytest.raises(SettingsError, match=f"price table {table}"):
        load_prices(tmp_path)


@pytest.mark.parametrize(
    "make", [lambda path: path.mkdir(), lambda path: path.write_bytes(b"\xff")]
)
def test_a_price_table_that_cannot_be_read_is_not_passed_over(
    tmp_path: Path, make: Callable[[Path], Any]
) -> None:
    make(tmp_path / OWN_FILE)
    with pytest.raises(SettingsError, match="price table"):
        load_prices(tmp_path)


@pytest.mark.parametrize("name", ["concurrency", "attempts", "asks", "timeout_s", "budget_usd"])
@pytest.mark.parametrize("value", [-1, math.nan, math.inf, 0])
def test_limits_that_no_run_could_keep_are_refused(name: str, value: float) -> None:
    changes: dict[str, Any] = {name: value}
    if (name, value) == ("budget_usd", 0):
        assert replace(QUICK, **changes).budget_usd == 0
        return
    with pytest.raises(SettingsError, match=name):
        replace(QUICK, **changes)


@pytest.mark.parametrize("changes", [{}, {"model": "m\ud800"}, {"source": "s\udc80"}])
def test_half_a_character_is_bad_input_before_anything_is_sent(
    tmp_path: Path, changes: dict[str, str]
) -> None:
    odd = question(SECRET if changes else f"{SECRET} \ud800", **changes)
    script = Script(lambda *_: (200, GOOD))
    with scripted_server(script) as endpoint, Client(endpoint, tmp_path, QUICK) as client:
        with pytest.raises(InputError, match="unpaired surrogate") as caught:
            client.complete_many([question("a"), odd])
        assert "Doe" not in str(caught.value) and not script.bodies
        assert client.complete_many([question("a")])[0].status is AnswerStatus.OK


def test_a_client_is_of_use_to_the_process_that_made_it(tmp_path: Path) -> None:
    with scripted_server(Script(lambda *_: (200, GOOD))) as endpoint:
        with Client(endpoint, tmp_path, QUICK) as client:
            client.complete_many([question("a")])
            child = os.fork()
            if child == 0:
                try:
                    client.complete_many([question("b")])
                except LanguageModelError:
                    client.close()
                    os._exit(7)
                os._exit(1)
            ended = 0
            for _ in range(100):
                ended, status = os.waitpid(child, os.WNOHANG)
                if ended:
                    break
                time.sleep(0.1)
            else:
                os.kill(child, 9)
            assert ended and os.waitstatus_to_exitcode(status) == 7
            assert client.complete_many([question("b")])[0].status is AnswerStatus.OK
        with pytest.raises(LanguageModelError, match="after it was closed"):
            client.complete_many([question("a")])


def test_nobody_waits_for_a_client_that_was_closed(tmp_path: Path) -> None:
    """A thread that asks while another closes is given up, in a pause of the quota too."""

    def reply(*_: Any) -> Any:
        return 429, {"error": {}}, {"retry-after": "500"}

    ends: list[str] = []
    with scripted_server(Script(reply)) as endpoint:
        client = Client(endpoint, tmp_path, QUICK)

        def ask() -> None:
            try:
                client.complete_many([question("a"), question("b")])
            except CancelledError as error:
                ends.append(type(error).__name__)

        thread = threading.Thread(target=ask, daemon=True)
        thread.start()
        while not (tmp_path / AUDIT_FILE).stat().st_size:
            time.sleep(0.01)
        client.close()
        thread.join(20)
    assert ends == ["CancelledError"]
    assert audit_lines(tmp_path)[0]["event"] == "sent"


def test_a_state_folder_that_cannot_be_made_is_bad_input(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with (
        scripted_server(Script(lambda *_: (200, GOOD))) as endpoint,
        pytest.raises(SettingsError, match="set CXR_STATE_DIR"),
    ):
        Client(endpoint, tmp_path / "file" / "state", QUICK)


@pytest.mark.parametrize("usage", [None, {}, {"prompt_tokens": -(10**9), "completion_tokens": 0}])
def test_a_server_that_counts_no_tokens_does_not_get_round_the_budget(
    tmp_path: Path, usage: Any
) -> None:
    script = Script(lambda *_: (200, {**GOOD, "usage": usage}))
    limits = replace(QUICK, budget_usd=0.1, concurrency=1)
    with (
        scripted_server(script) as endpoint,
        Client(endpoint, tmp_path, limits) as client,
        pytest.raises(BudgetExceeded),
    ):
        for number in range(100):
            client.complete_many([question(f"{number} " + "a" * 4000, model="gpt-4o")])
    found = read_status(tmp_path, 0.1)
    assert 20 < len(script.bodies) < 60
    assert 0.09 < found.spent_usd <= 0.1 and found.reserved_usd == 0
