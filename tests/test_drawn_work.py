"""Sets of drawn films: which examples are drawn, from what, and what is told of each."""

from __future__ import annotations

import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from drawn_world import BASE, drawn_films, grey_png

from infra.errors import ArtifactError
from infra.settings.sections import DrawnSettings
from sources.drawing import DRAWING_SCHEMA, DRAWN_EXAMPLE_SCHEMA, PROMPT_SCHEMA
from sources.example import (
    EXAMPLE_SCHEMA,
    Example,
    ExampleImage,
    Task,
    examples_to_table,
    request_turn,
    subject_place,
)
from sources.record import REJECTED_SCHEMA, Origin, Split, View
from tasks.drawn.chosen import prompts_of, seed_of
from tasks.drawn.shards import DRAWN_FILE, DrawnShards
from tasks.examples.packing import REJECTED_FILE

ALL = DrawnSettings(stage="guide", of=BASE, steps=7, guidance=2.0)
HALF = ALL.model_copy(update={"share": 0.5})
LATERAL = 3  # every so many


def example(number: int, split: Split) -> Example:
    """Two examples of each subject; the film of every third is lateral."""
    view = View.LATERAL if number % LATERAL == 0 else View.PA
    return Example(
        example_id=f"mimic_cxr/s{number}/i{number}/structure",
        task=Task.FINDINGS,
        source="mimic_cxr",
        study_id=f"s{number}",
        subject_id=f"p{number // 2}",
        split=split,
        text_version="structure",
        origin=Origin.RADIOLOGIST,
        images=(ExampleImage(f"i{number}", view, grey_png(1000 + number, 24), 24, 24),),
        indication=None,
        turns=(request_turn(Task.FINDINGS, None),),
        target=f"There is a nodule. Case {number}.",
        subject_age=41.0,
    )


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Two shards to train on, one to validate and one to test, as a set's piece has them."""
    folder = tmp_path_factory.mktemp("shards")
    rows = {
        "train-000": [example(number, Split.TRAIN) for number in range(20)],
        "train-001": [example(number, Split.TRAIN) for number in range(20, 32)],
        "validate-000": [example(number, Split.VALIDATE) for number in range(40, 44)],
        "test-000": [example(number, Split.TEST) for number in range(60, 66)],
    }
    for name, examples in rows.items():
        pq.write_table(examples_to_table(examples), folder / f"{name}.parquet", row_group_size=8)
    return {name: folder / f"{name}.parquet" for name in rows}


def training(shards: dict[str, Path]) -> tuple[Path, ...]:
    return tuple(path for name, path in shards.items() if name.startswith("train"))


def chosen(settings: DrawnSettings) -> list[int]:
    """Numbers of the training examples whose subjects are within the share."""
    return [n for n in range(32) if subject_place("mimic_cxr", f"p{n // 2}", "") < settings.share]


def pack(shards: dict[str, Path], settings: DrawnSettings, folder: Path) -> Any:
    folder.mkdir(parents=True, exist_ok=True)
    films = drawn_films(training(shards), settings, folder / "films.parquet")
    maker = DrawnShards("drawn", settings, 8, films, "f" * 16)
    return maker.pack(tuple(shards.values()), folder)


# What is asked for.


def test_a_prompt_is_the_view_and_the_target(shards: dict[str, Path]) -> None:
    prompts = prompts_of(training(shards), ALL)
    assert prompts.schema.equals(PROMPT_SCHEMA)
    told = {row["prompt_id"]: row["prompt"] for row in prompts.to_pylist()}
    assert len(told) == 32
    assert told["mimic_cxr/s1/i1/structure"] == (
        "PA view of the chest was obtained. There is a nodule. Case 1."
    )
    assert told["mimic_cxr/s3/i3/structure"].startswith("Lateral view of the chest was obtained.")


def test_a_share_is_of_subjects_and_the_same_ones_that_a_stage_trains_on(
    shards: dict[str, Path],
) -> None:
    named = [row["prompt_id"] for row in prompts_of(training(shards), HALF).to_pylist()]
    assert named == [f"mimic_cxr/s{n}/i{n}/structure" for n in chosen(HALF)]
    assert 0 < len(named) < 32
    assert all(count == 2 for count in Counter(n // 2 for n in chosen(HALF)).values())
    quarter = ALL.model_copy(update={"share": 0.25})
    smaller = {row["prompt_id"] for row in prompts_of(training(shards), quarter).to_pylist()}
    assert smaller < set(named)


def test_a_seed_belongs_to_the_example(shards: dict[str, Path]) -> None:
    every = {row["prompt_id"]: row["seed"] for row in prompts_of(training(shards), ALL).to_pylist()}
    half = {row["prompt_id"]: row["seed"] for row in prompts_of(training(shards), HALF).to_pylist()}
    assert half.items() <= every.items()
    assert len(set(every.values())) == len(every)
    assert all(0 <= seed < 2**63 for seed in every.values())
    assert seed_of("a", 0) != seed_of("a", 1)


# What becomes of it.


def test_examples_keep_all_but_their_films_and_ids(shards: dict[str, Path], tmp_path: Path) -> None:
    built = pack(shards, ALL, tmp_path)
    assert built.facts == {"shards": {"train": 2}}
    table = pa.concat_tables(
        [pq.read_table(tmp_path / f"train-{number:03d}.parquet") for number in range(2)]
    )
    assert table.schema.equals(EXAMPLE_SCHEMA)
    before = pa.concat_tables([pq.read_table(path) for path in training(shards)])
    kept = [name for name in EXAMPLE_SCHEMA.names if name not in ("example_id", "images")]
    assert table.select(kept).equals(before.select(kept))
    films = {row["prompt_id"]: row for row in pq.read_table(tmp_path / "films.parquet").to_pylist()}
    for row, own in zip(table.to_pylist(), before.to_pylist(), strict=True):
        assert row["example_id"] == f"{own['example_id']}/drawn"
        [film], [real] = row["images"], own["images"]
        assert film["pixels"] == films[own["example_id"]]["pixels"] != real["pixels"]
        assert (film["width"], film["height"]) == (48, 48)
        assert film["view"] == real["view"]
        assert film["image_id"] == f"{real['image_id']}/drawn"
    assert pq.ParquetFile(tmp_path / "train-000.parquet").num_row_groups == 3


def test_held_out_examples_are_never_drawn_and_every_row_is_told_of(
    shards: dict[str, Path], tmp_path: Path
) -> None:
    built = pack(shards, HALF, tmp_path)
    assert not list(tmp_path.glob("validate-*")) + list(tmp_path.glob("test-*"))
    [count] = built.counts
    kept = len(chosen(HALF))
    assert (count.unit, count.rows_in, count.kept) == ("films to draw", 42, kept)
    assert count.rejected == {"held-out": 10, "outside-the-share": 32 - kept}
    rejected = pq.read_table(tmp_path / REJECTED_FILE)
    assert rejected.schema.equals(REJECTED_SCHEMA)
    details = {row["reason"]: row["detail"] for row in rejected.to_pylist()}
    assert details["outside-the-share"] == (
        "another subject; drawn are 0.5 of the subjects of split train"
    )
    assert details["held-out"].startswith("split ")


def test_a_view_that_was_never_shown_is_not_drawn(shards: dict[str, Path], tmp_path: Path) -> None:
    """Or the sentence of a lateral view would come to stand beside frontal films."""
    views = {"PA": 90, "LATERAL": 2}
    lateral = [n for n in range(32) if n % LATERAL == 0]
    asked = prompts_of(training(shards), ALL, views).to_pylist()
    assert len(asked) == 32 - len(lateral)
    assert not any(row["prompt"].startswith("Lateral") for row in asked)
    films = drawn_films(training(shards), ALL, tmp_path / "films.parquet")
    maker = DrawnShards("drawn", ALL, 8, films, "f" * 16, views)
    [count] = maker.pack(tuple(shards.values()), tmp_path).counts
    assert count.rejected == {"held-out": 10, "view-not-learned": len(lateral)}
    told = pq.read_table(tmp_path / REJECTED_FILE).to_pylist()
    assert {row["detail"] for row in told if row["reason"] == "view-not-learned"} == {
        "view LATERAL; drawn are 1 of the subjects of split train, in views that stage guide was "
        "shown: PA"
    }


def test_it_is_told_how_each_film_came_to_be(shards: dict[str, Path], tmp_path: Path) -> None:
    pack(shards, HALF, tmp_path)
    told = pq.read_table(tmp_path / DRAWN_FILE)
    assert told.schema.equals(DRAWN_EXAMPLE_SCHEMA)
    drawn = sorted(tmp_path.glob("train-*.parquet"))
    names = [name for path in drawn for name in pq.read_table(path)["example_id"].to_pylist()]
    assert told["example_id"].to_pylist() == names
    row = told.to_pylist()[0]
    assert f"{row['drawn_of']}/drawn" == row["example_id"]
    assert (row["stage"], row["model"], row["steps"], row["guidance"]) == (
        *("guide", "f" * 16),
        *(7, 2.0),
    )
    assert (row["text_version"], row["origin"]) == ("structure", "radiologist")
    assert row["seed"] == seed_of(row["drawn_of"], 0)
    assert "prompt" not in told.column_names, "report text lies beside the films alone"


def test_a_piece_without_any_chosen_subject_has_no_shard(
    shards: dict[str, Path], tmp_path: Path
) -> None:
    held = {name: path for name, path in shards.items() if not name.startswith("train")}
    films = tmp_path / "films.parquet"
    pq.write_table(DRAWING_SCHEMA.empty_table(), films)
    built = DrawnShards("drawn", ALL, 8, films, "f" * 16).pack(tuple(held.values()), tmp_path)
    assert built.facts == {"shards": {"train": 0}}
    assert len(pq.read_table(tmp_path / DRAWN_FILE)) == 0
    assert len(pq.read_table(tmp_path / REJECTED_FILE)) == 10


def test_a_film_that_is_not_there_is_no_silent_gap(shards: dict[str, Path], tmp_path: Path) -> None:
    films = drawn_films(training(shards), HALF, tmp_path / "films.parquet")
    maker = DrawnShards("drawn", ALL, 8, films, "f" * 16)
    with pytest.raises(ArtifactError, match=r"no drawn film of \d+ examples for set drawn"):
        maker.pack(tuple(shards.values()), tmp_path)


def test_equal_inputs_give_equal_bytes(shards: dict[str, Path], tmp_path: Path) -> None:
    for name in ("one", "two"):
        pack(shards, HALF, tmp_path / name)
    files = sorted(path.name for path in (tmp_path / "one").iterdir())
    assert files == sorted(path.name for path in (tmp_path / "two").iterdir())
    for name in files:
        one, two = (tmp_path / side / name for side in ("one", "two"))
        assert one.read_bytes() == two.read_bytes(), name
    shutil.rmtree(tmp_path / "two")
