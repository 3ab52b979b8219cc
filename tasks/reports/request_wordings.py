"""In what words the offline rules ask for a film: composed, and some kept out of all training.

A wording is a frame (polite, terse, with or without a question) with a verb in it. ``HELD_OUT`` are
in no dialogue that the rules write, so that a model can be asked in words that it never saw.
Slots: ``{seen}`` is the film with what it shows, ``{film}`` and ``{findings}`` its two parts.
"""

from __future__ import annotations

from itertools import product
from random import Random
from typing import Final

from sources.record import View

_VERBS: Final = ("draw", "show me", "make", "make me", "generate", "create", "give me", "produce")
_ASKED: Final = (
    "{verb} {seen}.",
    "{verb} {seen}, please.",
    "Please {verb} {seen}.",
    "Please {verb} {seen} for my class.",
    "Can you {verb} {seen}?",
    "Could you {verb} {seen}?",
    "Could you please {verb} {seen}?",
    "Would you {verb} {seen}?",
    "I would like you to {verb} {seen}.",
    "I want you to {verb} {seen}.",
    "My students want to see {findings}. Could you {verb} {film} of it?",
    "We are talking about {findings}. {verb} {film} of it.",
)
_TOLD: Final = (
    "{seen}.",
    "{seen}, please.",
    "{film}: {findings}.",
    "I need {seen}.",
    "I want {seen}.",
    "I want to see {seen}.",
    "I would like {seen}.",
    "I would like to see {seen}.",
    "Let me see {seen}.",
    "For a lecture I need {seen}.",
    "For my talk I want {seen}.",
    "Do you have {seen}?",
    "We need {seen} for teaching.",
    "How about {seen}?",
)
HELD_OUT: Final = (
    "Please draw {seen}.",
    "Could you show me {seen}?",
    "Can you make {seen}?",
    "Generate {seen}, please.",
    "May I see {seen}?",
    "Sketch {seen} for me.",
    "It would help me to see {seen}.",
    "What would {seen} look like?",
    "I am writing a book and need {seen} for it.",
    "Show {findings} in {film}.",
)
KNOWN: Final = tuple(
    wording
    for wording in (
        *(frame.replace("{verb}", verb) for frame, verb in product(_ASKED, _VERBS)),
        *_TOLD,
    )
    if wording.lower() not in {held.lower() for held in HELD_OUT}
)
"""In these the rules ask; a few verbs stand in frames of their own, which are held out."""

_VIEWS: Final = {
    View.PA: ("a PA", "a PA", "a posteroanterior"),
    View.AP: ("an AP", "an AP", "an anteroposterior"),
    View.LATERAL: ("a lateral",),
}
_NOUNS: Final = (
    "chest X-ray",
    "chest film",
    "chest radiograph",
    "X-ray",
    "film",
    "radiograph",
    "view",
    "view of the chest",
    "chest image",
)
_PLAIN: Final = ("a chest X-ray", "a chest film", "a film of the chest", "an X-ray of the chest",
                 "a chest radiograph", "an X-ray")  # fmt: skip
_WITHOUT_VIEW: Final = 0.15
"""Share of requests for a frontal film that name no view. Our choice: enough to be learned, and few
enough that the view is asked for where there is one."""
_SHOWS: Final = ("with", "with", "of a person with", "of a patient with", "of somebody with")
"""Not ``that shows``: rule14 reads a doubt in ``could you … that shows``."""
_NORMAL: Final = (
    "{film} that is normal",
    "{film} of a healthy person, a normal one",
    "{film} without any abnormality, a normal one",
    "{film} without any finding, a normal one",
)
_OTHERS: Final = ("This is what it shall show:", "This can be said of it:", "It shows this:")


def film_phrase(view: View, random: Random) -> str:
    """The film with its article; lateral films are always called so."""
    if view is not View.LATERAL and random.random() < _WITHOUT_VIEW:
        return random.choice(_PLAIN)
    return f"{random.choice(_VIEWS[view])} {random.choice(_NOUNS)}"


def ask_for(
    film: str, findings: str, sentence: str, random: Random, wordings: tuple[str, ...] = KNOWN
) -> str:
    """A request for a film with findings; for one with a sentence's where rule14 knows none of
    them, and for a normal one where there is nothing to name."""
    if findings:
        seen = f"{film} {random.choice(_SHOWS)} {findings}"
        return _begun(random.choice(wordings).format(seen=seen, film=film, findings=findings))
    wording = random.choice([each for each in wordings if "{findings}" not in each])
    if sentence:
        return f"{_begun(wording.format(seen=film))} {random.choice(_OTHERS)} {sentence}"
    return _begun(wording.format(seen=random.choice(_NORMAL).format(film=film)))


def _begun(request: str) -> str:
    """With capitals where sentences begin."""
    head, mark, rest = request.partition(". ")
    return f"{head[:1].upper()}{head[1:]}{mark}{rest[:1].upper()}{rest[1:]}"
