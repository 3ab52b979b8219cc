"""A piece of studies and their reports in; dialogues and rejected rows out, for one route.

``converse`` has questions written about the study's film, by type, each with the report's answer;
``request`` a request for such a film and the answer that asks for its drawing. Whatever a route
does not yield is a rejected row of level DIALOGUE: ``<study>/<route>`` for a study,
``<study>/converse/<number>`` for one question of a set that is kept without it:

    not-chosen            the subject is outside of the route's share
    no-report, no-film    there is nothing to write from, or nothing to show
    nothing-asked         the model found nothing to ask
    no-question-left      every question of the set was rejected
    question-repeated     the same question stands in the set before
    refused, content-filter, truncated, invalid, context-length   how the model's answer ended
    and the reason codes of ``fidelity``
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import pyarrow as pa
from pydantic import BaseModel

from infra.llm import Answer, AnswerStatus, ChatRequest, Client, raise_unreached
from infra.pieces import Count
from infra.settings.dialogues import DialogueRoute, DialogueSettings
from infra.settings.sections import ReportSettings
from sources.catalog import get_source
from sources.record import Dialogue, Rejected, Turn, rejected_to_table, study_from_row
from tasks.dialogues.record import WrittenDialogue, dialogues_to_table
from tasks.dialogues.texts import Subject, by_study, lost, subject_of
from tasks.reports.fidelity_questions import Asked, check_asked
from tasks.reports.fidelity_requested import Requested, check_requested
from tasks.reports.prompts import CONVERSE, REQUEST, QuestionSet, RequestedFilm
from tasks.reports.routes import chat_request

_PROMPTS = {"converse": CONVERSE, "request": REQUEST}


class Asking(Protocol):
    """The sections of the settings that say what is asked, and how."""

    @property
    def dialogues(self) -> DialogueSettings: ...

    @property
    def reports(self) -> ReportSettings: ...


@dataclass(frozen=True)
class Piece:
    """What a route made of a piece: WRITTEN_SCHEMA, REJECTED_SCHEMA, and counts that add up."""

    dialogues: pa.Table
    rejected: pa.Table
    counts: tuple[Count, ...]


@dataclass(frozen=True)
class Kept:
    """What one answer yields: turns with the types of their answers, and questions that fell."""

    turns: tuple[Turn, ...]
    types: tuple[str, ...]
    fallen: tuple[Rejected, ...] = ()


def write_piece(
    studies: pa.Table,
    reports: pa.Table,
    route: DialogueRoute,
    settings: Asking,
    client: Client,
    on_progress: Callable[[int, int], None] | None = None,
) -> Piece:
    """All dialogues of one route for studies (STUDY_SCHEMA) and their reports (REPORT_SCHEMA) of
    one source, in the studies' order.

    Raises:
        EgressRefused: the source's text may not go to the client's endpoint.
        LanguageModelError: some requests got no answer at all; what was answered is kept.
    """
    found = _subjects(studies, reports, route, settings)
    subjects = [item for item in found if isinstance(item, Subject)]
    requests = [_request(item, route, settings) for item in subjects]
    answers = client.complete_many(requests, on_progress)
    raise_unreached(answers)
    answered = dict(zip(map(id, subjects), answers, strict=True))
    written: list[WrittenDialogue] = []
    fallen: list[Rejected] = []
    gone: list[Rejected] = []
    for item in found:
        if isinstance(item, Rejected):
            gone.append(item)
            continue
        answer = answered[id(item)]
        kept = _kept(item, route, answer)
        if isinstance(kept, Rejected):
            gone.append(kept)
            continue
        fallen += kept.fallen
        if kept.turns:
            written.append(_written(item, route, answer, kept))
        else:
            detail = f"found {len(kept.fallen)} questions and kept none"
            gone.append(lost(item.study, route, "no-question-left", detail))
    return Piece(
        dialogues_to_table(written),
        rejected_to_table([*gone, *fallen]),
        _counts(route, len(found), written, gone, fallen),
    )


def piece_requests(
    studies: pa.Table, reports: pa.Table, route: DialogueRoute, settings: Asking
) -> list[ChatRequest]:
    """What ``write_piece`` would ask."""
    found = _subjects(studies, reports, route, settings)
    return [_request(item, route, settings) for item in found if isinstance(item, Subject)]


def _subjects(
    studies: pa.Table, reports: pa.Table, route: DialogueRoute, settings: Asking
) -> list[Subject | Rejected]:
    texts = by_study(reports.to_pylist())
    return [
        subject_of(study, texts.get(study.study_id, {}), route, settings.dialogues)
        for study in map(study_from_row, studies.to_pylist())
    ]


def _request(subject: Subject, route: DialogueRoute, settings: Asking) -> ChatRequest:
    payload: dict[str, Any] = {"report": subject.report}
    if subject.film.view != "UNKNOWN":
        payload["view"] = str(subject.film.view)
    if route == "converse":
        payload["most_questions"] = settings.dialogues.questions
    card = get_source(subject.study.source).card
    return chat_request(payload, _PROMPTS[route], settings.reports, card, subject.study)


def _kept(subject: Subject, route: DialogueRoute, answer: Answer) -> Kept | Rejected:
    """What of the model's answer may be kept."""
    if answer.status is not AnswerStatus.OK or answer.value is None:
        detail = f"{answer.model} gave no usable answer to {_PROMPTS[route].version}"
        return lost(subject.study, route, str(answer.status), detail)
    if isinstance(answer.value, QuestionSet):
        return _kept_questions(subject, answer.value)
    return _kept_request(subject, answer.value)


def _kept_questions(subject: Subject, given: QuestionSet) -> Kept | Rejected:
    if not given.questions:
        return lost(subject.study, "converse", "nothing-asked", "found no question in the answer")
    turns: list[Turn] = []
    types: list[str] = []
    fallen: list[Rejected] = []
    seen: set[str] = set()
    for number, item in enumerate(given.questions, start=1):
        asked = Asked(item.type, _plain(item.question), _plain(item.answer))
        problem = check_asked(asked, subject.report, subject.film.view)
        reason, detail = (problem.reason, problem.detail) if problem else ("", "")
        if not problem and asked.question.lower() in seen:
            reason, detail = "question-repeated", "found a question that was asked before"
        if reason:
            fallen.append(lost(subject.study, "converse", reason, detail, number))
            continue
        seen.add(asked.question.lower())
        turns += [Turn("user", asked.question), Turn("assistant", asked.answer)]
        types.append(asked.type)
    return Kept(tuple(turns), tuple(types), tuple(fallen))


def _kept_request(subject: Subject, value: BaseModel) -> Kept | Rejected:
    assert isinstance(value, RequestedFilm), type(value)
    given = Requested(_plain(value.request), _plain(value.answer))
    problem = check_requested(given, subject.report, subject.film.view)
    if problem is not None:
        return lost(subject.study, "request", problem.reason, problem.detail)
    turns = (Turn("user", given.request), Turn("assistant", given.answer))
    return Kept(turns, ("request",))


def _plain(text: str) -> str:
    return " ".join(text.split())


def _written(subject: Subject, route: DialogueRoute, answer: Answer, kept: Kept) -> WrittenDialogue:
    study = subject.study
    kinds = set(kept.types)
    dialogue = Dialogue(
        f"{study.study_id}-{route}",
        (subject.film.image_id,),
        kept.turns,
        question_type=kept.types[0] if len(kinds) == 1 else "mixed",
        question_form=route,
    )
    return WrittenDialogue(
        study.source,
        study.study_id,
        route,
        dialogue,
        subject.film.view,
        kept.types,
        subject.report_version,
        _PROMPTS[route].version,
        answer.model,
        answer.request_hash,
        answer.input_tokens,
        answer.output_tokens,
        answer.cost_usd,
    )


def _counts(
    route: DialogueRoute,
    studies: int,
    written: list[WrittenDialogue],
    gone: list[Rejected],
    fallen: list[Rejected],
) -> tuple[Count, ...]:
    """Studies by what became of them; of a conversation its questions too."""
    reasons = dict(sorted(Counter(row.reason for row in gone).items()))
    counts = (Count(f"studies to {route}", studies, len(written), reasons),)
    if route != "converse":
        return counts
    kept = sum(len(item.question_types) for item in written)
    fell = dict(sorted(Counter(row.reason for row in fallen).items()))
    return (*counts, Count("questions", kept + len(fallen), kept, fell))
