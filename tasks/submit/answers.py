"""Have a finished model answer for studies that may have no reference."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

import pyarrow.parquet as pq

from infra.artifact import read_artifact
from infra.errors import InputError
from infra.fingerprint import file_digest
from infra.launch import Event
from infra.parent import run_in_child
from infra.parquet import write_table
from infra.runs import GenerateRun
from sources.record import Origin, SectionedBy
from tasks.context import Context
from tasks.examples.packing import pack_piece
from tasks.examples.plan import ExampleInputs, InputFile, plan_examples
from tasks.ingest.stored_images import IMAGES_FILE
from tasks.ingest.studies import STUDIES_FILE
from tasks.predict.work import PREDICTIONS_FILE
from tasks.reports.record import KEEP, Report, reports_to_table
from tasks.train.work import PIECE, plain_request

NO_REFERENCE: Final = "to_generate"
"""Stands where an example has its target: an answer is never scored against it."""


def answer(
    context: Context, source: str, studies: Sequence[str], on_event: Callable[[Event], None]
) -> dict[str, str]:
    """By study what the ability's model wrote; studies without a stored film have no answer.

    Films are chosen and shown as those of the test examples are.

    Raises:
        InputError: the model, the studies or their films have not been made.
    """
    require_made(context, f"stages/{context.asked.stage}", "train")
    step = context.step("predictions")
    scratch = context.store.state / "submissions" / step.fingerprint
    with context.store.lock(f"submissions/{step.fingerprint}"):  # another's shards lie there too
        shutil.rmtree(scratch / "shards", ignore_errors=True)
        shards = packed(context, source, studies, scratch / "shards")
        if not shards:
            return {}
        run = GenerateRun(
            model=context.artifact(f"stages/{context.asked.stage}").local_folder(PIECE),
            generate=context.asked.generate,
            examples=tuple(shards),
            plain_request=plain_request(context.examples, context.asked.generate.prompt),
            output=scratch / "answers",
            scratch=scratch / "parts",
        )
        run_in_child("models.generate", run, scratch, on_event)
        table = pq.read_table(run.output / PREDICTIONS_FILE, columns=["study_id", "prediction"])
    return {row["study_id"]: row["prediction"] for row in table.to_pylist()}


def require_made(context: Context, key: str, command: str) -> None:
    """What a person has to make first.

    Raises:
        InputError: it has not been made.
    """
    if read_artifact(context.store, context.graph[key]) is None:
        raise InputError(
            f"no {key} of this recipe in {context.store.root}",
            "a finished one",
            f"run 'cxr {command}' with the same options first",
        )


def packed(context: Context, source: str, studies: Sequence[str], folder: Path) -> list[Path]:
    """Shards of one example for each of the studies that has a film, with no reference in it."""
    for kind in ("studies", "images"):
        require_made(context, f"{kind}/{source}", "ingest")
    folder.mkdir(parents=True)
    reports = folder / "reports.parquet"
    write_table(reports, reports_to_table([_asked(context, source, study) for study in studies]))
    inputs = ExampleInputs(
        studies=_files(context, f"studies/{source}", STUDIES_FILE),
        images=_files(context, f"images/{source}", IMAGES_FILE),
        reports=(InputFile(reports, file_digest(reports)),),
    )
    plan = plan_examples(inputs, context.examples, context.settings.sources.pieces)
    for key in plan.keys:
        (folder / key).mkdir()
        pack_piece(plan, key, folder / key)
    return sorted(folder.glob("*/test-*.parquet"))


def _files(context: Context, key: str, name: str) -> tuple[InputFile, ...]:
    return tuple(
        InputFile(context.store.local(f"{piece.folder}/{file.name}", file.digest), file.digest)
        for piece in context.artifact(key).pieces
        for file in piece.files
        if file.name == name
    )


def _asked(context: Context, source: str, study: str) -> Report:
    """A text version of which only the section's being there is read."""
    is_findings = context.examples.task == "findings"
    return Report(
        source=source,
        study_id=study,
        version=KEEP,
        origin=Origin.RADIOLOGIST,
        sectioned_by=SectionedBy.PUBLISHER,
        language="en",
        findings=NO_REFERENCE if is_findings else None,
        impression=None if is_findings else NO_REFERENCE,
    )
