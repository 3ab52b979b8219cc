"""A study as one example: which of its films are shown, in what order, and what is left out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pyarrow.parquet as pq
import pytest
from examples_world import SETTINGS, World

from infra.errors import ArtifactError
from infra.settings.sections import ExampleSettings
from sources.example import example_from_row
from sources.perceptual_hash import COPY_DISTANCE, HASH_BYTES
from sources.record import View
from sources.replicas.phantom import draw
from sources.replicas.truth import draw_truth
from tasks.examples.packing import pack_piece
from tasks.examples.plan import ExamplePlan, plan_examples

STUDY = SETTINGS.model_copy(
    update={"images": "study", "views": ("PA", "AP", "LATERAL"), "most_images": 3}
)
CHEST = draw_truth(np.random.default_rng(5), views=[View.PA])
VIEWS = {"a": "PA", "b": "PA", "c": "AP", "d": "LATERAL", "e": "UNKNOWN", "f": "LATERAL"}


def jpeg(turned: bool) -> bytes:
    """A phantom chest, upright or on its side."""
    pixels = (255 * draw(CHEST, View.PA, 96).pixels).astype(np.uint8)
    if turned:
        pixels = np.ascontiguousarray(cv2.rotate(pixels, cv2.ROTATE_90_CLOCKWISE))
    return bytes(cv2.imencode(".jpg", pixels)[1])


def near(hash_: bytes, bits: int) -> bytes:
    """The same but for so many bits."""
    number = int.from_bytes(hash_) ^ ((1 << bits) - 1)
    return number.to_bytes(HASH_BYTES)


def world(order: str = "abcdef", hashes: dict[str, bytes] | None = None) -> World:
    """One study, its images stored in another order than they are published in."""
    made = World()
    made.study("rrg24", "s", "p", "train", images=[{"image_id": name} for name in order])
    for name in sorted(order, reverse=True):
        made.image("rrg24", "s", name, VIEWS[name], (hashes or {}).get(name, b""))
    made.report("rrg24", "s", findings="Clear.")
    made.report("rrg24", "s", "structure", findings="Clear lungs.")
    return made


def plan(tmp_path: Path, made: World, **changes: Any) -> ExamplePlan:
    settings = ExampleSettings(**STUDY.model_dump() | changes)
    return plan_examples(made.write(tmp_path / "in"), settings, pieces=1)


def shown(found: ExamplePlan) -> tuple[str, dict[str, str]]:
    """Films of the first row by letter, and why others are not shown."""
    row = found.rows.to_pylist()[0]
    films = "".join(film["image_id"] for film in row["films"] or ())
    return films, {item["image_id"]: item["reason"] for item in row["left_out"]}


def test_the_first_films_of_a_wanted_view_are_shown_in_the_studys_order(tmp_path: Path) -> None:
    found = plan(tmp_path, world("fdecba"))
    assert shown(found) == (
        "fdc",
        {"e": "view-not-wanted", "b": "more-than-the-most", "a": "more-than-the-most"},
    )
    assert found.rows.num_rows == 2, "one for each text version, none for each image"
    assert set(found.rows["reason"].to_pylist()) == {None}


def test_one_per_view_comes_before_a_second_of_any(tmp_path: Path) -> None:
    films, left = shown(plan(tmp_path, world(), choose="one-per-view"))
    assert films == "acd", "in the study's order still"
    assert left["b"] == "more-than-the-most"
    films, _ = shown(plan(tmp_path / "four", world(), choose="one-per-view", most_images=4))
    assert films == "abcd"


@pytest.mark.parametrize(
    ("bits", "films"), [(0, "acd"), (COPY_DISTANCE, "acd"), (COPY_DISTANCE + 1, "abc")]
)
def test_distinct_passes_over_near_copies(tmp_path: Path, bits: int, films: str) -> None:
    first = bytes(range(HASH_BYTES))
    made = world(hashes={"a": first, "b": near(first, bits)})
    found, left = shown(plan(tmp_path, made, choose="distinct"))
    assert found == films
    assert left.get("b") == ("copy-of-another" if films == "acd" else None)
    assert shown(plan(tmp_path / "first", made))[0] == "abc", "which the first ones do not"


def test_a_study_without_a_film_of_a_wanted_view_says_so(tmp_path: Path) -> None:
    rows = plan(tmp_path, world(), views=("UNKNOWN",)).rows.to_pylist()
    assert [row["reason"] for row in rows] == [None, None]
    alone = world("e")
    rows = plan(tmp_path / "none", alone).rows.to_pylist()
    assert [row["reason"] for row in rows] == ["view-not-wanted"] * 2


def test_a_copy_of_a_held_out_film_takes_the_study_out_only_if_it_is_shown(tmp_path: Path) -> None:
    same = bytes(range(HASH_BYTES))
    made = world(hashes={"c": same})
    made.study("rrg24", "held", "q", "test", images=[{"image_id": "h"}])
    made.image("rrg24", "held", "h", "PA", same)
    made.report("rrg24", "held", findings="Clear.")
    rows = plan(tmp_path, made).rows.to_pylist()
    assert {row["reason"] for row in rows if row["study_id"] == "s"} == {
        "near-duplicate-of-held-out"
    }
    two = plan(tmp_path / "two", made, most_images=2).rows.to_pylist()
    assert {row["reason"] for row in two if row["study_id"] == "s"} == {None}


def test_packed_examples_hold_their_films_and_count_those_left_out(tmp_path: Path) -> None:
    made, out = world("fdecba"), tmp_path / "out"
    found = plan(tmp_path, made)
    out.mkdir()
    built = pack_piece(found, found.keys[0], out)
    examples = [
        example_from_row(row) for row in pq.read_table(out / "train-000.parquet").to_pylist()
    ]
    assert [example.example_id for example in examples] == [
        "rrg24/s/-/keep",
        "rrg24/s/-/structure",
    ]
    pixels = {row["image_id"]: row["pixels"] for row in made.images}
    for example in examples:
        assert [image.image_id for image in example.images] == ["f", "d", "c"]
        assert [image.view for image in example.images] == ["LATERAL", "LATERAL", "AP"]
        assert [image.pixels for image in example.images] == [pixels[name] for name in "fdc"]
    rows, films = built.counts
    assert (rows.unit, rows.rows_in, rows.kept) == ("rows", 2, 2)
    assert (films.unit, films.rows_in, films.kept) == ("films", 12, 6)
    assert films.rejected == {"more-than-the-most": 4, "view-not-wanted": 2}
    rejected = pq.read_table(out / "rejected.parquet").to_pylist()
    assert sorted((row["level"], row["row_id"]) for row in rejected) == [
        ("image", "a"),
        ("image", "b"),
        ("image", "e"),
    ]


def test_a_piece_follows_from_which_films_are_shown(tmp_path: Path) -> None:
    made = world()
    one = plan(tmp_path / "a", made).piece_digests()
    assert plan(tmp_path / "b", made).piece_digests() == one
    assert plan(tmp_path / "c", made, choose="one-per-view").piece_digests() != one
    assert plan(tmp_path / "d", world("bacdef")).piece_digests() != one


@pytest.mark.parametrize(
    ("lying", "films", "reasons"),
    [
        ("a", "bcd", {"a": "lies-on-its-side"}),
        ("bd", "ac", {"b": "lies-on-its-side", "d": "lies-on-its-side"}),
        ("abcd", "abc", {"d": "more-than-the-most"}),
    ],
)
def test_upright_passes_over_lying_films_where_others_stand(
    tmp_path: Path, lying: str, films: str, reasons: dict[str, str]
) -> None:
    made = world("abcd")
    for row in made.images:
        row["pixels"] = jpeg(row["image_id"] in lying)
    assert shown(plan(tmp_path, made, choose="upright")) == (films, reasons)
    if lying == "a":
        plain, _ = shown(plan(tmp_path / "first", made))
        assert plain == "abc", "other rules do not look"


def test_upright_passes_over_near_copies_too(tmp_path: Path) -> None:
    hashes = {"a": bytes(HASH_BYTES), "b": near(bytes(HASH_BYTES), 3)}
    made = world("abcd", hashes)
    for row in made.images:
        row["pixels"] = jpeg(turned=False)
    assert shown(plan(tmp_path, made, choose="upright")) == ("acd", {"b": "copy-of-another"})


def test_stored_pixels_that_are_no_picture_are_told(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match=r"rrg24 / s / . is stored as no picture"):
        plan(tmp_path, world("abcd"), choose="upright")
