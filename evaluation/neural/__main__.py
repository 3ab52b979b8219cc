"""``python -m evaluation.neural run.json``: what encoders say about every reference and prediction.

Prints JSON lines for the parent process; an error raised on purpose is one last line.
"""

from __future__ import annotations

import os
import sys

os.environ["HF_HUB_OFFLINE"] = "1"  # before transformers is imported: weights are local or absent

from evaluation.neural.readings import run_encoders
from infra.child import report, run_child
from infra.runs import NeuralRun


def encode(run: NeuralRun) -> None:
    """Run every encoder, telling how far each is and at last how many there were."""
    run_encoders(run, _tell_progress)
    report("done", encoders=len(run.encoders))


def _tell_progress(encoder: str, done: int, total: int) -> None:
    report("progress", encoder=encoder, done=done, total=total)


if __name__ == "__main__":
    sys.exit(run_child(NeuralRun, encode))
