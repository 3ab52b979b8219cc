"""Ids that begin like others': all of the subject goes, and nothing of those others."""

from __future__ import annotations

import json
import shutil
import tarfile
from pathlib import Path

import pytest
from cli_world import Say
from hospital_world import (
    Shot,
    ingested,
    leave_log,
    log_lines,
    payloads,
    rows,
    write_hospital,
)
from raw_world import PIECES

from sources.piece import piece_key, piece_number
from tasks.forget.names import Names
from tasks.forget.needles import Needles

NOTHING: frozenset[str] = frozenset()
STANDS = [
    ("CXR100", "see CXR1000 and CXR1001", False),
    ("CXR100", "openi/CXR100/CXR100_IM-0001-1001/keep", True),
    ("CXR100", "XCXR100", False),
    ("CXR100", '{"study_id":"CXR100"}', True),
    ("CXR100", '{"said":"none.\\nCXR100 again"}', True),
    ("PAT-01", "PAT-010", False),
    ("PAT-01", "PAT-01_a.png", True),
    ("PAT-01", "mimic%2FPAT-01%2Fa", True),
    ("50414267", "p10/p10000032/s50414267.txt", True),
    ("50414267", "s504142671 1504142670 0.50414267", False),
    ("patient1", "patient10/study1 patient12", False),
    ("patient1/study1", "chexpert/patient1%2Fstudy1/view1/keep", True),
    ("patient1/study1", "patient1/study12", False),
    ("1/a.png", "11/a.png x/1/a.pngs", False),
    ("1/a.png", "/raw/1/a.png", True),
    ("abcdef", "abcdefg abcdef1 zabcdef", False),
    ("abcdef", "(abcdef)", True),
]


@pytest.mark.parametrize(("name", "text", "stands"), STANDS)
def test_an_id_stands_alone(name: str, text: str, stands: bool) -> None:
    names = Names(frozenset({name}))
    assert names.stand_in(text.encode()) == stands
    assert (names.without(text.encode(), b"?") != text.encode()) == stands


def test_what_a_separator_lengthens_is_whose_it_is_known_to_be() -> None:
    names = Names(frozenset({"CXR100", "CXR100-7-1"}), frozenset({"CXR100-2", "A/CXR100"}))
    told = b"CXR100-2, CXR100-3, A/CXR100, CXR100-2_IM, CXR100-7-1, CXR100-21."
    assert names.without(told, b"?") == b"CXR100-2, ?-3, A/CXR100, CXR100-2_IM, ?, ?-21."
    assert not names.stand_in(b"CXR100-2 A/CXR100 CXR1001")
    found = Needles(frozenset({"CXR100"}), NOTHING, NOTHING, frozenset(), NOTHING,
                    longer=frozenset({"CXR100-2"}))  # fmt: skip
    assert found.without("study CXR100-2 and CXR100", "?") == "study CXR100-2 and ?"


def words(study: str) -> str:
    told = "".join(chr(ord("a") + int(digit)) for digit in study if digit.isdigit())
    return f"A zebra called {told} crosses the apex of this lung. The heart is of normal size."


PEOPLE = {
    "PAT-01": ("CXR100", "CXR7-1"),
    "PAT-010": ("CXR1000", "CXR10"),
    "PAT-01-2": ("CXR100-2", "CXR7"),
    "XPAT-01": ("XCXR100", "CXR7-1-3"),
    "1": ("s1", "s1-1"),
    "10": ("s10", "s10-1"),
    "1-2": ("s1-2", "s2"),
}
SHOTS = [
    Shot(subject, study, f"{subject}/{study}.png", words(f"{study}{place}"), 10 * place + number)
    for place, (subject, studies) in enumerate(PEOPLE.items())
    for number, study in enumerate(studies)
]
LINES = [f"subject {each.subject} study {each.study} image {each.path}" for each in SHOTS]


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("hospital")
    context = ingested(folder / "data", write_hospital(folder / "raw", SHOTS))
    leave_log(context, LINES)
    notes = context.store.state / "notes"
    notes.mkdir()
    for number, shot in enumerate(SHOTS):
        (notes / f"{number}.txt").write_text(f"image {shot.path}")
    return folder / "data"


@pytest.mark.parametrize("subject", ["PAT-01", "PAT-010", "PAT-01-2", "XPAT-01", "1", "1-2"])
def test_others_whose_ids_are_longer_or_shorter_keep_everything(
    built: Path, tmp_path: Path, cxr: Say, subject: str
) -> None:
    data = shutil.copytree(built, tmp_path / "data")
    before = payloads(data)
    said = cxr("forget", subject, "--source", "manifest", "--data-root", data)
    assert (said.code, said.err) == (0, ""), said.out
    others = [shot for shot in SHOTS if shot.subject != subject]
    for kind, name in (("studies", "studies"), ("images", "images"), ("reports", "reports")):
        left = sorted(str(row["study_id"]) for row in rows(data, kind, name))
        assert left == sorted(shot.study for shot in others), kind
    after = payloads(data)
    own = {piece_key(piece_number(study, PIECES)) for study in PEOPLE[subject]}
    changed = {place for place in before if after.get(place) != before[place]}
    assert {place.split("/")[2].partition("-")[0] for place in changed} <= own
    if len(subject) > 5:
        kept = [line for line in log_lines(data / ".state/prefect/prefect.db") if line in LINES]
        assert kept == [line for line, shot in zip(LINES, SHOTS, strict=True) if shot in others]
        assert len(list((data / ".state" / "notes").iterdir())) == len(others)


@pytest.mark.public_data
def test_open_i_studies_that_begin_alike(tmp_path: Path, cxr: Say, public_data: Path) -> None:
    chosen = [f"{number}.xml" for number in (1, 2, 10, 11, 100, 101, 1000, 1001, 3999)]
    raw = tmp_path / "raw"
    (raw / "ecgen-radiology").mkdir(parents=True)
    with tarfile.open(public_data / "openi" / "NLMCXR_reports.tgz") as archive:
        for member in archive:
            if Path(member.name).name in chosen:
                source = archive.extractfile(member)
                assert source is not None
                (raw / "ecgen-radiology" / Path(member.name).name).write_bytes(source.read())
    data = tmp_path / "data"
    context = ingested(data, raw, "openi", 'sources.routes={openi=["keep"]}')
    studies = sorted(str(row["study_id"]) for row in rows(data, "studies", "studies"))
    database = leave_log(context, [f"openi/{study}/-/keep" for study in studies])
    for forgotten in ("CXR100", "CXR10", "CXR1"):
        said = cxr("forget", forgotten, "--source", "openi", "--data-root", data, "--json")
        assert said.code == 0, said.err
        assert json.loads(said.out)["studies"] == 1
        studies.remove(forgotten)
        assert sorted(str(row["study_id"]) for row in rows(data, "studies", "studies")) == studies
        assert sorted({str(row["study_id"]) for row in rows(data, "reports", "reports")}) == studies
    assert "openi/withdrawn/-/keep" in log_lines(database)
    assert {f"openi/{study}/-/keep" for study in studies} <= set(log_lines(database))
