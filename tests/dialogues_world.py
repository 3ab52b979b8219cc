"""Written dialogues as the pieces that examples are made of, beside ``examples_world``."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pyarrow.parquet as pq
from examples_world import SETTINGS, World

from infra.fingerprint import file_digest
from infra.settings.sections import ExampleSettings
from sources.drawing import VIEW_SENTENCES
from sources.piece import cut
from sources.record import Dialogue, Turn, View
from sources.xray_span import with_span
from tasks.dialogues.record import WrittenDialogue, dialogues_to_table
from tasks.examples.plan import ExampleInputs, InputFile

TALKS = SETTINGS.model_copy(update={"task": "dialogue"})
REQUESTS = SETTINGS.model_copy(update={"task": "generate", "views": ("PA", "AP", "LATERAL")})
assert isinstance(TALKS, ExampleSettings)


def conversation(study: str, image: str, view: View = View.PA) -> WrittenDialogue:
    turns = (
        Turn("user", "Is there a nodule?"),
        Turn("assistant", "Yes, there is a nodule."),
        Turn("user", f"Where is the nodule of {study}?"),
        Turn("assistant", "In the left\n upper lobe."),
    )
    return written(study, image, view, "converse", turns, ("presence", "location"))


def request(study: str, image: str, view: View = View.PA) -> WrittenDialogue:
    drawn = f"{VIEW_SENTENCES[view]} Nodule of {study}."
    turns = (Turn("user", f"Show me {study}."), Turn("assistant", with_span("Here.", drawn)))
    return written(study, image, view, "request", turns, ("request",))


def written(
    study: str, image: str, view: View, route: str, turns: tuple[Turn, ...], kinds: tuple[str, ...]
) -> WrittenDialogue:
    dialogue = Dialogue(f"{study}-{route}", (image,), turns, "mixed", route)
    return WrittenDialogue(
        "mimic_cxr", study, route, dialogue, view, kinds, "structure", f"{route}-1",
        "offline-rules", "0" * 32, 10, 5, 0.0,
    )  # fmt: skip


def talking_world() -> tuple[World, list[WrittenDialogue]]:
    """Ten studies of two films: a request for each lateral one, eight talks about frontal ones."""
    world, dialogues = World(), []
    for number, split in enumerate(["train"] * 6 + ["validate"] * 2 + ["test"] * 2):
        study = f"m{number}"
        world.study("mimic_cxr", study, f"p{number}", split, subject_age=40.0 + number, site="A")
        world.image("mimic_cxr", study, f"{study}a")
        world.image("mimic_cxr", study, f"{study}l", view="LATERAL")
        if number not in (1, 7):
            dialogues.append(conversation(study, f"{study}a"))
        dialogues.append(request(study, f"{study}l", View.LATERAL))
    return world, dialogues


def inputs_of(
    world: World, dialogues: list[WrittenDialogue], root: Path, pieces: int = 3
) -> ExampleInputs:
    """The world's pieces and those of its dialogues."""
    files = []
    for key, part in cut(dialogues_to_table(dialogues), pieces).items():
        path = root / "dialogues" / f"mimic_cxr-{key}.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(part, path, row_group_size=3)
        files.append(InputFile(path, file_digest(path)))
    return replace(world.write(root, pieces), dialogues=tuple(files))
