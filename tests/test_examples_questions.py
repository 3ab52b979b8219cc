"""Sets of questions: which become examples, with which films, and what is kept out of training."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, replace
from pathlib import Path
from random import Random
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from examples_world import SETTINGS, World

from infra.errors import ArtifactError
from infra.pieces import Count
from infra.settings.sections import ExampleSettings
from sources.catalog import get_source
from sources.example import EXAMPLE_SCHEMA, Example, Task, example_from_row
from sources.question import QUESTION_SCHEMA
from sources.record import REJECTED_SCHEMA, AnswerType, Dialogue, Origin, Split, Turn
from tasks.examples.filters import rule_parameters
from tasks.examples.plan import ExampleInputs, ExamplePlan
from tasks.examples.question_shards import QUESTIONS_FILE, pack_questions
from tasks.examples.questions import plan_questions, question_rules

ASKED = SETTINGS.model_copy(
    update={
        "task": "vqa",
        "test_sources": ("vqa_rad", "medical_diff_vqa"),
        "validate_sources": ("vqa_rad", "medical_diff_vqa"),
    }
)
BOTH_SIDES = ASKED.model_copy(update={"films_on_both_sides": True})
RAD, DIFF = "vqa_rad", "medical_diff_vqa"


def question(
    dialogue_id: str, films: tuple[str, ...], split: Split | None = None, **facts: Any
) -> Dialogue:
    turns = (Turn("user", f"Is sign {dialogue_id} there?"), Turn("assistant", "No"))
    plain = Dialogue(dialogue_id, films, turns, answers=("No",), split=split)
    return replace(plain, **facts)


def study(
    world: World,
    source: str,
    name: str,
    split: Split | None,
    *asked: Dialogue,
    subject: str | None = None,
    stored: bool = True,
) -> None:
    """A study with one film, named after it, and questions."""
    dialogues = [asdict(one) for one in asked]
    world.study(source, name, subject, split, dialogues=dialogues, site="A")
    if stored:
        world.image(source, name, f"{name}.jpg", view="UNKNOWN")


def question_world() -> World:
    """Films of one split and of two, ties, persons, pairs of films, and one of each trouble."""
    world, train, test = World(), Split.TRAIN, Split.TEST
    study(world, RAD, "a", train, question("1", ("a.jpg",), train, question_type="PRES"))
    study(
        world, RAD, "b", test,
        question("2", ("b.jpg",), train), question("3", ("b.jpg",), test, group="g"),
    )  # fmt: skip
    study(world, RAD, "c", train, question("4", ("c.jpg",), train, group="g"))
    study(world, RAD, "d", train, question("5", ("d.jpg",)), stored=False)
    study(world, RAD, "e", None, question("6", ("e.jpg",)))
    unanswered = (Turn("user", "And?"),)
    study(world, RAD, "f", train, question("7", ("f.jpg",), turns=unanswered))
    study(world, RAD, "quiet", train)
    study(world, DIFF, "old", train, question("8", ("old.jpg",)), subject="p1")
    study(world, DIFF, "new", train, question("9", ("new.jpg", "old.jpg")), subject="p1")
    study(world, DIFF, "held", test, question("10", ("held.jpg",)), subject="p2")
    study(world, DIFF, "other", train, question("11", ("other.jpg",)), subject="p2")
    study(world, "mimic_cxr_vqa", "m", test, question("12", ("m.jpg",)), subject="p3")
    return world


def plan(world: World, tmp_path: Path, settings: ExampleSettings = ASKED) -> ExamplePlan:
    return plan_questions(world.write(tmp_path / "in"), settings, pieces=3)


def reasons(found: ExamplePlan) -> dict[str, str | None]:
    return {row["dialogue_id"]: row["reason"] for row in found.rows.to_pylist()}


def packed(found: ExamplePlan, root: Path) -> dict[str, pa.Table]:
    """All pieces' tables by kind of file."""
    tables: dict[str, list[pa.Table]] = {}
    for key in found.keys:
        (root / key).mkdir(parents=True)
        pack_questions(found, key, root / key)
        for path in sorted((root / key).glob("*.parquet")):
            tables.setdefault(path.name.partition("-")[0], []).append(pq.read_table(path))
    return {name: pa.concat_tables(some) for name, some in tables.items()}


def test_every_question_is_kept_or_has_one_reason(tmp_path: Path) -> None:
    assert reasons(plan(question_world(), tmp_path)) == {
        "1": None,
        "2": "film-of-held-out-question",
        "3": None,
        "4": "linked-to-held-out-question",
        "5": "film-not-stored",
        "6": "no-split",
        "7": "not-answered",
        "8": None,
        "9": None,
        "10": None,
        "11": "subject-in-two-splits",
        "12": "held-out-of-other-source",
    }


def test_the_publishers_own_split_lets_a_film_be_on_both_sides_but_no_paraphrase(
    tmp_path: Path,
) -> None:
    found = reasons(plan(question_world(), tmp_path, BOTH_SIDES))
    assert found["2"] is None
    assert found["4"] == "linked-to-held-out-question"


def test_a_pair_of_films_is_held_out_with_either(tmp_path: Path) -> None:
    """The earlier film's study is the more protected one."""
    world = World()
    study(world, DIFF, "old", Split.TEST, question("1", ("old.jpg",)))
    study(world, DIFF, "new", Split.TRAIN, question("2", ("new.jpg", "old.jpg")))
    assert reasons(plan(world, tmp_path)) == {"1": None, "2": "film-of-held-out-question"}


def test_a_question_about_no_film_is_none(tmp_path: Path) -> None:
    world = World()
    study(world, RAD, "a", Split.TRAIN, question("1", ()), question("2", ("a.jpg",)))
    found = packed(plan(world, tmp_path), tmp_path / "out")
    [lost] = found["rejected.parquet"].to_pylist()
    assert (lost["reason"], lost["detail"]) == ("film-not-stored", "0 of its 0 films are stored")
    assert found["train"].num_rows == 1


def test_a_question_about_more_films_than_are_shown_is_none(tmp_path: Path) -> None:
    """And does not hold out the earlier film for it."""
    one_film = ASKED.model_copy(update={"most_images": 1})
    world = question_world()
    study(world, DIFF, "held new", Split.TEST, question("13", ("held new.jpg", "new.jpg")))
    found = packed(plan(world, tmp_path, one_film), tmp_path / "out")
    lost = {row["row_id"]: row for row in found["rejected.parquet"].to_pylist()}
    for row_id in ("medical_diff_vqa/new/9/keep", "medical_diff_vqa/held new/13/keep"):
        assert lost[row_id]["reason"] == "more-films-than-shown"
        assert lost[row_id]["detail"] == "2 films are asked about, of which 1 would be shown"
    kept = {row["dialogue_id"] for row in found["questions.parquet"].to_pylist()}
    assert kept == {"1", "3", "8", "10"}


def test_a_near_copy_of_either_film_is_held_out(tmp_path: Path) -> None:
    world = World()
    study(world, RAD, "held", Split.TEST, question("1", ("held.jpg",)))
    study(world, DIFF, "old", Split.TRAIN, question("2", ("old.jpg",)))
    study(world, DIFF, "new", Split.TRAIN, question("3", ("new.jpg", "old.jpg")))
    study(world, DIFF, "far", Split.TRAIN, question("4", ("far.jpg",)))
    by_id = {row["image_id"]: row for row in world.images}
    by_id["old.jpg"]["perceptual_hash"] = by_id["held.jpg"]["perceptual_hash"]
    twin = "near-duplicate-of-held-out"
    assert reasons(plan(world, tmp_path)) == {"1": None, "2": twin, "3": twin, "4": None}


def test_a_detail_says_what_was_found_and_holds_no_question(tmp_path: Path) -> None:
    found = packed(plan(question_world(), tmp_path), tmp_path / "out")["rejected.parquet"]
    assert found.schema.equals(REJECTED_SCHEMA)
    details = {row["row_id"]: row["detail"] for row in found.to_pylist()}
    assert details == {
        "vqa_rad/b/2/keep": "its film is shown by a question in test",
        "vqa_rad/c/4/keep": "tied to question 3 in test",
        "vqa_rad/d/5/keep": "0 of its 1 films are stored",
        "vqa_rad/e/6/keep": "no split; expected train, validate or test",
        "vqa_rad/f/7/keep": "the dialogue ends without an answer to a question",
        "medical_diff_vqa/other/11/keep": "subject also in test: study held",
        "mimic_cxr_vqa/m/12/keep": "split test; this recipe has no test set of mimic_cxr_vqa",
    }


def test_counts_are_of_questions_and_add_up(tmp_path: Path) -> None:
    found = plan(question_world(), tmp_path)
    counts = []
    for key in found.keys:
        (tmp_path / "out" / key).mkdir(parents=True)
        built = pack_questions(found, key, tmp_path / "out" / key)
        counts += built.counts
        names = {path.name.partition("-")[0] for path in (tmp_path / "out" / key).iterdir()}
        assert built.facts["shards"].keys() == {"train", "validate", "test"}
        assert {QUESTIONS_FILE, "rejected.parquet"} <= names
    assert {count.unit for count in counts} == {"questions"}
    assert sum(count.rows_in for count in counts) == 12
    assert sum(count.kept for count in counts) == 5
    lost: Counter[str] = Counter()
    for count in counts:
        assert isinstance(count, Count)
        lost.update(count.rejected)
    assert lost.total() == 7


def test_an_example_holds_the_films_the_question_and_the_answer(tmp_path: Path) -> None:
    world = question_world()
    rows = packed(plan(world, tmp_path), tmp_path / "out")["train"]
    assert rows.schema.equals(EXAMPLE_SCHEMA)
    examples = {row["example_id"]: example_from_row(row) for row in rows.to_pylist()}
    pair = examples["medical_diff_vqa/new/9/keep"]
    pixels = {row["image_id"]: row["pixels"] for row in world.images}
    assert [film.pixels for film in pair.images] == [pixels["new.jpg"], pixels["old.jpg"]]
    assert pair == Example(
        example_id="medical_diff_vqa/new/9/keep",
        task=Task.VQA,
        source=DIFF,
        study_id="new",
        subject_id="p1",
        split=Split.TRAIN,
        text_version="keep",
        origin=Origin.SYNTHESIZED,
        images=pair.images,
        indication=None,
        turns=(Turn("user", "Is sign 9 there?"),),
        target="No",
        site="A",
    )
    assert examples["vqa_rad/a/1/keep"].origin is Origin.RADIOLOGIST


def test_earlier_turns_of_a_dialogue_are_what_the_last_answer_follows(tmp_path: Path) -> None:
    turns = (
        *(Turn("user", "Is it PA?"), Turn("assistant", "yes")),
        *(Turn("user", "Which side?"), Turn("assistant", "left\n and right ")),
    )
    world = World()
    asked = question("1", ("a.jpg",), turns=turns, answers=("left", "right"))
    study(world, RAD, "a", Split.TRAIN, asked)
    found = packed(plan(world, tmp_path), tmp_path / "out")
    [example] = [example_from_row(row) for row in found["train"].to_pylist()]
    assert example.turns == turns[:3]
    assert example.target == "left and right"
    [row] = found["questions.parquet"].to_pylist()
    assert (row["question"], row["answers"]) == ("Which side?", ["left", "right"])


def test_what_scores_need_travels_beside_the_examples(tmp_path: Path) -> None:
    world = question_world()
    facts = {"question_form": "para", "answer_type": AnswerType.CLOSED, "question_type": "POS"}
    study(world, RAD, "z", Split.TEST, question("20", ("z.jpg",), **facts))
    found = packed(plan(world, tmp_path), tmp_path / "out")
    told = found["questions.parquet"]
    assert told.schema.equals(QUESTION_SCHEMA)
    kept = pa.concat_tables([found["train"], found["test"]])["example_id"].to_pylist()
    assert sorted(told["example_id"].to_pylist()) == sorted(kept)
    [row] = [row for row in told.to_pylist() if row["dialogue_id"] == "20"]
    assert row == {
        "example_id": "vqa_rad/z/20/keep",
        "source": RAD,
        "study_id": "z",
        "dialogue_id": "20",
        "split": "test",
        "image_ids": ["z.jpg"],
        "question": "Is sign 20 there?",
        "answer": "No",
        "answers": ["No"],
        **facts,
    }


def test_the_order_of_the_inputs_does_not_count(tmp_path: Path) -> None:
    world = question_world()
    straight = plan_questions(world.write(tmp_path / "a"), ASKED, pieces=3)
    shuffled = plan_questions(world.write(tmp_path / "b", shuffle=5), ASKED, pieces=3)
    names = ["key", "source", "study_id", "dialogue_id", "reason", "detail", "row_digest"]
    assert straight.rows.select(names).equals(shuffled.rows.select(names))


@pytest.mark.parametrize(
    ("table", "column", "value"),
    [
        ("studies", "site", "B"),
        ("studies", "dialogues", [asdict(question("1", ("a.jpg",), group="other"))]),
        ("images", "pixels", b"\xff\xd8other"),
    ],
)
def test_whatever_is_packed_counts(tmp_path: Path, table: str, column: str, value: Any) -> None:
    before = plan(question_world(), tmp_path / "a")
    world = question_world()
    next(row for row in getattr(world, table) if row["study_id"] == "a")[column] = value
    after = plan(world, tmp_path / "b")
    old, new = before.piece_digests(), after.piece_digests()
    place = next(row["key"] for row in after.rows.to_pylist() if row["study_id"] == "a")
    assert [key for key in old if old[key] != new[key]] == [place]


def test_a_study_that_moved_after_the_plan_is_one_line(tmp_path: Path) -> None:
    world = question_world()
    inputs = world.write(tmp_path / "in")
    found = plan_questions(inputs, ASKED, pieces=3)
    world.studies = [row for row in world.studies if row["study_id"] != "a"]
    world.write(tmp_path / "in")
    place = next(row["key"] for row in found.rows.to_pylist() if row["study_id"] == "a")
    (tmp_path / "out").mkdir()
    with pytest.raises(ArtifactError, match="vqa_rad/a/1/keep is no longer where it was planned"):
        pack_questions(found, place, tmp_path / "out")


def test_without_studies_or_without_questions_there_is_nothing_to_pack(tmp_path: Path) -> None:
    assert plan_questions(ExampleInputs((), (), ()), ASKED, pieces=3).keys == ()
    world = World()
    study(world, RAD, "quiet", Split.TRAIN)
    assert plan(world, tmp_path).keys == ()


def test_every_rule_says_why_and_names_its_reason_once() -> None:
    names = [rule.reason for rule in question_rules(ASKED)]
    assert len(set(names)) == len(names)
    assert all(rule.why.endswith(".") for rule in question_rules(ASKED))
    assert set(names) - {rule.reason for rule in question_rules(BOTH_SIDES)} == {
        "film-of-held-out-question"
    }
    assert {"test_sources", "validate_sources"} <= rule_parameters(ASKED).keys()


def test_sources_of_questions_say_who_wrote_them() -> None:
    by = {name: get_source(name).card.questions_by for name in (RAD, DIFF, "mimic_cxr_vqa")}
    assert by == {
        RAD: Origin.RADIOLOGIST,
        DIFF: Origin.SYNTHESIZED,
        "mimic_cxr_vqa": Origin.SYNTHESIZED,
    }
    assert get_source("mimic_cxr").card.questions_by is None


@pytest.mark.parametrize("seed", range(6))
def test_no_film_person_or_tie_of_a_held_out_question_is_learned(seed: int, tmp_path: Path) -> None:
    rng, world = Random(seed), World()
    splits = [Split.TRAIN, Split.TRAIN, Split.VALIDATE, Split.TEST]
    for number in range(24):
        own = rng.choice(splits)
        asked = [
            question(
                f"{number}-{place}", (f"s{number}.jpg",), rng.choice(splits),
                group=rng.choice([None, f"g{rng.randrange(12)}"]),
            )
            for place in range(rng.randrange(4))
        ]  # fmt: skip
        # a study stands in the most protected split of its questions, as ``attach_dialogues`` does
        own = max([own, *(one.split for one in asked if one.split)], key=splits.index)
        subject = rng.choice([None, f"p{rng.randrange(16)}"])
        study(world, RAD, f"s{number}", own, *asked, subject=subject)
    rows = plan(world, tmp_path).rows.to_pylist()
    groups = {one["dialogue_id"]: one["group"] for row in world.studies for one in row["dialogues"]}
    subjects = {row["study_id"]: row["subject_id"] for row in world.studies}
    kept = [row for row in rows if row["reason"] is None and row["split"] == "train"]
    held = [row for row in rows if row["split"] != "train"]
    assert held
    for seen, name in (
        (lambda row: row["study_id"], "film"),
        (lambda row: groups[row["dialogue_id"]], "tie"),
        (lambda row: subjects[row["study_id"]], "person"),
    ):
        both = {seen(row) for row in kept} & {seen(row) for row in held}
        assert both <= {None}, name
    assert len(rows) == sum(len(row["dialogues"]) for row in world.studies)
