"""Drawn and real films side by side, and what the classifier and the extractors read of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

from infra.artifact import Artifact
from infra.film_runs import (
    CLASSIFIER,
    CLASSIFIER_FEATURES,
    PUBLISHED,
    ReadFilmsRun,
    find_extractors,
)
from infra.fingerprint import file_digest, fingerprint
from infra.launch import Event
from infra.parquet import write_table
from infra.settings.film_ability import encoder_of
from sources.drawing import AGAIN, UNTRAINED
from sources.film import FILM_SCHEMA
from sources.record import Split
from tasks.context import Context
from tasks.draw.classifier import PIECE as CLASSIFIER_PIECE
from tasks.draw.films import TRAINED, chosen_rows
from tasks.films.work import Readings, read_films
from tasks.predict.work import PREDICTIONS_FILE
from tasks.train.work import PIECE as MODEL_PIECE
from tasks.train.work import example_files

if TYPE_CHECKING:
    from evaluation.drawn_scores import Viewed
    from evaluation.prompted_findings import FilmReadings

REAL: Final = "real"
TRAIN: Final = "train"
KINDS: Final = (TRAINED, UNTRAINED, REAL, TRAIN)
"""Films that are read: drawn ones, the real films of the same examples, and as many of train."""
NO_TOWER: Final = "the recipe trains no vision tower that could tell films apart"
Row = dict[str, Any]


@dataclass(frozen=True)
class Films:
    """Drawn films, one row each (DRAWN_FILM_SCHEMA), and by example its real film.

    Args:
        drawn: by control, in the prompts' order.
        real: encoded pictures by example, of the prompts' examples.
        train: the same of as many training examples.
        train_views: by training example the view of that film.
    """

    drawn: Mapping[str, tuple[Row, ...]]
    real: Mapping[str, bytes]
    train: Mapping[str, bytes]
    train_views: Mapping[str, str]

    @property
    def prompts(self) -> tuple[Row, ...]:
        """The first film of each prompt."""
        return self.drawn[TRAINED]

    @property
    def units(self) -> tuple[str, ...]:
        """The person behind each prompt; an unknown one is the study alone."""
        return tuple(unit_of(row) for row in self.prompts)


def unit_of(row: Mapping[str, Any]) -> str:
    """What a bootstrap draws: a subject with all that is of it."""
    person = row["subject_id"]
    own = f"subject {person}" if person else f"study {row['study_id']}"
    return f"{row['source']}\t{own}"


def gather_films(context: Context) -> Films:
    """All films of the ability's predictions beside the real ones."""
    artifact = context.artifact(f"predictions/{context.ability}")
    drawn: dict[str, list[Row]] = {TRAINED: [], AGAIN: [], UNTRAINED: []}
    for path in artifact.files(PREDICTIONS_FILE):
        for row in pq.read_table(path).to_pylist():
            drawn[row["control"]].append(row)
    train = chosen_rows(context, Split.TRAIN)[: len(drawn[TRAINED])]
    views = {row["example_id"]: row["images"][0]["view"] for row in train}
    return Films(
        {control: tuple(rows) for control, rows in drawn.items()},
        real_films(context, Split.TEST, [row["example_id"] for row in drawn[TRAINED]]),
        real_films(context, Split.TRAIN, list(views)),
        views,
    )


def real_films(context: Context, split: Split, wanted: Sequence[str]) -> dict[str, bytes]:
    """The first stored film of each wanted example, in their order."""
    found: dict[str, bytes] = {}
    names = set(wanted)
    for file in example_files(context, split):
        shard = pq.ParquetFile(file)
        for group in range(shard.num_row_groups):
            ids = shard.read_row_group(group, columns=["example_id"])["example_id"].to_pylist()
            if names.isdisjoint(ids):
                continue  # most groups of a large split: their pictures are not read
            for row in shard.read_row_group(group, columns=["example_id", "images"]).to_pylist():
                if row["example_id"] in names:
                    found[row["example_id"]] = row["images"][0]["pixels"]
    return {name: found[name] for name in wanted}


@dataclass(frozen=True)
class Read:
    """By reader and kind of film what it says, in the films' order.

    Args:
        weights: by reader the digest of its weights.
        unavailable: extractors that are not here, with the reason.
    """

    readings: Mapping[str, Mapping[str, Readings]]
    weights: Mapping[str, str]
    unavailable: Mapping[str, str]


def read_all(
    context: Context, films: Films, scratch: Path, on_event: Callable[[Event], None]
) -> Read:
    """What the classifier and every extractor that is here say of all films."""
    shard = scratch / "films.parquet"
    scratch.mkdir(parents=True, exist_ok=True)
    write_table(shard, _as_shard(films))
    folders, weights, unavailable = _extractors(context)
    classifier = context.artifact(f"classifiers/{context.ability}")
    weights[CLASSIFIER] = weights_digest(classifier, CLASSIFIER_PIECE)
    weights[CLASSIFIER_FEATURES] = weights[CLASSIFIER]
    run = ReadFilmsRun(
        films=(shard,),
        extractors=folders,
        classifier=classifier.local_folder(CLASSIFIER_PIECE),
        output=scratch / "read",
    )
    found: dict[str, dict[str, dict[str, Any]]] = {}
    for reader, told in read_films(run, scratch, on_event).items():
        kinds = found.setdefault(reader, {kind: {} for kind in KINDS})
        for name, values in told.items():
            kind, _, film = name.partition(":")
            kinds[kind][film] = values
    return Read(found, weights, unavailable)


def _as_shard(films: Films) -> pa.Table:
    """FILM_SCHEMA rows of all kinds; an id begins with its kind."""
    of_kind = {
        TRAINED: [(row["example_id"], row["pixels"]) for row in films.drawn[TRAINED]],
        UNTRAINED: [(row["example_id"], row["pixels"]) for row in films.drawn[UNTRAINED]],
        REAL: list(films.real.items()),
        TRAIN: list(films.train.items()),
    }
    rows = [
        {"film_id": f"{kind}:{name}", "prompt_id": name, "pixels": pixels}
        for kind in KINDS
        for name, pixels in of_kind[kind]
    ]
    return pa.Table.from_pylist(rows, schema=FILM_SCHEMA)


def _extractors(context: Context) -> tuple[dict[Any, Path], dict[str, str], dict[str, str]]:
    """Folders and digests of the extractors that are here, and what the others need."""
    settings, asked = context.settings, context.asked.films
    published, lacking = find_extractors(context.environment.weights_root)
    weights: dict[str, str] = {
        kind: fingerprint([file_digest(folder / name) for name in PUBLISHED[kind][1]])
        for kind, folder in published.items()
    }
    folders: dict[Any, Path] = {}
    missing: dict[str, str] = dict(lacking.items())
    stage = encoder_of(asked, settings.abilities, settings.stages)
    if stage is None:
        missing["in-house"] = NO_TOWER
    else:
        model = context.artifact(f"stages/{stage}")
        folders["in-house"] = model.local_folder(MODEL_PIECE)
        weights["in-house"] = weights_digest(model, MODEL_PIECE)
    return folders | published, weights, missing


def weights_digest(artifact: Artifact, key: str) -> str:
    """Digest of the weights of a model that a step made."""
    [piece] = [each for each in artifact.pieces if each.key == key]
    return fingerprint([file.digest for file in piece.files if file.name.endswith(".safetensors")])


def judged_films(read: Read, kind: str, films: Films) -> FilmReadings:
    """The classifier's probabilities of one kind of film of the prompts' examples, beside what the
    prompts ask for."""
    import numpy as np

    from evaluation.film_targets import film_targets
    from evaluation.prompted_findings import FilmReadings

    told = read.readings[CLASSIFIER][kind]
    return FilmReadings(
        np.stack([told[row["example_id"]] for row in films.prompts]),
        film_targets([row["reference"] for row in films.prompts]),
        films.units,
    )


def viewed_films(read: Read, films: Films) -> Viewed:
    """What the classifier reads each film by, beside the view that it is of or was asked for in."""
    import numpy as np

    from evaluation.drawn_scores import Viewed
    from evaluation.prompted_view import FilmViews

    told = read.readings[CLASSIFIER_FEATURES]
    asked = {row["example_id"]: row["view"] for row in films.prompts}

    def of(kind: str, views: Mapping[str, str], units: Sequence[str]) -> FilmViews:
        features = np.stack([told[kind][name] for name in views])
        return FilmViews(features, tuple(views.values()), tuple(units))

    drawn, untrained, real = (of(kind, asked, films.units) for kind in (TRAINED, UNTRAINED, REAL))
    train = of(TRAIN, films.train_views, list(films.train_views))
    return Viewed(drawn, untrained, real, train, read.weights[CLASSIFIER_FEATURES])
