"""Language-model rivals beside ours: their environments, their orders and what came of them."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.bench.environments import HOUSE, WORK, Steps, Unavailable, python_of, reason
from tests.bench.llm_worker import WARM_UP, question_body, texts

LITELLM = "litellm==1.83.7"
CURATOR: Steps = (("bespokelabs-curator==0.1.31", LITELLM),)
DATA_DESIGNER: Steps = (("data-designer==0.9.7",), ("--no-deps", LITELLM))
"""Without its own needs, litellm brings the vocabulary that Data Designer else downloads."""
RIVALS: dict[str, tuple[str, Steps]] = {
    "curator": ("curator", CURATOR),
    "litellm": ("curator", CURATOR),
    "data-designer": ("data-designer", DATA_DESIGNER),
}
"""Folder and pins of each; curator 0.1.31 asks for just this litellm."""
LIMIT_S = 240.0
"""The longest that a rival is waited for: four times the longest ideal time."""
QUIET = {
    "TELEMETRY_ENABLED": "false",
    "NEMO_TELEMETRY_ENABLED": "false",
    "DO_NOT_TRACK": "1",
    "HF_HUB_OFFLINE": "1",
    "LITELLM_LOCAL_MODEL_COST_MAP": "True",
    "OPENAI_API_KEY": "k",
}
"""Nothing calls home and nothing is downloaded."""


@dataclass(frozen=True)
class Outcome:
    """What one rival did, all its processes together.

    Args:
        why: why there are no figures; else empty.
        seconds: wall time from the first question to the last answer.
        cpu: processor seconds of all its processes.
        kept, asked: answers of the right shape, and questions.
    """

    why: str = ""
    seconds: float = 0.0
    cpu: float = 0.0
    kept: int = 0
    asked: int = 0

    def share(self, ideal_s: float) -> str:
        """Its share of the ideal time, with what it lost."""
        if self.why:
            return self.why
        lost = self.asked - self.kept
        return f"{ideal_s / self.seconds:.1%}" + (f", lost {lost:,}" if lost else "")


def best(outcomes: list[Outcome]) -> Outcome:
    """The fastest of several rounds; one without figures counts before any."""
    failed = [outcome for outcome in outcomes if outcome.why]
    return failed[0] if failed else min(outcomes, key=lambda outcome: outcome.seconds)


def ask_rival(
    name: str,
    url: str,
    requests: int,
    *,
    processes: int = 1,
    concurrency: int = 100,
    characters: int = 60,
    spread: float = 0.25,
    limits_told: bool = False,
    limit_s: float = LIMIT_S,
) -> Outcome:
    """Ask ``requests`` questions each in so many processes, each in a new folder and home."""
    folder, steps = RIVALS[name]
    try:
        python = python_of(WORK / "llm-rivals" / folder, steps)
    except Unavailable as error:
        return Outcome(str(error))
    order = {"rival": name, "url": url, "concurrency": concurrency, "limits_told": limits_told}
    with tempfile.TemporaryDirectory() as place:
        folders = [Path(place) / str(seed) for seed in range(processes)]
        for seed, at in enumerate(folders):
            at.mkdir()
            asked = questions(texts(requests, characters, seed, spread))
            (at / "order.json").write_text(json.dumps({**order, **asked}), encoding="utf-8")
        return collect(_started(python, url, folders), folders, requests, limit_s)


def questions(reports: list[str]) -> dict[str, Any]:
    """The same bodies that ours sends, cut into what they share and the last messages."""
    shared = question_body(reports[0])
    options = {name: shared[name] for name in shared if name not in ("model", "messages")}
    return {
        "messages": shared["messages"][:-1],
        "options": options,
        "keys": options["response_format"]["json_schema"]["schema"]["required"],
        "questions": [_question(text) for text in reports],
        "warm_up": [_question(text) for text in texts(WARM_UP, 60, -1)],
    }


def _question(report: str) -> str:
    return str(question_body(report)["messages"][-1]["content"])


def _started(python: Path, url: str, folders: list[Path]) -> list[subprocess.Popen[bytes]]:
    found = []
    for folder in folders:
        places = {"HOME": str(folder), "CURATOR_CACHE_DIR": str(folder), "OPENAI_BASE_URL": url}
        environment = {**os.environ, **QUIET, **places}
        environment.pop("PYTHONPATH", None)
        with (folder / "log.txt").open("wb") as log:
            command = [str(python), "-W", "ignore", "-m", "tests.bench.llm_rivals", str(folder)]
            found.append(
                subprocess.Popen(command, cwd=HOUSE, env=environment, stdout=log, stderr=log)
            )
    return found


def collect(
    children: list[subprocess.Popen[bytes]], folders: list[Path], requests: int, limit_s: float
) -> Outcome:
    """Wait for all, until the limit; then end them."""
    ends_at = time.monotonic() + limit_s
    try:
        codes = [child.wait(max(0.0, ends_at - time.monotonic())) for child in children]
    except subprocess.TimeoutExpired:
        return Outcome(f"not done within {limit_s:g} s")
    finally:
        for child in children:
            child.kill()
            child.wait()
    for code, folder in zip(codes, folders, strict=True):
        if code != 0:
            said = (folder / "log.txt").read_text(encoding="utf-8", errors="replace")
            return Outcome(f"failed: {reason(said)}")
    found = [json.loads((folder / "result.json").read_text()) for folder in folders]
    return Outcome(
        seconds=max(item["end"] for item in found) - min(item["start"] for item in found),
        cpu=sum(item["cpu"] for item in found),
        kept=sum(item["kept"] for item in found),
        asked=requests * len(folders),
    )
