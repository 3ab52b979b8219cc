"""Identifying text in reports: recall and precision on planted identifiers, and what is no name."""

from __future__ import annotations

import io
import re
import tarfile
from pathlib import Path

import pytest

from sources.identifying import Dates, Found, Kind, find_identifying, masked, told
from sources.identifying_numbers import national_ids, telephone_numbers
from tests.identifying_world import HARD_NEGATIVES, STRANGERS, Planted, planted


def covered(one: Planted, found: list[Found]) -> list[bool]:
    """For each planted identifier, whether the whole of it was found."""
    return [any(f.start <= start and end <= f.end for f in found) for _, start, end in one.places]


@pytest.fixture(scope="module")
def searched() -> list[tuple[Planted, list[Found]]]:
    return [(one, find_identifying(one.text)) for one in planted(1050, seed=7)]


def test_planted_identifiers_are_found(searched: list[tuple[Planted, list[Found]]]) -> None:
    """docs/screen.md states these figures: names without any sign are what is missed."""
    hits: dict[Kind, list[bool]] = {}
    for one, found in searched:
        for (kind, _, _), hit in zip(one.places, covered(one, found), strict=True):
            hits.setdefault(kind, []).append(hit)
    recall = {kind: sum(each) / len(each) for kind, each in hits.items()}
    assert recall.pop(Kind.NAME) >= 0.94
    assert set(recall) == set(Kind) - {Kind.DATE, Kind.NAME}
    assert min(recall.values()) == 1.0, recall


def test_what_is_found_was_planted(searched: list[tuple[Planted, list[Found]]]) -> None:
    right = [
        any(f.start < end and start < f.end for _, start, end in one.places)
        for one, found in searched
        for f in found
    ]
    assert len(right) > 1000
    assert sum(right) / len(right) >= 0.99


@pytest.mark.parametrize("language", ["en", "es", "pt"])
def test_no_language_is_worse(searched: list[tuple[Planted, list[Found]]], language: str) -> None:
    hits = [hit for one, f in searched if one.language == language for hit in covered(one, f)]
    assert sum(hits) / len(hits) >= 0.85


@pytest.mark.parametrize("name", ["Corder", "Napolitano", "Castelein", "Normand", "O'Neil"])
def test_a_surname_that_holds_a_services_word_is_a_name(name: str) -> None:
    assert [one.kind for one in find_identifying(f"Per {name}, no change.")] == [Kind.NAME]


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("MRN12345678, chest.", "12345678"),
        ("MRN: 12 34 56 78. No change.", "12 34 56 78"),
        ("MRN 1234 5678, two views.", "1234 5678"),
        ("Prontuário: 1 234 567.", "1 234 567"),
        ("id: 12345678", "12345678"),
        ("I.D. 123-456-78; ID#0012345", "123-456-78"),
        ("ID12345678", "12345678"),
        ("MRN: 1234\u200b5678 seen", "1234\u200b5678"),
        ("MRN: 12\u00ad34\u00ad5678 seen", "12\u00ad34\u00ad5678"),
        ("M\u200bR\u00adN:\u00a012345678", "12345678"),
    ],
)
def test_numbers_are_found_however_they_are_set(text: str, number: str) -> None:
    found = find_identifying(text)
    assert found[0].kind is Kind.RECORD
    assert text[found[0].start : found[0].end] == number
    assert number not in masked(text, found)


@pytest.mark.parametrize("name", ["Zha\u200bng", "Z\u00adhang", "Zhang"])
@pytest.mark.parametrize("space", [" ", "\u00a0", "\u2009"])
def test_names_are_found_through_what_nobody_sees(name: str, space: str) -> None:
    text = f"Read by Dr.{space}Wei{space}{name}\ufeff."
    [found] = find_identifying(text)
    assert text[found.start : found.end] == f"Wei{space}{name}"


def test_texts_written_after_the_rules() -> None:
    """An honest figure: nothing was changed to find these."""
    found = wanted = 0
    for text, words in STRANGERS:
        spans = find_identifying(text)
        for word in words:
            start = text.index(word)
            wanted += 1
            found += any(one.start <= start and start + len(word) <= one.end for one in spans)
    assert wanted >= 30
    assert found / wanted >= 0.75, (found, wanted)


@pytest.mark.parametrize("text", HARD_NEGATIVES)
def test_what_only_looks_like_a_name_is_let_through(text: str) -> None:
    assert find_identifying(text) == []


@pytest.mark.public_data
def test_real_reports_without_identifiers_pass(public_data: Path) -> None:
    """Open-I's 3,955, which their publisher has de-identified with ``XXXX``."""
    texts = []
    with tarfile.open(public_data / "openi" / "NLMCXR_reports.tgz") as archive:
        for member in archive:
            handle = archive.extractfile(member) if member.isfile() else None
            if handle is not None:
                xml = io.TextIOWrapper(handle, "utf-8").read()
                texts.append(" ".join(re.findall(r"<AbstractText[^>]*>([^<]*)<", xml)))
    assert len(texts) > 100
    assert sum(bool(find_identifying(text, "all")) for text in texts) == 0


@pytest.mark.parametrize(
    ("text", "dates", "kinds"),
    [
        ("DOB 12/03/1954, compared with 01/02/2020.", "birth", [Kind.BIRTH_DATE]),
        ("DOB 12/03/1954, compared with 01/02/2020.", "all", [Kind.BIRTH_DATE, Kind.DATE]),
        (
            "Comparison: 4 de marzo de 2019; 12 de março de 2020; Mar 3, 2021",
            "all",
            [Kind.DATE] * 3,
        ),
        ("Not a day: 13/13/2020, 1.2.3, 12/2020, 99/99/99.", "all", []),
    ],
)
def test_dates_are_days_and_the_policy_says_which(
    text: str, dates: Dates, kinds: list[Kind]
) -> None:
    assert [one.kind for one in find_identifying(text, dates)] == kinds


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("12345678Z", 1), ("12345678A", 0), ("X1234567L", 1), ("X1234567A", 0),
        ("529.982.247-25", 1), ("529.982.247-26", 0), ("943 476 5919", 1), ("943 476 5918", 0),
        ("12.345.678-5", 1), ("12.345.678-6", 0), ("NIF 501964843", 1), ("NIF 501964844", 0),
        ("501964843", 0), ("SUS 700000000000005", 1), ("SUS 700000000000006", 0),
    ],
)  # fmt: skip
def test_check_digits_tell_ids_from_numbers(text: str, count: int) -> None:
    assert len(list(national_ids(text))) == count


def test_a_telephone_needs_a_sign_or_a_form() -> None:
    for text in ("(617) 555-0123", "+34 912 345 678", "pager 4417", "tel. 912345678"):
        assert list(telephone_numbers(text)), text
    for text in ("2 x 3 x 4 cm", "image 1234567", "at 14:30, 85 kV", "2019-2020-2021"):
        assert not list(telephone_numbers(text)), text


def test_masking_leaves_the_rest_and_says_what_stood_there() -> None:
    text = "Mrs. Whitcombe, MRN 0048392: lungs clear, per Dr. Adeyemi."
    found = find_identifying(text)
    assert masked(text, found) == "Mrs. [name], MRN [record number]: lungs clear, per Dr. [name]."
    assert find_identifying(masked(text, found)) == []
    assert masked(text, []) == text


def test_what_is_told_has_kinds_and_places_alone() -> None:
    text = "Patient: Priya Raman. " + "Dr. Kowalski. " * 20
    line = told(find_identifying(text))
    assert line.startswith("name at 9-20, name at 26-34")
    assert line.endswith("and 13 more")
    assert "Raman" not in line
    assert "Kowalski" not in line


@pytest.mark.parametrize(
    "text", ["", " ", "^", "Dr.", "Patient:", "MRN", "@", "[name]", "___ XXXX"]
)
def test_next_to_nothing_is_nothing(text: str) -> None:
    assert find_identifying(text, "all") == []


def test_a_long_text_takes_time_in_proportion() -> None:
    """Rules that backtrack would make a stranger's report stop a night's run."""
    import time

    def seconds(times: int) -> float:
        text = ("A A. B-B Aa'A " * 40 + "1 2 3-4 (5) 6.7/8 ") * times
        started = time.process_time()
        find_identifying(text, "all")
        return time.process_time() - started

    short = max(seconds(4), 0.002)
    assert seconds(32) <= 30 * short
