"""Sections of Spanish and Portuguese reports by their headings; nothing is lost."""

from __future__ import annotations

import re
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sources.record import SECTIONS, SectionedBy, SectionedText
from sources.sections import section_report
from sources.sections_foreign import FOREIGN, has_heading, section_foreign

PORTUGUESE = """RADIOGRAFIA DE TÓRAX
INDICAÇÃO CLÍNICA: tosse há 3 dias.
TÉCNICA: PA e perfil.
Análise:
Derrame pleural à direita
Área cardíaca normal

IMPRESSÃO DIAGNÓSTICA: Derrame pleural
à direita.
"""
SPANISH = "Motivo de consulta: tos.\nHALLAZGOS: Sin infiltrados.\nConclusion: Normal.\n"


def cut(text: str, language: str) -> SectionedText:
    found = section_report(text, language)
    assert found is not None
    return found


def test_portuguese_headings() -> None:
    found = cut(PORTUGUESE, "pt")
    assert (found.language, found.sectioned_by) == ("pt", SectionedBy.RULES)
    assert found.indication == "tosse há 3 dias."
    assert found.technique == "PA e perfil."
    assert found.findings == (
        "RADIOGRAFIA DE TÓRAX Derrame pleural à direita. Área cardíaca normal"
    )
    assert found.impression == "Derrame pleural à direita."


def test_spanish_headings_in_any_case_with_and_without_accents() -> None:
    found = cut(SPANISH, "es")
    assert (found.indication, found.findings, found.impression) == (
        "tos.",
        "Sin infiltrados.",
        "Normal.",
    )


@pytest.mark.parametrize("language", sorted(FOREIGN))
def test_without_headings_all_is_findings(language: str) -> None:
    found = cut("Sem derrame.\n\nNormal.", language)
    assert (found.findings, found.impression) == ("Sem derrame. Normal.", None)


def test_english_headings_of_a_foreign_report_are_known_too() -> None:
    found = cut("FINDINGS: Sem derrame.\nIMPRESSION: Normal.", "pt")
    assert (found.findings, found.impression) == ("Sem derrame.", "Normal.")


def test_english_reports_are_cut_as_before() -> None:
    found = cut("Achados: one.\n\nLast paragraph.", "en")
    assert (found.findings, found.impression) == (None, "Last paragraph.")


@pytest.mark.parametrize("text", ["", " \n\n ", "ACHADOS:\n"])
def test_a_blank_report_has_no_sections(text: str) -> None:
    assert section_foreign(text, "pt") is None


def test_a_heading_twice_is_one_section() -> None:
    assert cut("ACHADOS: Um.\nACHADOS: Dois.", "pt").findings == "Um. Dois."


def test_a_word_in_a_sentence_is_no_heading() -> None:
    assert not has_heading("Sem achados: nada.", "pt")
    assert has_heading("  Laudo : nada.", "pt")


def test_decomposed_letters_are_composed() -> None:
    assert cut("CONCLUSA\u0303O: Po\u0301s.", "pt").impression == "Pós."


@given(st.text(max_size=120), st.sampled_from(sorted(FOREIGN)))
def test_no_word_is_lost(text: str, language: str) -> None:
    found = section_foreign(text, language)
    kept = " ".join(getattr(found, name) or "" for name in SECTIONS) if found else ""
    if not has_heading(text, language):
        assert re.sub(r"[\W_]", "", kept) == re.sub(
            r"[\W_]", "", unicodedata.normalize("NFC", text)
        )
