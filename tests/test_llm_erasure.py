"""Answers are erased from rows, files, quarantine and batches; every other answer stays."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from test_llm_cache import stored

from infra.llm.archive import GROUP_ROWS
from infra.llm.batch_state import BATCH_FILE, BatchState
from infra.llm.cache import AnswerCache
from infra.llm.compaction import compact
from infra.llm.erasure import Erased, erase_answers
from infra.llm.quarantine import QUARANTINE_FILE, Quarantine
from infra.llm.transport import Reply

SECRET = "the zebra mark of plate 7"


def holds(text: str) -> bool:
    return SECRET in text


def names(count: int, start: int = 0) -> list[str]:
    return [f"{(number * 2654435761) % 2**32:032x}" for number in range(start, start + count)]


@pytest.fixture
def cache(tmp_path: Path) -> Iterator[AnswerCache]:
    with closing(AnswerCache(tmp_path)) as opened:
        yield opened


def put(cache: AnswerCache, keys: list[str], said: str = "clear") -> None:
    for key in keys:
        cache.put(stored(key, content=f"{said} {key}"))


def everything(folder: Path) -> bytes:
    """All bytes of a state folder, Parquet decoded."""
    data = b"".join(path.read_bytes() for path in folder.rglob("*") if path.is_file())
    tables = [pq.read_table(path).to_pylist() for path in folder.rglob("*.parquet")]
    return data + repr(tables).encode()


def test_answers_go_by_their_request_and_by_their_text(cache: AnswerCache, tmp_path: Path) -> None:
    old, new = names(GROUP_ROWS + 40), names(30, start=10**5)
    put(cache, old[:-2])
    put(cache, old[-2:], SECRET)
    compact(cache)
    put(cache, new[:-1])
    put(cache, new[-1:], SECRET)
    cache.close()
    meant = [old[3], new[3]]
    assert erase_answers(tmp_path, meant, holds, dry_run=True) == Erased(2, 3)
    assert SECRET.encode() in everything(tmp_path)
    assert erase_answers(tmp_path, meant, holds) == Erased(2, 3)
    gone = {*meant, *old[-2:], new[-1]}
    data = everything(tmp_path)
    assert SECRET.encode() not in data
    assert not any(key.encode() in data for key in gone)
    with closing(AnswerCache(tmp_path)) as again:
        assert again.get_many([*old, *new]).keys() == {*old, *new} - gone
        put(again, [old[3]], "asked anew")
        assert again.get_many([old[3]])[old[3]].content == f"asked anew {old[3]}"


def test_answers_of_rules_go_by_the_same_request(tmp_path: Path) -> None:
    with closing(AnswerCache(tmp_path, "rules-1")) as cache:
        put(cache, names(3))
        compact(cache)
        put(cache, names(3, start=50))
    assert erase_answers(tmp_path, [names(3)[0], names(3, 50)[0]], holds) == Erased(1, 1)


def test_a_file_of_which_nothing_is_left_goes(cache: AnswerCache, tmp_path: Path) -> None:
    put(cache, names(5), SECRET)
    compact(cache)
    put(cache, names(7, start=900))
    compact(cache)
    cache.close()
    erase_answers(tmp_path, [], holds)
    with closing(AnswerCache(tmp_path)) as again:
        assert len(again.get_many([*names(5), *names(7, start=900)])) == 7


def test_a_second_time_finds_nothing(cache: AnswerCache, tmp_path: Path) -> None:
    put(cache, names(4), SECRET)
    cache.close()
    assert erase_answers(tmp_path, [], holds).total == 4
    assert erase_answers(tmp_path, [], holds) == Erased()


def test_an_empty_state_folder_has_nothing(tmp_path: Path) -> None:
    assert erase_answers(tmp_path, ["a"], holds) == Erased()
    assert list(tmp_path.iterdir()) == []


def test_quarantine_and_batches(tmp_path: Path) -> None:
    with closing(Quarantine(tmp_path)) as quarantine:
        quarantine.failures()
        run = quarantine._open()
        for key, said in (("a" * 32, SECRET), ("b" * 32, "clear")):
            run.execute(
                "INSERT INTO failures (request_key, reason, source, request, prompt_version) "
                "VALUES (?, 'refused', 's', ?, 'p-1')",
                (key, said),
            )
    with closing(BatchState(tmp_path, "here")) as state:
        done, waiting = state.claim([["c" * 32, "d" * 32], ["e" * 32]], 2e9)
        reply = Reply(SECRET, "stop", "m", 1, 1)
        state.finish(done.job_id, {"c" * 32: reply, "d" * 32: reply}, [])
        state.created(waiting.job_id, "batch_7")
    erased = erase_answers(tmp_path, ["e" * 32], holds)
    assert (erased.quarantined, erased.batches, erased.sent) == (1, 2, ("batch_7",))
    assert SECRET.encode() not in everything(tmp_path)
    with closing(sqlite3.connect(tmp_path / QUARANTINE_FILE)) as run:
        assert run.execute("SELECT request_key FROM failures").fetchall() == [("b" * 32,)]
    assert (tmp_path / BATCH_FILE).exists()
