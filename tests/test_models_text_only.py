"""What a stand-in language model reads in an image's place, and of which examples it is asked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest
from models_world import stage, train_run, trained_world
from test_models_text import collator, language_tokenizer, sample

from models.collate import ConversationCollator, PromptKind
from models.data import Sample
from models.stages import prepare
from models.text_only import NOTHING, read_for_image, words_of_films
from sources.example import Task
from sources.record import Turn

FILM = {"source": "medical_diff_vqa", "study_id": "s7"}
ASKED = {
    "is there edema?": "yes",
    "is there fracture?": "No.",
    "which findings does this film show?": "edema, pleural effusion",
    "on which side is the pleural effusion?": "left",
}


def questions() -> list[Sample]:
    return [
        replace(
            sample(answer),
            **FILM,
            example_id=f"q{number}",
            turns=(Turn("user", asked),),
            task=Task.VQA.value,
        )
        for number, (asked, answer) in enumerate(ASKED.items())
    ]


def text_only(prompts: tuple[PromptKind, ...], samples: Sequence[Sample]) -> ConversationCollator:
    plain = collator(language_tokenizer())
    return replace(plain, prompts=prompts, image_tokens=0, known=words_of_films(samples))


def read(one: Sample, collate: ConversationCollator) -> str:
    batch = collate([one])
    decoded: str = collate.tokenizer.decode(batch["input_ids"][0])
    return decoded


def test_of_a_film_all_is_known_but_yes_and_no() -> None:
    report = sample("The lungs are clear.")
    known = words_of_films([report, *questions()])
    assert known == {("medical_diff_vqa", "s7"): "edema, pleural effusion left"}


def test_every_question_about_a_film_is_asked_beside_all_that_is_known() -> None:
    """Not beside its own answer, which would be copied without a look at the question."""
    collate = text_only(("turns",), questions())
    for one in questions():
        before, found, _ = read(one, collate).partition(f"\n{one.turns[0].text}")
        assert found
        shown = set(before.partition("USER: ")[2].split())
        assert shown == {"edema", "pleural", "effusion", "left"}


def test_a_film_of_which_nothing_is_known_shows_nothing() -> None:
    [one, *_] = questions()
    assert read_for_image(one, NOTHING, 3) == ""
    assert f"USER: \n{one.turns[0].text}" in read(one, text_only(("turns",), [one]))


def test_a_report_is_read_from_words_of_its_own() -> None:
    report = sample("The lungs are clear.")
    found = {read_for_image(report, words_of_films(questions()), seed) for seed in range(50)}
    assert len(found) > 5
    assert {word for text in found for word in text.split()} == {"The", "lungs", "are", "clear"}


@pytest.mark.parametrize("task", [Task.VQA, Task.DIALOGUE, Task.GENERATE])
def test_what_is_asked_is_never_left_out(task: Task) -> None:
    collate = text_only(("image-only",), questions())
    asked = replace(questions()[0], task=task.value)
    assert "is there edema?" in read(asked, collate)
    report = replace(asked, task=Task.FINDINGS.value)
    assert "is there edema?" not in read(report, collate)


def test_the_language_stage_knows_its_own_films() -> None:
    root = trained_world()
    run = train_run(root, stage("language"))
    prepared = prepare(run, questions)
    assert isinstance(prepared.collate, ConversationCollator)
    assert prepared.collate.known == words_of_films(questions())
