"""The state of batches: claims are exclusive, steps are kept, and damage is named."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import threading
import time
from contextlib import closing
from pathlib import Path

import pytest

from infra.errors import InputError
from infra.llm.batch_state import BATCH_FILE, KEPT_SECONDS, LOCK_FOLDER, BatchState
from infra.llm.transport import Reply

PLACE = "llm.example@"
DUE = 2e9
REPLY = Reply('{"word": "clear"}', "stop", "m-1", 11, 5)


def test_a_job_goes_through_its_steps(tmp_path: Path) -> None:
    with closing(BatchState(tmp_path, PLACE)) as state:
        (job,) = state.claim([["b", "a"]], DUE)
        assert (job.file_id, job.batch_id, job.due_at) == (None, None, DUE)
        assert state.requests_of(job.job_id) == ["a", "b"]
        state.uploaded(job.job_id, "file-1")
        state.created(job.job_id, "batch-1")
        with closing(BatchState(tmp_path, PLACE)) as later:
            found = later.job(job.job_id)
            assert found is not None
            assert (found.file_id, found.batch_id) == ("file-1", "batch-1")
            assert later.open_jobs(["a", "x"]) == [job.job_id]
        state.finish(job.job_id, {"a": REPLY}, ["file-1", "file-2"])
        assert state.job(job.job_id) is None
        assert state.open_jobs(["a", "b"]) == []
        assert state.replies(["a", "b"]) == {"a": REPLY}
        assert state.leftovers() == {job.job_id: ["file-1", "file-2"]}
        state.forget(job.job_id)
        assert state.leftovers() == {}
        assert [state.drop_reply("a"), state.drop_reply("a")] == [True, False]
        assert state.replies(["a"]) == {}


def test_a_request_is_part_of_one_open_job(tmp_path: Path) -> None:
    with closing(BatchState(tmp_path, PLACE)) as one, closing(BatchState(tmp_path, PLACE)) as two:
        first = one.claim([["a", "b"], ["c"]], DUE)
        second = two.claim([["b", "c"], ["c", "d"]], DUE)
        assert [one.requests_of(job.job_id) for job in first] == [["a", "b"], ["c"]]
        assert [two.requests_of(job.job_id) for job in second] == [["d"]]
        one.forget(first[0].job_id)
        assert [two.requests_of(job.job_id) for job in two.claim([["a", "c"]], DUE)] == [["a"]]


def test_threads_that_claim_at_once_share_nothing(tmp_path: Path) -> None:
    keys = [f"{number:04}" for number in range(300)]
    claimed: list[list[str]] = [[], [], [], []]
    meeting = threading.Barrier(len(claimed), timeout=10)

    def work(index: int) -> None:
        with closing(BatchState(tmp_path, PLACE)) as state:
            meeting.wait()
            for start in range(0, 300, 10):
                for job in state.claim([keys[start : start + 20]], DUE):
                    claimed[index] += state.requests_of(job.job_id)

    threads = [threading.Thread(target=work, args=(index,)) for index in range(len(claimed))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(key for part in claimed for key in part) == keys


def test_another_place_has_its_own_jobs(tmp_path: Path) -> None:
    with closing(BatchState(tmp_path, PLACE)) as one, closing(BatchState(tmp_path, "b@")) as two:
        (job,) = one.claim([["a"]], DUE)
        assert two.open_jobs(["a"]) == []
        assert len(two.claim([["a"]], DUE)) == 1
        one.finish(job.job_id, {"a": REPLY}, ["f"])
        assert (two.replies(["a"]), two.leftovers()) == ({}, {})


def test_one_owner_at_a_time(tmp_path: Path) -> None:
    with closing(BatchState(tmp_path, PLACE)) as one, closing(BatchState(tmp_path, PLACE)) as two:
        with one.owning("job-1") as is_first, two.owning("job-1") as is_second:
            assert (is_first, is_second) == (True, False)
            with two.owning("job-2") as is_other:
                assert is_other
        with two.owning("job-1") as is_second:
            assert is_second


def test_a_death_gives_the_job_back(tmp_path: Path) -> None:
    code = (
        "import os, sys\nfrom pathlib import Path\n"
        "from infra.llm.batch_state import BatchState\n"
        "with BatchState(Path(sys.argv[1]), 'p').owning('job-1') as ours:\n"
        "    os.write(1, b'%d' % ours)\n"
        "    sys.stdin.read()\n"
    )
    command = [sys.executable, "-c", code, str(tmp_path)]
    with (
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child,
        closing(BatchState(tmp_path, PLACE)) as state,
    ):
        assert child.stdout is not None
        assert child.stdout.read(1) == b"1"
        with state.owning("job-1") as is_ours:
            assert not is_ours
        child.kill()
        child.wait()
        with state.owning("job-1") as is_ours:
            assert is_ours


def test_a_failed_claim_leaves_nothing(tmp_path: Path) -> None:
    with closing(BatchState(tmp_path, PLACE)) as state:
        with pytest.raises(sqlite3.IntegrityError):
            state.claim([["a"], ["b", "b"]], DUE)
        assert state.open_jobs(["a", "b"]) == []
        assert len(state.claim([["a", "b"]], DUE)) == 1


def test_jobs_whose_files_are_gone_are_dropped(tmp_path: Path) -> None:
    with closing(BatchState(tmp_path, PLACE)) as state:
        old, young = state.claim([["a"], ["b"]], DUE)
    with closing(sqlite3.connect(tmp_path / BATCH_FILE)) as database:
        before = (time.time() - KEPT_SECONDS - 60, old.job_id)
        database.execute("UPDATE jobs SET created_at = ? WHERE job_id = ?", before)
        database.commit()
    with closing(BatchState(tmp_path, PLACE)) as state:
        assert (state.job(old.job_id), state.open_jobs(["a"])) == (None, [])
        assert state.job(young.job_id) == young


def test_only_the_owner_may_read_it_and_what_is_dropped_is_gone(tmp_path: Path) -> None:
    secret = Reply("Mr Doe has a cavitary lesion", "stop", "m", 1, 1)
    with closing(BatchState(tmp_path, PLACE)) as state:
        (job,) = state.claim([["a"]], DUE)
        state.finish(job.job_id, {"a": secret}, [])
        with state.owning(job.job_id):
            lock = tmp_path / LOCK_FOLDER / job.job_id
            assert lock.stat().st_mode & 0o777 == 0o600
        state.drop_reply("a")
        state.forget(job.job_id)
        assert not lock.exists()
    assert (tmp_path / BATCH_FILE).stat().st_mode & 0o777 == 0o600
    assert b"cavitary" not in (tmp_path / BATCH_FILE).read_bytes()


def test_what_is_no_state_is_named(tmp_path: Path) -> None:
    (tmp_path / BATCH_FILE).write_bytes(b"not a database at all, but longer than its header" * 9)
    with pytest.raises(InputError, match="is no state of batches; expected a SQLite file"):
        BatchState(tmp_path, PLACE)
    (tmp_path / BATCH_FILE).unlink()
    with closing(sqlite3.connect(tmp_path / BATCH_FILE)) as database:
        database.execute("PRAGMA user_version=9")
    with pytest.raises(InputError, match="of layout 9; expected layout 1; move it away"):
        BatchState(tmp_path, PLACE)
