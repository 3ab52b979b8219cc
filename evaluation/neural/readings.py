"""Run encoders over every pair of reference and prediction; each text is read once.

Leaves ``neural.parquet`` (labels and numbers, no text) and, last, ``neural.json``: of each encoder
that was run, the fields of its metrics' signatures that only it knows.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from evaluation.encoders import (
    BERTSCORE,
    CHEXBERT,
    CHEXBERT_FILE,
    RADCLIQ_BERTSCORE,
    RADGRAPH,
    RADGRAPH_WEIGHTS,
    RADGRAPH_XL,
    RATESCORE,
    Encoder,
    find_encoders,
)
from evaluation.measures_neural import BASELINES, BERTSCORE_LAYER
from evaluation.neural.bertscore import BERTSCORE_REVISION, load_bertscorer
from evaluation.neural.chexbert import CHEXBERT_REVISION, load_chexbert, semb_scores
from evaluation.neural.radgraph import RADGRAPH_REVISION, load_radgraph
from evaluation.neural.ratescore import RATESCORE_REVISION, load_rate_encoder
from evaluation.neural.weights import pick_device, sha256_of, weights_digest
from evaluation.neural_table import ABOUT_FILE, NEURAL_FILE, NEURAL_SCHEMA
from evaluation.radgraph import LEVELS, radgraph_f1, yu_f1
from evaluation.radgraph_words import Words
from evaluation.ratescore import rate_score
from infra.errors import InputError
from infra.parquet import write_table
from infra.runs import NeuralRun

Columns = dict[str, Any]
About = dict[str, str]
Progress = Callable[[str, int, int], None]
Tell = Callable[[int], None]
"""Told how many texts an encoder has read."""
READ_AT_ONCE: Final = 500
"""Texts between two words of progress (our choice: RadGraph reads some tens a second)."""


@dataclass(frozen=True)
class Pairs:
    """P pairs; ``references`` and ``predictions`` (P,) are places in ``texts``."""

    example_ids: list[str]
    controls: list[str]
    texts: list[str]
    references: NDArray[np.intp]
    predictions: NDArray[np.intp]

    def texts_of(self, places: NDArray[np.intp]) -> list[str]:
        return [self.texts[place] for place in places]


def run_encoders(run: NeuralRun, on_progress: Progress, on_texts: Progress) -> None:
    """Read all pairs with the run's encoders.

    Args:
        on_progress: told an encoder, how many are done and how many there are.
        on_texts: told an encoder, how many texts it has read and how many there are.

    Raises:
        InputError: an encoder's files are not there, or are another model's.
    """
    pairs = _read_pairs(run)
    found, missing = find_encoders(run.folders, run.weights_root)
    columns: Columns = {"example_id": pairs.example_ids, "control": pairs.controls}
    about: dict[str, About] = {}
    for done, name in enumerate(run.encoders):
        if name not in found:
            reason = missing.get(name, "no encoder of that name")
            raise InputError(f"encoder '{name}': {reason}", "its files", "see docs/metrics.md")
        on_progress(name, done, len(run.encoders))
        tell = partial(_tell_some, on_texts, name, len(pairs.texts))
        read, about[name] = _READERS[name](run, found[name], pairs, tell)
        columns |= read
    rows = len(pairs.example_ids)
    arrays = [
        pa.array(columns.get(field.name, [None] * rows), field.type) for field in NEURAL_SCHEMA
    ]
    run.output.mkdir(parents=True, exist_ok=True)
    write_table(run.output / NEURAL_FILE, pa.Table.from_arrays(arrays, schema=NEURAL_SCHEMA))
    (run.output / ABOUT_FILE).write_text(json.dumps(about, indent=1, sort_keys=True) + "\n")


def _tell_some(on_texts: Progress, name: str, total: int, done: int) -> None:
    if done % READ_AT_ONCE == 0 or done == total:
        on_texts(name, done, total)


def _read_pairs(run: NeuralRun) -> Pairs:
    names = ["example_id", "control", "reference", "prediction"]
    rows = [
        row for path in run.predictions for row in pq.read_table(path, columns=names).to_pylist()
    ]
    sides = [[row[side] or "" for row in rows] for side in ("reference", "prediction")]
    texts = sorted({text for side in sides for text in side})
    places = {text: place for place, text in enumerate(texts)}
    references, predictions = (np.array([places[t] for t in side], dtype=np.intp) for side in sides)
    return Pairs(
        [row["example_id"] for row in rows],
        [row["control"] for row in rows],
        texts,
        references,
        predictions,
    )


def _chexbert(run: NeuralRun, encoder: Encoder, pairs: Pairs, tell: Tell) -> tuple[Columns, About]:
    checkpoint = encoder.folders["chexbert"] / CHEXBERT_FILE
    tokenizer = encoder.folders["chexbert_tokenizer"]
    labeler = load_chexbert(checkpoint, tokenizer, pick_device(run.device))
    read = labeler.read(pairs.texts, run.batch_size)
    tell(len(pairs.texts))
    codes, vectors = read.labels.codes, read.vectors
    columns = {
        "chexbert_reference": list(codes[pairs.references]),
        "chexbert_prediction": list(codes[pairs.predictions]),
        "semb_score": semb_scores(vectors[pairs.references], vectors[pairs.predictions]),
    }
    return columns, {
        "version": str(CHEXBERT_REVISION),
        "weights": sha256_of(checkpoint),
        "tokenizer": f"{tokenizer.name}, 512 tokens",
    }


def _radgraph(
    kind: Words, run: NeuralRun, encoder: Encoder, pairs: Pairs, tell: Tell
) -> tuple[Columns, About]:
    folder, base = encoder.folders["archive"], encoder.folders["encoder"]
    model = load_radgraph(folder, base, kind, pick_device(run.device))
    graphs = model.read_all(pairs.texts, tell)
    sides = [
        (graphs[one], graphs[other])
        for one, other in zip(pairs.references, pairs.predictions, strict=True)
    ]
    columns: Columns = {
        f"radgraph_{kind}_{level}": [radgraph_f1(*both, level) for both in sides]
        for level in LEVELS
    }
    columns[f"radgraph_{kind}_yu"] = [yu_f1(*both) for both in sides]
    return columns, {
        "version": str(RADGRAPH_REVISION),
        "weights": sha256_of(folder / RADGRAPH_WEIGHTS),
        "tokenizer": f"{kind} words, {base.name}",
        "model": folder.name,
    }


def _bertscore(
    setting: str, run: NeuralRun, encoder: Encoder, pairs: Pairs, tell: Tell
) -> tuple[Columns, About]:
    folder = encoder.folders["model"]
    scorer = load_bertscorer(folder, BERTSCORE_LAYER, pick_device(run.device))
    values = scorer.scores(
        pairs.texts_of(pairs.references),
        pairs.texts_of(pairs.predictions),
        run.batch_size,
        baseline=BASELINES[folder.name],
    )
    tell(len(pairs.texts))
    return {setting: values}, {
        "version": str(BERTSCORE_REVISION),
        "weights": weights_digest(folder),
        "tokenizer": folder.name,
    }


def _ratescore(run: NeuralRun, encoder: Encoder, pairs: Pairs, tell: Tell) -> tuple[Columns, About]:
    entities, embeddings = encoder.folders["entities"], encoder.folders["embeddings"]
    model = load_rate_encoder(entities, embeddings, pick_device(run.device))
    read = model.read(pairs.texts, run.batch_size)
    tell(len(pairs.texts))
    both = zip(pairs.references, pairs.predictions, strict=True)
    return {"ratescore": [rate_score(read[one], read[other]) for one, other in both]}, {
        "version": str(RATESCORE_REVISION),
        "weights": f"{weights_digest(entities)} {weights_digest(embeddings)}",
        "tokenizer": f"{entities.name}, {embeddings.name}",
    }


_Reader = Callable[[NeuralRun, Encoder, Pairs, Tell], tuple[Columns, About]]
_READERS: Final[Mapping[str, _Reader]] = {
    CHEXBERT: _chexbert,
    RADGRAPH: partial(_radgraph, "v1"),
    RADGRAPH_XL: partial(_radgraph, "xl"),
    BERTSCORE: partial(_bertscore, "bertscore"),
    RADCLIQ_BERTSCORE: partial(_bertscore, "radcliq_bertscore"),
    RATESCORE: _ratescore,
}
"""How each encoder is run, by its name."""
