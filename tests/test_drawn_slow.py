"""Training on drawn films as a user does it: drawn on the way, told of, and drawn once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from drawn_world import drawn_overrides
from small_world import SMALL, cxr, cxr_json

from sources.drawing import DRAWN_EXAMPLE_SCHEMA

pytestmark = pytest.mark.slow

KEPT = tuple(one for one in SMALL if not one.startswith(("stages.", "readings")))


def arguments(root: Path, command: str, **drawn: Any) -> list[str]:
    sets = [word for one in (*drawn_overrides(**drawn), *KEPT) for word in ("--set", one)]
    return [command, "--scale", "tiny", "--replicas", "--data-root", str(root), *sets]


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("drawn") / "data"


@pytest.fixture(scope="module")
def trained(root: Path) -> Any:
    return cxr_json(*arguments(root, "train"))


def folders(root: Path, kind: str, name: str) -> list[Path]:
    return [path for path in (root / kind).iterdir() if path.name.rpartition("-")[0] == name]


def test_films_are_drawn_between_the_stage_that_draws_and_the_one_that_trains(
    trained: Any,
) -> None:
    keys = [step["key"] for step in trained["steps"]]
    assert keys[-4:] == ["stages/guide", "drawings/drawn", "examples/drawn", "stages/finetune"]
    assert all(step["built"] for step in trained["steps"][-4:])
    rows = [row for row in trained["funnel"] if row["unit"] == "films to draw"]
    assert rows
    assert all(row["in"] == row["kept"] + sum(row["rejected"].values()) for row in rows)
    assert sum(row["kept"] for row in rows) > 0
    assert {reason for row in rows for reason in row["rejected"]} >= {"held-out"}


def test_shards_hold_the_drawn_films_and_say_where_they_are_from(trained: Any, root: Path) -> None:
    [examples] = folders(root, "examples", "drawn")
    [films] = folders(root, "drawings", "drawn")
    shards = sorted(examples.rglob("train-*.parquet"))
    rows = [row for path in shards for row in pq.read_table(path).to_pylist()]
    told = [
        row
        for path in sorted(examples.rglob("drawn.parquet"))
        for row in pq.read_table(path, schema=DRAWN_EXAMPLE_SCHEMA).to_pylist()
    ]
    assert len(told) == len(rows) > 0
    drawn = {
        row["prompt_id"]: row["pixels"]
        for path in films.rglob("drawings.parquet")
        for row in pq.read_table(path).to_pylist()
    }
    of = {row["example_id"]: row for row in told}
    for row in rows:
        assert row["split"] == "train"
        assert row["images"][0]["pixels"] == drawn[of[row["example_id"]]["drawn_of"]]
    [guide] = folders(root, "stages", "guide")
    assert {row["model"] for row in told} == {guide.name.rpartition("-")[2]}
    assert not list((root / ".state/drawings").rglob("prompts.parquet")), "report text is not kept"


def test_a_second_run_draws_nothing(trained: Any, root: Path) -> None:
    again = cxr_json(*arguments(root, "train"))
    assert not [step for step in again["steps"] if step["built"]]


def test_another_seed_draws_again_and_trains_what_reads_the_films_alone(
    trained: Any, root: Path
) -> None:
    other = cxr_json(*arguments(root, "train", seed=1))
    built = [step["key"] for step in other["steps"] if step["built"]]
    assert built == ["drawings/drawn", "examples/drawn", "stages/finetune"]
    pixels = [
        [row["pixels"] for path in folder.rglob("drawings.parquet")
         for row in pq.read_table(path).to_pylist()]
        for folder in folders(root, "drawings", "drawn")
    ]  # fmt: skip
    assert len(pixels) == 2
    assert pixels[0] != pixels[1]


def test_a_share_that_holds_no_subject_is_one_line(trained: Any, root: Path) -> None:
    done = cxr(*arguments(root, "train", share=1e-9))
    assert done.returncode == 2
    assert "no training example of set llava_rad to draw for set drawn" in done.stderr
