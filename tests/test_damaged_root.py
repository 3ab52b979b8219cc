"""Readers of a finished data root: a damaged artifact is one line, and no number comes of it."""

from __future__ import annotations

import errno
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from test_compare import build, scored_run
from test_paired import BAD, GOOD

from infra.artifact import Artifact, build_artifact, checked_files, find_artifacts
from infra.errors import ArtifactError, InputError
from infra.pieces import BuiltPiece
from infra.prefect_place import settle_prefect
from infra.record_file import read_record
from infra.step import Step
from infra.store import Store, explained_place
from sources.example import examples_to_table
from tasks.compare.scored import newest_scored
from tasks.compare.scored import test_shards as shards_of
from tasks.compare.work import compare_scored, list_errors, slice_scored
from tests.models_world import example
from tests.small_world import HOUSE, cxr, cxr_environment


@pytest.fixture
def store(tmp_path: Path) -> Store:
    store = Store(str(tmp_path / "data"), tmp_path / "state")
    scored_run(store, "only", [BAD if number < 10 else GOOD for number in range(20)])
    return store


def only(store: Store, kind: str, name: str) -> Path:
    [path] = Path(store.root).glob(f"{kind}/small-*/piece-*/{name}")
    return path


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def replace_by_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


HARMS: dict[str, Callable[[Path], object]] = {
    "cut in half": lambda path: path.write_bytes(path.read_bytes()[: path.stat().st_size // 2]),
    "one bit flipped": flip,
    "empty": lambda path: path.write_bytes(b""),
    "absent": Path.unlink,
    "a folder in its place": replace_by_folder,
    "another schema": lambda path: pq.write_table(pa.table({"a": [1]}), path),
}
READERS: dict[str, tuple[str, Callable[[Store], object]]] = {
    "errors": ("predictions.parquet", lambda store: list_errors(newest_scored(store))),
    "slices": (
        "counts.parquet",
        lambda store: slice_scored(newest_scored(store), ["view"], ["rule14-micro-F1"], 10, 0),
    ),
    "compare": (
        "judged.parquet",
        lambda store: compare_scored(newest_scored(store), newest_scored(store), 10, 0),
    ),
    "slices by examples": (
        "test-000.parquet",
        lambda store: slice_scored(newest_scored(store), ["view"], ["rule14-micro-F1"], 10, 0),
    ),
}


@pytest.mark.parametrize("harm", HARMS)
@pytest.mark.parametrize("reader", READERS)
def test_a_damaged_table_is_named_and_nothing_is_computed(
    store: Store, reader: str, harm: str
) -> None:
    name, read = READERS[reader]
    read(store)
    kinds = {"predictions.parquet": "predictions", "test-000.parquet": "examples"}
    HARMS[harm](only(store, kinds.get(name, "scores"), name))
    with pytest.raises(ArtifactError) as caught:
        read(store)
    line = str(caught.value)
    assert f"/{name} damaged or absent; expected the bytes that its manifest tells; run" in line
    assert "\n" not in line


def test_a_damaged_manifest_is_not_passed_over_for_an_older_run(store: Store) -> None:
    newest = scored_run(store, "newer", [GOOD] * 20)
    manifest = Path(store.root) / "scores" / f"small-{newest}" / "manifest.json"
    flip(manifest)
    with pytest.raises(ArtifactError, match=r"found a damaged manifest at .*; expected it as"):
        newest_scored(store)
    manifest.unlink()  # not finished: no run
    assert newest_scored(store).scores.fingerprint != newest


def test_a_folder_in_a_manifests_place_is_one_line(store: Store) -> None:
    place = "scores/small/manifest.json"
    Path(store.path(place)).mkdir(parents=True)
    with pytest.raises(InputError, match=r"found a folder in the way at .*manifest\.json; expect"):
        read_record(store, place)
    under = Path(store.path("scores/file"))
    under.write_text("")
    with pytest.raises(InputError, match="found a file in the way"):
        read_record(store, "scores/file/manifest.json")


def test_brackets_without_end_are_no_manifest(store: Store) -> None:
    store.overwrite("scores/deep/manifest.json", "[" * 100_000)
    assert read_record(store, "scores/deep/manifest.json") is None


def test_a_file_in_a_pieces_place_is_rebuilt(store: Store) -> None:
    step = Step("studies", "a", {}, {}, 1, ())

    def write(key: str, folder: Path) -> BuiltPiece:
        (folder / "rows").write_text(key)
        return BuiltPiece(())

    def built() -> Artifact:
        return build_artifact(store, step, lambda: {"p0": "x"}, write)

    piece = Path(built().files("rows")[0]).parent
    (piece / "rows").unlink()
    piece.rmdir()
    piece.write_text("a file")
    assert built().built == ("p0",)
    assert (piece / "rows").read_text() == "p0"
    assert not list(Path(store.root).glob(".scratch/*"))


def test_checked_files_are_those_of_the_name_alone(tmp_path: Path) -> None:
    store = Store(str(tmp_path / "data"), tmp_path / "state")
    rows = examples_to_table([example(0, "test")])
    build(store, Step("examples", "small", {}, {}, 1, ()), {"a.parquet": rows, "b.parquet": rows})
    [artifact] = find_artifacts(store, "examples", "small")
    flip(artifact.files("b.parquet")[0])
    assert checked_files(artifact, "a.parquet") == artifact.files("a.parquet")
    assert checked_files(artifact, "c.parquet") == []
    with pytest.raises(ArtifactError):
        checked_files(artifact, "b.parquet")


def test_shards_of_a_sound_run_are_found(store: Store) -> None:
    found = shards_of(newest_scored(store).predictions)
    assert [Path(path).name for path in found] == ["test-000.parquet"]


def test_a_disk_that_fails_is_one_line() -> None:
    with (
        pytest.raises(InputError, match="found an input/output error at /data"),
        explained_place("/data"),
    ):
        raise OSError(errno.EIO, "Input/output error", "/data/x")


def test_a_state_folder_that_prefect_cannot_use_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("PREFECT_API_URL", "PREFECT_HOME", "PREFECT_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "prefect").write_text("in the way")
    with pytest.raises(InputError, match=r"found a file in the way at .*/prefect; expected"):
        settle_prefect(tmp_path)


SETTLE = """
import resource, sys
from pathlib import Path
from infra.errors import InputError
from infra.prefect_place import settle_prefect

resource.setrlimit(resource.RLIMIT_FSIZE, (65_536, 65_536))
try:
    settle_prefect(Path(sys.argv[1]))
except InputError as error:
    print(error)
"""


def test_a_state_folder_without_room_is_met_before_prefect_starts(tmp_path: Path) -> None:
    """Prefect alone takes two minutes to say so, in a thousand lines."""
    environment = cxr_environment(HOME=str(tmp_path))
    told = subprocess.run(
        [sys.executable, "-c", SETTLE, str(tmp_path / "state")],
        capture_output=True, text=True, cwd=HOUSE, env=environment, check=True,
    )  # fmt: skip
    home = tmp_path / "state" / "prefect"
    assert told.stdout == (
        f"found a limit on the size of a file at {home}; expected room for what is written; mend "
        "that and run again: finished pieces are kept\n"
    )
    assert not list(home.iterdir())


@pytest.mark.slow
def test_the_command_ends_with_one_line_and_no_table(store: Store) -> None:
    flip(only(store, "predictions", "predictions.parquet"))
    done = cxr("errors", "--data-root", store.root)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("error: found ")
    assert done.stderr.count("\n") == 1
