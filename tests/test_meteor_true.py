"""METEOR 1.5 itself, where ``CXR_WEIGHTS_ROOT`` holds it: the same numbers as its own EVAL."""

from __future__ import annotations

import itertools
import random
import subprocess
from collections.abc import Iterator, Sequence

import numpy as np
import pytest
from meteor_world import KNOWN_SCORES, true_program

from evaluation.meteor import METEOR_PROFILES, corpus_meteor, meteor_text
from evaluation.meteor_counts import Meteor, open_meteor
from evaluation.meteor_process import KNOWN_PAIRS
from evaluation.meteor_program import MeteorProgram
from evaluation.statistics import Floats

SENTENCES = (
    "the heart is mildly enlarged with small left pleural effusions and no focal consolidation "
    "lungs are clear there has been interval increase in bibasilar opacities likely atelectasis . "
    ", 3.5 cm nodule's well-defined margins ( unchanged ) / seen previously appears as before café"
)
WORDS = SENTENCES.split()
AWKWARD = [
    ("The heart is large.", "the  heart   IS large ."),
    ("no acute disease", ""),
    ("a ||| b", "a || b | c"),
    ("naïve µg \u2014 \u201cquoted\u201d x\u00a0y", "naive μg - quoted x y"),
    ("one\ntwo", "one two"),
    ("one one one one", "one"),
]


pytestmark = pytest.mark.slow
"""The program reads its table three times, 5 to 30 s each."""


@pytest.fixture(scope="module")
def program() -> MeteorProgram:
    return true_program()


def drawn(seed: int, count: int) -> list[tuple[str, str]]:
    """Pairs that share much: a text, and the same with words left out, moved and exchanged."""
    rng = random.Random(seed)
    pairs = []
    for _ in range(count):
        one = rng.choices(WORDS, k=rng.randint(1, 40))
        other = [word for word in one if rng.random() > 0.2] or ["heart"]
        if rng.random() < 0.5:
            cut = rng.randrange(len(other))
            other = other[cut:] + other[:cut]
        other += rng.choices(WORDS, k=rng.randint(0, 5)) if rng.random() < 0.7 else []
        pairs.append((" ".join(one), " ".join(one if rng.random() < 0.1 else other)))
    return pairs


PAIRS = [*AWKWARD, *drawn(5, 60)]


@pytest.fixture(scope="module")
def by_hand(program: MeteorProgram) -> dict[str, tuple[Floats, float]]:
    """By profile each pair's score and all together, as two plain runs of the program give them:
    one that is asked SCORE of all pairs, one that is asked EVAL of each profile's answers."""
    groups = {profile: asked(profile) for profile in METEOR_PROFILES} | {"known": [*KNOWN_PAIRS]}
    lines = [f"SCORE ||| {one} ||| {other}" for pairs in groups.values() for one, other in pairs]
    statistics = iter(answers(program, lines))
    questions = [
        " ||| ".join(["EVAL", *itertools.islice(statistics, len(pairs))])
        for pairs in groups.values()
    ]
    scores = iter(answers(program, questions))
    found = {}
    for name, pairs in groups.items():
        *each, corpus = (float(score) for score in itertools.islice(scores, len(pairs) + 1))
        found[name] = np.array(each), corpus
    return found


def answers(program: MeteorProgram, lines: Sequence[str]) -> list[str]:
    told = subprocess.run(
        program.command,
        cwd=program.folder,
        input="".join(f"{line}\n" for line in lines),
        capture_output=True,
        encoding="utf-8",
        check=True,
    )
    return told.stdout.splitlines()


def asked(profile: str) -> list[tuple[str, str]]:
    return [(meteor_text(one, profile), meteor_text(other, profile)) for one, other in PAIRS]


@pytest.fixture(scope="module")
def meteor(program: MeteorProgram) -> Iterator[Meteor]:
    with open_meteor(program) as running:
        yield running


def counts_of(meteor: Meteor, pairs: Sequence[tuple[str, str]], profile: str) -> Floats:
    return meteor.counts([one for one, _ in pairs], [other for _, other in pairs], profile)


@pytest.mark.parametrize("profile", METEOR_PROFILES)
def test_scores_equal_the_programs_own(
    meteor: Meteor, by_hand: dict[str, tuple[Floats, float]], profile: str
) -> None:
    counts = counts_of(meteor, PAIRS, profile)
    each, corpus = by_hand[profile]
    assert corpus_meteor(counts) == pytest.approx(each, abs=1e-12)
    assert float(corpus_meteor(counts.sum(axis=0))) == pytest.approx(corpus, abs=1e-12)
    assert abs(corpus - each.mean()) > 1e-3, "the mean over texts is another number"


@pytest.mark.parametrize(
    ("stage", "one", "other"),
    [
        (0, "heart", "heart"),
        (1, "small effusions", "small effusion"),
        (2, "large heart", "big heart"),
        (3, "it is going to increase", "it will increase"),
    ],
)
def test_every_stage_finds_its_own(meteor: Meteor, stage: int, one: str, other: str) -> None:
    """The last is what a table of paraphrases that was not read would lose."""
    (counts,) = counts_of(meteor, [(one, other)], "coco")
    assert counts[4 + 4 * stage : 8 + 4 * stage].sum() > 0


def test_nothing_alike_is_zero(meteor: Meteor) -> None:
    assert corpus_meteor(counts_of(meteor, [("enlarged heart", "aorta")], "coco")).tolist() == [0]


def test_the_stand_in_tells_what_the_program_tells(
    by_hand: dict[str, tuple[Floats, float]],
) -> None:
    each, corpus = by_hand["known"]
    assert [*each, corpus] == [float(score) for score in KNOWN_SCORES]
