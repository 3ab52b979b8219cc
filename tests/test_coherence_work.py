"""Coherence as a unit of work: answers, films of their spans, and what is lacking."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from draw_ability_world import (
    ABILITIES,
    COUNTS,
    SAID,
    drawn_context,
    inline,
    put_examples,
    put_world,
    request_example,
)

from evaluation.film_targets import TARGETS
from infra.artifact import Artifact
from infra.parent import ignore_event
from sources.answered_request import AS_WRITTEN, HELD_OUT
from sources.drawing import drawing_prompt
from sources.xray_span import with_span
from tasks.coherence.films import drawn_probabilities
from tasks.coherence.work import (
    ANSWERS_FILE,
    NO_DRAWER,
    NO_LEARNED_VIEW,
    NO_SPAN,
    PAGE_FILE,
    SCORES_FILE,
    _film_part,
    check_coherence,
    chosen_requests,
)
from tasks.context import Context
from tasks.draw.classifier import build_classifier
from tasks.draw.learned import learned_views
from tasks.monitor.trace import trace_study
from tasks.readings import reading_numbers

TESTS = COUNTS["test"]
ASKED = ("readings=['coherence']", "coherence.max_new_tokens=8", "coherence.bootstrap_resamples=20")


@pytest.fixture(scope="module")
def context(tmp_path_factory: pytest.TempPathFactory) -> Context:
    made = drawn_context(tmp_path_factory.mktemp("coherence"), *ASKED)
    put_world(made)
    build_classifier(made.doing("draw"), ignore_event)
    return made


def document(artifact: Artifact) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(artifact.files(SCORES_FILE)[0].read_text())
    return found


@pytest.mark.slow
def test_every_request_is_answered_and_held(context: Context) -> None:
    artifact = check_coherence(context, ignore_event)
    found = document(artifact)
    assert (found["requests"], found["subjects"]) == (TESTS, TESTS // 2)
    assert set(found["failures"]) == {"reference", "none", "shuffled"}
    assert not any(found["failures"]["reference"].values())
    assert found["held_out"]["requests"] == TESTS
    assert not any(found["held_out"]["failures"]["reference"].values())
    rows = pq.read_table(artifact.files(ANSWERS_FILE)[0]).to_pylist()
    assert Counter(row["wording"] for row in rows) == {AS_WRITTEN: TESTS, HELD_OUT: TESTS}
    asked = {row["wording"]: {row["prompt"]} for row in rows}
    assert not asked[AS_WRITTEN] & asked[HELD_OUT]
    assert "not a medical device" in artifact.files(PAGE_FILE)[0].read_text().lower()
    assert check_coherence(context, ignore_event).cached


def test_a_model_that_asks_for_nothing_has_no_film_and_says_so(context: Context) -> None:
    """Six steps teach nobody to write tags."""
    found = document(check_coherence(context, ignore_event))
    assert found["failures"]["none"]["no-span"] == TESTS
    assert (found["of_films"], found["unavailable"]) == (None, {"films": NO_SPAN})


@pytest.mark.slow
def test_texts_are_drawn_and_read(context: Context, tmp_path: Path) -> None:
    texts = {"one": "There is a left pleural effusion.", "two": "The lungs are clear."}
    read = drawn_probabilities(context.doing("draw"), texts, 3, tmp_path, ignore_event)
    assert read.shape == (2, len(TARGETS))
    assert ((read > 0) & (read < 1)).all()


@pytest.mark.slow
def test_a_view_that_was_never_shown_is_counted_and_not_drawn(
    context: Context, tmp_path: Path
) -> None:
    """Requests are films, spans of that view, and answers without a whole span."""
    texts = [drawing_prompt("LATERAL" if n % 3 == 0 else "PA", SAID[n % 4]) for n in range(12)]
    answers = [with_span("Here.", text) for text in texts]
    answers[1] = "No."
    asked = chosen_requests(context)[:12]
    rows = [
        {**row, "prompt": row["turns"][-1]["text"], "prediction": said}
        for row, said in zip(asked, answers, strict=True)
    ]
    views = learned_views(context, "guide")
    films, why = _film_part(context, rows, views, tmp_path, ignore_event)
    assert films is not None and why == ""
    told = films.to_dict()
    assert (told["requests"], told["films"]) == (12, 7)
    assert (told["without_whole_span"], told["view_not_learned"]) == (1, {"LATERAL": 4})
    lateral = [row for n, row in enumerate(rows) if n % 3 == 0]
    none = _film_part(context, lateral, views, tmp_path / "none", ignore_event)
    assert none == (None, NO_LEARNED_VIEW)


def test_its_numbers_go_to_the_registry_with_the_model(context: Context) -> None:
    check_coherence(context, ignore_event)
    assert "coherence/none/whole-spans" in reading_numbers(context)


def test_a_trace_shows_requests_only_where_text_is_asked_for(context: Context) -> None:
    check_coherence(context, ignore_event)
    for with_text in (False, True):
        found = trace_study(context, "test-s0", with_text=with_text)
        [rows] = [rows for place, rows in found.items() if place.endswith(ANSWERS_FILE)]
        assert ("prompt" in rows[0]) is with_text
        assert ("prediction" in rows[0]) is with_text


def test_requests_are_chosen_by_a_seed(context: Context) -> None:
    every = [row["example_id"] for row in chosen_requests(context)]
    assert len(every) == TESTS and every != sorted(every)


def test_without_a_request_nothing_is_asked(tmp_path: Path) -> None:
    alone = {"report": ABILITIES["report"]}
    context = drawn_context(tmp_path, *ASKED, f"abilities={inline(alone)}")
    rows = [request_example(number, "train") for number in range(4)]
    put_examples(context, "requests", {"train": rows, "test": []})
    found = document(check_coherence(context, ignore_event))
    assert found["requests"] == 0
    assert found["unavailable"] == {"coherence": "no request for a film in the test split"}
    assert context.settings.drawer is None and NO_DRAWER
