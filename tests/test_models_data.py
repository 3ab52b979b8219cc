"""Reading shards: filters, the order of training, and the image-blind controls' exchange."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from models_world import SIDE_PX, example, write_shards

from infra.errors import InputError
from models import data
from models.canvas import Canvas
from models.controls import BLANK_GREY, Place, blank, can_exchange, shown_rows
from models.data import ExampleShards, Selection, TrainingOrder


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, ...]:
    return write_shards(tmp_path_factory.mktemp("shards"))["train"]


def test_examples_come_in_the_shards_order(shards: tuple[Path, ...]) -> None:
    examples = ExampleShards(shards, Canvas(SIDE_PX))
    assert len(examples) == 40
    assert [each.study_id for each in examples] == [f"s{number}" for number in range(40)]


def test_an_example_keeps_its_fields(shards: tuple[Path, ...]) -> None:
    sample, written = ExampleShards(shards, Canvas(SIDE_PX))[3], example(3)
    assert (sample.example_id, sample.source, sample.study_id, sample.subject_id) == (
        "mimic_cxr-train-3",
        "mimic_cxr",
        "s3",
        "p3",
    )
    assert (sample.split, sample.view, sample.indication) == ("train", "PA", "Cough.")
    assert sample.turns == written.turns
    assert sample.target == "There is a nodule in the left lung. Case 3."
    assert sample.pixels is not None and sample.pixels.shape == (1, SIDE_PX, SIDE_PX)


def test_only_the_stages_sources_are_read(shards: tuple[Path, ...]) -> None:
    examples = ExampleShards(shards, None, Selection(("chexpert",)))
    assert {each.source for each in examples} == {"chexpert"}
    assert len(examples) == 16


def test_text_only_reading_decodes_no_pixels(shards: tuple[Path, ...]) -> None:
    assert ExampleShards(shards, None)[0].pixels is None


def test_missing_shard_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError) as error:
        ExampleShards([tmp_path / "no.parquet"], None)
    assert str(error.value) == (
        f"found no file {tmp_path / 'no.parquet'}; expected a shard of examples; "
        "run 'cxr write-examples'"
    )


def test_nothing_left_is_an_error(shards: tuple[Path, ...]) -> None:
    with pytest.raises(InputError) as error:
        ExampleShards(shards, None, Selection(("brax", "padchest")))
    assert str(error.value) == (
        "found no example of brax, padchest in 2 shards; expected at least one; "
        "check the stage's sources, text_versions and share, and the examples' funnel"
    )


def test_only_the_stages_text_versions_are_read(shards: tuple[Path, ...]) -> None:
    assert len(ExampleShards(shards, None, Selection(text_versions=("keep",)))) == 40
    with pytest.raises(InputError, match=r"any source, text versions structure, share 0\.5 in 2"):
        ExampleShards(shards, None, Selection(text_versions=("structure",), share=0.5))


def test_a_larger_share_holds_all_of_a_smaller_one(shards: tuple[Path, ...]) -> None:
    def subjects(share: float) -> set[str | None]:
        return {each.subject_id for each in ExampleShards(shards, None, Selection(share=share))}

    few, half, every = subjects(0.25), subjects(0.5), subjects(1.0)
    assert few < half < every
    assert len(every) == 40
    assert 4 <= len(few) <= 16
    assert 12 <= len(half) <= 28


def test_a_share_takes_all_examples_of_a_subject_or_none() -> None:
    rows = [
        {"source": "brax", "text_version": "keep", "subject_id": f"p{n // 3}", "study_id": f"s{n}"}
        for n in range(300)
    ]
    kept = Counter(row["subject_id"] for row in rows if Selection(share=0.3).keeps(row))
    assert set(kept.values()) == {3}
    assert 15 <= len(kept) <= 45


def test_studies_without_a_subject_are_drawn_one_by_one() -> None:
    rows = [
        {"source": "brax", "text_version": "keep", "subject_id": None, "study_id": f"s{n}"}
        for n in range(200)
    ]
    kept = sum(Selection(share=0.5).keeps(row) for row in rows)
    assert 70 <= kept <= 130


def test_each_epoch_gives_every_row_once(shards: tuple[Path, ...]) -> None:
    order = list(TrainingOrder(ExampleShards(shards, None), 100, seed=0))
    assert len(order) == 100
    assert sorted(order[:40]) == sorted(order[40:80]) == list(range(40))
    assert order[:40] != order[40:80]


def test_order_follows_from_the_seed(shards: tuple[Path, ...]) -> None:
    examples = ExampleShards(shards, None)
    first, again, other = (list(TrainingOrder(examples, 40, seed)) for seed in (3, 3, 4))
    assert first == again
    assert first != other


def test_longer_stage_begins_as_the_shorter_one(shards: tuple[Path, ...]) -> None:
    examples = ExampleShards(shards, None)
    assert list(TrainingOrder(examples, 60, 1))[:50] == list(TrainingOrder(examples, 50, 1))


@pytest.mark.parametrize(("batch", "of_one_source", "mixed"), [(8, 5, 0), (10, 3, 1), (16, 2, 0)])
def test_batches_of_one_source_are_whole_and_repeat_no_row_of_an_epoch(
    shards: tuple[Path, ...], batch: int, of_one_source: int, mixed: int
) -> None:
    examples = ExampleShards(shards, None)
    rows = batch * (of_one_source + mixed)
    order = list(TrainingOrder(examples, 2 * rows, seed=0, one_source=batch))
    for epoch in (order[:rows], order[rows:]):
        assert len(set(epoch)) == rows
        batches = [epoch[start : start + batch] for start in range(0, rows, batch)]
        sources = [{examples[index].source for index in each} for each in batches]
        assert sum(len(names) == 1 for names in sources) == of_one_source
        assert {name for names in sources for name in names} == {"mimic_cxr", "chexpert"}
    assert order[:rows] != order[rows:]


def test_a_source_too_small_for_a_batch_of_its_own_is_trained_on_too(
    shards: tuple[Path, ...],
) -> None:
    """16 of chexpert and 24 of mimic_cxr: batches of 20 are one of mimic_cxr and a mixed one."""
    examples = ExampleShards(shards, None)
    order = list(TrainingOrder(examples, 40, seed=0, one_source=20))
    seen = Counter(examples.source_of(index) for index in order)
    assert seen == {"mimic_cxr": 24, "chexpert": 16}


def test_sources_take_turns_within_an_epoch(shards: tuple[Path, ...]) -> None:
    examples = ExampleShards(shards, None)
    order = list(TrainingOrder(examples, 40, seed=1, one_source=4))
    turns = [examples.source_of(index) for index in order[::4]]
    assert turns not in (sorted(turns), sorted(turns, reverse=True))


def test_a_source_is_known_without_reading_its_rows(shards: tuple[Path, ...]) -> None:
    examples = ExampleShards(shards, Canvas(SIDE_PX))
    told = [examples.source_of(index) for index in range(len(examples))]
    assert not examples._decoded
    assert told == [each.source for each in examples]


def test_fewer_examples_than_a_batch_are_an_error(shards: tuple[Path, ...]) -> None:
    with pytest.raises(InputError) as error:
        TrainingOrder(ExampleShards(shards, None), 60, seed=0, one_source=41)
    assert str(error.value) == (
        "found 40 examples, fewer than a batch of 41; expected at least one batch; "
        "lower the stage's batch_size"
    )


def length(row: int) -> int:
    """Characters of example ``row``, worked out from the example itself."""
    written = example(row, source="mimic_cxr")
    return len(written.target) + sum(len(turn.text) for turn in written.turns)


def test_a_length_is_known_without_decoding_a_picture(shards: tuple[Path, ...]) -> None:
    examples = ExampleShards(shards, Canvas(SIDE_PX))
    assert [examples.length_of(row) for row in range(40)] == [length(row) for row in range(40)]
    assert not examples._decoded


def test_lengths_follow_the_stages_sources(shards: tuple[Path, ...]) -> None:
    examples = ExampleShards(shards, None, Selection(("chexpert",)))
    assert [examples.length_of(row) for row in range(16)] == [length(row) for row in range(24, 40)]


def test_batches_of_like_length_are_whole_alike_and_out_of_order(shards: tuple[Path, ...]) -> None:
    examples = ExampleShards(shards, None)
    order = list(TrainingOrder(examples, 80, seed=0, like_length=8))
    for epoch in (order[:40], order[40:]):
        assert sorted(epoch) == list(range(40))
        lengths = [[length(row) for row in epoch[start : start + 8]] for start in range(0, 40, 8)]
        by_length = sorted(lengths)
        assert lengths != by_length
        for shorter, longer in pairwise(by_length):
            assert max(shorter) <= min(longer)
    assert order[:40] != order[40:]
    assert order == list(TrainingOrder(examples, 80, seed=0, like_length=8))
    assert order[:40] != list(TrainingOrder(examples, 40, seed=1, like_length=8))


def test_the_shuffle_says_which_row_fills_no_batch_of_like_length(
    shards: tuple[Path, ...],
) -> None:
    """40 rows are three batches of 12 and four rows that wait: not always the same ones."""
    order = list(TrainingOrder(ExampleShards(shards, None), 36 * 20, seed=0, like_length=12))
    waiting = [set(range(40)) - set(order[start : start + 36]) for start in range(0, 720, 36)]
    assert all(len(each) == 4 for each in waiting)
    assert len(set.union(*waiting)) > 30


def test_window_keeps_rows_of_few_groups_together(
    shards: tuple[Path, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(data, "WINDOW_BYTES", 16 * SIDE_PX**2)
    order = list(TrainingOrder(ExampleShards(shards, Canvas(SIDE_PX)), 40, seed=0))
    for start in (0, 16):
        assert len({row // 8 for row in order[start : start + 16]}) == 2
    assert sorted(order) == list(range(40))


def test_small_window_reads_the_same_examples(
    shards: tuple[Path, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = [each.example_id for each in ExampleShards(shards, Canvas(SIDE_PX))]
    monkeypatch.setattr(data, "WINDOW_BYTES", 1)
    examples = ExampleShards(shards, Canvas(SIDE_PX))
    assert [each.example_id for each in examples] == whole
    assert examples[3] is not examples[3]  # nothing is held: each is decoded anew


def places(*names: str) -> list[Place]:
    """Places from ``source/study/view`` words, perhaps with ``/subject``."""
    return [Place(*words[:3], words[3] if words[3:] else None) for words in map(_words, names)]


def _words(name: str) -> list[str]:
    return name.split("/")


def test_shuffled_rows_keep_source_and_view_and_change_the_study() -> None:
    rows = places(*(f"{s}/{n}/{v}" for n in range(6) for s in ("a", "b") for v in ("PA", "AP")))
    shown = shown_rows("shuffled", rows, seed=0)
    assert sorted(row for row in shown if row is not None) == list(range(24))
    for row, other in enumerate(shown):
        assert other is not None
        assert (rows[row].source, rows[row].view) == (rows[other].source, rows[other].view)
        assert rows[row].study_id != rows[other].study_id


def test_shuffling_follows_from_the_seed() -> None:
    rows = places(*(f"a/{n}/PA" for n in range(20)))
    assert shown_rows("shuffled", rows, 1) == shown_rows("shuffled", rows, 1)
    assert shown_rows("shuffled", rows, 1) != shown_rows("shuffled", rows, 2)


def test_nobody_is_shown_another_film_of_the_same_person() -> None:
    """Two studies of each person, and another source that numbers its people alike."""
    rows = places(*(f"{s}/{n}/PA/p{n // 2}" for s in ("a", "b") for n in range(12)))
    for seed in range(5):
        shown = shown_rows("shuffled", rows, seed)
        assert sorted(row for row in shown if row is not None) == list(range(24))
        for row, other in enumerate(shown):
            assert other is not None
            assert rows[row].owner != rows[other].owner
            assert rows[row].source == rows[other].source


def test_one_persons_studies_cannot_be_shuffled() -> None:
    with pytest.raises(InputError, match="found 1 subject for the shuffled control"):
        shown_rows("shuffled", places("a/1/PA/p", "a/2/PA/p"), 0)
    assert not can_exchange(places("a/1/PA/p", "a/2/PA/p"))
    assert can_exchange(places("a/1/PA/p", "a/2/PA/q"))
    assert can_exchange([])


def test_single_studies_are_exchanged_with_each_other() -> None:
    rows = places("a/1/PA", "b/1/AP", "a/2/LATERAL")
    shown = shown_rows("shuffled", rows, 0)
    assert sorted(row for row in shown if row is not None) == [0, 1, 2]
    assert all(row != other for row, other in enumerate(shown))


def test_one_leftover_row_joins_all_others() -> None:
    rows = places("a/1/PA", "a/2/PA", "a/3/PA", "a/4/AP")
    shown = shown_rows("shuffled", rows, 0)
    assert sorted(row for row in shown if row is not None) == [0, 1, 2, 3]
    assert all(row != other for row, other in enumerate(shown))


def test_one_study_cannot_be_shuffled() -> None:
    with pytest.raises(InputError) as error:
        shown_rows("shuffled", places("a/1/PA", "a/1/AP"), 0)
    assert str(error.value) == (
        "found 1 subject for the shuffled control; expected two at least; evaluate on more subjects"
    )


@given(
    st.lists(
        st.tuples(st.sampled_from("ab"), st.integers(0, 9), st.sampled_from(["PA", "AP"])),
        min_size=1,
        max_size=40,
    ),
    st.integers(0, 5),
)
@settings(deadline=None, max_examples=200)
def test_every_shuffle_is_a_derangement_of_subjects(
    rows: list[tuple[str, int, str]], seed: int
) -> None:
    world = [Place(s, str(study), view, f"p{study // 2}") for s, study, view in rows]
    owned = Counter(each.owner for each in world)
    if len(owned) == 1:
        return
    shown = shown_rows("shuffled", world, seed)
    used = Counter(row for row in shown if row is not None)
    if 2 * max(owned.values()) <= len(world):
        assert sorted(used) == list(range(len(world)))
    else:  # who owns most is shown the others' images in turn
        others = [
            used[row] for row, place in enumerate(world) if owned[place.owner] * 2 <= len(world)
        ]
        assert max(others) - min(others) <= 1
    for row, other in enumerate(shown):
        assert other is not None
        one, two = world[row], world[other]
        assert one.owner != two.owner


def test_other_controls_are_plain() -> None:
    rows = places("a/1/PA", "a/2/PA")
    assert shown_rows("none", rows, 0) == [0, 1]
    assert shown_rows("blank", rows, 0) == [None, None]
    assert blank(5).shape == (5, 5)
    assert set(blank(5).ravel().tolist()) == {BLANK_GREY}
