"""Choose how maps are made on validate texts, then hold test texts' maps against their boxes."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pyarrow as pa
import pyarrow.parquet as pq

from infra.artifact import Artifact, build_artifact
from infra.launch import Event
from infra.log import LOGGER
from infra.parent import run_in_child
from infra.parquet import write_table
from infra.pieces import BuiltPiece
from infra.runs import ExplainRun
from sources.heat_map import SENTENCE_SCHEMA
from sources.record import Split
from tasks.context import Context
from tasks.ground.outcome import GROUNDING_FILE
from tasks.train.work import PIECE as MODEL_PIECE
from tasks.train.work import example_files

if TYPE_CHECKING:
    from tasks.ground.texts import Texts

PIECE: Final = "grounding"
SENTENCES_FILE: Final = "sentences.parquet"
ROW_GROUP: Final = 32
"""Texts in one row group of the shard that the model reads (our choice: few images at once)."""

OnEvent = Callable[[Event], None]


def ground(context: Context, on_event: OnEvent) -> Artifact:
    """The grounding score with its maps, its page and its overlays."""
    step = context.step("grounding")
    artifact = build_artifact(
        context.store, step, lambda: {PIECE: ""}, partial(_ground, context, on_event)
    )
    shutil.rmtree(_scratch(context), ignore_errors=True)  # maps of a killed run, of no use now
    return artifact


def no_boxes(context: Context) -> str:
    """Why there is nothing to ground, for a person."""
    names = ", ".join(context.source_names)
    return f"no sentence of a held-out text has a true box (sources: {names}; docs/grounding.md)"


def _scratch(context: Context) -> Path:
    step = context.step("grounding")
    return context.store.state / "grounding" / step.fingerprint


def _ground(context: Context, on_event: OnEvent, key: str, folder: Path) -> BuiltPiece:
    # What follows takes a second to import, and a cached run never needs it.
    from evaluation.grounding import nothing_grounded, score_grounding
    from evaluation.grounding_choice import candidates, choose, measure
    from tasks.ground.page import MAPS_FILE, write_page
    from tasks.ground.texts import test_texts, validate_texts

    del key
    settings = context.settings.ground
    side_px = context.settings.models.vision.image_px
    tried = validate_texts(context, side_px)
    measured = measure(
        tried.sentences, _maps(context, tried, "validate", settings.methods, on_event),
        settings.sharpness,
    )  # fmt: skip
    ranked = candidates(measured)
    choice = choose(ranked, settings.methods)
    texts = test_texts(context, side_px)
    methods = _shown_methods(choice.method, settings.methods)
    paths = _explained(context, texts, "test", methods, on_event)
    if texts.sentences:
        grounding = score_grounding(
            measure(texts.sentences, _tables(paths), sorted({1.0, choice.sharpness})),
            ranked, choice, resamples=settings.bootstrap_resamples, seed=settings.seed,
            outcomes=texts.outcomes, unavailable=_unavailable(context, texts),
        )  # fmt: skip
    else:
        LOGGER.warning("nothing to ground: %s", no_boxes(context))
        grounding = nothing_grounded(no_boxes(context), choice)
    (folder / GROUNDING_FILE).write_text(json.dumps(grounding.to_dict(), indent=1) + "\n")
    _join(paths, folder / MAPS_FILE)
    write_table(folder / SENTENCES_FILE, _sentence_table(texts))
    shown = write_page(context, grounding, texts, folder)
    return BuiltPiece(texts.counts(), {"tracked": grounding.tracked(), "shareable": shown})


def _shown_methods(chosen: str, asked: Sequence[str]) -> tuple[str, ...]:
    """What is worked out on test: the chosen method beside the recipe's, single heads left out."""
    rest = [method for method in asked if method != "attention layer"]
    return tuple(dict.fromkeys([chosen, *rest]))


def _unavailable(context: Context, texts: Texts) -> dict[str, str]:
    """Kinds of text that were asked for and have no grounded sentence."""
    found = {one.text for one in texts.sentences}
    why = {
        "reference": "no source of this run has both reports and known boxes",
        "prediction": "the model wrote no true sentence about a box",
        "phrase": "no source of this run publishes boxes of held-out images",
    }
    return {kind: why[kind] for kind in context.settings.ground.texts if kind not in found}


def _maps(
    context: Context, texts: Texts, name: str, methods: Sequence[str], on_event: OnEvent
) -> Iterator[pa.Table]:
    yield from _tables(_explained(context, texts, name, methods, on_event))


def _tables(paths: Sequence[Path]) -> Iterator[pa.Table]:
    """One text's maps at a time."""
    for path in paths:
        file = pq.ParquetFile(path)
        for group in range(file.num_row_groups):
            yield file.read_row_group(group)


def _explained(
    context: Context, texts: Texts, name: str, methods: Sequence[str], on_event: OnEvent
) -> list[Path]:
    """Files of maps, made by a child process; what a killed run left is taken up."""
    if not texts.rows:
        return []
    scratch = _scratch(context) / name
    scratch.mkdir(parents=True, exist_ok=True)
    pq.write_table(texts.shard(), scratch / "texts.parquet", row_group_size=ROW_GROUP)
    spans = pa.Table.from_pylist(texts.spans, schema=SENTENCE_SCHEMA)
    pq.write_table(spans, scratch / "spans.parquet")
    settings = context.settings.ground
    run = ExplainRun(
        model=context.artifact(f"stages/{context.asked.stage}").local_folder(MODEL_PIECE),
        examples=(scratch / "texts.parquet",),
        sentences=scratch / "spans.parquet",
        background=example_files(context, Split.VALIDATE),
        methods=tuple(methods),
        cells=settings.cells,
        batch_size=settings.batch_size,
        seed=settings.seed,
        output=scratch / "maps",
    )
    run_in_child("models.explain", run, scratch, on_event)
    return sorted((scratch / "maps").glob("maps-*.parquet"))


def _join(paths: Sequence[Path], target: Path) -> None:
    """All test maps as one file."""
    from sources.heat_map import MAP_SCHEMA

    with pq.ParquetWriter(target, MAP_SCHEMA, compression="zstd") as sink:
        for table in _tables(paths):
            sink.write_table(table)


_BOX: Final = pa.struct([(name, pa.float64()) for name in ("x_min", "y_min", "x_max", "y_max")])
GROUNDED_SCHEMA: Final = pa.schema(
    [
        pa.field("example_id", pa.string(), nullable=False),
        pa.field("sentence", pa.int32(), nullable=False),
        pa.field("text", pa.string(), nullable=False),
        pa.field("source", pa.string(), nullable=False),
        pa.field("study_id", pa.string(), nullable=False),
        pa.field("subject_id", pa.string()),
        pa.field("words", pa.string(), nullable=False),
        pa.field("names", pa.list_(pa.string()), nullable=False),
        pa.field("boxes", pa.list_(_BOX), nullable=False),
        pa.field("is_focal_sided", pa.bool_(), nullable=False),
    ]
)
"""A grounded sentence; boxes in shares of the model's crop."""


def _sentence_table(texts: Texts) -> pa.Table:
    rows = [
        {**vars(one), "names": list(one.names), "boxes": [vars(box) for box in one.boxes]}
        for one in texts.sentences
    ]
    return pa.Table.from_pylist(rows, schema=GROUNDED_SCHEMA)
