"""``python -m models.read_films run.json``: features and probabilities of films, real or drawn.

Leaves ``readings.parquet`` (READING_SCHEMA): for each film and reader a row of numbers.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable

import pyarrow as pa
import pyarrow.parquet as pq
import torch

from infra.child import report, run_child, write_json
from infra.errors import InputError
from infra.film_runs import CLASSIFIER, CLASSIFIER_FEATURES, ReadFilmsRun
from models.film_features import load_extractor
from models.films import film_batches
from models.finding_classifier import load_classifier
from sources.film import READING_SCHEMA

READINGS_FILE = "readings.parquet"
Reader = tuple[str, int, Callable[[torch.Tensor], torch.Tensor]]
"""A name, the side in px that it takes films at, and uint8 [B, P, P] → [B, W]."""


def read_films(run: ReadFilmsRun) -> int:
    """Write the readings of every reader; returns the exit code.

    Raises:
        InputError: there is no reader or no film, or weights are not what they should be.
    """
    started = time.monotonic()
    device = torch.device("cuda" if run.device == "auto" and torch.cuda.is_available() else "cpu")
    readers = _readers(run, device)
    if not readers:
        raise InputError("no extractor and no classifier", "one at least", "name one")
    run.output.mkdir(parents=True, exist_ok=True)
    counts: dict[str, int] = {}
    with pq.ParquetWriter(run.output / READINGS_FILE, READING_SCHEMA, compression="zstd") as writer:
        for place, reader in enumerate(readers):
            report("progress", step=place, steps=len(readers))
            counts[reader[0]] = _read(run, reader, device, writer)
    write_json(run.output / "result.json", {"films": counts})
    report("done", seconds=round(time.monotonic() - started, 1), films=counts)
    return 0


def _readers(run: ReadFilmsRun, device: torch.device) -> list[Reader]:
    found: list[Reader] = []
    for kind, folder in run.extractors.items():
        extractor = load_extractor(kind, folder, device)
        found.append((kind, extractor.side_px, extractor.embed))
    if run.classifier is not None:
        model = load_classifier(run.classifier).to(device)
        found.append((CLASSIFIER, model.side_px, model.probabilities))
        found.append((CLASSIFIER_FEATURES, model.side_px, model.features))
    return found


@torch.inference_mode()
def _read(run: ReadFilmsRun, reader: Reader, device: torch.device, writer: pq.ParquetWriter) -> int:
    name, side_px, embed = reader
    count = 0
    for ids, pixels in film_batches(run.films, side_px, run.batch_size):
        values = embed(torch.from_numpy(pixels).to(device)).float().cpu().tolist()
        columns = {"film_id": ids, "reader": [name] * len(ids), "values": values}
        writer.write_table(pa.table(columns, schema=READING_SCHEMA))
        count += len(ids)
    if not count:
        found = f"{len(run.films)} shards without a film"
        raise InputError(found, "films", "check what wrote them")
    return count


if __name__ == "__main__":
    sys.exit(run_child(ReadFilmsRun, read_films))
