"""Answers move from SQLite to Parquet: nothing lost and nothing doubled, whatever happens."""

from __future__ import annotations

import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import duckdb
import pytest
from llm_world import GOOD, QUICK, Script, question, scripted_server
from test_llm_cache import stored

from infra.errors import ArtifactError, InputError
from infra.llm import Client, archive, compaction
from infra.llm.archive import ARCHIVE_FOLDER, GROUP_ROWS, ArchiveFile
from infra.llm.cache import CACHE_FILE, AnswerCache
from infra.llm.compaction import Compacted, compact, compact_if_large


@pytest.fixture
def cache(tmp_path: Path) -> Iterator[AnswerCache]:
    with closing(AnswerCache(tmp_path)) as opened:
        yield opened


def names(count: int, start: int = 0) -> list[str]:
    """Keys spread like hashes."""
    return [f"{(number * 2654435761) % 2**32:032x}" for number in range(start, start + count)]


def fill(cache: AnswerCache, keys: list[str], status: str = "ok") -> None:
    for key in keys:
        cache.put(stored(key, status, f"text of {key}"))


def files(cache: AnswerCache) -> list[Path]:
    return sorted(cache.folder.glob("*.parquet"))


def assert_all(cache: AnswerCache, keys: list[str]) -> None:
    found = cache.get_many(keys)
    assert found == {key: stored(key, content=f"text of {key}") for key in keys}
    assert list(found) == keys


def test_answers_are_the_same_before_and_after(cache: AnswerCache) -> None:
    keys = names(GROUP_ROWS * 2 + 7)
    fill(cache, keys)
    assert compact(cache) == Compacted(len(keys), 0, 1)
    assert cache.size()[:2] == (0, len(keys))
    assert_all(cache, keys)
    assert_all(cache, keys[3:900:7])
    assert cache.get_many(names(50, start=10**6)) == {}
    assert cache.get_many(["", "z", keys[0]]).keys() == {keys[0]}


def test_new_answers_and_moved_ones_are_found_together(cache: AnswerCache) -> None:
    keys = names(100)
    fill(cache, keys[:60])
    compact(cache)
    fill(cache, keys[60:])
    assert_all(cache, keys)


def test_failures_stay_where_they_can_be_forgotten(cache: AnswerCache) -> None:
    fill(cache, ["a", "c"])
    fill(cache, ["b"], "refused")
    assert compact(cache).moved == 2
    assert cache.get_many("abc").keys() == {"a", "b", "c"}
    assert cache.forget_failures(["a", "zz"]) == 0
    assert cache.forget_failures(["a", "b"]) == 1
    assert cache.get_many("abc").keys() == {"a", "c"}


def test_a_moved_answer_can_be_forgotten_and_given_again(cache: AnswerCache) -> None:
    fill(cache, ["a", "b"])
    compact(cache)
    cache.forget("a")
    assert cache.get_many("ab").keys() == {"b"}
    assert cache.put(stored("a", content="second"))
    assert cache.get_many("a")["a"].content == "second"
    fill(cache, ["c"])
    assert compact(cache) == Compacted(2, 0, 1)
    assert cache.get_many("a")["a"].content == "second"
    assert cache.size()[:2] == (0, 3)
    with closing(sqlite3.connect(cache.path)) as run:
        assert run.execute("SELECT count(*) FROM forgotten").fetchone() == (0,)


def test_a_forgotten_answer_of_an_unmerged_file_stays_forgotten(cache: AnswerCache) -> None:
    fill(cache, names(100))
    compact(cache)
    cache.forget(names(1)[0])
    fill(cache, ["z"])
    assert compact(cache).files == 2, "the large file is not written again for one answer"
    assert cache.get_many(names(100)).keys() == set(names(100)[1:])


def test_another_process_sees_what_was_moved_behind_its_back(
    cache: AnswerCache, tmp_path: Path
) -> None:
    keys = names(40)
    with closing(AnswerCache(tmp_path)) as other:
        fill(cache, keys)
        assert_all(other, keys)
        compact(other)
        assert_all(cache, keys)
        fill(other, names(40, 40))
        compact(other)
        assert len(files(cache)) == 1, "merged: the file that the first had open is gone"
        assert_all(cache, names(80))


def test_an_answer_that_moved_meanwhile_stays_the_first(cache: AnswerCache, tmp_path: Path) -> None:
    assert cache.get_many(["a"]) == {}
    with closing(AnswerCache(tmp_path)) as other:
        other.put(stored("a", content="first"))
        compact(other)
    assert not cache.put(stored("a", content="second"))
    assert cache.get_many(["a"])["a"].content == "first"
    assert cache.put(stored("b"))


def test_answers_of_rules_keep_their_rules(tmp_path: Path) -> None:
    with closing(AnswerCache(tmp_path, "r1")) as ours, closing(AnswerCache(tmp_path)) as plain:
        ours.put(stored("a", content="by rules"))
        compact(ours)
        assert ours.get_many(["a"])["a"].content == "by rules"
        assert plain.get_many(["a"]) == {}


def test_the_number_of_files_grows_slowly(cache: AnswerCache) -> None:
    for start in range(0, 400, 10):
        fill(cache, names(10, start))
        compact(cache)
    assert len(files(cache)) <= 6
    assert_all(cache, names(400))


def test_nothing_to_move_writes_nothing(cache: AnswerCache) -> None:
    fill(cache, ["a"])
    compact(cache)
    before = files(cache)
    assert compact(cache) == Compacted(0, 0, 1)
    assert files(cache) == before


def test_only_the_owner_may_read_the_files(cache: AnswerCache) -> None:
    fill(cache, ["a"])
    compact(cache)
    assert cache.folder.stat().st_mode & 0o777 == 0o700
    assert files(cache)[0].stat().st_mode & 0o777 == 0o600


def test_duckdb_sums_the_cost(cache: AnswerCache) -> None:
    fill(cache, names(10))
    compact(cache)
    query = (
        "SELECT model, prompt_version, count(*), sum(input_tokens), sum(cost_usd) "
        f"FROM '{cache.folder}/*.parquet' GROUP BY ALL"
    )
    with duckdb.connect() as run:
        assert run.execute(query).fetchall() == [("m", "p-1", 10, 30, 5.0)]


def test_a_layout_without_files_is_read_and_brought_up_to_date(tmp_path: Path) -> None:
    with closing(AnswerCache(tmp_path)) as cache:
        fill(cache, ["a"])
    with closing(sqlite3.connect(tmp_path / CACHE_FILE)) as run:
        run.executescript("DROP TABLE archives; DROP TABLE forgotten; PRAGMA user_version=1")
    with closing(AnswerCache(tmp_path)) as cache:
        assert_all(cache, ["a"])
        assert compact(cache).moved == 1
        assert_all(cache, ["a"])


def test_a_dropped_answer_disturbs_and_the_move_starts_anew(
    cache: AnswerCache, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write, calls = archive.write_archive, []

    def interrupted(folder: Path, number: int, rows: object) -> Path:
        path = write(folder, number, rows)  # type: ignore[arg-type]
        calls.append(path)
        if len(calls) <= drops:
            with closing(AnswerCache(tmp_path)) as other:
                other.forget("b")
                other.put(stored("b", content="text of b"))
        return path

    monkeypatch.setattr(compaction, "write_archive", interrupted)
    drops = 2
    fill(cache, ["a", "b"])
    assert compact(cache).moved == 2
    assert len(calls) == 3
    assert len(files(cache)) == 1
    assert_all(cache, ["a", "b"])
    drops, calls[:] = 99, []
    fill(cache, ["c"])
    with pytest.raises(ArtifactError, match="were dropped 5 times while they were moved"):
        compact(cache)
    assert_all(cache, ["a", "b", "c"])


def test_a_large_cache_compacts_by_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script = Script(lambda *_: (200, GOOD))
    with scripted_server(script) as endpoint, Client(endpoint, tmp_path, QUICK) as client:
        client.complete_many([question("a")])
        assert not (tmp_path / ARCHIVE_FOLDER).exists()
        monkeypatch.setattr(compaction, "COMPACT_BYTES", 1)
        client.complete_many([question("b")])
        assert len(list((tmp_path / ARCHIVE_FOLDER).iterdir())) == 1
        answers = client.complete_many([question("a"), question("b")])
    assert [item.cached for item in answers] == [True, True]
    assert len(script.bodies) == 2


def test_freed_pages_do_not_count(cache: AnswerCache) -> None:
    for number in range(400):
        cache.put(stored(f"k{number}", content="x" * 2000))
    full = cache.bytes_in_use()
    assert full > 800_000
    compact(cache)
    assert cache.bytes_in_use() < full / 5
    assert compact_if_large(cache) is None


_WRITER = """
import sys
from pathlib import Path
from infra.llm.cache import AnswerCache, StoredAnswer
cache, name = AnswerCache(Path(sys.argv[1])), sys.argv[2]
for index in range(1500):
    key = f"{name}{index}"
    assert cache.put(StoredAnswer(key, "ok", "x" * 300, "m", "p", 1, 1, 0.0, "t"))
    back = (index * 7919) % (index + 1)
    wanted = {f"{name}{back}", key}
    assert cache.get_many([*wanted, "absent"]).keys() == wanted, (index, back)
"""
_COMPACTOR = """
import sys
from contextlib import closing
from pathlib import Path
from infra.llm.cache import AnswerCache
from infra.llm.compaction import compact
print("ready", flush=True)
while True:
    with closing(AnswerCache(Path(sys.argv[1]))) as cache:
        compact(cache)
"""


def start(script: str, *arguments: object) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", script, *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def test_others_write_and_read_while_it_runs(tmp_path: Path) -> None:
    writers = [start(_WRITER, tmp_path, name) for name in "ab"]
    moved = 0
    with closing(AnswerCache(tmp_path)) as cache:
        while any(writer.poll() is None for writer in writers):
            moved += compact(cache).moved
        assert [writer.communicate() and writer.returncode for writer in writers] == [0, 0]
        assert moved > 0
        moved += compact(cache).moved
        assert moved == 3000, "each answer was moved once"
        keys = [f"{name}{index}" for name in "ab" for index in range(1500)]
        assert len(cache.get_many(keys)) == 3000
        assert cache.size()[:2] == (0, 3000)


@pytest.mark.slow
def test_a_kill_at_any_moment_loses_nothing(tmp_path: Path) -> None:
    chance = random.Random(5)
    with closing(AnswerCache(tmp_path)) as cache:
        keys: list[str] = []
        for _ in range(8):
            new = names(300, len(keys))
            child = start(_COMPACTOR, tmp_path)
            assert child.stdout is not None
            child.stdout.readline()
            fill(cache, new)
            keys += new
            time.sleep(chance.uniform(0, 0.1))
            os.kill(child.pid, signal.SIGKILL)
            child.communicate()
            assert_all(cache, keys)
        compact(cache)
        assert_all(cache, keys)
        assert sum(ArchiveFile(path).rows_total for path in files(cache)) == len(keys)
        assert {path.suffix for path in cache.folder.iterdir()} == {".parquet"}


def test_what_a_killed_one_left_is_removed(cache: AnswerCache) -> None:
    fill(cache, ["a"])
    compact(cache)
    left = [cache.folder / "new-2.tmp", cache.folder / f"answers-000009-{'0' * 16}.parquet"]
    for path in left:
        path.write_text("half")
    (cache.folder / "mine.txt").write_text("a user's own")
    fill(cache, ["b"])
    compact(cache)
    assert not any(path.exists() for path in left)
    assert (cache.folder / "mine.txt").exists()


@pytest.fixture
def written(tmp_path: Path) -> Path:
    """A file of 40 answers, and the cache that lists it."""
    with closing(AnswerCache(tmp_path)) as cache:
        fill(cache, names(40))
        compact(cache)
        return files(cache)[0]


def error_of(state: Path, keys: list[str]) -> str:
    with closing(AnswerCache(state)) as cache, pytest.raises(InputError) as caught:
        cache.get_many(keys)
    return str(caught.value)


def test_every_flipped_byte_is_found_or_harmless(written: Path, tmp_path: Path) -> None:
    """No damage gives another answer; only the four first bytes, which nothing reads, may pass."""
    sound = written.read_bytes()
    wanted = {key: stored(key, content=f"text of {key}") for key in names(40)}
    for place in [*range(0, len(sound), 97), 0, 4, len(sound) - 1, len(sound) - 6]:
        data = bytearray(sound)
        data[place] ^= 0x10
        written.write_bytes(bytes(data))
        with closing(AnswerCache(tmp_path)) as cache:
            if place < 4:
                assert cache.get_many(names(40)) == wanted
                continue
            with pytest.raises(InputError, match="expected the file as it was written"):
                cache.get_many(names(40))


@pytest.mark.parametrize("keep", [0, 3, 9, 400, -1])
def test_a_file_cut_short_is_one_line(written: Path, tmp_path: Path, keep: int) -> None:
    written.write_bytes(written.read_bytes()[:keep])
    line = error_of(tmp_path, names(1))
    assert line.startswith(f"found stored answers in {written}, ")
    assert line.endswith(
        "expected the file as it was written; restore it from a backup, or run 'cxr llm compact "
        "--forget-damaged', after which the answers that cannot be read are asked and paid for "
        "again"
    )
    assert "\n" not in line


def test_a_missing_file_is_one_line_and_its_answers_can_be_given_up(
    written: Path, tmp_path: Path
) -> None:
    written.unlink()
    assert "which is not there" in error_of(tmp_path, names(1))
    with closing(AnswerCache(tmp_path)) as cache:
        fill(cache, names(1, 50))  # what was paid is stored all the same
        with pytest.raises(InputError, match="which is not there"):
            cache.get_many(names(1))
        assert compact(cache).files == 2, "one answer is moved without the large file"
        assert compact(cache, forget_damaged=True).lost == 40
        assert cache.get_many(names(40)) == {}
        assert len(cache.get_many(names(1, 50))) == 1


def test_sound_groups_of_a_damaged_file_are_saved(cache: AnswerCache) -> None:
    keys = names(GROUP_ROWS + 10)
    fill(cache, keys)
    compact(cache)
    (path,) = files(cache)
    data, group = bytearray(path.read_bytes()), ArchiveFile(path).groups[1]
    data[(group.start + group.stop) // 2] ^= 1
    path.write_bytes(bytes(data))
    assert compact(cache, forget_damaged=True) == Compacted(0, 10, 1)
    found = cache.get_many(keys)
    assert len(found) == GROUP_ROWS
    assert found == {key: stored(key, content=f"text of {key}") for key in found}


def test_an_answer_without_cost_or_content_comes_back_so(cache: AnswerCache) -> None:
    odd = replace(stored("a", content=None), cost_usd=None)
    cache.put(odd)
    compact(cache)
    assert cache.get_many(["a"]) == {"a": odd}
