"""What a language model reads in an image's place while it learns from text alone.

The stand-in for a published language model must be able to use what the user shows it, or projected
image features would find no reader. So words of the answer stand there, without their order.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from models.data import Sample
from models.prompts import jumble
from sources.example import Task

Known = Mapping[tuple[str, str], str]
"""What is known of a film, by source and study."""
NOTHING: Final[Known] = {}
_SAYS_NOTHING: Final = ("yes", "no")


def words_of_films(samples: Iterable[Sample]) -> Known:
    """Of each study that questions are asked about, what is answered to all of them.

    Without yes and no, which say nothing beside another question.
    """
    found: dict[tuple[str, str], list[str]] = {}
    for sample in samples:
        if sample.task == Task.VQA and sample.target.strip(" .").lower() not in _SAYS_NOTHING:
            found.setdefault((sample.source, sample.study_id), []).append(sample.target)
    return {film: " ".join(answers) for film, answers in found.items()}


def read_for_image(sample: Sample, known: Known, seed: int) -> str:
    """Words of the answers that are learned, a third of them to all.

    Of a question all that is ``known`` of its film: as in an image, what is asked has to be looked
    for among the rest, and what is not there is answered with no.
    """
    if sample.task == Task.VQA:
        return jumble(known.get((sample.source, sample.study_id), ""), seed, least=1.0)
    told = [turn.text for turn in sample.turns if turn.role == "assistant"]
    return jumble(" ".join([*told, sample.target]), seed)
