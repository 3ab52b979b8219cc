"""How far a command runs the pipeline: each goal, its command and its help."""

from __future__ import annotations

from typing import Literal, get_args

Goal = Literal["ingest", "reports", "examples", "train", "evaluate", "register", "quality", "run"]

COMMANDS: dict[Goal, str] = {
    "ingest": "ingest",
    "reports": "write-reports",
    "examples": "write-examples",
    "train": "train",
    "evaluate": "evaluate",
    "register": "register",
    "quality": "teacher-quality",
    "run": "run",
}

GOALS: dict[Goal, str] = {
    "ingest": "Read raw data into studies and stored images.",
    "reports": "Everything up to the reports: keep, structure, translate, synthesize.",
    "examples": "Everything up to the training shards.",
    "train": "Everything up to the last training stage.",
    "evaluate": "Everything up to the scores, retrieval and grounding, each with its page.",
    "register": "Everything up to the registered model.",
    "quality": "How good the language model's texts are, beside a radiologist's or known English.",
    "run": "The whole pipeline: raw data to a registered, scored model.",
}
assert get_args(Goal) == tuple(GOALS)
