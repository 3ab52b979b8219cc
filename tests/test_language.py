"""English, Spanish and Portuguese are told apart by their words, also without accents."""

from __future__ import annotations

import numpy as np
import pytest
import second_set_portuguese
import second_set_spanish

from sources.language import detect_language
from sources.record import View
from sources.replicas.spanish import stem_report, write_spanish
from sources.replicas.truth import draw_person, draw_truth
from sources.replicas.wording import write_report
from tasks.reports.wording import fold

SPANISH = [phrase.written for phrase in second_set_spanish.PHRASES]
PORTUGUESE = [phrase.written for phrase in second_set_portuguese.PHRASES]
ENGLISH = [phrase.english for phrase in second_set_portuguese.PHRASES]


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("Derrame pleural à direita.", "pt"),
        ("Derrame pleural a la derecha.", "es"),
        ("Right pleural effusion.", "en"),
        ("SEM CONSOLIDACOES", "pt"),
        ("SIN CONSOLIDACIONES", "es"),
        ("derram pleural izquierd .", "es"),
        ("Cardiomegalia.", None),
        ("Derrame pleural.", None),
        ("", None),
        ("12 mm", None),
        ("Normal.", None),
    ],
)
def test_short_texts(text: str, language: str | None) -> None:
    assert detect_language(text) == language


@pytest.mark.parametrize(
    ("sentences", "language"), [(SPANISH, "es"), (PORTUGUESE, "pt"), (ENGLISH, "en")]
)
def test_four_sentences_are_enough(sentences: list[str], language: str) -> None:
    reports = [" ".join(sentences[at : at + 4]) for at in range(len(sentences) - 3)]
    assert [detect_language(text) for text in reports] == [language] * len(reports)
    assert [detect_language(fold(text)) for text in reports] == [language] * len(reports)


@pytest.mark.parametrize(
    ("sentences", "language"), [(SPANISH, "es"), (PORTUGUESE, "pt"), (ENGLISH, "en")]
)
def test_one_sentence_is_never_taken_for_another_language(
    sentences: list[str], language: str
) -> None:
    told = [detect_language(text) for text in sentences]
    assert set(told) <= {language, None}
    assert told.count(None) <= 0.15 * len(told)


def test_reports_of_replicas() -> None:
    rng = np.random.default_rng(4)
    told = []
    for number in range(80):
        truth = draw_truth(rng, draw_person(rng, number), (View.PA,))
        english = write_report(truth)
        assert detect_language(f"{english.findings} {english.impression}") == "en"
        spanish = write_spanish(truth)
        told += [detect_language(spanish.text), detect_language(stem_report(spanish.sentences))]
    assert set(told) <= {"es", None}
    assert told.count("es") > 0.75 * len(told)


def test_close_evidence_tells_nothing() -> None:
    assert detect_language("derecho direito") is None
    assert detect_language("derecho izquierdo pulmon direito") == "es"
