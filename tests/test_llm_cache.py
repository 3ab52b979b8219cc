"""The replay cache: what is stored stays, for threads, processes and after a kill."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from infra.errors import InputError
from infra.llm.cache import CACHE_FILE, AnswerCache, StoredAnswer


def stored(key: str, status: str = "ok", content: str | None = "{}") -> StoredAnswer:
    return StoredAnswer(key, status, content, "m", "p-1", 3, 4, 0.5, "2024-01-01T00:00:00+00:00")


def test_what_is_put_comes_back_and_the_rest_does_not(tmp_path: Path) -> None:
    cache = AnswerCache(tmp_path)
    cache.put(stored("a"))
    cache.put(stored("b", "refused", None))
    assert cache.get_many(["a", "b", "c"]) == {"a": stored("a"), "b": stored("b", "refused", None)}
    cache.close()


def test_the_first_answer_of_a_hash_stays(tmp_path: Path) -> None:
    cache = AnswerCache(tmp_path)
    cache.put(stored("a", content="first"))
    cache.put(stored("a", content="second"))
    assert cache.get_many(["a"])["a"].content == "first"
    cache.close()


def test_more_keys_than_one_query_takes(tmp_path: Path) -> None:
    cache = AnswerCache(tmp_path)
    for index in range(1201):
        cache.put(stored(f"k{index}"))
    found = cache.get_many(f"k{index}" for index in range(0, 2402, 2))
    assert len(found) == 601
    cache.close()


def test_forgetting_failures_keeps_the_good(tmp_path: Path) -> None:
    cache = AnswerCache(tmp_path)
    for key, status in (("a", "ok"), ("b", "refused"), ("c", "invalid")):
        cache.put(stored(key, status))
    assert cache.forget_failures(["a", "b", "c"]) == 2
    assert list(cache.get_many(["a", "b", "c"])) == ["a"]
    cache.close()


def test_it_opens_again_with_all_it_had(tmp_path: Path) -> None:
    first = AnswerCache(tmp_path)
    first.put(stored("a"))
    first.close()
    second = AnswerCache(tmp_path)
    assert second.get_many(["a"]) == {"a": stored("a")}
    second.close()


def test_only_the_owner_may_read_it(tmp_path: Path) -> None:
    cache = AnswerCache(tmp_path / "new" / "state")
    assert cache.path.stat().st_mode & 0o777 == 0o600
    cache.close()


def test_a_file_of_something_else_is_refused(tmp_path: Path) -> None:
    (tmp_path / CACHE_FILE).write_text("not a database, but long enough to be looked at" * 40)
    with pytest.raises(InputError) as caught:
        AnswerCache(tmp_path)
    path = tmp_path / CACHE_FILE
    assert str(caught.value) == (
        f"found {path} that is not an answer cache; expected a SQLite file; move it away"
    )


def test_a_newer_layout_is_refused(tmp_path: Path) -> None:
    AnswerCache(tmp_path).close()
    with sqlite3.connect(tmp_path / CACHE_FILE) as connection:
        connection.execute("PRAGMA user_version=9")
    connection.close()
    with pytest.raises(InputError, match="of layout 9; expected layout 2; move it away"):
        AnswerCache(tmp_path)


def test_threads_share_one_cache(tmp_path: Path) -> None:
    cache = AnswerCache(tmp_path)

    def fill(start: int) -> None:
        for index in range(start, start + 50):
            cache.put(stored(f"k{index}"))

    threads = [threading.Thread(target=fill, args=(start,)) for start in (0, 50, 100, 150)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(cache.get_many(f"k{index}" for index in range(200))) == 200
    cache.close()


_WRITER = """
import sys
from pathlib import Path
from infra.llm.cache import AnswerCache, StoredAnswer
cache = AnswerCache(Path(sys.argv[1]))
for index in range(int(sys.argv[3])):
    cache.put(StoredAnswer(f"{sys.argv[2]}{index}", "ok", "x" * 500, "m", "p", 1, 1, 0.0, "t"))
    sys.stdout.write(f"{index}\\n")
    sys.stdout.flush()
"""


def _writer(state: Path, name: str, count: int) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", _WRITER, str(state), name, str(count)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def test_processes_write_at_once(tmp_path: Path) -> None:
    writers = [_writer(tmp_path, name, 200) for name in "ab"]
    for writer in writers:
        writer.communicate(timeout=60)
        assert writer.returncode == 0
    cache = AnswerCache(tmp_path)
    assert len(cache.get_many(f"{name}{index}" for name in "ab" for index in range(200))) == 400
    cache.close()


def test_a_kill_loses_nothing_that_was_stored(tmp_path: Path) -> None:
    writer = _writer(tmp_path, "k", 100_000)
    assert writer.stdout is not None
    told = 0
    for _ in range(300):
        told = int(writer.stdout.readline())
    os.kill(writer.pid, signal.SIGKILL)
    writer.stdout.close()
    writer.wait()
    cache = AnswerCache(tmp_path)
    assert len(cache.get_many(f"k{index}" for index in range(told + 1))) == told + 1
    cache.close()


def test_answers_of_other_rules_are_not_replayed(tmp_path: Path) -> None:
    """The embedded rules change with our code; what they said before must not pass for theirs."""
    for rules in ("", "one", "two"):
        cache = AnswerCache(tmp_path, rules)
        assert cache.get_many(["a"]) == {}
        assert cache.put(stored("a"))
        assert cache.get_many(["a"]) == {"a": stored("a")}
        cache.close()
    cache = AnswerCache(tmp_path, "one")
    cache.forget("a")
    assert cache.get_many(["a"]) == {}
    cache.close()
