"""A teacher's quality as a document, as Markdown and as numbers for MLflow."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from evaluation.interval_text import difference_text, interval_text
from tasks.quality.pairs import OTHER_STUDY
from tasks.quality.work import FORMAT

if TYPE_CHECKING:
    from tasks.quality.pairs import Task
    from tasks.quality.work import Rated

_SHOWN = re.compile(
    r"chrF|BLEU-[14]\[|ROUGE-L\[|rule14-m[a-z]+-F1$|chexprompt\[.*\]-(significant-)?error(s|-free-share)$"
)
_AGAINST: dict[str, str] = {
    "synthesize": "findings written from labels alone, beside the radiologist's",
    "structure": "findings cut by the model, beside those that the publisher or rules cut",
    "translate": "translations, beside the known English",
}


def quality_document(
    source: str, is_replica: bool, rated: Mapping[Task, Rated], unavailable: Mapping[str, str]
) -> dict[str, Any]:
    """Plain values for JSON: by task what was asked, kept and scored."""
    return {
        "format": FORMAT,
        "source": source,
        "known_english": is_replica,
        "tasks": {
            task: {
                "against": _AGAINST[task],
                "usable": item.texts.usable,
                "asked": item.texts.asked,
                "kept": item.texts.kept,
                "rejected": item.texts.rejected,
                "written_by": list(item.texts.models),
                **item.scores.to_dict(),
            }
            for task, item in rated.items()
        },
        "unavailable": dict(unavailable),
    }


def quality_markdown(document: Mapping[str, Any]) -> str:
    """One table per task: the teacher's texts, the control's, and their paired difference."""
    lines = [f"# Teacher quality: {document['source']}"]
    for task, found in document["tasks"].items():
        lines += ["", f"## {task}: {found['against']}", "", *_task_lines(found)]
    if document["unavailable"]:
        lines += ["", "## Not rated", ""]
        lines += [f"- {task}: unavailable: {why}" for task, why in document["unavailable"].items()]
    return "\n".join(lines) + "\n"


def _task_lines(found: Mapping[str, Any]) -> Iterator[str]:
    why = "".join(f", {count:,} {reason}" for reason, count in found["rejected"].items())
    yield (
        f"Written by {', '.join(found['written_by'])}. {found['usable']:,} studies could be used, "
        f"{found['asked']:,} asked, {found['kept']:,} kept, "
        f"{sum(found['rejected'].values()):,} rejected{why}."
    )
    for kin in found["kin"]:
        yield f"**Same family:** {kin['warning']}."
    yield from _failures(found)
    yield ""
    yield "| metric | teacher | another study's text | difference |"
    yield "|---|---:|---:|---:|"
    scores = {(row["metric"], row["control"]): row for row in found["scores"]}
    gains = {row["metric"]: row for row in found["differences"]}
    for (metric, control), row in scores.items():
        if control == "none" and _SHOWN.match(metric) and not row["is_detail"]:
            other = interval_text(scores.get((metric, OTHER_STUDY)))
            gain = difference_text(gains.get(metric))
            yield f"| `{metric}` | {interval_text(row)} | {other} | {gain} |"
    for row in found["disagreements"]:
        if row["control"] == "none":
            yield ""
            yield (
                f"{row['one']} and {row['other']} on {row['pairs']:,} pairs: errors differ by "
                f"{interval_text(row['mean_absolute_difference'])} on average, "
                f"{interval_text(row['free_disagreement'])} of the pairs are free of significant "
                f"errors to one alone, tau-b {interval_text(row['tau'])}."
            )


def _failures(found: Mapping[str, Any]) -> Iterator[str]:
    for judge, failures in found["systems"]["none"]["judge_failures"].items():
        if failures:
            why = ", ".join(f"{count:,} {reason}" for reason, count in sorted(failures.items()))
            yield f"{judge} gave no counts for {sum(failures.values()):,} of the texts: {why}."


def tracked(document: Mapping[str, Any]) -> dict[str, float]:
    """``task/control/metric`` → value, and how many texts were asked for and kept."""
    found: dict[str, float] = {}
    for task, rated in document["tasks"].items():
        found |= {f"{task}/asked": rated["asked"], f"{task}/kept": rated["kept"]}
        for row in rated["scores"]:
            if row["value"] is not None and not row["is_detail"]:
                name = row["metric"].replace("[", ".").replace("]", "").replace("=", "-")
                found[f"{task}/{row['control']}/{name}"] = row["value"]
    return found
