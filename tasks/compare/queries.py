"""Retrieval and grounding of a run, cut into groups of films, texts and sentences."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pyarrow as pa
import pyarrow.parquet as pq
from safetensors.numpy import load_file

from infra.artifact import Artifact, checked_files, find_artifacts
from infra.errors import InputError
from infra.store import Store
from tasks.compare.scored import SHORTEST, test_shards
from tasks.ground.outcome import GROUNDING_FILE
from tasks.ground.page import MAPS_FILE
from tasks.ground.work import SENTENCES_FILE
from tasks.retrieve.work import EMBEDDINGS_FILE, FILMS_FILE, TEXTS_FILE, encoders_of, pool_of
from tasks.score.facts import Facts, by_dimension, known_facts

if TYPE_CHECKING:
    from evaluation.grounding_choice import Grounded
    from evaluation.sliced_readings import Asked, Sliceable
    from evaluation.slices import Slices

READINGS: Final = ("retrieval", "grounding")
_PREDICTED: Final = "/own"
"""What grounding appends to the example id of a text that the model wrote itself."""


def find_reading(store: Store, kind: str, text: str | None) -> Artifact:
    """The reading whose fingerprint or folder's name begins so, or the newest.

    Raises:
        InputError: there is none, or several.
    """
    beginning = (text or "").removeprefix(f"{kind}/").strip("/")
    if text is not None and len(beginning) < SHORTEST:
        raise InputError(f"'{text}' for a run", f"{SHORTEST} characters at least", "see --help")
    found = find_artifacts(store, kind, beginning)
    if not found:
        what = f"'{text}' " if text else ""
        raise InputError(
            f"no {kind} {what}under {store.root}",
            f'a run with readings=["{kind}"]',
            f"name a folder under {kind}/ or a fingerprint's beginning, or run 'cxr evaluate'",
        )
    if text and len(found) > 1:
        names = ", ".join(artifact.folder for artifact in found[:3])
        raise InputError(f"{len(found)} of '{text}': {names}", "one", "give more of its name")
    return found[0]


def slice_reading(
    reading: Artifact,
    dimensions: Sequence[str],
    metrics: Sequence[str],
    resamples: int,
    seed: int,
) -> Slices:
    """Its metrics by group; without a name those that the terminal shows of it.

    Raises:
        InputError: an unknown dimension or metric, or nothing was read.
    """
    from evaluation.slices import DIMENSIONS, joined, slice_scores
    from tasks.compare.work import require_known

    require_known("dimension", dimensions, DIMENSIONS)
    sets = list(_sets_of(reading))
    require_known("metric", metrics, [name for one in sets for name in one.system.measures])
    known = known_facts(test_shards(reading))
    found = []
    for one in sets:
        chosen = [name for name in one.system.measures if name in (metrics or one.shown)]
        if chosen:
            outputs = one.system.outputs
            rows = zip(outputs.example_ids, outputs.sources, strict=True)
            facts = by_dimension([_facts(known, *row) for row in rows])
            asked = {name: facts[name] for name in dimensions or DIMENSIONS}
            found.append(slice_scores(one.system, asked, chosen, resamples, seed))
    return joined(found)


def _facts(known: dict[str, Facts], example_id: str, source: str) -> Facts:
    """A phrase about a published box is asked of no example: only its source is known."""
    own = known.get(example_id.removesuffix(_PREDICTED))
    return own or (source, None, None, None, None, None)


def _sets_of(reading: Artifact) -> Iterator[Sliceable]:
    return _retrieved(reading) if reading.step.kind == "retrieval" else _grounded(reading)


def _retrieved(reading: Artifact) -> Iterator[Sliceable]:
    from evaluation.sliced_readings import retrieval_slices

    films, texts = (_rows(reading, name) for name in (FILMS_FILE, TEXTS_FILE))
    vectors = load_file(_file(reading, EMBEDDINGS_FILE))
    pool = pool_of(films, texts, section="")  # a signature's word, and slices have none
    return retrieval_slices(encoders_of(vectors), pool, _asked(films), _asked(texts))


def _asked(rows: Sequence[dict[str, Any]]) -> list[Asked]:
    from evaluation.sliced_readings import Asked

    fields = ("example_id", "source", "study_id", "subject_id")
    return [Asked(*(row[name] for name in fields)) for row in rows]


def _grounded(reading: Artifact) -> Iterator[Sliceable]:
    from evaluation.grounding_choice import measure
    from evaluation.sliced_readings import grounding_slices

    choice = json.loads(_file(reading, GROUNDING_FILE).read_text())["choice"]
    sentences = [_sentence(row) for row in _rows(reading, SENTENCES_FILE)]
    maps = _maps(_file(reading, MAPS_FILE), choice["method"])
    measured = measure(sentences, maps, [choice["sharpness"]])
    return grounding_slices(measured, (choice["method"], choice["sharpness"]))


def _maps(path: Path, method: str) -> Iterator[pa.Table]:
    """The chosen method's maps, a row group at a time."""
    file = pq.ParquetFile(path)
    for group in range(file.num_row_groups):
        table = file.read_row_group(group)
        yield table.filter(pa.compute.equal(table["method"], method))


def _sentence(row: dict[str, Any]) -> Grounded:
    from evaluation.grounding_choice import Grounded
    from sources.crop import Rectangle

    boxes = tuple(Rectangle(**box) for box in row["boxes"])
    return Grounded(**{**row, "names": tuple(row["names"]), "boxes": boxes})


def _rows(reading: Artifact, name: str) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = pq.read_table(_file(reading, name)).to_pylist()
    return rows


def _file(reading: Artifact, name: str) -> Path:
    """A file of the reading, held to its manifest.

    Raises:
        InputError: the run had no test examples, so that the file was not written.
        ArtifactError: it is damaged.
    """
    files = checked_files(reading, name)
    if not files:
        raise InputError(
            f"{reading.folder} without {name}", "a reading of test examples", "see its page"
        )
    return files[0]
