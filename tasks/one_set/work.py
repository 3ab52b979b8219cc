"""Choose the studies, show them to each model, and hold the scores against each other."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc

from infra.artifact import (
    Artifact,
    OnPiece,
    build_artifact,
    checked_files,
    ignore_progress,
    read_artifact,
)
from infra.parquet import write_table
from infra.pieces import BuiltPiece, Count
from sources.record import REJECTED_SCHEMA, Split, rejected_to_table
from tasks.ablate.work import answer_seconds, memory_gib, system_of, table_in
from tasks.context import Context
from tasks.examples.packing import REJECTED_FILE
from tasks.examples.plan import ExamplePlan, plan_examples
from tasks.examples.work import example_inputs, input_files, pack_planned
from tasks.one_set.fair_studies import Key, Learned, fair_studies
from tasks.one_set.plan import TEST_SET, ComparisonPlan, Model
from tasks.one_set.studies_shown import shown_studies
from tasks.score.work import SCORES_FILE
from tasks.train.work import example_files

if TYPE_CHECKING:
    from evaluation.one_set import Contender, Left, OneSet

STUDIES_PIECE, STUDIES_FILE = "studies", "studies.parquet"
PIECE = "table"
TABLE_FILE = "comparison.json"
MARKDOWN_FILE = "comparison.md"
PLOT_FILE = "comparison.svg"
PAGE_FILE = "comparison.html"


def choose_studies(plan: ComparisonPlan) -> Artifact:
    """The test set: studies that every model may be asked about, and the others with why not."""
    build = partial(_choose, plan)
    return build_artifact(plan.host.store, plan.test_set, lambda: {STUDIES_PIECE: ""}, build)


def _choose(plan: ComparisonPlan, key: str, folder: Path) -> BuiltPiece:
    del key
    host = plan.host
    sources = {f"images/{name}" for name in host.examples.test_sources}
    films = [file.path for file in input_files(host, "images", sources)]
    learned = [_learned(model) for model in plan.models]
    kept, rejected = fair_studies(example_files(host, Split.TEST), films, learned)
    write_table(folder / STUDIES_FILE, kept)
    table = rejected_to_table(rejected) if rejected else REJECTED_SCHEMA.empty_table()
    write_table(folder / REJECTED_FILE, table)
    reasons: dict[str, int] = {}
    for each in rejected:
        reasons[each.reason] = reasons.get(each.reason, 0) + 1
    total = kept.num_rows + len(rejected)
    return BuiltPiece((Count("studies", total, kept.num_rows, dict(sorted(reasons.items()))),))


def _learned(model: Model) -> Learned:
    own = model.own
    images = {f"images/{name}" for name in own.source_names}
    return Learned(
        model.recipe,
        tuple(
            path
            for split in (Split.TRAIN, Split.VALIDATE)
            for path in example_files(own, split, model.learned)
        ),
        tuple(file.path for file in input_files(own, "images", images)),
        frozenset(_keys(_tests(_plan(model.shown)))),
    )


def _tests(plan: ExamplePlan) -> pa.Table:
    """Test rows of which the model's layout makes an example."""
    rows = plan.rows
    return rows.filter(pc.and_(pc.is_null(rows["reason"]), pc.equal(rows["split"], Split.TEST)))


def _plan(context: Context) -> ExamplePlan:
    inputs, settings = example_inputs(context, context.asked.examples), context.examples
    return plan_examples(inputs, settings, context.settings.sources.pieces)


def _keys(rows: pa.Table) -> Iterable[Key]:
    return zip(rows["source"].to_pylist(), rows["study_id"].to_pylist(), strict=True)


def pack_test_set(context: Context, on_piece: OnPiece = ignore_progress) -> Artifact:
    """Shards of the common studies as one model is shown them."""
    return pack_planned(context, partial(_common, context), on_piece)


def _common(context: Context) -> ExamplePlan:
    """The plan without rows of other studies."""
    [chosen] = context.graph.of_kind(TEST_SET)
    artifact = context.artifact(f"{chosen.kind}/{chosen.name}")
    wanted = set(_keys(table_in(artifact, STUDIES_FILE)))
    found = _plan(context)
    rows = _tests(found)
    kept = [key in wanted for key in _keys(rows)]
    return replace(found, rows=rows.filter(pa.array(kept, pa.bool_())).combine_chunks())


def compare(plan: ComparisonPlan) -> Artifact:
    """The table of all models beside the first, with its plot and its page.

    Raises:
        ArtifactError: a model's answers have not been scored.
    """
    step = plan.step
    return build_artifact(plan.host.store, step, lambda: {PIECE: ""}, partial(_compare, plan))


def last_comparison(plan: ComparisonPlan) -> Artifact | None:
    """The finished comparison, if there is one."""
    return read_artifact(plan.host.store, plan.step)


def document_of(artifact: Artifact) -> dict[str, Any]:
    """The comparison's document.

    Raises:
        ArtifactError: it is damaged; no number may come of it.
    """
    [file] = checked_files(artifact, TABLE_FILE)
    found: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    return found


def _compare(plan: ComparisonPlan, key: str, folder: Path) -> BuiltPiece:
    from evaluation.one_set import compare_on_one_set

    del key
    host, asked = plan.host, plan.asked
    contenders = [_contender(model) for model in plan.models]
    found = compare_on_one_set(
        (f"{asked.host}/{host.asked.examples}", _dataset(plan), host.examples.task),
        contenders,
        asked.metrics,
        _studies(plan),
        asked.resamples,
        asked.seed,
    )
    _write(found, plan, folder)
    compared = sum(row.apart is None for row in found.table.rows)
    rest = len(found.table.rows) - compared
    told = {"other test examples": rest} if rest else {}
    count = Count("models compared", len(found.table.rows), compared, told)
    return BuiltPiece((count,), {"tracked": {name: found.tracked(name) for name in found.recipes}})


def _contender(model: Model) -> Contender:
    from evaluation.ablation import Variant
    from evaluation.one_set import Contender

    own, shown = model.own, model.shown
    trained = [own.artifact(f"stages/{name}") for name in model.stages]
    scores = shown.artifact(f"scores/{shown.ability}")
    [document] = checked_files(scores, SCORES_FILE)
    variant = Variant(
        model.recipe,
        "",
        (),
        system_of(shown),
        round(sum(stage.seconds for stage in trained), 1),
        memory_gib=memory_gib(own),
        answer_seconds=answer_seconds(shown),
        unavailable=scores.pieces[0].facts["unavailable"],
    )
    return Contender(variant, model.way, json.loads(document.read_text(encoding="utf-8")))


def _dataset(plan: ComparisonPlan) -> str:
    """The test sources, synthetic ones marked."""
    steps = plan.host.graph.steps
    return ", ".join(
        f"{name} (replica)" if f"replicas/{name}" in steps else name
        for name in plan.host.examples.test_sources
    )


def _studies(plan: ComparisonPlan) -> tuple[int, list[Left]]:
    """How many studies the host's test split has, and those that no model was asked about."""
    from evaluation.one_set import Left

    artifact = read_artifact(plan.host.store, plan.test_set)
    assert artifact is not None, "models were asked about it"
    rejected = table_in(artifact, REJECTED_FILE).to_pylist()
    counted = Counter((row["reason"], row["detail"].partition(":")[0]) for row in rejected)
    left = [Left(*key, number) for key, number in sorted(counted.items())]
    return artifact.counts[0].rows_in, left


def _write(found: OneSet, plan: ComparisonPlan, folder: Path) -> None:
    from evaluation.one_set_page import as_markdown, one_set_plot, render_one_set

    replicas = [step.name for step in plan.host.graph.of_kind("replicas")]
    tested = sorted(set(replicas) & set(plan.host.examples.test_sources))
    (folder / TABLE_FILE).write_text(json.dumps(found.to_dict(), indent=1) + "\n")
    (folder / MARKDOWN_FILE).write_text(as_markdown(found))
    (folder / PLOT_FILE).write_text(one_set_plot(found))
    made_on = f"comparison {plan.step.fingerprint}"
    (folder / PAGE_FILE).write_text(render_one_set(found, made_on, tested, shown_studies(plan)))
