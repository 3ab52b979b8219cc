"""A hospital's table in Portuguese, Spanish and English: from its rows to English report texts."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import second_set_portuguese
import second_set_spanish
from raw_world import look
from test_source_manifest import only, reasons, row, studies, write

from evaluation.labeler import label_report
from sources.manifest import CARD, read
from sources.manifest_columns import LANGUAGE_WORDS
from tasks.adapt import default_routes
from tasks.context import Context
from tasks.ingest.studies import REJECTED_FILE, ingest_studies
from tasks.reports.connection import Teacher
from tasks.reports.work import REPORTS_FILE, write_reports

ROUTES = 'sources.routes={manifest=["keep","structure","translate"]}'
PORTUGUESE = second_set_portuguese.PHRASES
SPANISH = second_set_spanish.PHRASES


@pytest.mark.parametrize(
    ("cell", "language"),
    [
        ("pt", "pt"),
        (" PT-BR ", "pt"),
        ("Português", "pt"),
        ("es-MX", "es"),
        ("Spanish", "es"),
        ("EN", "en"),
        ("fr", "fr"),
        ("", "pt"),
    ],
)
def test_a_cell_says_the_language_and_a_blank_one_the_text(
    tmp_path: Path, cell: str, language: str
) -> None:
    study = only(tmp_path, row(findings="Sem derrame pleural à direita.", language=cell))
    assert [text.language for text in study.texts] == [language]


@pytest.mark.parametrize("cell", ["xx", "brazilian", "pt BR", "p", "12"])
def test_a_word_that_is_no_language_is_a_rejected_row(tmp_path: Path, cell: str) -> None:
    reading = read(write(tmp_path, row(findings="Normal.", language=cell)))
    detail = "row 1, column 'language': expected an ISO 639-1 code such as en, es or pt"
    assert ("study", "S1", "value-unknown", detail) in reasons(reading)


def test_codes_are_two_letters_and_mean_themselves() -> None:
    codes = {word for word in LANGUAGE_WORDS if len(word) == 2}
    assert len(codes) > 180
    assert all(LANGUAGE_WORDS[code] == code for code in codes)
    assert set(LANGUAGE_WORDS.values()) == codes


def test_text_that_does_not_tell_takes_the_language_of_most(tmp_path: Path) -> None:
    cells = ["Sem derrame pleural.", "Sem lesões.", "Cardiomegalia.", "The lungs are clear."]
    rows = [
        row(f"images/{number}.png", f"S{number}", findings=text)
        for number, text in enumerate(cells)
    ]
    told = [study.texts[0].language for study in studies(read(write(tmp_path, *rows)))]
    assert told == ["pt", "pt", "pt", "en"]


def test_a_whole_report_is_cut_by_its_own_headings(tmp_path: Path) -> None:
    report = "INDICAÇÃO: Tosse.\nACHADOS: Sem derrame.\nCONCLUSÃO: Exame normal."
    (text,) = only(tmp_path, row(report=report)).texts
    assert (text.language, text.indication) == ("pt", "Tosse.")
    assert (text.findings, text.impression) == ("Sem derrame.", "Exame normal.")


def test_an_owners_data_takes_every_route_for_reports() -> None:
    assert default_routes(CARD) == ("keep", "structure", "translate")


def _table(root: Path) -> Path:
    """A Portuguese study per phrase, half as sections and half as a report; Spanish and English."""
    rows = []
    for number, phrase in enumerate(PORTUGUESE):
        cells = {"language": "pt-BR" if number % 4 else ""}
        text = f"{phrase.written} Sem derrame pericárdico à vista dos pulmões."
        key = "findings" if number % 2 else "report"
        cells[key] = text if number % 2 else f"ACHADOS: {text}\nCONCLUSÃO: {phrase.written}"
        rows.append(row(f"images/p{number}.png", f"P{number}", **cells))
    for number, phrase in enumerate(SPANISH):
        rows.append(
            row(f"images/e{number}.png", f"E{number}", findings=phrase.written, language="es")
        )
    rows.append(row("images/g.png", "G", findings="The lungs are clear. No effusion."))
    rows.append(row("images/f.png", "F", findings="Pas d'anomalie.", language="fr"))
    return write(root, *rows)


@pytest.fixture(scope="module")
def context(tmp_path_factory: pytest.TempPathFactory) -> Context:
    folder = tmp_path_factory.mktemp("hospital")
    raw = folder / "raw"
    raw.mkdir()
    made = look(folder / "data", {"manifest": _table(raw)}, ROUTES)
    ingest_studies(made, "manifest")
    with Teacher(made.environment) as teacher:
        write_reports(made, "manifest", teacher)
    return made


def _rows(context: Context, name: str) -> pa.Table:
    artifact = context.artifact("reports/manifest")
    return pa.concat_tables([pq.read_table(path) for path in artifact.files(name)])


def test_every_foreign_report_becomes_english(context: Context) -> None:
    reports = [
        item for item in _rows(context, REPORTS_FILE).to_pylist() if item["version"] == "translate"
    ]
    assert Counter(item["study_id"][0] for item in reports) == {
        "P": len(PORTUGUESE),
        "E": len(SPANISH),
    }
    assert {(item["origin"], item["language"]) for item in reports} == {("translated", "en")}
    assert {item["model"] for item in reports} == {"offline-rules"}


def test_what_the_english_says_is_what_is_known(context: Context) -> None:
    """rule14 on the translation and on the hand-written English."""
    reports = {
        item["study_id"]: item
        for item in _rows(context, REPORTS_FILE).to_pylist()
        if item["version"] == "translate"
    }
    for number, phrase in enumerate(PORTUGUESE):
        english = reports[f"P{number}"]["impression" if number % 2 == 0 else "findings"]
        own = english.split(". ")[0].rstrip(".") + "."
        found, known = label_report(own), label_report(phrase.english)
        found.pop("No Finding", None)
        known.pop("No Finding", None)
        assert found == known, (own, phrase.english)


def test_each_route_says_why_it_took_no_text(context: Context) -> None:
    rejected = _rows(context, REJECTED_FILE).to_pylist()
    by_route = Counter((item["row_id"].split("/")[1], item["reason"]) for item in rejected)
    foreign = len(PORTUGUESE) + len(SPANISH) + 1
    assert by_route == {
        ("structure", "not-english"): foreign,
        ("translate", "is-english"): 1,
        ("translate", "language-unsupported"): 1,
    }
    (french,) = [item for item in rejected if item["reason"] == "language-unsupported"]
    assert french["detail"] == "found language fr; expected es or pt"
