"""Numbers written as words, ``abnormal`` for normal, and findings that rule14 does not know."""

from __future__ import annotations

import pytest

from tasks.reports.comparison import comparison_words
from tasks.reports.fidelity_structured import check_structured
from tasks.reports.fidelity_translated import check_translated
from tasks.reports.offline_structure import structure
from tasks.reports.offline_translate import translate
from tasks.reports.wording import number_words_of


def structured(report: str, answer: str) -> str | None:
    problem = check_structured(f"FINDINGS: {report}", {"findings": report}, {"findings": answer})
    return problem.reason if problem else None


def translated(source: str, answer: str, language: str) -> str | None:
    problem = check_translated({"findings": source}, {"findings": answer}, language)
    return problem.reason if problem else None


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("Two leads and a seventh rib fracture.", {"2", "7"}),
        ("Fracturas del sexto y séptimo arcos costales.", {"6", "7"}),
        ("sext y septim arc costal, och semanas", {"6", "7", "8"}),
        ("Quinto arco e terço médio; duas opacidades.", {"5", "3", "2"}),
        ("One nodule in the first rib; often, tension, weighty.", set()),
    ],
)
def test_numbers_written_as_words(text: str, found: set[str]) -> None:
    assert number_words_of(text) == found


def test_a_contraction_is_no_number() -> None:
    assert number_words_of("Opacificação dos seios.", ignored="dos") == set()


@pytest.mark.parametrize(
    ("report", "wrong", "reason"),
    [
        (
            "Two pacemaker leads end in the right atrium and ventricle.",
            "Four pacemaker leads end in the right atrium and ventricle.",
            "number-changed",
        ),
        (
            "The mediastinal contours are within normal limits.",
            "The mediastinal contours are abnormal.",
            "negation-changed",
        ),
        (
            "The cardiac silhouette and the mediastinum are normal in size. The lungs are clear.",
            "The cardiac silhouette and the mediastinum are normal in size. The lungs are clear and"
            " pneumoperitoneum.",
            "text-added",
        ),
        (
            "Left lower lobe collapse is more pronounced than before.",
            "More pronounced left lower lobe collapse.",
            "comparison-kept",
        ),
    ],
)
def test_a_structured_report_keeps_them(report: str, wrong: str, reason: str) -> None:
    assert structured(report, wrong) == reason


@pytest.mark.parametrize(
    ("report", "right"),
    [
        ("Two leads end in the right ventricle.", "2 leads end in the right ventricle."),
        (
            "A 12 mm nodule projects over the left upper lobe, not present in 2016.",
            "A 12 mm nodule projects over the left upper lobe.",
        ),
        (
            "Small left apical opacity, not seen on the prior study.",
            "Small left apical opacity.",
        ),
        ("The abnormal right hilum is enlarged.", "The abnormal right hilum is enlarged."),
    ],
)
def test_a_faithful_structured_report_is_kept(report: str, right: str) -> None:
    assert structured(report, right) is None


@pytest.mark.parametrize(
    ("language", "source", "right", "wrong", "reason"),
    [
        (
            "es",
            "Fractura antigua del sexto arco costal derecho.",
            "Old fracture of the right sixth rib.",
            "Old fracture of the right fourth rib.",
            "number-changed",
        ),
        (
            "pt",
            "Fratura do quinto arco costal esquerdo.",
            "Fracture of the left 5th rib.",
            "Fracture of the left eighth rib.",
            "number-changed",
        ),
        (
            "es",
            "Hilios de tamaño normal.",
            "Hila of normal size.",
            "Hila of abnormal size.",
            "negation-changed",
        ),
        (
            "pt",
            "Hilos de aspecto anormal.",
            "Hila of abnormal appearance.",
            "Hila of abnormal appearance and there is a cavitation.",
            "text-added",
        ),
        (
            "es",
            "Adenopatías hiliares bilaterales.",
            "Bilateral hilar lymphadenopathy.",
            "Bilateral hilar prominence.",
            "finding-lost",
        ),
        (
            "es",
            "Neumoperitoneo bajo la cúpula derecha.",
            "Pneumoperitoneum under the right hemidiaphragm.",
            "Air under the right hemidiaphragm.",
            "finding-lost",
        ),
    ],
)
def test_a_translation_keeps_them(
    language: str, source: str, right: str, wrong: str, reason: str
) -> None:
    assert translated(source, right, language) is None
    assert translated(source, wrong, language) == reason


def test_more_pronounced_at_a_place_is_no_comparison() -> None:
    assert not comparison_words("Opacities, more pronounced on the left.")
    assert comparison_words("The opacity is more extensive.")


@pytest.mark.parametrize(
    ("source", "half"),
    [
        ("Osteofitos dorsales.", "Osteofitos thoracic."),
        ("Horquilla esternal íntegra.", "Intact sternal horquilla."),
    ],
)
def test_a_word_left_in_its_language_is_no_translation(source: str, half: str) -> None:
    assert translated(source, half, "es") == "language"


def test_words_that_both_languages_have_are_translated() -> None:
    english = "Calcified granulomas in the right apex. Gas in the hernia. Aortic atheroma."
    spanish = "Granulomas calcificados en ápex derecho. Gas en la hernia. Ateroma aórtico."
    assert translated(spanish, english, "es") is None


def test_what_was_measured_earlier_is_no_number_of_the_present() -> None:
    report = "ET tube 2 cm from the carina, previously 4 cm."
    assert structured(report, "ET tube 2 cm from the carina.") is None
    assert structured(report, "ET tube 2 cm from the carina, 4 cm.") == "number-changed"
    assert structured(report, "ET tube 4 cm from the carina.") == "number-changed"


@pytest.mark.parametrize(
    ("language", "source", "right", "wrong"),
    [
        (
            "es",
            "Mediastino de anchura normal.",
            "Mediastinum of normal width.",
            "Widened mediastinum.",
        ),
        ("pt", "Coração de dimensões normais.", "Heart of normal size.", "Enlarged heart."),
    ],
)
def test_normal_does_not_become_enlarged(
    language: str, source: str, right: str, wrong: str
) -> None:
    assert translated(source, right, language) is None
    assert translated(source, wrong, language) == "negation-changed"


def test_the_rules_leave_out_what_was_measured_earlier() -> None:
    said = structure({"report": "FINDINGS: ET tube 2 cm from the carina, previously 4.5 cm."})
    assert said["findings"] == "ET tube 2 cm from the carina."


def test_the_rules_know_more_spanish() -> None:
    foreign = "Osteofitos dorsales. Tuberculosis miliar. Engrosamiento peribronquial."
    said = translate({"language": "es", "sections": {"findings": foreign}})["findings"]
    assert said == "Thoracic osteophytes. Miliary tuberculosis. Peribronchial thickening."
