"""Two subjects with one film: the one who withdraws goes, and the other keeps the film."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from cli_world import Say
from hospital_world import Shot, ingested, payloads, rows, write_hospital
from raw_world import PIECES

from infra.fingerprint import file_digest
from sources.piece import piece_key, piece_number

COMMON = "The cardiac silhouette is of normal size today."
SHOTS = [
    Shot("anna-1", "study-anna-1", "a/one.png", f"A zebra stands in the apex of Anna. {COMMON}", 1),
    Shot("anna-1", "study-anna-2", "a/two.png", "A giraffe stands in the base of Anna, too.", 2),
    Shot("bert-1", "study-bert-1", "b/one.png", f"A lion stands in the apex of Bert. {COMMON}", 1),
    Shot("cleo-1", "study-cleo-1", "c/one.png", "An otter stands in the hilum of Cleo, alone.", 3),
]
TWIN = SHOTS[2]


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("twins")
    context = ingested(folder / "data", write_hospital(folder / "raw", SHOTS))
    shutil.copy(folder / "raw" / TWIN.path, context.store.state / "film of bert.png")
    return folder / "data"


def test_a_film_of_two_subjects_stays_with_the_other(built: Path, tmp_path: Path, cxr: Say) -> None:
    data = shutil.copytree(built, tmp_path / "data")
    before, films = payloads(data), rows(data, "images", "images")
    assert len({row["raw_digest"] for row in films}) == 3, "two films are of the same bytes"
    said = cxr("forget", "anna-1", "--source", "manifest", "--data-root", data, "--json")
    assert (said.code, said.err) == (0, "")
    told = json.loads(said.out)
    assert told["shared"] == {"films": 1, "sentences": 1}
    assert not list((data / ".state").glob("forget/*"))
    left = rows(data, "images", "images")
    assert left == [row for row in films if row["subject_id"] != "anna-1"]
    own = {piece_key(piece_number(f"study-anna-{number}", PIECES)) for number in (1, 2)}
    after = payloads(data)
    changed = {place for place in before if after.get(place) != before[place]}
    assert {place.split("/")[2].partition("-")[0] for place in changed} <= own


def test_it_is_said_how_much_is_others_too(built: Path, tmp_path: Path, cxr: Say) -> None:
    data = shutil.copytree(built, tmp_path / "data")
    said = cxr("forget", "anna-1", "--source", "manifest", "--data-root", data)
    assert "1 films, 1 sentences of the subject's are others' too, and stay with those" in said.out
    again = cxr("forget", "bert-1", "--source", "manifest", "--data-root", data)
    assert again.code == 0
    assert "are others' too" not in again.out, "nobody else has them any more"
    left = {row["raw_digest"] for row in rows(data, "images", "images")}
    assert len(left) == 1


def test_a_film_of_ones_own_goes_wherever_it_lies(built: Path, tmp_path: Path, cxr: Say) -> None:
    data = shutil.copytree(built, tmp_path / "data")
    films = {row["study_id"]: row["pixels"] for row in rows(data, "images", "images")}
    (data / ".state" / "copy.png").write_bytes(films["study-anna-2"])  # type: ignore[arg-type]
    (data / ".state" / "twin.png").write_bytes(films["study-bert-1"])  # type: ignore[arg-type]
    digest = file_digest(data / ".state" / "twin.png")
    said = cxr("forget", "anna-1", "--source", "manifest", "--data-root", data)
    assert said.code == 0, said.out
    assert not (data / ".state" / "copy.png").exists()
    assert file_digest(data / ".state" / "twin.png") == digest
