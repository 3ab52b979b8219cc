"""Routes: a piece of studies in, reports and rejected rows out, nothing lost between."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from llm_world import QUICK, Script, completion, scripted_server
from pydantic import SecretStr

from infra.egress import Guarantee
from infra.errors import EgressRefused, LanguageModelError
from infra.llm import Client, Endpoint
from infra.settings.sections import ReportSettings, Route
from sources.record import (
    REJECTED_SCHEMA,
    Image,
    Label,
    LabelValue,
    Origin,
    SectionedBy,
    SectionedText,
    SourceLabel,
    Study,
    View,
    studies_to_table,
)
from tasks.reports.offline_server import offline_server
from tasks.reports.record import REPORT_SCHEMA
from tasks.reports.routes import Piece, write_piece

SETTINGS = ReportSettings(model="offline-rules")
LAST_SIX = (
    "prompt_version",
    "model",
    "request_hash",
    "input_tokens",
    "output_tokens",
    "cost_usd",
)


@pytest.fixture(scope="module")
def endpoint() -> Iterator[Endpoint]:
    with offline_server() as place:
        yield place


@pytest.fixture
def client(endpoint: Endpoint, tmp_path: Path) -> Iterator[Client]:
    with Client(endpoint, tmp_path, QUICK) as made:
        yield made


def study(name: str, source: str = "openi", **fields: Any) -> Study:
    images = (Image(f"{name}-1", View.PA, f"{name}.png", 100, 100),)
    return Study(source, name, None, None, **{"images": images, **fields})


def text(by: SectionedBy = SectionedBy.RULES, language: str = "en", **parts: str) -> SectionedText:
    return SectionedText(Origin.RADIOLOGIST, by, language, **parts)


def write(client: Client, route: Route, *studies: Study) -> Piece:
    piece = write_piece(studies_to_table(list(studies)), route, SETTINGS, client)
    assert piece.reports.schema.equals(REPORT_SCHEMA)
    assert piece.rejected.schema.equals(REJECTED_SCHEMA)
    return piece


def reasons(piece: Piece) -> list[tuple[str, str, str]]:
    return [(r["row_id"], r["level"], r["reason"]) for r in piece.rejected.to_pylist()]


@pytest.mark.parametrize("route", ["keep", "structure", "translate", "synthesize"])
def test_no_studies_are_no_reports(client: Client, route: Route) -> None:
    piece = write(client, route)
    assert (piece.reports.num_rows, piece.rejected.num_rows) == (0, 0)


def test_keep_takes_every_text_as_it_is(client: Client) -> None:
    rules = text(findings="Clear, unchanged.", comparison="None.")
    model = text(SectionedBy.LLM, findings="Clear.")
    publisher = text(SectionedBy.PUBLISHER, impression="Normal.")
    piece = write(client, "keep", study("a", texts=(rules, model, publisher, rules, rules)))
    rows = piece.reports.to_pylist()
    assert [row["version"] for row in rows] == [
        "keep",
        "keep-llm",
        "keep-publisher",
        "keep-rules",
        "keep-rules-2",
    ]
    assert rows[0]["findings"] == "Clear, unchanged."
    assert rows[0]["comparison"] == "None."
    assert (rows[0]["origin"], rows[0]["sectioned_by"]) == ("radiologist", "rules")
    assert all(row[name] is None for row in rows for name in LAST_SIX)


def test_keep_rejects_what_holds_no_statement(client: Client) -> None:
    empty = text(indication="Cough.", findings="  ")
    piece = write(client, "keep", study("a"), study("b", texts=(empty,)))
    assert reasons(piece) == [("a/keep", "text", "no-report"), ("b/keep", "text", "no-findings")]
    assert piece.rejected.to_pylist()[1]["detail"] == (
        "found indication; expected findings or impression"
    )


def test_structure_reads_the_raw_report_first(client: Client) -> None:
    raw = "FINDINGS: Small left effusion, unchanged.\nIMPRESSION: Effusion."
    given = study("a", raw_report=raw, texts=(text(findings="Small left effusion, unchanged."),))
    (row,) = write(client, "structure", given).reports.to_pylist()
    assert (row["findings"], row["impression"]) == ("Small left effusion.", "Effusion.")
    assert (row["version"], row["origin"], row["sectioned_by"]) == (
        "structure",
        "radiologist",
        "llm",
    )
    assert (row["language"], row["prompt_version"], row["model"]) == (
        "en",
        "structure-1",
        "offline-rules",
    )
    assert len(row["request_hash"]) == 32
    assert row["input_tokens"] > 100 and row["output_tokens"] > 10 and row["cost_usd"] == 0.0


def test_structure_takes_the_sections_where_there_is_no_raw_report(client: Client) -> None:
    given = study("a", texts=(text(findings="Stable mild cardiomegaly.", indication="Cough."),))
    (row,) = write(client, "structure", given).reports.to_pylist()
    assert (row["findings"], row["indication"]) == ("Mild cardiomegaly.", "Cough.")


def test_structure_needs_an_english_report(client: Client) -> None:
    spanish = study("b", source="padchest", raw_report="cardiomegali .")
    piece = write(client, "structure", study("a"))
    assert reasons(piece) == [("a/structure", "text", "no-report")]
    piece = write(client, "structure", spanish)
    assert reasons(piece) == [("b/structure", "text", "not-english")]


def test_a_publishers_model_text_is_not_structured_again(client: Client) -> None:
    piece = write(client, "structure", study("a", texts=(text(SectionedBy.LLM, findings="X."),)))
    assert reasons(piece) == [("a/structure", "text", "no-report")]


def test_translate_takes_stems_and_sections(client: Client) -> None:
    stems = study("a", source="padchest", raw_report=" derram pleural derech . sin infiltr . ")
    words = text(language="es", findings="Derrame pleural derecho.", impression="Derrame.")
    cut = study("b", source="padchest", texts=(words,))
    piece = write(client, "translate", stems, cut)
    first, second = piece.reports.to_pylist()
    assert first["findings"] == "Right pleural effusion. No infiltrates."
    assert (first["origin"], first["language"]) == ("translated", "en")
    assert (second["findings"], second["impression"]) == ("Right pleural effusion.", "Effusion.")
    assert (first["sectioned_by"], second["sectioned_by"]) == ("rules", "rules")


def test_translate_needs_a_foreign_report(client: Client) -> None:
    piece = write(client, "translate", study("a"), study("b", texts=(text(findings="Clear."),)))
    assert reasons(piece) == [
        ("a/translate", "text", "no-report"),
        ("b/translate", "text", "is-english"),
    ]


def test_synthesize_writes_from_labels(client: Client) -> None:
    labelled = study(
        "a",
        source="nih_cxr14",
        source_labels=(SourceLabel("Hernia", LabelValue.POSITIVE),),
        labels=(Label("Edema", LabelValue.NEGATIVE),),
    )
    piece = write(client, "synthesize", labelled, study("b", source="nih_cxr14"))
    (row,) = piece.reports.to_pylist()
    assert "ernia" in row["findings"]
    assert "No evidence of" in row["findings"] or "no " in row["findings"].lower()
    assert (row["origin"], row["sectioned_by"]) == ("synthesized", "llm")
    assert reasons(piece) == [("b/synthesize", "text", "no-labels")]


def test_studies_are_kept_or_rejected_in_their_order(client: Client) -> None:
    given = [
        study(f"s{index}", raw_report=f"FINDINGS: Nodule of {index} mm." if index % 3 else None)
        for index in range(30)
    ]
    piece = write(client, "structure", *given)
    kept = piece.reports["study_id"].to_pylist()
    lost = piece.rejected["study_id"].to_pylist()
    assert kept == [f"s{index}" for index in range(30) if index % 3]
    assert lost == [f"s{index}" for index in range(30) if not index % 3]


def test_the_same_piece_twice_is_the_same_table_and_no_request(
    client: Client, endpoint: Endpoint, tmp_path: Path
) -> None:
    given = [study(f"s{n}", raw_report=f"FINDINGS: Nodule of {n} mm.") for n in range(10)]
    first = write(client, "structure", *given)
    with Client(endpoint, tmp_path, QUICK) as other:
        second = write(other, "structure", *given)
        assert (other.usage.sent, other.usage.replayed) == (0, 10)
    assert second.reports.equals(first.reports)


def scripted(tmp_path: Path, reply: Any, *studies: Study) -> Piece:
    with (
        scripted_server(Script(lambda *_: reply)) as place,
        Client(place, tmp_path, QUICK) as made,
    ):
        return write(made, "structure", *studies)


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        (completion(None, refusal="no"), "refused"),
        (completion("", "content_filter"), "content-filter"),
        (completion('{"find', "length"), "truncated"),
        (completion("[]"), "invalid"),
        (completion('{"indication": null, "technique": null, "findings": "Small left effusion, '
                    'unchanged.", "impression": null}'), "comparison-kept"),
        (completion('{"indication": null, "technique": null, "findings": "Right effusion.", '
                    '"impression": null}'), "side-changed"),
        (completion('{"indication": null, "technique": null, "findings": null, '
                    '"impression": " "}'), "empty"),
    ],
)  # fmt: skip
def test_a_bad_answer_is_a_rejected_row(tmp_path: Path, reply: Any, reason: str) -> None:
    given = study("a", raw_report="FINDINGS: Small left zebra effusion, unchanged.")
    piece = scripted(tmp_path, (200, reply), given)
    assert reasons(piece) == [("a/structure", "text", reason)]
    assert "zebra" not in piece.rejected.to_pylist()[0]["detail"]


def test_an_endpoint_that_gives_up_fails_the_piece(tmp_path: Path) -> None:
    with pytest.raises(LanguageModelError, match=r"1 requests got no answer \(status-500 1\)"):
        scripted(tmp_path, (500, {"error": {}}), study("a", raw_report="FINDINGS: Clear."))


def test_a_gated_source_does_not_leave(tmp_path: Path) -> None:
    far = Endpoint("http://llm.example/v1", SecretStr("k"), Guarantee.NONE)
    given = study("a", source="padchest", raw_report="cardiomegali .")
    with Client(far, tmp_path, QUICK) as made, pytest.raises(EgressRefused, match="padchest"):
        write(made, "translate", given)


def test_keep_needs_no_endpoint(tmp_path: Path) -> None:
    far = Endpoint("http://llm.example/v1", SecretStr("k"), Guarantee.NONE)
    given = study("a", source="padchest", texts=(text(language="es", findings="Normal."),))
    with Client(far, tmp_path, QUICK) as made:
        assert write(made, "keep", given).reports["language"].to_pylist() == ["es"]
