"""``python -m models.generate run.json``: findings for every example, and for its controls.

Leaves ``predictions.parquet`` (PREDICTION_SCHEMA; one row per control and example, in the examples'
order) and, last, ``result.json``. Several ranks share the rows; finished answers outlive a kill.
Exit codes: 0 done, 2 bad input, 1 failed, 143 stopped by SIGTERM with its answers kept.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from infra.child import STOPPED_BY_SIGTERM, StopAtSigterm, report, run_child, write_json
from infra.errors import InputError
from infra.log import LOGGER
from infra.runs import Control, GenerateRun
from models.answer_parts import AnswerParts, Rank, run_key, share_of
from models.canvas import Canvas
from models.controls import BLACKED, Place, blank, shown_rows
from models.data import ExampleShards, Pixels, Sample
from models.generation_figures import figures_of_all, figures_of_rank
from models.writer import FindingsWriter, Written
from sources.prediction import PREDICTION_SCHEMA

_REPORT_SECONDS = 0.5  # our choice: a dashboard needs no more
_BLANK = ""
"""Stands for the blank image where a row's image is named; no example has an empty id."""


@dataclass(frozen=True)
class _Job:
    """One prediction to make: the example as asked, and whose image it is shown."""

    control: Control
    sample: Sample
    shown: Sample
    image_study_id: str | None

    @property
    def image(self) -> str:
        """Whose image is shown; equal names show one image."""
        if self.image_study_id is None:
            return _BLANK
        part = f"\t{self.control}" if self.control in BLACKED else ""
        return self.shown.example_id + part


def generate(run: GenerateRun) -> int:
    """Write the predictions of all controls; returns the exit code."""
    started = time.monotonic()
    rank = Rank.of_process()
    writer = FindingsWriter.load(run.model, run.generate, run.device)
    examples = ExampleShards(run.examples, writer.canvas, plain_request=run.plain_request)
    samples = [examples[index] for index in range(len(examples))]
    jobs: list[_Job] = []
    for control in run.controls:
        if control in BLACKED:
            canvas = replace(writer.canvas, blacked=BLACKED[control])
            jobs.extend(_jobs_of_some_films(control, samples, run, canvas))
        else:
            jobs.extend(_jobs(control, samples, run.generate.seed))
    report("start", examples=len(samples), controls=list(run.controls), predictions=len(jobs))
    scratch = run.scratch or run.output / ".parts"
    parts = AnswerParts(scratch / run_key(run), rank, run.generate.batch_size)
    with StopAtSigterm() as stop:
        own = _write_share(writer, jobs, parts, stop)
        if not stop():
            parts.finish(own)
        figures = parts.wait_for_all(len(jobs), stop) if rank.number == 0 else []
    if stop():
        return STOPPED_BY_SIGTERM
    if rank.number == 0:
        result = {"examples": len(samples)} | _write_output(run, writer, jobs, parts)
        write_json(run.output / "result.json", result)
        seconds = round(time.monotonic() - started, 1)
        report("done", seconds=seconds, **result, **figures_of_all(figures))
    return 0


def _jobs(control: Control, samples: Sequence[Sample], seed: int) -> list[_Job]:
    places = [Place.of(sample) for sample in samples]
    jobs = []
    for sample, row in zip(samples, shown_rows(control, places, seed), strict=True):
        shown = samples[row] if row is not None else _without_films(sample)
        jobs.append(_Job(control, sample, shown, shown.study_id if row is not None else None))
    return jobs


def _jobs_of_some_films(
    control: Control, samples: Sequence[Sample], run: GenerateRun, canvas: Canvas
) -> list[_Job]:
    """Examples whose picture holds several films, some of them black.

    Args:
        samples: with all of their films.
        canvas: blacks the first film or the others.
    """
    first_alone = ExampleShards(run.examples, replace(canvas, blacked="others"))
    some = ExampleShards(run.examples, canvas)
    jobs = []
    for row, sample in enumerate(samples):
        if not np.array_equal(_pixels(first_alone[row]), _pixels(sample)):
            jobs.append(_Job(control, sample, some[row], sample.study_id))
    return jobs


def _pixels(sample: Sample) -> Pixels:
    assert sample.pixels is not None, "examples were read as text only"
    return sample.pixels


def _without_films(sample: Sample) -> Sample:
    """As many blank pictures as there were films to see."""
    pictures, side_px, _ = _pixels(sample).shape
    return replace(sample, pixels=np.repeat(blank(side_px)[None], pictures, axis=0))


def _write_share(
    writer: FindingsWriter, jobs: Sequence[_Job], parts: AnswerParts, stop: StopAtSigterm
) -> dict[str, float]:
    """Answer this rank's rows that no earlier run has answered, until asked to stop."""
    kept = parts.read()
    own = share_of(parts.rank, [job.image for job in jobs])
    rows = [row for row in own if row not in kept]
    asked = [replace(jobs[row].sample, pixels=jobs[row].shown.pixels) for row in rows]
    requests = [writer.request(writer.prompt(sample), sample.pixels) for sample in asked]
    decoder = writer.decoder()
    done, tokens = len(own) - len(rows), 0
    started = reported = time.monotonic()
    for answers in decoder.run(requests):
        for answer in answers:
            parts.add(rows[answer.number], answer.ids)
            tokens += len(answer.ids)
        done += len(answers)
        if time.monotonic() - reported > _REPORT_SECONDS:
            reported = time.monotonic()
            report("progress", step=done * len(jobs) // len(own), steps=len(jobs))
        if stop():
            break
    else:
        report("progress", step=len(jobs), steps=len(jobs))
    parts.flush()
    return figures_of_rank(decoder.work, tokens, time.monotonic() - started)


def _write_output(
    run: GenerateRun, writer: FindingsWriter, jobs: Sequence[_Job], parts: AnswerParts
) -> dict[str, object]:
    """All ranks' answers in the jobs' order; returns what is counted."""
    answers = parts.read()
    written = [writer.written(answers[row]) for row in range(len(jobs)) if row in answers]
    result = _counts(run, len(jobs), written)
    run.output.mkdir(parents=True, exist_ok=True)
    rows = [_row(job, each) for job, each in zip(jobs, written, strict=True)]
    table = pa.Table.from_pylist(rows, schema=PREDICTION_SCHEMA)
    partial = run.output / ".predictions.partial"
    pq.write_table(table, partial, compression="zstd")
    partial.replace(run.output / "predictions.parquet")
    parts.remove()
    return result | {"exchanged_apart": _exchanged_apart(jobs)}


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
        "generated_ids": written.generated_ids,
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


def _counts(run: GenerateRun, asked: int, written: Sequence[Written]) -> dict[str, object]:
    """Rows in and out; they must agree."""
    if len(written) != asked:
        raise InputError(f"{len(written)} predictions", f"{asked}", "report this as a defect")
    return {
        "controls": list(run.controls),
        "predictions": len(written),
        "stopped_by_length": sum(each.finish_reason == "length" for each in written),
        "tokens": sum(each.tokens for each in written),
    }


if __name__ == "__main__":
    sys.exit(run_child(GenerateRun, generate))
