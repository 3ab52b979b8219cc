"""A look: what the champion wrote about recent studies, held against what it was judged on."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from infra.artifact import Artifact, build_artifact, checked_files, read_artifact
from infra.facts.files import read_facts, write_facts
from infra.launch import Event
from infra.parquet import write_table
from infra.pieces import BuiltPiece, Count
from infra.store import Store
from infra.tables import connect
from sources.record import Split
from tasks.drift.plan import DriftPlan
from tasks.ingest.stored_images import IMAGES_FILE
from tasks.predict.work import PREDICTIONS_FILE, predict
from tasks.promote.lineage import films_of, inputs_of, shards

if TYPE_CHECKING:
    from evaluation.drift import Look
    from evaluation.drift_features import Seen

PIECE: Final = "look"
DOCUMENT_FILE: Final = "drift.json"
TABLE_FILE: Final = "drift.parquet"
PAGE_FILE: Final = "drift.html"
MARKDOWN_FILE: Final = "drift.md"
YEAR: Final = timedelta(days=365)
RESAMPLES, SEED = 1000, 3
"""Of the interval of a score; it decides nothing."""
LARGEST_SIDE_PX: Final = 512
"""Films are looked at no larger, for time's sake; both windows alike. Our choice."""


def ask_champion(plan: DriftPlan, on_event: Callable[[Event], None]) -> Artifact:
    """The champion's texts about the recent studies."""
    return predict(plan.shown, on_event)


def look(plan: DriftPlan) -> Artifact:
    """The look's document, table and pages, and its facts; one that was taken is taken once."""
    store, model = plan.shown.store, plan.asked.model
    with store.lock(f"look-{model}"):  # two at once would each count the other out
        taken = looks_taken(store, model, datetime.now(UTC))
        build = partial(_look, plan, taken)
        artifact = build_artifact(store, plan.step, lambda: {PIECE: ""}, build)
        _tell(plan, artifact)
    return artifact


def last_look(plan: DriftPlan) -> Artifact | None:
    """The finished look, if there is one."""
    return read_artifact(plan.shown.store, plan.step)


def document_of(artifact: Artifact) -> dict[str, Any]:
    """A look's document.

    Raises:
        ArtifactError: it is damaged.
    """
    [file] = checked_files(artifact, DOCUMENT_FILE)
    found: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    return found


def looks_taken(store: Store, model: str, now: datetime) -> int:
    """How many looks of a model had a level in the year before now, by the data root's facts: they
    are only added to, whatever becomes of artifacts."""
    rows = read_facts(store, "drift", now - YEAR)
    return len({row["fingerprint"] for row in rows if row["model"] == model and row["level"]})


def _look(plan: DriftPlan, taken: int, key: str, folder: Path) -> BuiltPiece:
    from evaluation.drift import compare_windows  # scipy, that a cached run never pays
    from evaluation.drift_features import windows
    from evaluation.drift_page import as_markdown, render_drift

    del key
    before = list(_seen_before(plan))
    after = list(_seen_now(plan))
    vocabulary = _vocabulary(plan)
    pooled = _pooled_f1(before)
    look = compare_windows(
        windows(before, vocabulary, pooled),
        windows(after, vocabulary, pooled),
        plan.asked.yearly_false_alarms,
        plan.asked.looks_per_year,
        taken,
    )
    about = _about(plan, before, after, taken)
    document = {**about, **look.to_dict(), "scores": _scores(before, after)}
    (folder / DOCUMENT_FILE).write_text(json.dumps(document, indent=1) + "\n")
    write_table(folder / TABLE_FILE, _table(look))
    (folder / PAGE_FILE).write_text(render_drift(document))
    (folder / MARKDOWN_FILE).write_text(as_markdown(document))
    count = Count("recent examples", len(after), len(after))
    return BuiltPiece((count,), {"drifted": len(look.drifted)})


def _about(plan: DriftPlan, before: list[Seen], after: list[Seen], taken: int) -> dict[str, Any]:
    replicas = [step.name for step in plan.shown.graph.of_kind("replicas")]
    return {
        "model": plan.asked.model,
        "version": plan.champion.version.number,
        "look": plan.step.fingerprint,
        "looks_taken_before": taken,
        "since": None if plan.asked.since is None else str(plan.asked.since),
        "until": None if plan.asked.until is None else str(plan.asked.until),
        "reference_examples": len(before),
        "recent_examples": len(after),
        "reference_subjects": len({one.subject for one in before}),
        "recent_subjects": len({one.subject for one in after}),
        "replicas": sorted(set(replicas) & {one.source for one in (*before, *after)}),
    }


def _seen_before(plan: DriftPlan) -> Iterator[Seen]:
    images = [path for found in inputs_of(plan.tested, "images") for path in films_of(found)]
    yield from _seen(shards(plan.tested, Split.TEST), plan.evaluated, images)


def _seen_now(plan: DriftPlan) -> Iterator[Seen]:
    shown = plan.shown
    examples = shown.artifact(f"examples/{shown.asked.examples}")
    images = [
        path
        for name in shown.source_names
        for path in checked_files(shown.artifact(f"images/{name}"), IMAGES_FILE)
    ]
    predictions = shown.artifact(f"predictions/{shown.ability}")
    yield from _seen(shards(examples, Split.TEST), predictions, images)


def _seen(files: list[Path], predictions: Artifact, images: list[Path]) -> Iterator[Seen]:
    """Every example that the model itself wrote about, with its first film."""
    from evaluation.drift_features import Seen

    texts = _texts(predictions)
    sizes = _published_sizes(images)
    for path in sorted(files):
        for row in _rows(path):
            if row["example_id"] not in texts:
                continue
            film, subject = row["film"], row["subject_id"] or f"study {row['study_id']}"
            reference, prediction = texts[row["example_id"]]
            yield Seen(
                row["example_id"],
                row["source"],
                f"{row['source']}\t{subject}",
                _grey(film["pixels"]),
                sizes.get((row["source"], film["image_id"])),
                reference,
                prediction,
            )


def _rows(path: Path) -> Iterator[Mapping[str, Any]]:
    with pq.ParquetFile(path) as file:
        columns = ["example_id", "source", "study_id", "subject_id", "images"]
        for group in range(file.num_row_groups):
            for row in file.read_row_group(group, columns).to_pylist():
                yield {**row, "film": row["images"][0]}


def _grey(pixels: bytes) -> np.ndarray[Any, np.dtype[np.uint8]]:
    with Image.open(io.BytesIO(pixels)) as picture:
        grey = picture.convert("L")
        grey.thumbnail((LARGEST_SIDE_PX, LARGEST_SIDE_PX))
        return np.asarray(grey)


def _texts(predictions: Artifact) -> dict[str, tuple[str, str]]:
    """By example the reference and what the model wrote with the study's own film."""
    return {
        row["example_id"]: (row["reference"], row["prediction"])
        for path in checked_files(predictions, PREDICTIONS_FILE)
        for row in pq.read_table(
            path, columns=["example_id", "control", "reference", "prediction"]
        ).to_pylist()
        if row["control"] == "none"
    }


def _published_sizes(images: list[Path]) -> dict[tuple[str, str], int]:
    """By source and image the short side of the published film in px."""
    if not images:
        return {}
    query = (
        "SELECT source, image_id, least(original_width, original_height) FROM read_parquet($files)"
    )
    with connect() as connection:
        files = {"files": [str(path) for path in images]}
        rows = connection.execute(query, files).fetchall()
    return {(source, image): side for source, image, side in rows}


def _vocabulary(plan: DriftPlan) -> set[str]:
    """Words of the texts that the champion learned from."""
    from evaluation.drift_features import words_of

    return {
        word
        for path in plan.champion.learned_shards
        if path.name.startswith(str(Split.TRAIN))
        for text in pq.read_table(path, columns=["target"])["target"].to_pylist()
        for word in words_of(text)
    }


def _pooled_f1(before: list[Seen]) -> float:
    from evaluation.clinical import micro_f1
    from evaluation.drift_features import label_counts

    counts = label_counts([one.reference for one in before], [one.prediction for one in before])
    return float(micro_f1(counts.sum(axis=0)))


def _scores(before: list[Seen], after: list[Seen]) -> list[dict[str, Any]]:
    """The metric of both windows by source, and of all together, each with its interval."""
    from evaluation.drift_features import METRIC, scored

    found = []
    for source in (None, *sorted({one.source for one in after})):
        own = [
            [one for one in window if source in (None, one.source)] for window in (before, after)
        ]
        old, new = (scored(window, RESAMPLES, SEED) for window in own)
        found.append(
            {
                "source": source or "all",
                "metric": METRIC,
                "reference": [old.value, old.low, old.high],
                "recent": [new.value, new.low, new.high],
                "examples": [len(window) for window in own],
            }
        )
    return found


def _table(look: Look) -> pa.Table:
    """A row for each test; numbers and names alone."""
    kinds = {
        **dict.fromkeys(("source", "quantity", "form", "reason"), pa.string()),
        **dict.fromkeys(("reference", "recent", "p", "p_holm"), pa.float64()),
        **dict.fromkeys(("reference_subjects", "recent_subjects"), pa.int64()),
        "drifted": pa.bool_(),
    }
    schema = pa.schema(list(kinds.items()))
    return pa.Table.from_pylist([asdict(test) for test in look.tests], schema=schema)


def _tell(plan: DriftPlan, artifact: Artifact) -> None:
    """The look's tests as facts, from which looks are counted and Prometheus' numbers come.

    They lie where the look's own time says, and the first writer wins: told again after a crash,
    they are told once.
    """
    document, taken_at = document_of(artifact), datetime.fromisoformat(artifact.created_at)
    rows = [
        {
            "run_id": plan.asked.order.pipeline_id,
            "recorded_at": taken_at,
            "model": document["model"],
            "version": document["version"],
            "fingerprint": artifact.fingerprint,
            **{name: test[name] for name in _TOLD},
            "level": document["level"],
        }
        for test in document["tests"]
    ]
    name = f"{artifact.step.name}-{artifact.fingerprint}"
    write_facts(plan.shown.store, "drift", name, taken_at, rows)


_TOLD: Final = (
    *("source", "quantity", "reference", "recent", "reference_subjects", "recent_subjects"),
    *("p_holm", "drifted"),
)
