"""A stage's time is the sum over all attempts at it, and so is its artifact's."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from infra.artifact import VOLATILE, build_artifact, read_artifact
from infra.pieces import BuiltPiece
from infra.step import MANIFEST, Step
from infra.store import Store
from tasks.train.attempts import SPENT_FILE, Attempts


class Clock:
    """Seconds that a test sets."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def attempt(tmp_path: Path, clock: Clock) -> Attempts:
    return Attempts(tmp_path / SPENT_FILE, clock)


def test_a_first_attempt_has_none_before_it(tmp_path: Path, clock: Clock) -> None:
    assert attempt(tmp_path, clock).earlier == 0.0
    assert not (tmp_path / SPENT_FILE).exists()


def test_an_attempt_that_was_killed_is_counted_to_its_last_tick(
    tmp_path: Path, clock: Clock
) -> None:
    first = attempt(tmp_path, clock)
    for _ in range(90):
        clock.now += 1.0
        first.tick()
    clock.now += 3.0  # killed here: nothing more is told
    assert attempt(tmp_path, clock).earlier == 90.0


def test_attempts_add_up(tmp_path: Path, clock: Clock) -> None:
    for spent in (20.0, 30.0, 5.0):
        one = attempt(tmp_path, clock)
        clock.now += spent
        one.tell()
    assert attempt(tmp_path, clock).earlier == 55.0


def test_ticks_write_at_most_every_ten_seconds(tmp_path: Path, clock: Clock) -> None:
    one = attempt(tmp_path, clock)
    clock.now += 9.0
    one.tick()
    assert not (tmp_path / SPENT_FILE).exists()
    clock.now += 1.0
    one.tick()
    assert float((tmp_path / SPENT_FILE).read_text()) == 10.0


def test_a_file_that_is_no_number_is_said_and_counts_nothing(
    tmp_path: Path, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / SPENT_FILE).write_text("nine\n")
    assert attempt(tmp_path, clock).earlier == 0.0
    assert "earlier attempts is not counted" in caplog.text


def test_an_artifacts_seconds_hold_those_of_earlier_attempts(tmp_path: Path) -> None:
    store = Store(str(tmp_path / "data"), tmp_path / "state")
    step = Step("stages", "finetune", {}, {}, 1, ())

    def build(key: str, folder: Path) -> BuiltPiece:
        (folder / "model").write_text(key)
        return BuiltPiece(measured={"pace": 9.5}, earlier_seconds=900.0)

    built = build_artifact(store, step, lambda: {"one": "", "two": ""}, build)
    assert built.seconds >= 1800.0
    again = read_artifact(store, step)
    assert again is not None
    assert again.seconds == built.seconds
    manifest = json.loads((tmp_path / "data" / step.folder / MANIFEST).read_text())
    assert all("seconds" not in key for piece in manifest["pieces"] for key in piece)
    assert [piece.measured for piece in again.pieces] == [{"pace": 9.5}] * 2
    same = {name: value for name, value in manifest.items() if name not in VOLATILE}
    assert "9.5" not in json.dumps(same)


def test_a_run_that_never_began_leaves_its_time_where_the_folder_was_not(
    tmp_path: Path, clock: Clock
) -> None:
    one = attempt(tmp_path / "not there", clock)
    clock.now += 2.0
    one.tell()
    assert attempt(tmp_path / "not there", clock).earlier == 2.0
