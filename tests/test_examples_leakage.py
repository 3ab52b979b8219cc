"""The leakage guard: exact search without all pairs, and what it keeps out and why."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa
import pytest
from examples_world import SETTINGS, World
from hypothesis import given, settings
from hypothesis import strategies as st

from infra.settings.sections import ExampleSettings
from sources.catalog import catalog, get_source
from sources.perceptual_hash import COPY_DISTANCE, HASH_BYTES
from tasks.examples import leakage
from tasks.examples.leakage import DIALOGUE_TWINS, HELD_OUT_FILM_RULE, Hashes, nearest_copies
from tasks.examples.plan import plan_examples


def flip(hashed: bytes, bits: int) -> bytes:
    """The hash with its last ``bits`` bits inverted: at exactly that distance."""
    number = int.from_bytes(hashed) ^ ((1 << bits) - 1)
    return number.to_bytes(len(hashed))


def all_pairs(queries: Hashes, held: Hashes, largest: int) -> tuple[list[int], list[int]]:
    """The plain definition: the first of the nearest, by comparing everything."""
    distance = np.bitwise_count(queries[:, None] ^ held[None]).sum(axis=2, dtype=np.int64)
    best = distance.min(axis=1)
    nearest = np.where(best <= largest, distance.argmin(axis=1), -1)
    return nearest.tolist(), np.where(best <= largest, best, largest + 1).tolist()


@pytest.mark.parametrize("largest", [0, 1, 2, 7, 24])
def test_the_search_finds_what_comparing_all_pairs_finds(largest: int) -> None:
    rng = np.random.default_rng(largest)
    held = rng.integers(0, 256, (60, 16), np.uint8)
    queries = held[rng.integers(0, 60, 400)].copy()
    for row in queries:
        for bit in rng.integers(0, 128, rng.integers(0, 2 * largest + 2)):
            row[bit // 8] ^= np.uint8(1 << (bit % 8))
    nearest, distance = nearest_copies(queries, held, largest)
    assert (nearest.tolist(), distance.tolist()) == all_pairs(queries, held, largest)
    assert 0 < (nearest >= 0).sum() < 400


@given(
    st.lists(st.binary(min_size=4, max_size=4), min_size=1, max_size=12),
    st.lists(st.binary(min_size=4, max_size=4), min_size=1, max_size=12),
    st.integers(0, 14),
)
@settings(max_examples=150, deadline=None)
def test_the_search_is_exact_for_any_hashes(
    queries: list[bytes], held: list[bytes], largest: int
) -> None:
    first = np.frombuffer(b"".join(queries), np.uint8).reshape(-1, 4)
    second = np.frombuffer(b"".join(held), np.uint8).reshape(-1, 4)
    nearest, distance = nearest_copies(first, second, largest)
    assert (nearest.tolist(), distance.tolist()) == all_pairs(first, second, largest)


def test_small_batches_of_pairs_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(3)
    hashes = rng.integers(0, 2, (200, 4), np.uint8)
    whole = nearest_copies(hashes, hashes[::-1], 3)
    monkeypatch.setattr(leakage, "_PAIRS_AT_ONCE", 7)
    parts = nearest_copies(hashes, hashes[::-1], 3)
    assert [array.tolist() for array in whole] == [array.tolist() for array in parts]


@pytest.mark.parametrize(("queries", "held"), [(0, 5), (5, 0), (0, 0)])
def test_nothing_to_compare_is_no_copy(queries: int, held: int) -> None:
    nearest, _ = nearest_copies(np.zeros((queries, 8), np.uint8), np.zeros((held, 8), np.uint8), 4)
    assert nearest.tolist() == [-1] * queries


def world_with(change: Callable[[World], None]) -> World:
    """One test study of MIMIC-CXR, one validate study, two training studies of other sources."""
    world = World()
    for source, study, subject, split in (
        ("mimic_cxr", "t", "p1", "test"),
        ("mimic_cxr", "v", "p2", "validate"),
        ("mimic_cxr", "a", "p3", "train"),
        ("padchest", "b", "p1", "train"),
    ):
        world.study(source, study, subject, split)
        world.image(source, study, f"{study}1")
        world.report(source, study, findings="Clear.")
    change(world)
    return world


def leaks(world: World, root: Path, recipe: ExampleSettings = SETTINGS) -> dict[str, str]:
    """Reason and detail of the rejected rows by image."""
    plan = plan_examples(world.write(root), recipe, pieces=2)
    rows = [row for row in plan.rows.to_pylist() if row["reason"]]
    return {row["image_id"]: f"{row['reason']}: {row['detail']}" for row in rows}


def test_an_equal_subject_id_of_another_source_is_another_person(tmp_path: Path) -> None:
    assert leaks(world_with(lambda world: None), tmp_path) == {}


def test_sources_built_on_one_anothers_persons_share_their_ids(tmp_path: Path) -> None:
    def change(world: World) -> None:
        for source, study, subject in (
            ("mimic_cxr_vqa", "q", "p1"),
            ("medical_diff_vqa", "d", "p2"),
            ("mimic_cxr_vqa", "free", "p3"),
        ):
            world.study(source, study, subject, "train")
            world.image(source, study, f"{study}1")
            world.report(source, study, findings="Clear.")

    assert leaks(world_with(change), tmp_path) == {
        "q1": "subject-in-two-splits: subject also in test: mimic_cxr study t",
        "d1": "subject-in-two-splits: subject also in validate: mimic_cxr study v",
    }


def test_a_subject_tested_by_questions_leaves_the_training_of_reports(tmp_path: Path) -> None:
    def change(world: World) -> None:
        world.study("medical_diff_vqa", "d", "p3", "test")

    assert leaks(world_with(change), tmp_path)["a1"] == (
        "subject-in-two-splits: subject also in test: medical_diff_vqa study d"
    )


def test_a_source_says_whose_persons_its_subjects_are() -> None:
    owners = {name: source.card.subjects_of for name, source in catalog().items()}
    shared = {name: owner for name, owner in owners.items() if owner}
    assert shared == {"mimic_cxr_vqa": "mimic_cxr", "medical_diff_vqa": "mimic_cxr",
                      "rrg24": "mimic_cxr"}  # fmt: skip
    assert set(shared.values()) <= {name for name, owner in owners.items() if owner is None}


def twins_of(*questions: tuple[str, str, str | None, str | None]) -> dict[str, str]:
    """What DIALOGUE_TWINS says of (source, id, group, split)."""
    names = ("source", "dialogue_id", "group", "split")
    rows = [dict(zip(names, row, strict=True)) | {"study_id": "s"} for row in questions]
    with duckdb.connect() as connection:
        connection.register("dialogue", pa.Table.from_pylist(rows))
        found = connection.sql(DIALOGUE_TWINS).to_arrow_table().to_pylist()
    return {f"{row['source']} {row['dialogue_id']}": row["dialogue_twin"] for row in found}


def test_a_question_tied_to_a_held_out_one_leaves_training() -> None:
    twins = twins_of(
        ("vqa_rad", "1", "a", "train"),
        ("vqa_rad", "2", "a", "test"),
        ("vqa_rad", "3", "a", "validate"),
        ("vqa_rad", "4", "b", "train"),
        ("vqa_rad", "5", None, "train"),
        ("vqa_rad", "6", None, "test"),
        ("other", "7", "a", "train"),
        ("vqa_rad", "8", "a", None),
    )
    assert twins == {
        "vqa_rad 1": "tied to question 2 in test",
        "vqa_rad 3": "tied to question 2 in test",
    }


def test_questions_about_a_held_out_film_can_be_told() -> None:
    rule = HELD_OUT_FILM_RULE
    cases = [
        ("train", "train", None),
        ("train", "validate", "its film is shown by a question in validate"),
        ("train", "test", "its film is shown by a question in test"),
        ("validate", "test", "its film is shown by a question in test"),
        ("test", "test", None),
    ]
    for split, study_split, told in cases:
        sql = f"SELECT CASE WHEN {rule.rejects} THEN {rule.detail} END FROM (SELECT ? AS split, "
        found = duckdb.execute(f"{sql} ? AS study_split)", [split, study_split]).fetchall()[0]
        assert found == (told,)


def test_a_question_of_the_real_chest_subset_and_its_paraphrase_are_tied_to_the_test(
    public_data: Path,
) -> None:
    studies = get_source("vqa_rad").read(public_data / "vqa_rad").studies.to_pylist()
    questions = [
        ("vqa_rad", asked["dialogue_id"], asked["group"], asked["split"])
        for study in studies
        for asked in study["dialogues"]
    ]
    assert len(questions) == 794
    assert twins_of(*questions) == dict.fromkeys(
        ("vqa_rad 422", "vqa_rad 423"), "tied to question 447 in test"
    )


@pytest.mark.parametrize("split", ["test", "validate"])
def test_a_subject_in_two_splits_leaves_training(tmp_path: Path, split: str) -> None:
    def change(world: World) -> None:
        world.study("mimic_cxr", "more", "p3", split)

    assert leaks(world_with(change), tmp_path)["a1"] == (
        f"subject-in-two-splits: subject also in {split}: study more"
    )


def test_between_validate_and_test_the_test_set_stays(tmp_path: Path) -> None:
    def change(world: World) -> None:
        world.studies[1]["subject_id"] = "p1"

    assert leaks(world_with(change), tmp_path) == {
        "v1": "subject-in-two-splits: subject also in test: study t"
    }


def test_studies_without_subject_id_are_not_one_person(tmp_path: Path) -> None:
    def change(world: World) -> None:
        for study in world.studies:
            study["subject_id"] = None

    assert leaks(world_with(change), tmp_path) == {}


@pytest.mark.parametrize("bits", [0, COPY_DISTANCE])
def test_a_copy_of_a_test_image_in_another_source_leaves_training(
    tmp_path: Path, bits: int
) -> None:
    def change(world: World) -> None:
        world.images[3]["perceptual_hash"] = flip(world.images[0]["perceptual_hash"], bits)

    assert leaks(world_with(change), tmp_path) == {
        "b1": f"near-duplicate-of-held-out: {bits} bits from mimic_cxr study t image t1 in test"
    }


def test_a_picture_beyond_the_distance_is_another_picture(tmp_path: Path) -> None:
    def change(world: World) -> None:
        hashed = world.images[0]["perceptual_hash"]
        world.images[3]["perceptual_hash"] = flip(hashed, COPY_DISTANCE + 1)

    assert leaks(world_with(change), tmp_path) == {}


def test_a_copy_inside_the_source_leaves_too(tmp_path: Path) -> None:
    def change(world: World) -> None:
        world.images[2]["perceptual_hash"] = world.images[1]["perceptual_hash"]

    assert leaks(world_with(change), tmp_path) == {
        "a1": "near-duplicate-of-held-out: 0 bits from mimic_cxr study v image v1 in validate"
    }


def test_a_copy_between_training_images_stays(tmp_path: Path) -> None:
    def change(world: World) -> None:
        world.images[3]["perceptual_hash"] = world.images[2]["perceptual_hash"]

    assert leaks(world_with(change), tmp_path) == {}


def test_of_two_twins_test_is_named_before_validate(tmp_path: Path) -> None:
    def change(world: World) -> None:
        for image in world.images[1:]:
            image["perceptual_hash"] = world.images[0]["perceptual_hash"]

    found = leaks(world_with(change), tmp_path)
    assert set(found) == {"v1", "a1", "b1"}
    assert set(found.values()) == {
        "near-duplicate-of-held-out: 0 bits from mimic_cxr study t image t1 in test"
    }


def test_images_that_are_held_out_but_not_scored_guard_too(tmp_path: Path) -> None:
    def change(world: World) -> None:
        world.study("brax", "x", "p9", "test")
        world.image("brax", "x", "x1", view="LATERAL", phash=world.images[2]["perceptual_hash"])

    found = leaks(world_with(change), tmp_path)
    assert found["a1"] == "near-duplicate-of-held-out: 0 bits from brax study x image x1 in test"


def test_hashes_have_the_length_that_the_guard_expects() -> None:
    bands = COPY_DISTANCE // 2 + 1
    assert HASH_BYTES * 8 // bands >= 8, "bands too short: nearly all pairs would be compared"
    assert -(-HASH_BYTES * 8 // bands) <= 64, "a band's key is one 64-bit number"
