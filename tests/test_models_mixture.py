"""A stage of several sets: shares in every stretch, the same order after a resume."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from itertools import islice
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from models_world import example, stage, train_run

from infra.errors import InputError
from models.data import ExampleShards, TrainingOrder
from models.mixture import MixedOrder, parts_of
from models.train import train
from sources.example import examples_to_table

SIZES = {"few": 5, "many": 40, "none": 0}


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Path, ...]]:
    """Shards of each set; ids tell the set, and one set has two shards."""
    root, found = tmp_path_factory.mktemp("sets"), {}
    for name, size in SIZES.items():
        rows = [
            replace(example(number), example_id=f"{name}-{number}", study_id=f"{name}{number}")
            for number in range(size)
        ]
        halves = [rows[: size // 2], rows[size // 2 :]] if name == "many" else [rows]
        paths = []
        for number, part in enumerate(halves):
            paths.append(root / f"{name}-{number}.parquet")
            pq.write_table(examples_to_table(part), paths[-1], row_group_size=3)
        found[name] = tuple(paths)
    return found


def mixed(
    files: dict[str, tuple[Path, ...]], shares: dict[str, float], rows: int, start: int = 0
) -> tuple[ExampleShards, MixedOrder]:
    data = ExampleShards([path for name in shares for path in files[name]], None)
    parts = parts_of(data, {name: len(files[name]) for name in shares})
    return data, MixedOrder(data, parts, shares, rows, 7, start)


def names(data: ExampleShards, order: MixedOrder) -> list[str]:
    return [data[index].example_id.partition("-")[0] for index in order]


def test_every_stretch_holds_the_shares(files: dict[str, tuple[Path, ...]]) -> None:
    data, order = mixed(files, {"few": 0.3, "many": 0.7}, 200)
    drawn = names(data, order)
    assert Counter(drawn) == {"few": 60, "many": 140}
    for size in (10, 20, 50):
        for start in range(0, 200, size):
            few = drawn[start : start + size].count("few")
            assert abs(few - 0.3 * size) <= 1


def test_a_short_set_begins_anew_and_shows_all_before(files: dict[str, tuple[Path, ...]]) -> None:
    data, order = mixed(files, {"few": 1.0, "many": 1.0}, 60)
    few = [data[index].example_id for index in order if data[index].example_id.startswith("few")]
    assert len(few) == 30
    for start in range(0, 30, 5):
        assert len(set(few[start : start + 5])) == 5


def test_each_sets_own_order_is_what_it_would_be_alone(files: dict[str, tuple[Path, ...]]) -> None:
    data, order = mixed(files, {"few": 1.0, "many": 3.0}, 40)
    alone = ExampleShards(files["many"], None)
    own = [alone[index].example_id for index in islice(TrainingOrder(alone, 60, 7), 30)]
    within = [
        data[index].example_id for index in order if data[index].example_id.startswith("many")
    ]
    assert within == own


@given(start=st.integers(0, 70))
def test_it_goes_on_at_any_row(files: dict[str, tuple[Path, ...]], start: int) -> None:
    _, whole = mixed(files, {"few": 0.2, "many": 0.8}, 60)
    _, rest = mixed(files, {"few": 0.2, "many": 0.8}, 60, start)
    assert list(rest) == list(whole)[start:]
    assert len(rest) == max(0, 60 - start)


def test_shares_need_not_sum_to_one(files: dict[str, tuple[Path, ...]]) -> None:
    _, small = mixed(files, {"few": 0.25, "many": 0.75}, 60)
    _, large = mixed(files, {"few": 5.0, "many": 15.0}, 60)
    assert list(small) == list(large)


def test_an_empty_set_is_named(files: dict[str, tuple[Path, ...]]) -> None:
    with pytest.raises(InputError, match="found no example of the set none"):
        mixed(files, {"many": 1.0, "none": 1.0}, 10)


def test_a_stage_trains_on_a_mixture(tmp_path: Path, files: dict[str, tuple[Path, ...]]) -> None:
    shares = {"few": 1.0, "many": 2.0}
    run = train_run(
        tmp_path,
        stage("pretrain", steps=3, examples=shares),
        train_examples=tuple(path for name in shares for path in files[name]),
        set_files={name: len(files[name]) for name in shares},
    )
    assert train(run) == 0
    assert (run.output / "model.safetensors").is_file()
