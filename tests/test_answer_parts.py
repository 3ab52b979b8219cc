"""Kept answers: who answers which rows, what a part survives, and what it never mixes with."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from infra.errors import ArtifactError
from infra.runs import GenerateRun
from infra.settings.sections import GenerateSettings
from models.answer_parts import AnswerParts, Rank, run_key, share_of


def parts(folder: Path, number: int = 0, count: int = 1, every: int = 2) -> AnswerParts:
    return AnswerParts(folder, Rank(number, count, "first"), every)


@pytest.mark.parametrize("count", [1, 2, 3, 8])
def test_every_row_is_answered_by_one_rank(count: int) -> None:
    images = [f"i{number % 5}" for number in range(10)] + [""] * 5
    shares = [share_of(Rank(number, count), images) for number in range(count)]
    assert sorted(row for share in shares for row in share) == list(range(15))


def test_rows_of_one_image_stay_together() -> None:
    images = ["a", "b", "c", "d", "a", "b", "c", "d"]
    assert share_of(Rank(0, 2), images) == [0, 4, 1, 5]
    assert share_of(Rank(1, 2), images) == [2, 6, 3, 7]


def test_a_rank_with_fewer_images_gets_more_rows() -> None:
    images = [f"i{number}" for number in range(8)] + [""] * 32
    first, second = (share_of(Rank(number, 2), images) for number in range(2))
    assert len(second) > len(first) > 8
    assert len(first) + len(second) == 40


def test_the_rank_is_torchruns(monkeypatch: pytest.MonkeyPatch) -> None:
    assert Rank.of_process() == Rank(0, 1, "alone")
    for name, value in {"RANK": "2", "WORLD_SIZE": "4", "TORCHELASTIC_RUN_ID": "x"}.items():
        monkeypatch.setenv(name, value)
    assert Rank.of_process() == Rank(2, 4, "x")


def test_answers_are_kept_in_full_parts(tmp_path: Path) -> None:
    some = parts(tmp_path)
    some.add(4, [7, 8, 2])
    assert some.read() == {}
    some.add(1, [5])
    assert parts(tmp_path).read() == {4: (7, 8, 2), 1: (5,)}
    some.add(0, [6])
    some.flush()
    some.flush()
    assert len(list(tmp_path.glob("*.parquet"))) == 2
    assert parts(tmp_path).read() == {4: (7, 8, 2), 1: (5,), 0: (6,)}


def test_a_part_that_was_being_written_is_not_there(tmp_path: Path) -> None:
    some = parts(tmp_path)
    some.add(1, [5])
    some.flush()
    whole = next(tmp_path.glob("*.parquet"))
    (tmp_path / ".0-torn.partial").write_bytes(whole.read_bytes()[:50])
    assert some.read() == {1: (5,)}


@pytest.mark.parametrize("place", ["half", "a bit"])
def test_a_damaged_part_is_dropped_and_told(
    tmp_path: Path, place: str, caplog: pytest.LogCaptureFixture
) -> None:
    some = parts(tmp_path)
    for row in range(4):
        some.add(row, [row, 9])
    damaged = sorted(tmp_path.glob("*.parquet"))[0]
    data = bytearray(damaged.read_bytes())
    if place == "half":
        data = data[: len(data) // 2]
    else:
        start = pq.ParquetFile(damaged).metadata.row_group(0).column(1).data_page_offset
        data[start + 60] ^= 1
    damaged.write_bytes(bytes(data))
    with caplog.at_level("WARNING", logger="cxrflow"):
        kept = some.read()
    assert len(kept) == 2
    assert not damaged.exists()


def test_the_first_rank_waits_for_all(tmp_path: Path) -> None:
    first, second = parts(tmp_path, 0, 2), parts(tmp_path, 1, 2)
    second.add(3, [1])
    second.finish({"tokens": 1.0})
    first.finish({"tokens": 2.0})
    assert first.wait_for_all(1, lambda: False) == [{"tokens": 2.0}, {"tokens": 1.0}]
    assert first.read() == {3: (1,)}


def test_a_rank_of_an_earlier_start_is_not_waited_for(tmp_path: Path) -> None:
    AnswerParts(tmp_path, Rank(1, 2, "before"), 2).finish({})
    first = parts(tmp_path, 0, 2)
    first.finish({})
    looks = iter([False, False, True])
    assert first.wait_for_all(0, lambda: next(looks)) == []


def test_marks_of_a_killed_launch_of_the_same_name_end_no_wait(tmp_path: Path) -> None:
    """Over several nodes all launches of a run are called the same."""
    for number in (1, 2, 3):  # the first rank of four was killed
        before = parts(tmp_path, number, 4)
        before.add(number, [number])
        before.finish({"tokens": 9.0})
    first = parts(tmp_path, 0, 2)
    first.add(0, [5])
    first.finish({"tokens": 1.0})
    looks: list[int] = []

    def others_go_on() -> bool:
        looks.append(len(first.read()))
        if len(looks) == 2:
            second = parts(tmp_path, 1, 2)
            second.add(4, [6])
            second.finish({"tokens": 2.0})
        return len(looks) > 9

    assert first.wait_for_all(5, others_go_on) == [{"tokens": 1.0}, {"tokens": 2.0}]
    assert looks == [4, 4]
    assert sorted(first.read()) == [0, 1, 2, 3, 4]


def test_a_rank_that_starts_takes_its_old_mark_away(tmp_path: Path) -> None:
    parts(tmp_path, 1, 2).finish({})
    parts(tmp_path, 0, 2)
    assert [path.name for path in tmp_path.iterdir()] == ["1-done-first"]
    parts(tmp_path, 1, 2)
    assert list(tmp_path.iterdir()) == []


def test_an_answer_that_is_damaged_while_the_first_rank_waits_ends_the_wait(tmp_path: Path) -> None:
    first, second = parts(tmp_path, 0, 2), parts(tmp_path, 1, 2)
    second.add(3, [1])
    second.finish({})
    first.finish({})
    next(tmp_path.glob("*.parquet")).write_bytes(b"torn")
    with pytest.raises(ArtifactError, match=r"kept answers 1-.*are damaged .*; start again"):
        first.wait_for_all(1, lambda: False)


def test_the_folder_goes_and_another_runs_stays(tmp_path: Path) -> None:
    mine, other = parts(tmp_path / "all" / "mine"), parts(tmp_path / "all" / "other")
    mine.remove()
    assert other.folder.is_dir()
    other.remove()
    assert not (tmp_path / "all").exists()


def run_over(tmp_path: Path, **changes: object) -> GenerateRun:
    values = {
        "model": tmp_path / "model",
        "generate": GenerateSettings(),
        "examples": (tmp_path / "test.parquet",),
        "output": tmp_path / "out",
    }
    return GenerateRun.model_validate({**values, **changes})


def test_the_key_covers_what_answers_depend_on(tmp_path: Path) -> None:
    model = tmp_path / "model"
    model.mkdir()
    (model / "model.safetensors").write_bytes(b"weights")
    (tmp_path / "test.parquet").write_bytes(b"rows")
    key = run_key(run_over(tmp_path))
    assert run_key(run_over(tmp_path, output=tmp_path / "again", scratch=tmp_path)) == key
    others = [
        run_key(run_over(tmp_path, generate=GenerateSettings(beams=2))),
        run_key(run_over(tmp_path, controls=("none", "blank"))),
        run_key(run_over(tmp_path, plain_request="Describe the film.")),
    ]
    (tmp_path / "test.parquet").write_bytes(b"sown")
    others.append(run_key(run_over(tmp_path)))
    (tmp_path / "test.parquet").write_bytes(b"rows")
    (model / "model.safetensors").write_bytes(b"weighty")
    others.append(run_key(run_over(tmp_path)))
    assert len({key, *others}) == 6


def test_figures_are_plain_json(tmp_path: Path) -> None:
    some = parts(tmp_path)
    some.finish({"tokens": 3, "seconds": 0.5})
    mark = next(tmp_path.glob("0-done-*"))
    assert json.loads(mark.read_text()) == {"tokens": 3, "seconds": 0.5}
