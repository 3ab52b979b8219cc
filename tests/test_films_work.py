"""Films from shards to scores by child processes: labels, classifier, readings, prompts."""

from __future__ import annotations

from pathlib import Path

import pyarrow.parquet as pq
import pytest

from evaluation.film_targets import TARGETS, place_of
from infra.errors import InputError
from infra.film_runs import CLASSIFIER, ClassifyRun, ReadFilmsRun
from infra.parent import ignore_event
from tasks.films.work import (
    features_of,
    label_films,
    read_films,
    texts_of,
    train_classifier,
)
from tests.models_world import trained_world, write_shards


@pytest.mark.slow
def test_from_shards_to_readings_in_children(tmp_path: Path) -> None:
    shards = write_shards(tmp_path)
    labels = tmp_path / "labels.parquet"
    assert label_films([*shards["train"], *shards["validate"]], labels) == 48
    first = pq.read_table(labels).to_pylist()[1]
    assert first["targets"][place_of("Lung Lesion, left")] == 1.0
    run = ClassifyRun(
        train_films=shards["train"], validate_films=shards["validate"], labels=labels,
        targets=TARGETS, side_px=32, width=4, steps=2, batch_size=8, output=tmp_path / "classifier",
        device="cpu",
    )  # fmt: skip
    events: list[str] = []
    train_classifier(run, tmp_path / "scratch", lambda event: events.append(event["event"]))
    assert events == ["progress", "done"]
    found = read_films(
        ReadFilmsRun(
            films=shards["test"], extractors={"in-house": trained_world() / "pretrain"},
            classifier=run.output, output=tmp_path / "read", device="cpu",
        ),
        tmp_path / "scratch-read",
        ignore_event,
    )  # fmt: skip
    assert features_of(found["in-house"]).shape == (12, 32)
    texts = texts_of(shards["test"])
    assert tuple(found[CLASSIFIER]) == tuple(texts)
    assert features_of(found[CLASSIFIER]).shape == (12, len(TARGETS))


@pytest.mark.slow
def test_a_child_that_refuses_says_why(tmp_path: Path) -> None:
    run = ReadFilmsRun(films=(tmp_path / "none.parquet",), output=tmp_path / "out", device="cpu")
    with pytest.raises(InputError, match="no extractor and no classifier"):
        read_films(run, tmp_path / "scratch", ignore_event)
