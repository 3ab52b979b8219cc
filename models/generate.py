"""``python -m models.generate run.json``: findings for every example, and for its controls.

Leaves ``predictions.parquet`` (PREDICTION_SCHEMA; one row per control and example, in the examples'
order) and, last, ``result.json``.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from infra.errors import InputError
from infra.log import LOGGER
from infra.runs import Control, GenerateRun
from models.controls import Place, blank, shown_rows
from models.data import ExampleShards, Sample
from models.process import report, run_child, write_json
from models.writer import FindingsWriter, Written
from sources.prediction import PREDICTION_SCHEMA


@dataclass(frozen=True)
class _Job:
    """One prediction to make: the example as asked, and whose image it is shown."""

    control: Control
    sample: Sample
    shown: Sample
    image_study_id: str | None


def generate(run: GenerateRun) -> int:
    """Write the predictions of all controls; returns the exit code."""
    started = time.monotonic()
    writer = FindingsWriter.load(run.model, run.generate, run.device)
    examples = ExampleShards(run.examples, writer.side_px, plain_request=run.plain_request)
    samples = [examples[index] for index in range(len(examples))]
    jobs: list[_Job] = []
    for control in run.controls:
        jobs.extend(_jobs(control, samples, run.generate.seed, writer.side_px))
    report("start", examples=len(samples), controls=list(run.controls), predictions=len(jobs))
    written = _write_all(writer, jobs, run.generate.batch_size)
    run.output.mkdir(parents=True, exist_ok=True)
    rows = [_row(job, each) for job, each in zip(jobs, written, strict=True)]
    table = pa.Table.from_pylist(rows, schema=PREDICTION_SCHEMA)
    pq.write_table(table, run.output / "predictions.parquet", compression="zstd")
    result = _counts(run, len(samples), written) | {"exchanged_apart": _exchanged_apart(jobs)}
    write_json(run.output / "result.json", result)
    report("done", seconds=round(time.monotonic() - started, 1), **result)
    return 0


def _jobs(control: Control, samples: Sequence[Sample], seed: int, side_px: int) -> list[_Job]:
    places = [Place(sample.source, sample.study_id, sample.view) for sample in samples]
    empty = blank(side_px)
    jobs = []
    for sample, row in zip(samples, shown_rows(control, places, seed), strict=True):
        shown = samples[row] if row is not None else replace(sample, pixels=empty)
        jobs.append(_Job(control, sample, shown, shown.study_id if row is not None else None))
    return jobs


def _write_all(writer: FindingsWriter, jobs: Sequence[_Job], batch_size: int) -> list[Written]:
    """Predictions in the jobs' order; prompts of like length share a batch."""
    asked = [replace(job.sample, pixels=job.shown.pixels) for job in jobs]
    prompts = [writer.prompt(sample) for sample in asked]
    order = sorted(range(len(jobs)), key=lambda row: (len(prompts[row]), row))
    written: dict[int, Written] = {}
    for start in range(0, len(order), batch_size):
        rows = order[start : start + batch_size]
        pixels = [asked[row].pixels for row in rows]
        written.update(zip(rows, writer.write([prompts[row] for row in rows], pixels), strict=True))
        report("progress", step=len(written), steps=len(jobs))
    return [written[row] for row in range(len(jobs))]


def _row(job: _Job, written: Written) -> dict[str, Any]:
    sample = job.sample
    return {
        "example_id": sample.example_id,
        "source": sample.source,
        "study_id": sample.study_id,
        "subject_id": sample.subject_id,
        "split": sample.split,
        "view": sample.view,
        "control": job.control,
        "image_study_id": job.image_study_id,
        "prediction": written.text,
        "reference": sample.target,
        "finish_reason": written.finish_reason,
        "tokens": written.tokens,
    }


def _exchanged_apart(jobs: Sequence[_Job]) -> int:
    """Shuffled rows that had to be shown an image of another source or view; told, for there the
    control may be easier to beat."""
    apart = sum(
        job.control == "shuffled"
        and (job.sample.source, job.sample.view) != (job.shown.source, job.shown.view)
        for job in jobs
    )
    if apart:
        LOGGER.warning("shuffled control: %d rows show an image of another source or view", apart)
    return apart


def _counts(run: GenerateRun, examples: int, written: Sequence[Written]) -> dict[str, object]:
    """Rows in and out; they must agree."""
    if len(written) != examples * len(run.controls):
        raise InputError(
            f"{len(written)} predictions", f"{examples} for each control", "report this as a defect"
        )
    return {
        "examples": examples,
        "controls": list(run.controls),
        "predictions": len(written),
        "stopped_by_length": sum(each.finish_reason == "length" for each in written),
        "tokens": sum(each.tokens for each in written),
    }


if __name__ == "__main__":
    sys.exit(run_child(GenerateRun, generate))
