"""Ask the teacher for texts of which a better one is known, and set each beside it.

    synthesize   findings written from a study's labels alone, beside the radiologist's own, or
                 beside the known English of a replica's report
    structure    findings that the teacher cuts out, beside those that the publisher or rules cut
    translate    the report in English, beside the known English; only replicas know it

Every task has a control: the teacher's text of another study, which shows what agreement is owed to
radiology reports being alike. Studies that a task cannot use, and answers that fail the checks, are
counted by reason.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from evaluation.controls import MODEL
from infra.llm import Client
from infra.settings.sections import ReportSettings
from sources.prediction import PREDICTION_SCHEMA
from sources.record import SECTIONS, Origin, SectionedBy, Study, study_from_row
from tasks.reports.facts import facts_of
from tasks.reports.record import sections_of
from tasks.reports.routes import ENGLISH, write_piece

Task = Literal["synthesize", "structure", "translate"]
TASKS: tuple[Task, ...] = ("synthesize", "structure", "translate")
OTHER_STUDY = "shuffled"
"""The control's name: the same texts, exchanged between studies."""

NO_PAIR: dict[Task, str] = {
    "synthesize": "needs studies with labels and findings in English",
    "structure": "needs English reports whose findings somebody else has cut",
    "translate": "needs reports in another language whose English is known, as replicas have",
}


@dataclass(frozen=True)
class TeacherTexts:
    """What came of one task.

    Args:
        pairs: PREDICTION_SCHEMA rows of the teacher (``none``) and of the control.
        usable: studies that the task could use; ``asked`` of them were drawn.
        rejected: answers that were not kept, by reason; ``asked`` = kept + rejected.
        models: who wrote, as the server named itself.
    """

    task: Task
    pairs: pa.Table
    usable: int
    asked: int
    rejected: dict[str, int]
    models: tuple[str, ...]

    @property
    def kept(self) -> int:
        return self.asked - sum(self.rejected.values())


def teacher_texts(
    studies: pa.Table,
    task: Task,
    settings: ReportSettings,
    client: Client,
    *,
    english: Mapping[str, str],
    most: int | None,
    seed: int,
) -> TeacherTexts:
    """Texts of one task for at most ``most`` studies of one source, drawn by ``seed``.

    Args:
        studies: STUDY_SCHEMA of one source.
        english: known English by study id, for replicas of reports in another language.

    Raises:
        EgressRefused: the source's text may not go to the client's endpoint.
        LanguageModelError: the endpoint failed; finished answers are kept.
    """
    known = _better_texts(studies, task, english)
    drawn = sorted(known)
    if most is not None and most < len(drawn):
        chosen = np.random.default_rng(seed).choice(len(drawn), most, replace=False)
        drawn = [drawn[place] for place in sorted(chosen)]
    some = studies.filter(pc.is_in(studies["study_id"], pa.array(drawn, pa.string())))
    piece = write_piece(some, task, settings, client)
    told = {row["study_id"]: _told(row, task) for row in piece.reports.to_pylist()}
    rejected = Counter(piece.rejected["reason"].to_pylist())
    for study in [study for study, text in told.items() if not text]:
        rejected["no-findings"] += 1
        del told[study]
    subjects = dict(
        zip(*(some[name].to_pylist() for name in ("study_id", "subject_id")), strict=True)
    )
    source = some["source"][0].as_py() if some.num_rows else ""
    rows = _rows(source, task, told, known, subjects, seed)
    models = sorted({model for model in piece.reports["model"].to_pylist() if model})
    return TeacherTexts(
        task,
        pa.Table.from_pylist(rows, schema=PREDICTION_SCHEMA),
        len(known),
        some.num_rows,
        dict(sorted(rejected.items())),
        tuple(models),
    )


def _better_texts(studies: pa.Table, task: Task, english: Mapping[str, str]) -> dict[str, str]:
    """By study id the text that the teacher's is set beside, where there is one."""
    rows = [study_from_row(row) for row in studies.to_pylist()]
    if task == "translate":
        return {
            study.study_id: english[study.study_id]
            for study in rows
            if study.study_id in english and (study.texts or study.raw_report)
        }
    found = {study.study_id: _own_findings(study) for study in rows}
    if task == "synthesize":
        labelled = [study.study_id for study in rows if facts_of(study)]
        found = {name: found[name] or english.get(name, "") for name in labelled}
    return {name: text for name, text in found.items() if text}


def _own_findings(study: Study) -> str:
    """The radiologist's findings, as the publisher or rules cut them."""
    for text in study.texts:
        is_own = text.origin is Origin.RADIOLOGIST and text.sectioned_by is not SectionedBy.LLM
        if is_own and text.language == ENGLISH:
            return sections_of(text).get("findings", "")
    return ""


def _told(row: Mapping[str, Any], task: Task) -> str:
    """What the teacher wrote: the findings, or all sections of a translation."""
    names = SECTIONS if task == "translate" else ("findings",)
    return " ".join(row[name] for name in names if row[name])


def _rows(
    source: str,
    task: Task,
    told: Mapping[str, str],
    known: Mapping[str, str],
    subjects: Mapping[str, str | None],
    seed: int,
) -> Iterable[dict[str, Any]]:
    """The teacher's rows, and the control's where there are two studies at least."""
    partners = _partners(sorted(told), seed)
    systems = [(MODEL, {study: study for study in told}), (OTHER_STUDY, partners)]
    return [
        {
            "example_id": f"{source}/{study}/{task}",
            "source": source,
            "study_id": study,
            "subject_id": subjects[study],
            "split": "",
            "view": "",
            "control": control,
            "image_study_id": shown,
            "prediction": told[shown],
            "reference": known[study],
            "finish_reason": "stop",
            "tokens": 0,
        }
        for control, given in systems
        for study, shown in sorted(given.items())
    ]


def _partners(studies: list[str], seed: int) -> dict[str, str]:
    """Another study for each; a ring through all of them in random order."""
    if len(studies) < 2:
        return {}
    order = [studies[place] for place in np.random.default_rng(seed).permutation(len(studies))]
    return dict(zip(order, [*order[1:], order[0]], strict=True))
