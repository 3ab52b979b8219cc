"""Where artifacts live: publishing, locks, scratch, remote roots, and disks that refuse."""

from __future__ import annotations

import multiprocessing
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from infra.errors import ArtifactError, InputError
from infra.fingerprint import file_digest
from infra.store import SCRATCH, Store, explained_place

HOUSE = Path(__file__).parent.parent


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(str(tmp_path / "data"), tmp_path / "state")


@pytest.fixture
def remote(tmp_path: Path) -> Iterator[Store]:
    """A root that is no local folder; every test has its own."""
    store = Store(f"memory://{uuid.uuid4().hex}/root/", tmp_path / "state")
    yield store
    store.fs.store.clear()


def test_the_root_and_the_state_folder_are_made(tmp_path: Path) -> None:
    store = Store(str(tmp_path / "a" / "b") + "/", tmp_path / "c")
    assert store.root == str(tmp_path / "a" / "b")
    assert (tmp_path / "a" / "b").is_dir()
    assert (tmp_path / "c").is_dir()
    assert store.path("kind/x") == str(tmp_path / "a" / "b" / "kind" / "x")


def test_a_file_is_written_new_only_once(store: Store) -> None:
    assert store.write_new("kind/a/manifest.json", "first")
    assert not store.write_new("kind/a/manifest.json", "second")
    assert store.local("kind/a/manifest.json").read_text() == "first"
    store.overwrite("kind/a/manifest.json", "third")
    assert store.local("kind/a/manifest.json").read_text() == "third"
    assert list(Path(store.path(SCRATCH)).iterdir()) == []


def test_a_remote_file_is_written_new_only_once(remote: Store) -> None:
    assert not remote.is_local
    assert remote.write_new("kind/a", "first")
    assert not remote.write_new("kind/a", "second")
    assert remote.local("kind/a").read_text() == "first"
    remote.overwrite("kind/a", "third")
    assert remote.local("kind/a").read_text() == "third"


@pytest.mark.parametrize("where", ["store", "remote"])
def test_names_under_a_folder_are_sorted(where: str, request: pytest.FixtureRequest) -> None:
    store: Store = request.getfixturevalue(where)
    for name in ("images/b-2/x", "images/a-1/x", "studies/c/x"):
        store.overwrite(name, "x")
    assert store.list_folder("images") == ["a-1", "b-2"]
    assert store.list_folder("reports") == []
    assert store.exists("images/a-1/x")
    assert not store.exists("images/a-1/y")


@pytest.mark.parametrize("where", ["store", "remote"])
def test_a_folder_is_published_and_removed_whole(
    where: str, request: pytest.FixtureRequest
) -> None:
    store: Store = request.getfixturevalue(where)
    with store.scratch() as scratch:
        (scratch / "deep").mkdir()
        (scratch / "deep" / "rows").write_text("rows")
        (scratch / "one").write_text("1")
        store.publish_folder(scratch, "kind/a/p0")
    assert store.local("kind/a/p0/deep/rows").read_text() == "rows"
    assert store.list_folder("kind/a/p0") == ["deep", "one"]
    store.remove("kind/a/p0")
    assert not store.exists("kind/a/p0/one")
    store.remove("kind/a/p0")  # what is gone already is no error


def test_an_equal_folder_that_is_there_wins(store: Store) -> None:
    for _ in range(2):
        with store.scratch() as scratch:
            (scratch / "one").write_text("1")
            store.publish_folder(scratch, "kind/a/p0")
    assert store.list_folder("kind/a/p0") == ["one"]
    assert store.abandoned_scratch() == []


def test_a_download_is_checked_and_kept(remote: Store, tmp_path: Path) -> None:
    remote.overwrite("kind/a/rows", "rows")
    (tmp_path / "same").write_text("rows")
    digest = file_digest(tmp_path / "same")
    first = remote.local("kind/a/rows", digest)
    assert first.read_text() == "rows"
    remote.fs.rm(remote.path("kind/a/rows"))
    assert remote.local("kind/a/rows", digest) == first


def test_a_flipped_byte_on_a_remote_root_is_one_clear_line(remote: Store, tmp_path: Path) -> None:
    remote.overwrite("kind/a/rows", "rowz")
    (tmp_path / "wanted").write_text("rows")
    with pytest.raises(ArtifactError) as caught:
        remote.local("kind/a/rows", file_digest(tmp_path / "wanted"))
    assert str(caught.value) == (
        f"{remote.root}/kind/a/rows differs from its manifest; remove it and run again: its piece "
        "alone is rebuilt"
    )
    assert [path for path in (remote.state / "downloads").rglob("*") if path.is_file()] == []


def test_scratch_is_private_and_gone_afterwards(store: Store) -> None:
    with store.scratch() as one, store.scratch() as two:
        assert one != two
        assert one.parent == two.parent == Path(store.path(SCRATCH))
        (one / "x").write_text("x")
        assert store.abandoned_scratch() == []
    assert not one.exists()
    assert not two.exists()


def test_scratch_goes_when_the_block_fails(store: Store) -> None:
    with pytest.raises(ValueError, match="no luck"), store.scratch() as folder:
        raise ValueError("no luck")
    assert not folder.exists()


def test_scratch_of_a_remote_root_is_local(remote: Store) -> None:
    with remote.scratch() as folder:
        assert folder.parent == remote.state / SCRATCH


def test_scratch_of_dead_processes_is_known_by_its_name(store: Store) -> None:
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    host = os.uname().nodename
    names = {
        f"{host}-{dead.pid}-{'0' * 32}": True,
        f"{host}-{os.getpid()}-{'1' * 32}": False,
        f"another-host-{dead.pid}-{'2' * 32}": False,
    }
    for name in names:
        (Path(store.path(SCRATCH)) / name).mkdir(parents=True)
    abandoned = [path.name for path in store.abandoned_scratch()]
    assert abandoned == [name for name, is_abandoned in names.items() if is_abandoned]


def _hold(root: Path, held: Path) -> None:
    with Store(str(root / "data"), root / "state").lock("images/openi-1"):
        held.write_text("held")
        signal.pause()


def test_a_killed_holder_frees_its_lock(tmp_path: Path) -> None:
    held = tmp_path / "held"
    holder = multiprocessing.get_context("fork").Process(target=_hold, args=(tmp_path, held))
    holder.start()
    while not held.exists():
        assert holder.is_alive()
    store = Store(str(tmp_path / "data"), tmp_path / "state")
    waited = threading.Event()

    def take() -> None:
        with store.lock("images/openi-1", waited.set):
            pass

    taker = threading.Thread(target=take)
    taker.start()
    assert waited.wait(10), "the lock was not held"
    assert taker.is_alive()
    assert holder.pid is not None
    os.kill(holder.pid, signal.SIGKILL)
    holder.join()
    taker.join(10)
    assert not taker.is_alive()


def test_a_lock_excludes_threads_of_one_process(store: Store) -> None:
    """Prefect runs tasks in threads: a lock that is held must hold against them too."""
    inside, worst = 0, 0
    guard = threading.Lock()

    def work() -> None:
        nonlocal inside, worst
        for _ in range(5):
            with store.lock("k/n"):
                with guard:
                    inside += 1
                    worst = max(worst, inside)
                with guard:
                    inside -= 1

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (inside, worst) == (0, 1)


NAMES = st.lists(
    st.from_regex(r"[a-z]{1,4}/[a-z_]{1,6}-[0-9a-f]{4}", fullmatch=True), max_size=5, unique=True
)


@settings(max_examples=25, deadline=None)
@given(NAMES)
def test_locks_of_different_artifacts_never_wait_for_each_other(names: list[str]) -> None:
    root = Path(os.environ.get("TMPDIR", "/tmp")) / f"cxrflow-locks-{uuid.uuid4().hex}"
    store = Store(str(root / "data"), root / "state")
    waits: list[str] = []

    def hold(rest: list[str]) -> None:
        if rest:
            with store.lock(rest[0], lambda: waits.append(rest[0])):
                hold(rest[1:])

    try:
        hold(names)
        hold(names)  # and all are free again
        assert waits == []
        assert len(list((root / "state").glob("locks/*.lock"))) <= len(names)
    finally:
        shutil.rmtree(root)


REFUSALS = {
    28: "found no space left at /data; expected room for what is written",
    122: "found the disk quota is used up at /data; expected room for what is written",
    30: "found a read-only file system at /data; expected a folder that can be written",
    13: "found no permission at /data; expected a place that this user may use",
    1: "found no permission at /data; expected a place that this user may use",
}


@pytest.mark.parametrize("number", REFUSALS)
def test_a_refusing_disk_is_one_line_and_bad_input(number: int) -> None:
    with pytest.raises(InputError) as caught, explained_place("/data"):
        raise OSError(number, os.strerror(number), "/data/.scratch/host-1-2/piece-0")
    assert str(caught.value) == (
        f"{REFUSALS[number]}; mend that and run again: finished pieces are kept"
    )
    assert caught.value.exit_code == 2


def test_a_forbidden_file_elsewhere_is_named_itself() -> None:
    with pytest.raises(InputError) as caught, explained_place("/data"):
        raise PermissionError(13, "Permission denied", "/raw/secret.csv")
    assert caught.value.found == "no permission at /raw/secret.csv"


def test_other_errors_pass_unchanged() -> None:
    with pytest.raises(FileNotFoundError), explained_place("/data"):
        raise FileNotFoundError(2, "No such file", "/data/x")


BUILD = """
import sys
from pathlib import Path
import pyarrow as pa
from infra.artifact import build_artifact
from infra.errors import InputError
from infra.parquet import write_table
from infra.pieces import BuiltPiece
from infra.step import Step
from infra.store import Store

def build(key, folder):
    noise = pa.array([number * 2654435761 % 2**32 for number in range(100_000)])
    write_table(folder / "rows.parquet", pa.table({"noise": noise}))
    return BuiltPiece()

try:
    store = Store(sys.argv[1] + "/data", Path(sys.argv[2]))
    step = Step("images", "openi", {}, {}, 1, ("infra.errors",))
    build_artifact(store, step, lambda: dict.fromkeys(map(str, range(9)), ""), build)
except InputError as error:
    print(error)
    print(len(list(Path(sys.argv[1]).glob("data/.scratch/*"))), "left in scratch")
"""


def on_disk(disk: Path, options: str, *arguments: Path) -> list[str]:
    """Lines that BUILD prints when ``disk`` is mounted with these options."""
    disk.mkdir()
    mount = f'mount -t tmpfs -o {options} none "$0" && exec "$@"'
    command = ["unshare", "-rm", "sh", "-c", mount, str(disk)]
    possible = shutil.which("unshare") is not None
    if not possible or subprocess.run([*command, "true"], check=False).returncode:
        pytest.skip("needs a user namespace in which a disk can be mounted")
    child = [sys.executable, "-c", BUILD, *map(str, arguments)]
    done = subprocess.run(
        [*command, *child], capture_output=True, text=True, cwd=HOUSE, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


@pytest.mark.parametrize(
    ("options", "found", "expected"),
    [
        ("size=1m", "no space left", "room for what is written"),
        ("ro", "a read-only file system", "a folder that can be written"),
    ],
)
def test_a_real_full_or_read_only_disk(
    tmp_path: Path, options: str, found: str, expected: str
) -> None:
    disk = tmp_path / "disk"
    assert on_disk(disk, options, disk, tmp_path / "state") == [
        f"found {found} at {disk}/data; expected {expected}; "
        "mend that and run again: finished pieces are kept",
        "0 left in scratch",
    ]


def test_a_state_folder_that_cannot_be_made_is_one_line(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    assert on_disk(disk, "ro", tmp_path, disk / "state")[0] == (
        f"found a read-only file system at {disk}/state; expected a folder that can be written; "
        "mend that and run again: finished pieces are kept"
    )


def test_scratch_of_another_host_is_left_alone_for_a_week(store: Store) -> None:
    """A container's host name may never come again."""
    folder = Path(store.path(SCRATCH)) / f"another-host-1-{'3' * 32}"
    folder.mkdir(parents=True)
    assert store.abandoned_scratch() == []
    long_ago = time.time() - 8 * 24 * 3600
    os.utime(folder, (long_ago, long_ago))
    assert store.abandoned_scratch() == [folder]


def test_a_store_that_only_looks_makes_nothing(tmp_path: Path) -> None:
    store = Store(str(tmp_path / "data"), tmp_path / "data" / ".state", make=False)
    assert store.list_folder("studies") == []
    assert not store.exists("studies")
    assert list(tmp_path.iterdir()) == []
