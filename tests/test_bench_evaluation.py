"""The bench of an evaluation measures what it says: equal texts, equal work, both sides."""

from __future__ import annotations

from pathlib import Path

from tasks.score.pairs import read_pairs
from tests.bench.evaluation import ours, rival, synthetic_pairs, timed, write_pairs


def test_its_texts_are_made_up_alike_each_time(tmp_path: Path) -> None:
    pairs = synthetic_pairs(16)
    assert pairs == synthetic_pairs(16)
    assert pairs != synthetic_pairs(16, seed=1)
    assert len(pairs.references) == len(pairs.predictions) == len(pairs.subjects) == 16
    assert len(set(pairs.subjects)) < 16
    assert all(pairs.references)
    write_pairs(pairs, tmp_path / "pairs.parquet")
    assert read_pairs(tmp_path / "pairs.parquet")["reference"].to_pylist() == pairs.references


def test_both_sides_run_and_are_timed(tmp_path: Path) -> None:
    pairs = synthetic_pairs(6)
    write_pairs(pairs, tmp_path / "pairs.parquet")
    first = timed(lambda: ours(tmp_path))
    assert len(list((tmp_path / "cache").glob("*.sqlite"))) == 5
    beside = timed(lambda: rival(pairs, 5))
    assert min(first.wall, first.processor, beside.wall, beside.processor) > 0
    assert "s of one core" in str(first)
