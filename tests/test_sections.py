"""The section rules on reports in MIMIC-CXR's layout, one behaviour a test."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sources.record import SECTIONS, Origin, SectionedBy, SectionedText
from sources.sections import collapse, section_of, section_report

INDENT = " " * 33
RULE = " " + "_" * 78


def report(*lines: str) -> str:
    """A report file: first line ``FINAL REPORT``, each other line behind one space."""
    return "\n".join([f"{INDENT}FINAL REPORT", *(f" {line}" for line in lines)]) + "\n"


def sections(text: str) -> dict[str, str]:
    """The sections that were found, without empty ones."""
    found = section_report(text)
    if found is None:
        return {}
    return {name: body for name in SECTIONS if (body := getattr(found, name)) is not None}


FULL = report(
    "EXAMINATION:  CHEST (PA AND LAT)",
    "",
    "INDICATION:  ___F with cough  // eval for",
    "pneumonia",
    "",
    "TECHNIQUE:  Chest PA and lateral",
    "",
    "COMPARISON:  ___",
    "",
    "FINDINGS: ",
    "",
    "The heart is normal in size.",
    "There is no effusion.",
    "",
    "IMPRESSION: ",
    "",
    "1. No acute process.",
    "2. Old fracture.",
)


def test_a_whole_report() -> None:
    assert section_report(FULL) == SectionedText(
        Origin.RADIOLOGIST,
        SectionedBy.RULES,
        "en",
        indication="___F with cough // eval for pneumonia",
        technique="Chest PA and lateral",
        comparison="___",
        findings="The heart is normal in size. There is no effusion.",
        impression="1. No acute process. 2. Old fracture.",
    )


def test_language_is_copied() -> None:
    found = section_report(FULL, language="pt")
    assert found is not None and found.language == "pt"


def test_windows_line_ends_make_no_difference() -> None:
    assert section_report(FULL.replace("\n", "\r\n")) == section_report(FULL)


def test_the_last_section_of_a_name_wins() -> None:
    text = report("FINDINGS: First.", "", "IMPRESSION: A.", "", "FINDINGS: Second.")
    assert sections(text) == {"findings": "Second.", "impression": "A."}


@pytest.mark.parametrize(
    "order", [("FINDINGS:", "FINDINGS: Clear."), ("FINDINGS: Clear.", "FINDINGS:")]
)
def test_an_empty_double_does_no_harm(order: tuple[str, str]) -> None:
    assert sections(report(order[0], "", order[1], "")) == {"findings": "Clear."}


@pytest.mark.parametrize(
    ("header", "section"),
    [
        ("FINDINGS", "findings"),
        ("FINDINS", "findings"),
        ("FINDNGS", "findings"),
        ("IMPRESSON", "impression"),
        ("IMPRSSION", "impression"),
        ("IMPRESSION", "impression"),
        ("COMPARISION", "comparison"),
        ("NDICATION", "indication"),
        ("REASON FOR EXAMINTION", "indication"),
        ("HISTORY", "indication"),
        ("TECHINQUE", "technique"),
        ("FINDINGS AND IMPRESSION", "impression"),
        ("FINDINGS/IMPRESSION", "impression"),
        ("CONCLUSION", "impression"),
        ("CHEST, PA AND LATERAL", "findings"),
        ("PORTABLE AP UPRIGHT CHEST RADIOGRAPH", "findings"),
        ("TWO VIEWS", "findings"),
        ("  FINDINGS ", "findings"),
        ("WET READ", None),
        ("EXAMINATION", None),
        ("RECOMMENDATIONS", None),
        ("LUNGS", None),
        ("MEDICATION", None),
        ("EXAMS", None),
    ],
)
def test_what_a_header_means(header: str, section: str | None) -> None:
    assert section_of(header) == section


def test_a_misspelt_header_opens_its_section() -> None:
    text = report("FINDINGS: Clear lungs.", "", "IMPRESSON: Normal.")
    assert sections(text) == {"findings": "Clear lungs.", "impression": "Normal."}


def test_a_header_in_lower_case_is_prose() -> None:
    text = report("FINDINGS: See below.", "impression: not a header", "Findings: nor this")
    assert sections(text) == {"findings": "See below. impression: not a header Findings: nor this"}


def test_capitals_inside_a_line_are_prose() -> None:
    text = report("FINDINGS: Compared with the AP VIEW: no change.", "AP VIEW shows more.")
    assert sections(text)["findings"] == "Compared with the AP VIEW: no change. AP VIEW shows more."


def test_a_colon_without_space_is_no_header() -> None:
    assert sections(report("FINDINGS: Seen at", "TIME:10 there.")) == {
        "findings": "Seen at TIME:10 there."
    }


def test_findings_and_impression_are_the_impression() -> None:
    assert sections(report("FINDINGS AND IMPRESSION: All clear.")) == {"impression": "All clear."}


def test_an_addendum_stays_out_of_the_report_below_it() -> None:
    text = f" ADDENDUM  Called at ___.\n IMPRESSION: Of the addendum.\n{RULE}\n" + report(
        "FINDINGS: Clear.", "", "IMPRESSION: Of the report."
    )
    assert sections(text) == {"findings": "Clear.", "impression": "Of the report."}


def test_an_addendum_without_header_does_not_leak_into_a_section() -> None:
    text = report("IMPRESSION: Old.") + f"{RULE}\n{INDENT}FINAL REPORT\n HISTORY: Cough.\n"
    assert sections(text) == {"impression": "Old.", "indication": "Cough."}


def test_three_underscores_are_no_addendum() -> None:
    assert sections(report("FINDINGS: On", "___", "clear.")) == {"findings": "On ___ clear."}


def test_unknown_sections_end_the_one_before_and_are_left_out() -> None:
    text = report("FINDINGS: Clear.", "", "WET READ: Also clear.", "", "IMPRESSION: None.")
    assert sections(text) == {"findings": "Clear.", "impression": "None."}


def test_the_last_paragraph_is_the_impression_where_neither_section_is() -> None:
    text = report("HISTORY: Cough.", "", "COMPARISON: None.", "", "The lungs are", "clear.", "")
    assert sections(text) == {
        "indication": "Cough.",
        "comparison": "None.",
        "impression": "The lungs are clear.",
    }


def test_the_last_paragraph_is_not_used_beside_findings() -> None:
    text = report("FINDINGS: Clear.", "", "A last paragraph.")
    assert sections(text) == {"findings": "Clear. A last paragraph."}


def test_a_last_paragraph_with_a_header_stays_what_it_is() -> None:
    assert sections(report("HISTORY: Cough.", "", "COMPARISON: None.")) == {
        "indication": "Cough.",
        "comparison": "None.",
    }


def test_a_report_of_one_paragraph_is_its_conclusion() -> None:
    assert sections(report("No header at", "all.")) == {"impression": "No header at all."}


@pytest.mark.parametrize("text", ["", " \n \n", f"{INDENT}FINAL REPORT\n"])
def test_nothing_gives_nothing(text: str) -> None:
    assert section_report(text) is None


@given(st.text(alphabet="ABC FINDGS:\n_.abc", max_size=200))
def test_any_text_is_cut_without_error_and_adds_no_words(text: str) -> None:
    found = section_report(text)
    if found is not None:
        bodies = [body for name in SECTIONS if (body := getattr(found, name)) is not None]
        assert bodies
        for body in bodies:
            assert body == collapse(body) != ""
            assert body in collapse(text)


@given(
    st.lists(
        st.text(alphabet="abc .", min_size=1, max_size=30).filter(lambda text: text.strip()),
        min_size=2,
        max_size=2,
    )
)
def test_findings_and_impression_come_back_as_written(bodies: list[str]) -> None:
    found = sections(report(f"FINDINGS: {bodies[0]}", "", f"IMPRESSION: {bodies[1]}"))
    assert found == {"findings": collapse(bodies[0]), "impression": collapse(bodies[1])}


def test_headers_without_the_leading_space_count_too() -> None:
    assert sections("FINDINGS: Clear.\nIMPRESSION: Normal.\n") == {
        "findings": "Clear.",
        "impression": "Normal.",
    }


def test_a_header_at_the_very_end_is_an_empty_section() -> None:
    assert sections(report("FINDINGS: Clear.", "", "IMPRESSION:").rstrip("\n")) == {
        "findings": "Clear."
    }


def test_history_and_indication_are_one_section_of_which_the_last_counts() -> None:
    text = report("HISTORY: Fall.", "", "INDICATION: Cough.", "", "IMPRESSION: Normal.")
    assert sections(text) == {"indication": "Cough.", "impression": "Normal."}
