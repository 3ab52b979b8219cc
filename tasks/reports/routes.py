"""A piece of studies in; report rows and rejected rows out, for one route.

``keep`` takes texts as they are, ``structure`` cuts an English report into sections of the present
examination, ``translate`` turns another language into English, ``synthesize`` writes from labels.
Whatever a route does not yield is a rejected row of level TEXT with row id ``<study>/<route>``:

    no-report, no-labels     the study has nothing for this route
    is-english, not-english  the text is in the other route's language
    language-unsupported     there are no checks for a translation from it
    refused, content-filter, truncated, invalid, context-length   how the model's answer ended
    and the reason codes of ``fidelity``
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any

import pyarrow as pa
from pydantic import BaseModel

from infra.llm import Answer, AnswerStatus, ChatRequest, Client, raise_unreached
from infra.llm.prompt import Payload, Prompt
from infra.settings.sections import ReportSettings, Route
from sources.card import Card
from sources.catalog import get_source
from sources.language import detect_language
from sources.record import (
    SECTIONS,
    Level,
    Origin,
    Rejected,
    SectionedBy,
    SectionedText,
    Study,
    rejected_to_table,
    study_from_row,
)
from tasks.reports.facts import Fact, facts_of, payload_of
from tasks.reports.fidelity import Problem
from tasks.reports.fidelity_languages import TONGUES
from tasks.reports.fidelity_structured import check_structured
from tasks.reports.fidelity_synthesized import check_synthesized
from tasks.reports.fidelity_translated import check_translated
from tasks.reports.prompts import STRUCTURE, SYNTHESIZE, TRANSLATE
from tasks.reports.record import KEEP, KEEP_LLM, Report, reports_to_table, sections_of

ENGLISH = "en"


@dataclass(frozen=True)
class Piece:
    """What a route made of a piece: REPORT_SCHEMA, and REJECTED_SCHEMA at level TEXT."""

    reports: pa.Table
    rejected: pa.Table


@dataclass(frozen=True)
class Question:
    """One study's question to the model, and how its answer is checked and kept."""

    study: Study
    payload: dict[str, Any]
    check: Callable[[dict[str, str]], Problem | None]
    origin: Origin
    sectioned_by: SectionedBy


Asked = Question | Rejected


def write_piece(
    studies: pa.Table,
    route: Route,
    settings: ReportSettings,
    client: Client | None,
    on_progress: Callable[[int, int], None] | None = None,
) -> Piece:
    """All report versions of one route for studies (STUDY_SCHEMA) of one source, in their order.

    For ``keep`` every text is a version or a rejected row, and no client is needed; for the other
    routes every study is one.

    Raises:
        EgressRefused: the source's text may not go to the client's endpoint.
        LanguageModelError: some requests got no answer at all; what was answered is kept.
    """
    rows = [study_from_row(row) for row in studies.to_pylist()]
    if not rows:
        return _piece([], [])
    if route == "keep":
        return _keep(rows)
    prompt = _ROUTES[route][1]
    asked = _asked(rows, route)
    questions = [item for item in asked if isinstance(item, Question)]
    requests = _requests(questions, route, settings)
    assert client is not None, f"route {route} asks a model"
    answers = client.complete_many(requests, on_progress)
    raise_unreached(answers)
    answered = dict(zip(map(id, questions), answers, strict=True))
    results = [
        item if isinstance(item, Rejected) else _result(item, answered[id(item)], route, prompt)
        for item in asked
    ]
    return _piece(
        [item for item in results if isinstance(item, Report)],
        [item for item in results if isinstance(item, Rejected)],
    )


def piece_requests(studies: pa.Table, route: Route, settings: ReportSettings) -> list[ChatRequest]:
    """What ``write_piece`` would ask for these studies."""
    rows = [study_from_row(row) for row in studies.to_pylist()]
    if not rows or route == "keep":
        return []
    questions = [item for item in _asked(rows, route) if isinstance(item, Question)]
    return _requests(questions, route, settings)


def _asked(rows: list[Study], route: Route) -> list[Asked]:
    ask, card = _ROUTES[route][0], get_source(rows[0].source).card
    return [ask(study, card) for study in rows]


def _requests(
    questions: list[Question], route: Route, settings: ReportSettings
) -> list[ChatRequest]:
    prompt = _ROUTES[route][1]
    return [
        chat_request(item.payload, prompt, settings, get_source(item.study.source).card, item.study)
        for item in questions
    ]


def _piece(reports: list[Report], rejected: list[Rejected]) -> Piece:
    return Piece(reports_to_table(reports), rejected_to_table(rejected))


def chat_request(
    payload: Payload, prompt: Prompt, settings: ReportSettings, card: Card, study: Study
) -> ChatRequest:
    """A study's case put to the recipe's model, guarded by the source's card."""
    return ChatRequest(
        source=card.name,
        egress=card.llm_egress,
        model=settings.model,
        messages=prompt.messages(payload),
        answer=prompt.answer,
        prompt_version=prompt.version,
        temperature=settings.temperature,
        seed=settings.seed,
        max_output_tokens=settings.max_output_tokens,
        study_id=study.study_id,
        subject_id=study.subject_id,
    )


def _result(question: Question, answer: Answer, route: str, prompt: Prompt) -> Report | Rejected:
    """The answer as a report, or why it is none."""
    if answer.status is not AnswerStatus.OK or answer.value is None:
        detail = f"{answer.model} gave no usable answer to {prompt.version}"
        return _rejected(question.study, route, str(answer.status), detail)
    sections = _sections(answer.value)
    problem = question.check(sections)
    if problem is not None:
        return _rejected(question.study, route, problem.reason, problem.detail)
    kept = _report(question.study, route, question.origin, question.sectioned_by, ENGLISH, sections)
    return replace(
        kept,
        prompt_version=prompt.version,
        model=answer.model,
        request_hash=answer.request_hash,
        input_tokens=answer.input_tokens,
        output_tokens=answer.output_tokens,
        cost_usd=answer.cost_usd,
    )


def _sections(value: BaseModel) -> dict[str, str]:
    """The sections of an answer that hold anything."""
    given = value.model_dump()
    return {
        name: " ".join(given[name].split()) for name in SECTIONS if (given.get(name) or "").strip()
    }


def _rejected(study: Study, version: str, reason: str, detail: str) -> Rejected:
    row_id = f"{study.study_id}/{version}"
    return Rejected(study.source, Level.TEXT, row_id, study.study_id, reason, detail)


def _keep(studies: Iterable[Study]) -> Piece:
    reports: list[Report] = []
    rejected: list[Rejected] = []
    for study in studies:
        if not study.texts:
            rejected.append(_rejected(study, KEEP, "no-report", "found no text; expected one"))
        taken: set[str] = set()
        for text in study.texts:
            version = _version(text, taken)
            taken.add(version)
            sections = sections_of(text)
            if "findings" in sections or "impression" in sections:
                kind = (text.origin, text.sectioned_by, text.language)
                reports.append(_report(study, version, *kind, sections))
            else:
                detail = (
                    f"found {', '.join(sections) or 'nothing'}; expected findings or impression"
                )
                rejected.append(_rejected(study, version, "no-findings", detail))
    return _piece(reports, rejected)


def _version(text: SectionedText, taken: set[str]) -> str:
    """``keep`` or ``keep-llm``; a further text of the kind adds who cut it, then a number."""
    name = KEEP_LLM if text.sectioned_by is SectionedBy.LLM else KEEP
    if name in taken:
        name = f"{name}-{text.sectioned_by}"
    number = 2
    numbered = name
    while numbered in taken:
        numbered, number = f"{name}-{number}", number + 1
    return numbered


def _report(
    study: Study,
    version: str,
    origin: Origin,
    sectioned_by: SectionedBy,
    language: str,
    sections: dict[str, str],
) -> Report:
    return Report(
        study.source,
        study.study_id,
        version,
        origin,
        sectioned_by,
        language,
        indication=sections.get("indication"),
        technique=sections.get("technique"),
        comparison=sections.get("comparison"),
        findings=sections.get("findings"),
        impression=sections.get("impression"),
    )


def _own_text(study: Study) -> SectionedText | None:
    """The radiologist's text, cut by rules or by the publisher."""
    for text in study.texts:
        if text.origin is Origin.RADIOLOGIST and text.sectioned_by is not SectionedBy.LLM:
            return text
    return None


def _language(study: Study, card: Card) -> str:
    """As the text or the card tells, or else the report's own words."""
    text = _own_text(study)
    if text is not None:
        return text.language
    return card.language or detect_language(study.raw_report or "") or ENGLISH


def _ask_structure(study: Study, card: Card) -> Asked:
    text = _own_text(study)
    own = sections_of(text) if text is not None else {}
    report = (study.raw_report or "").strip()
    if not report:
        report = "\n".join(f"{name.upper()}: {body}" for name, body in own.items())
    if not report:
        return _rejected(study, "structure", "no-report", "found no text; expected a report")
    if _language(study, card) != ENGLISH:
        detail = f"found language {_language(study, card)}; expected en; use the translate route"
        return _rejected(study, "structure", "not-english", detail)
    return Question(
        study,
        {"report": report},
        lambda sections: check_structured(report, own, sections),
        Origin.RADIOLOGIST,
        SectionedBy.LLM,
    )


def _ask_translate(study: Study, card: Card) -> Asked:
    text = _own_text(study)
    sections = sections_of(text) if text is not None else {}
    if not sections and (study.raw_report or "").strip():
        sections = {"findings": (study.raw_report or "").strip()}
    if not sections:
        return _rejected(study, "translate", "no-report", "found no text; expected a report")
    language = _language(study, card)
    if language == ENGLISH:
        detail = "found language en; expected another; use the structure route"
        return _rejected(study, "translate", "is-english", detail)
    if language not in TONGUES:
        detail = f"found language {language}; expected {' or '.join(TONGUES)}"
        return _rejected(study, "translate", "language-unsupported", detail)
    return Question(
        study,
        {"language": language, "sections": sections},
        lambda answer: check_translated(sections, answer, language),
        Origin.TRANSLATED,
        text.sectioned_by if text is not None else SectionedBy.RULES,
    )


def _ask_synthesize(study: Study, _: Card) -> Asked:
    facts: tuple[Fact, ...] = facts_of(study)
    if not facts:
        return _rejected(study, "synthesize", "no-labels", "found no label; expected one")
    return Question(
        study,
        payload_of(study, facts),
        lambda sections: check_synthesized(study, facts, sections),
        Origin.SYNTHESIZED,
        SectionedBy.LLM,
    )


_ROUTES: dict[str, tuple[Callable[[Study, Card], Asked], Prompt]] = {
    "structure": (_ask_structure, STRUCTURE),
    "translate": (_ask_translate, TRANSLATE),
    "synthesize": (_ask_synthesize, SYNTHESIZE),
}
