"""Gather what the page about answers shows: scores, counts, losses and some questions.

Text and pictures of a gated source never leave the data root; the page lies under it.
"""

from __future__ import annotations

from collections.abc import Sequence

from evaluation.answer_page import AnswersPage, ShownQuestion, choose_questions
from evaluation.answer_scores import AnswerScores
from evaluation.vqa import counts_of
from sources.record import Split
from tasks.context import Context
from tasks.examples.funnel import examples_funnel
from tasks.monitor.outcome import losses
from tasks.score.page import as_png, fingerprints, rows_of
from tasks.train.work import example_files

SHOWN = 4
"""Questions answered rightly and wrongly on the page, each. Our choice, as for reports."""


def make_answers_page(context: Context, scores: AnswerScores) -> AnswersPage:
    """Everything on the page of this run."""
    right, wrong = choose_questions(scores, SHOWN)
    shown = _shown(context, scores, [*right, *wrong])
    examples = context.artifact(f"examples/{context.asked.examples}")
    return AnswersPage(
        recipe=context.settings.recipe,
        scale=context.settings.scale,
        ability=context.ability,
        made_on=f"predictions {context.step('predictions').fingerprint}",
        fingerprints=fingerprints(context),
        funnel=examples_funnel(examples.pieces),
        losses=losses(context),
        scores=scores,
        replicas=frozenset(step.name for step in context.graph.of_kind("replicas")),
        right=[shown[name] for name in right],
        wrong=[shown[name] for name in wrong],
    )


def _shown(
    context: Context, scores: AnswerScores, wanted: Sequence[str]
) -> dict[str, ShownQuestion]:
    if not wanted:
        return {}
    files = [str(path) for path in example_files(context, Split.TEST)]
    rows = rows_of(files, sorted(wanted), "true")
    replicas = {step.name for step in context.graph.of_kind("replicas")}
    place = {name: number for number, name in enumerate(scores.asked.ids)}
    marks = {
        system: counts_of(scores.asked, said)["accuracy"][:, 0]
        for system, said in scores.said.items()
    }
    return {
        name: ShownQuestion(
            source=rows[name]["source"],
            study_id=rows[name]["study_id"],
            is_replica=rows[name]["source"] in replicas,
            films_png=tuple(as_png(film["pixels"]) for film in rows[name]["images"]),
            question=scores.asked.texts[place[name]],
            reference=scores.asked.references[place[name]],
            said={system: said[place[name]] for system, said in scores.said.items()},
            right={system: bool(each[place[name]]) for system, each in marks.items()},
        )
        for name in wanted
    }
