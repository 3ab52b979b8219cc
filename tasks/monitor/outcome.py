"""What a run leads to: the funnel of counts, the losses, the scores, and where to look next."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from operator import itemgetter
from typing import Any

from evaluation.interval_text import difference_text, interval_text, plain
from evaluation.unavailable import by_reason
from infra.artifact import read_artifact
from infra.settings.abilities import AbilityKind
from infra.settings.environment import without_password
from infra.settings.sections import Reading
from infra.step import Step
from sources.catalog import get_source
from sources.funnel import FunnelRow
from tasks.coherence.outcome import coherence_text
from tasks.consistency.outcome import consistency_text
from tasks.context import Context
from tasks.draw.outcome import films_text
from tasks.examples.funnel import examples_funnel, funnel_rows, funnel_text
from tasks.ground.outcome import grounding_text
from tasks.monitor.kept import kept_weights
from tasks.monitor.pace import paces, paces_text
from tasks.monitor.stage_files import stage_files
from tasks.monitor.step_report import StepReport
from tasks.predict.work import SOME_FILMS
from tasks.readings import reading_document, reading_page
from tasks.retrieve.outcome import retrieval_text
from tasks.score.answers_text import answers_text

FUNNEL_KINDS = ("studies", "images", "reports", "dialogues")
_HEADLINE = re.compile(
    r"BLEU-[14]\[|ROUGE-L\[|rule14-m[a-z]+-F1(-5)?$|chexprompt\[.*\]-(significant-)?error(s|-free-share)$"
)
_READS_IMAGES = re.compile(r"rule14-micro-F1$|chexprompt\[.*\]-significant-errors$")
_READING_TEXT: dict[Reading, Callable[[Mapping[str, Any]], str]] = {
    "retrieval": retrieval_text,
    "grounding": grounding_text,
    "consistency": consistency_text,
    "coherence": coherence_text,
}
_MOST_LOSSES = 6  # our choice: as many as fit one line


def funnel(context: Context) -> list[FunnelRow]:
    """Counts of every source at every step that has run."""
    rows: list[FunnelRow] = []
    for kind in FUNNEL_KINDS:
        for step in context.graph.of_kind(kind):
            artifact = read_artifact(context.store, step)
            if artifact is not None:
                rows += funnel_rows(step.name, kind, artifact.counts)
    for step in context.graph.of_kind("examples"):
        artifact = read_artifact(context.store, step)
        if artifact is not None:
            rows += examples_funnel(artifact.pieces)
    return rows


def losses(context: Context) -> dict[str, list[tuple[int, float]]]:
    """(step, loss) of every trained stage, as its trainer reported them."""
    curves: dict[str, list[tuple[int, float]]] = {}
    for stage, path in stage_files(context, "losses.jsonl").items():
        lines = [json.loads(line) for line in path.read_text().splitlines()]
        curves[stage] = [(line["step"], line["loss"]) for line in lines if "loss" in line]
    return curves


def scores(context: Context) -> dict[str, Any] | None:
    """The ability's scores document, None before evaluation."""
    artifact = read_artifact(context.store, context.step("scores"))
    if artifact is None:
        return None
    document: dict[str, Any] = json.loads(artifact.files("scores.json")[0].read_text())
    return document


def outcome_json(context: Context) -> dict[str, Any]:
    """Funnel, losses, pace, scores and places as JSON values."""
    return {
        "funnel": [
            {
                "source": row.source,
                "stage": row.stage,
                "unit": row.unit,
                "in": row.rows_in,
                "kept": row.kept,
                "rejected": dict(row.rejected),
            }
            for row in funnel(context)
        ],
        "losses": losses(context),
        "throughput": paces(context),
        "kept": kept_weights(context),
        "scores": {name: scores(context.doing(name)) for name in context.settings.abilities},
        **{kind: reading_document(context, kind) for kind in context.settings.readings},
        "places": places(context),
    }


def places(context: Context) -> dict[str, str]:
    """Where a person looks next: the page, the model, the registry."""
    found = {"data root": context.store.root}
    for step in context.graph.of_kind("scores"):
        page = read_artifact(context.store, step)
        if page is not None:
            found[_called(context, "report page", step)] = str(page.files("report.html")[0])
    for kind in context.settings.readings:
        place = reading_page(context, kind)
        if place is not None:
            found[f"{kind} page"] = str(place)
    for step in context.graph.of_kind("models"):
        stage = context.settings.abilities[step.name].stage
        model = read_artifact(context.store, context.graph[f"stages/{stage}"])
        if model is not None:
            found[_called(context, "model folder", step)] = str(model.local_folder("model"))
        receipt = read_artifact(context.store, step)
        if receipt is not None:
            facts = json.loads(receipt.files("registered.json")[0].read_text())
            name = _called(context, "registered model", step)
            found[name] = f"models:/{facts['name']}/{facts['version']}"
    if any(name.startswith("registered model") for name in found):
        uri = without_password(context.environment.tracking_uri)
        found["MLflow"] = f"mlflow ui --backend-store-uri {uri}"
    return found


def _called(context: Context, what: str, step: Step) -> str:
    """A place's name: where the recipe has several abilities, with the one that it belongs to."""
    return what if len(context.settings.abilities) == 1 else f"{what} of {step.name}"


def outcome_text(context: Context, reports: Sequence[StepReport], seconds: float) -> str:
    """The outcome for a terminal."""
    rows = funnel(context)
    parts = [funnel_text(rows), _lost_text(rows), _losses_text(losses(context))]
    parts.append(
        "\n".join(f"kept of {name:9} {what}" for name, what in kept_weights(context).items())
    )
    parts.append(paces_text(paces(context)))
    for name in context.settings.abilities:
        found = scores(context.doing(name))
        if found is not None:
            title = f"{name}\n" if len(context.settings.abilities) > 1 else ""
            parts.append(title + _SCORES_TEXT[context.settings.abilities[name].kind](found))
    for kind in context.settings.readings:
        document = reading_document(context, kind)
        if document is not None:
            parts.append(_READING_TEXT[kind](document))
    parts.append(_steps_text(reports, seconds))
    named = places(context)
    width = max(map(len, named))
    parts.append("\n".join(f"{name.ljust(width)}  {where}" for name, where in named.items()))
    parts.append("Not a medical device: for research and development only.")
    return "\n\n".join(part for part in parts if part)


def _lost_text(rows: Sequence[FunnelRow]) -> str:
    """What nobody would want to overlook: a source of which nothing is left."""
    return "\n".join(
        f"WARNING: of {row.rows_in:,} {row.unit} of {row.source} none was kept; most often "
        f"{max(row.rejected, key=itemgetter(1))[0]}"
        for row in rows
        if row.rows_in and not row.kept and row.rejected and not _has_none(row)
    )


def _has_none(row: FunnelRow) -> bool:
    """A source of questions has no report to lose."""
    return row.stage == "reports" and get_source(row.source).card.questions_by is not None


def _steps_text(reports: Sequence[StepReport], seconds: float) -> str:
    cached = sum(report.cached for report in reports)
    checking = sum(report.checking_seconds for report in reports)
    return (
        f"{len(reports)} steps: {cached} cached, {len(reports) - cached} built, in {seconds:.0f} s"
        f" ({checking:.1f} s of it checking what was there)"
    )


def _losses_text(curves: dict[str, list[tuple[int, float]]]) -> str:
    lines = []
    for stage, curve in curves.items():
        every = max(1, len(curve) // (_MOST_LOSSES - 1))
        shown = [*curve[::every][: _MOST_LOSSES - 1], *curve[-1:]]
        values = "  ".join(f"{step}: {loss:.3f}" for step, loss in dict(shown).items())
        lines.append(f"loss of {stage:9} {values}")
    return "\n".join(lines)


def _scores_text(document: dict[str, Any]) -> str:
    """Headline metrics of the model beside its image-blind controls."""
    if not document["studies"]:
        return "NOT SCORED: no test example is left; the rows above say why"
    table: dict[str, dict[str, str]] = {}
    controls = [name for name in document["systems"] if name not in SOME_FILMS]
    for row in document["scores"]:
        if _HEADLINE.match(row["metric"]) and not row["is_detail"]:
            table.setdefault(row["metric"], {})[row["control"]] = plain(interval_text(row))
    width = max((len(metric) for metric in table), default=0)
    header = "  ".join(["".ljust(width), *(f"{_title(name):>22}" for name in controls)])
    lines = [header]
    for metric, cells in table.items():
        values = "  ".join(f"{cells.get(name, '-'):>22}" for name in controls)
        lines.append(f"{metric.ljust(width)}  {values}")
    lines += [f"unavailable: {name}: {why}" for name, why in by_reason(document["unavailable"])]
    lines += _judges_text(document)
    return "\n".join([*lines, *_differences_text(document["differences"])])


_SCORES_TEXT: dict[AbilityKind, Callable[[dict[str, Any]], str]] = {
    "report": _scores_text,
    "vqa": answers_text,
    "draw": films_text,
}


def _judges_text(document: dict[str, Any]) -> list[str]:
    """Pairs that a judge gave no counts for, judges of a writer's family, and how judges differ."""
    lines = []
    for control, system in document["systems"].items():
        for judge, failures in system["judge_failures"].items():
            if failures:
                why = ", ".join(f"{reason} {count}" for reason, count in sorted(failures.items()))
                asked = system["judged"][judge] + sum(failures.values())
                lines.append(
                    f"{judge} gave no counts for {sum(failures.values()):,} of {asked:,} pairs "
                    f"({_title(control)}): {why}"
                )
    lines += [f"NOTE: {kin['warning']}" for kin in document["kin"]]
    lines += [
        f"{row['one']} and {row['other']} on {row['pairs']:,} pairs: errors differ by "
        f"{plain(interval_text(row['mean_absolute_difference']))}, "
        f"tau-b {plain(interval_text(row['tau']))}"
        for row in document["disagreements"]
        if row["control"] == "none"
    ]
    return lines


def _differences_text(differences: Sequence[dict[str, Any]]) -> list[str]:
    """Does the model read its images? Paired differences, with their intervals."""
    lines = []
    for row in differences:
        if _READS_IMAGES.match(row["metric"]):
            verdict = "beats it" if row["beats"] else "DOES NOT BEAT IT"
            ratio = row["ratio"]["value"]
            times = "" if ratio is None else f", {ratio:.2f} times"
            lines.append(
                f"{row['metric']} less that with {_shown(row['control'])}: "
                f"{plain(difference_text(row))}{times}: {verdict}"
            )
    return ["", *lines] if lines else []


def _shown(control: str) -> str:
    return {
        "shuffled": "another study's image",
        "blank": "a blank image",
        "without-first": "the first film black (studies of several)",
        "first-alone": "all but the first film black (studies of several)",
    }[control]


def _title(control: str) -> str:
    return "model" if control == "none" else f"{control} image"
