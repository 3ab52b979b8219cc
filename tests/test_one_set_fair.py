"""Which studies of a test set every model may be asked about, and why others leave."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from infra.errors import InputError
from sources.perceptual_hash import COPY_DISTANCE, HASH_BYTES
from tasks.one_set.fair_studies import Key, Learned, fair_studies

ALL = frozenset(("rrg24", f"t{number}") for number in range(4))


def hash_of(number: int) -> bytes:
    """Far from that of every other small number."""
    return bytes([17 * number % 256]) * HASH_BYTES


def examples(path: Path, *rows: tuple[str, str, str | None, str]) -> Path:
    names = ("source", "study_id", "subject_id", "split")
    columns = {
        name: pa.array([row[place] for row in rows], pa.string())
        for place, name in enumerate(names)
    }
    pq.write_table(pa.table(columns), path)
    return path


def films(path: Path, *rows: tuple[str, str, bytes]) -> Path:
    table = {
        "source": [row[0] for row in rows],
        "study_id": [row[1] for row in rows],
        "image_id": [f"{row[1]}a" for row in rows],
        "perceptual_hash": [row[2] for row in rows],
    }
    pq.write_table(pa.table(table), path)
    return path


class World:
    """Four test studies, and what one model learned from."""

    def __init__(self, root: Path) -> None:
        self.root = root
        rows = [("rrg24", f"t{n}", f"p{n}" if n else None, "test") for n in range(4)]
        self.tested = examples(root / "tested.parquet", *rows)
        own = [("rrg24", f"t{number}", hash_of(number)) for number in range(4)]
        self.films = films(root / "films.parquet", *own)

    def learned(
        self,
        *rows: tuple[str, str, str | None, str],
        hashes: tuple[tuple[str, str, bytes], ...] = (),
        shown: frozenset[Key] = ALL,
        recipe: str = "llava_rad",
    ) -> Learned:
        learned = (examples(self.root / f"{recipe}.parquet", *rows),) if rows else ()
        images = (films(self.root / f"{recipe}-films.parquet", *hashes),) if hashes else ()
        return Learned(recipe, learned, images, shown)

    def fair(self, *models: Learned) -> tuple[list[str], dict[str, tuple[str, str]]]:
        kept, rejected = fair_studies([self.tested], [self.films], models)
        told = {each.row_id: (each.reason, each.detail) for each in rejected}
        return kept["study_id"].to_pylist(), told


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def test_what_nobody_learned_from_stays(world: World) -> None:
    other = world.learned(("mimic_cxr", "m1", "x", "train"), ("rrg24", "r", None, "train"))
    assert world.fair(other) == (["t0", "t1", "t2", "t3"], {})


def test_the_study_itself_leaves_from_training_and_validation(world: World) -> None:
    one = world.learned(("rrg24", "t1", "p1", "train"), ("rrg24", "t2", "p2", "validate"))
    kept, told = world.fair(one)
    assert kept == ["t0", "t3"]
    assert told == {
        "t1": ("study-learned-from", "llava_rad: in its train"),
        "t2": ("study-learned-from", "llava_rad: in its validate"),
    }


def test_another_study_of_the_person_takes_it_out_where_sources_share_persons(
    world: World,
) -> None:
    rows = [("mimic_cxr", "m1", "p1", "train"), ("chexpert", "c2", "p2", "train")]
    kept, told = world.fair(world.learned(*rows))
    assert kept == ["t0", "t2", "t3"], "CheXpert's p2 is another person"
    reason, detail = told["t1"]
    assert reason == "subject-learned-from"
    assert detail == "llava_rad: subject of mimic_cxr study m1 in its train"


def test_an_unknown_subject_is_nobody_elses(world: World) -> None:
    assert world.fair(world.learned(("mimic_cxr", "m", None, "train")))[1] == {}


@pytest.mark.parametrize(("bits", "leaves"), [(0, True), (COPY_DISTANCE + 1, False)])
def test_a_copy_of_a_film_takes_it_out(world: World, bits: int, leaves: bool) -> None:
    near = int.from_bytes(hash_of(3)) ^ ((1 << bits) - 1)
    copy = ("chexpert", "c1", near.to_bytes(HASH_BYTES))
    one = world.learned(("chexpert", "c1", "z", "train"), hashes=(copy,))
    told = world.fair(one)[1]
    if not leaves:
        assert told == {}
        return
    detail = "llava_rad: 0 bits from chexpert study c1 image c1a"
    assert told == {"t3": ("film-learned-from", detail)}


def test_a_film_that_was_ingested_and_not_learned_from_takes_nothing_out(world: World) -> None:
    copy = ("chexpert", "aside", hash_of(3))
    one = world.learned(("chexpert", "c1", "z", "train"), hashes=(copy,))
    assert world.fair(one)[1] == {}


def test_what_one_model_cannot_be_shown_nobody_is_asked(world: World) -> None:
    seen = world.learned(shown=ALL)
    blind = world.learned(shown=ALL - {("rrg24", "t0")}, recipe="gla_rrg24")
    kept, told = world.fair(seen, blind)
    assert kept == ["t1", "t2", "t3"]
    assert told["t0"][0] == "not-shown"
    assert told["t0"][1].startswith("gla_rrg24: no film of a view")


def test_having_learned_is_told_before_not_being_shown(world: World) -> None:
    blind = world.learned(shown=ALL - {("rrg24", "t1")})
    learned = world.learned(("rrg24", "t1", "p1", "train"), recipe="gla_rrg24")
    told = world.fair(blind, learned)[1]
    assert told == {"t1": ("study-learned-from", "gla_rrg24: in its train")}


def test_a_test_set_that_is_used_up_is_one_line(world: World) -> None:
    rows: list[Any] = [("rrg24", f"t{n}", f"p{n}", "train") for n in range(4)]
    with pytest.raises(InputError, match=r"^found 4 test studies, none of which every model may"):
        world.fair(world.learned(*rows))
