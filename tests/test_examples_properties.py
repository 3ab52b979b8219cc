"""What holds for any input: everything is counted, and nothing leaks from split to split."""

from __future__ import annotations

import tempfile
from collections import defaultdict
from pathlib import Path

import pyarrow.parquet as pq
from examples_world import SETTINGS, World
from hypothesis import given, settings
from hypothesis import strategies as st

from infra.settings.sections import ExampleSettings
from sources.perceptual_hash import COPY_DISTANCE, HASH_BYTES
from tasks.examples.filters import RULES
from tasks.examples.leakage import LEAKAGE_RULES, PROTECTION
from tasks.examples.packing import pack_piece
from tasks.examples.plan import ExamplePlan, plan_examples

SOURCES = st.sampled_from(["mimic_cxr", "chexpert"])
SPLITS = st.sampled_from(["train", "train", "validate", "test", None])
SUBJECTS = st.sampled_from(["p1", "p2", "p3", "p4", None])
VIEWS = st.sampled_from(["PA", "AP", "LATERAL", "UNKNOWN"])
HASHES = st.integers(0, 5).map(lambda number: bytes([number * 51]) * HASH_BYTES)
TEXTS = st.dictionaries(
    st.sampled_from(["keep", "structure", "synthesize"]),
    st.sampled_from(["Clear.", "", "  \n", None]),
)
STUDIES = st.tuples(
    SOURCES, SUBJECTS, SPLITS, st.lists(st.tuples(VIEWS, HASHES), max_size=3), TEXTS
)


Drawn = tuple[str, str | None, str | None, list[tuple[str, bytes]], dict[str, str | None]]


def world_of(studies: list[Drawn]) -> World:
    world = World()
    for number, (source, subject, split, images, texts) in enumerate(studies):
        world.study(source, f"s{number}", subject, split)
        for place, (view, phash) in enumerate(images):
            world.image(source, f"s{number}", f"i{place}", view, phash)
        for version, findings in texts.items():
            world.report(source, f"s{number}", version, findings=findings)
    return world


def planned(world: World, recipe: ExampleSettings = SETTINGS) -> ExamplePlan:
    with tempfile.TemporaryDirectory() as folder:
        return plan_examples(world.write(Path(folder)), recipe, pieces=2)


@given(st.lists(STUDIES, max_size=9))
@settings(max_examples=15, deadline=None)
def test_every_image_text_and_study_is_kept_or_rejected_once(studies: list[Drawn]) -> None:
    world = world_of(studies)
    rows = planned(world).rows.to_pylist()
    expected = sum(max(1, len(images)) * max(1, len(texts)) for *_, images, texts in studies)
    assert len(rows) == expected
    reasons = {rule.reason for rule in (*RULES, *LEAKAGE_RULES)}
    assert {row["reason"] for row in rows} <= reasons | {None}
    assert all((row["reason"] is None) == (row["detail"] is None) for row in rows)


@given(st.lists(STUDIES, min_size=2, max_size=9))
@settings(max_examples=30, deadline=None)
def test_no_subject_and_no_picture_is_in_two_splits(studies: list[Drawn]) -> None:
    world = world_of(studies)
    subjects = {(row["source"], row["study_id"]): row["subject_id"] for row in world.studies}
    hashes = {
        (row["source"], row["study_id"], row["image_id"]): row["perceptual_hash"]
        for row in world.images
    }
    splits_of_subject = defaultdict(set)
    splits_of_picture = defaultdict(set)
    for row in planned(world).rows.to_pylist():
        if row["reason"] is None:
            study = (row["source"], row["study_id"])
            if subjects[study] is not None:
                splits_of_subject[row["source"], subjects[study]].add(row["split"])
            splits_of_picture[hashes[(*study, row["image_id"])]].add(row["split"])
    assert all(len(splits) == 1 for splits in splits_of_subject.values())
    assert all(len(splits) == 1 for splits in splits_of_picture.values())


@given(st.lists(STUDIES, min_size=2, max_size=9))
@settings(max_examples=15, deadline=None)
def test_the_guard_names_a_twin_in_a_more_protected_split(studies: list[Drawn]) -> None:
    world = world_of(studies)
    split = {row["study_id"]: row["split"] for row in world.studies}
    for row in planned(world).rows.to_pylist():
        if row["reason"] == "near-duplicate-of-held-out":
            words = row["detail"].split()
            assert int(words[0]) <= COPY_DISTANCE
            assert split[words[5]] == words[-1]
            assert PROTECTION[words[-1]] > PROTECTION[row["split"]]
        if row["reason"] == "subject-in-two-splits":
            twin = row["detail"].split()[-1]
            assert PROTECTION[split[twin]] > PROTECTION[row["split"]]


@given(st.lists(STUDIES, max_size=7), st.integers(1, 4), st.integers(1, 3))
@settings(max_examples=10, deadline=None)
def test_what_is_packed_is_what_was_planned(
    studies: list[Drawn], shard_rows: int, row_group_rows: int
) -> None:
    recipe = SETTINGS.model_copy(
        update={"shard_rows": shard_rows, "row_group_rows": row_group_rows}
    )
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        world = world_of(studies)
        plan = plan_examples(world.write(root / "in"), recipe, pieces=2)
        kept = 0
        for key in plan.keys:
            (root / key).mkdir()
            [count] = pack_piece(plan, key, root / key).counts
            files = {path.name: pq.read_metadata(path) for path in (root / key).iterdir()}
            assert files.pop("rejected.parquet").num_rows == count.rows_in - count.kept
            assert sum(data.num_rows for data in files.values()) == count.kept
            assert all(0 < data.num_rows <= shard_rows for data in files.values())
            kept += count.kept
        assert kept == plan.rows["reason"].null_count
