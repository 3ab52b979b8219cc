"""Have children train the classifier of findings and read films; join what they say with texts.

    label_films(shards, folder / "labels.parquet")
    train_classifier(train, validate, labels, folder / "classifier", scratch, on_event)
    readings = read_films(ReadFilmsRun(...), scratch, on_event)

Plain functions for whoever scores drawn films: they make no artifact of their own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pyarrow as pa
import pyarrow.parquet as pq

from infra.film_runs import ClassifyRun, ReadFilmsRun
from infra.launch import Event
from infra.parent import run_in_child
from infra.parquet import write_table
from sources.film import LABEL_SCHEMA

if TYPE_CHECKING:
    from evaluation.statistics import Floats

READINGS_FILE: Final = "readings.parquet"
Readings = Mapping[str, "Floats"]
"""By film's id its numbers."""


def label_films(shards: Sequence[Path], target: Path) -> int:
    """What the text of each example says its film shows, as LABEL_SCHEMA; how many there are."""
    import numpy as np

    from evaluation.film_targets import film_targets

    texts = texts_of(shards)
    rows = film_targets(list(texts.values()))
    told = [[None if np.isnan(value) else float(value) for value in row] for row in rows]
    columns = {"film_id": list(texts), "targets": told}
    target.parent.mkdir(parents=True, exist_ok=True)
    write_table(target, pa.table(columns, schema=LABEL_SCHEMA))
    return len(texts)


def texts_of(shards: Sequence[Path]) -> dict[str, str]:
    """By example its target: a real film's report, or the text that a drawn one is asked for by."""
    tables = [pq.read_table(path, columns=["example_id", "target"]) for path in shards]
    found: dict[str, str] = {}
    for table in tables:
        ids, targets = (table[name].to_pylist() for name in ("example_id", "target"))
        found.update(zip(ids, targets, strict=True))
    return found


def train_classifier(run: ClassifyRun, scratch: Path, on_event: Callable[[Event], None]) -> None:
    """Train it in a child process.

    Raises:
        InputError, ChildFailed: as ``run_module``.
    """
    run_in_child("models.classify", run, scratch, on_event)


def read_films(
    run: ReadFilmsRun, scratch: Path, on_event: Callable[[Event], None]
) -> dict[str, Readings]:
    """By reader what it says of each film, read in a child process.

    Raises:
        InputError, ChildFailed: as ``run_module``.
    """
    import numpy as np

    run_in_child("models.read_films", run, scratch, on_event)
    table = pq.read_table(run.output / READINGS_FILE)
    found: dict[str, dict[str, Floats]] = {}
    names, ids = table["reader"].to_pylist(), table["film_id"].to_pylist()
    for name, film, values in zip(names, ids, table["values"].to_pylist(), strict=True):
        found.setdefault(name, {})[film] = np.asarray(values, dtype=np.float64)
    return dict(found)


def features_of(readings: Readings) -> Floats:
    """(N, W) in the films' order."""
    import numpy as np

    return np.stack(list(readings.values()))
