"""``python -m evaluation.neural run.json``: what encoders say about every reference and prediction.

Prints JSON lines for the parent process; an error raised on purpose is one last line.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

os.environ["HF_HUB_OFFLINE"] = "1"  # before transformers is imported: weights are local or absent

from evaluation.neural.readings import run_encoders
from infra.errors import EXIT_BAD_INPUT, CxrError
from infra.launch import FAILED, end_with_parent
from infra.log import set_up_logging
from infra.runs import NeuralRun, read_run


def main(arguments: list[str]) -> int:
    """Do the run that is named on the command line; the exit code."""
    set_up_logging()
    end_with_parent()
    if len(arguments) != 1:
        sys.stderr.write(f"error: found {len(arguments)} arguments; expected one run.json\n")
        return EXIT_BAD_INPUT
    try:
        run = read_run(NeuralRun, Path(arguments[0]))
        run_encoders(
            run,
            lambda name, done, total: _tell("progress", encoder=name, done=done, total=total),
            lambda name, done, total: _tell("reading", encoder=name, done=done, total=total),
        )
    except CxrError as error:
        sys.stderr.write(f"error: {error}\n")
        _tell(FAILED, message=str(error), exit_code=error.exit_code)
        return error.exit_code
    _tell("done", encoders=len(run.encoders))
    return 0


def _tell(event: str, **values: object) -> None:
    sys.stdout.write(json.dumps({"event": event, **values}) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
