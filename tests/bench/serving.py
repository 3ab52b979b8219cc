"""``cxr serve`` under load on loopback: beside one answer at a time, beyond its places, in a swap.

    python -m tests.bench.serving [--asks 240] [--clients 200] [--rounds 2]

Writes its section of ``docs/benchmarks.md``. All answers must be those that each ask gets alone.
The server, its children and the clients share this machine's cores.
"""

from __future__ import annotations

import argparse
import base64
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from infra.fingerprint import HOUSE
from infra.tracking_models import ModelShelf, Reference, parts_of
from infra.tracking_runs import RunBook
from models.serving import FindingsService, Question, read_settings
from tests.bench.environments import say
from tests.bench.page import REPORT
from tests.bench.serving_page import write_page
from tests.bench.serving_world import drawn_films, register_version, write_model

NAME = "bench"
QUESTIONS = ("Is there a pleural effusion?", "Describe the heart.", "What has changed?")
MEDIAN_TOKENS, SPREAD = 48, 0.4  # of the answers' log-normal lengths; our choice, as of findings
CHECKED = 48
"""Different asks; each is asked many times, and alone once."""


@dataclass(frozen=True)
class Asked:
    """One ask: what it sends, and what it must be answered."""

    body: bytes
    expected: str


@dataclass
class Load:
    """One run of the clients."""

    asks: int
    wall: float
    seconds: list[float]
    until: list[float]
    refused: list[float]
    statuses: dict[str, int]
    wrong: int
    models: dict[str, int] = field(default_factory=dict)

    @property
    def rate(self) -> float:
        """Answers a second."""
        return self.asks / self.wall

    @property
    def lost(self) -> int:
        """Requests that ended without a status."""
        return sum(count for name, count in self.statuses.items() if name.startswith("lost"))


@dataclass
class Measured:
    """All that the section tells."""

    together: list[Load]
    one_at_a_time: list[Load]
    overload: Load
    swap: Load
    clients: int
    load_before: float


def asks_of(folder: Path, count: int = CHECKED) -> list[Asked]:
    """Asks about drawn films, with what the model answers each alone."""
    rng, films = np.random.default_rng(3), drawn_films(count // 2)
    settings = read_settings(parts_of(folder).settings)
    service = FindingsService.load(parts_of(folder).model, settings, 1, "cpu")
    asked = []
    for number in range(count):
        film, question = films[number % len(films)], QUESTIONS[number % len(QUESTIONS)]
        length = int(np.clip(MEDIAN_TOKENS * np.exp(rng.normal(0, SPREAD)), 8, 200))
        generate = settings.generate.model_copy(update={"max_new_tokens": length})
        told = settings.model_copy(update={"generate": generate})
        alone = FindingsService(service.writer, told).answer([Question(film, None, question)])
        asked.append(Asked(_body(film, question, length), alone[0].text))
    return asked


def _body(film: bytes, question: str, length: int) -> bytes:
    url = f"data:image/png;base64,{base64.b64encode(film).decode()}"
    content = [
        {"type": "image_url", "image_url": {"url": url}},
        {"type": "text", "text": question},
    ]
    message = {"role": "user", "content": content}
    return json.dumps({"model": NAME, "messages": [message], "max_tokens": length}).encode()


@contextmanager
def server(uri: str, root: Path, *options: str) -> Iterator[str]:
    """``cxr serve`` in a process of its own: its URL. The model gets one thread."""
    code = "from flows.cli import main; main()"
    command = [sys.executable, "-c", code, "serve", f"{NAME}@champion", "--port", "0", "--json"]
    environment = {**os.environ, "CXR_MLFLOW_URI": uri, "CXR_DATA_ROOT": str(root / "data")}
    environment |= {"PYTHONPATH": str(HOUSE), "OMP_NUM_THREADS": "1"}
    with (root / "server.log").open("ab") as log:
        child = subprocess.Popen(
            [*command, *options], stdout=subprocess.PIPE, stderr=log, text=True, env=environment
        )
    try:
        assert child.stdout is not None
        line = child.stdout.readline()
        assert line, f"the server ended: {(root / 'server.log').read_text()[-2000:]}"
        yield json.loads(line)["url"]
    finally:
        child.send_signal(signal.SIGTERM)
        child.wait()
        child.stdout.close()


class Clients:
    """A run of the clients' process."""

    def __init__(
        self, url: str, asked: Sequence[Asked], count: int, clients: int, root: Path
    ) -> None:
        self.asked, self.count = asked, count
        plan = root / "plan.json"
        bodies = [asked[number % len(asked)].body.decode() for number in range(count)]
        plan.write_text(json.dumps({"url": url, "bodies": bodies, "clients": clients}))
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.bench.serving_load", str(plan)],
            stdout=subprocess.PIPE,
            text=True,
            cwd=HOUSE,
        )

    def seen(self) -> Load:
        """Wait for their end, and check what they were answered."""
        out, _ = self.process.communicate()
        assert self.process.returncode == 0, "the clients failed"
        told: dict[str, Any] = json.loads(out)
        answers = told["answers"]
        assert len({number for number, *_ in answers}) == len(answers) == self.count
        wrong = sum(
            text != self.asked[number % len(self.asked)].expected for number, text, _ in answers
        )
        models = Counter(model for *_, model in answers)
        kept = {name: told[name] for name in ("wall", "seconds", "until", "refused", "statuses")}
        return Load(self.count, **kept, wrong=wrong, models=dict(models))


def measure(asks: int, clients: int, rounds: int, root: Path) -> Measured:
    """Both ways in turn, then more than there are places for, then a swap."""
    before = os.getloadavg()[0]
    uri = f"sqlite:///{root / 'mlflow.db'}"
    assert RunBook(uri, NAME, root / "artifacts").experiment_id
    source = write_model(root)
    register_version(uri, source, "1")
    shelf = ModelShelf(uri, root / "copies")
    asked = asks_of(shelf.folder(shelf.find(Reference(NAME, "@champion"))))
    together, alone = [], []
    with (
        server(uri, root, "--poll", "0.5") as many,
        server(uri, root, "--slots", "1", "--waiting", "500") as single,
    ):
        for number in range(rounds):
            for side, url in ((alone, single), (together, many))[:: 1 if number % 2 else -1]:
                side.append(Clients(url, asked, asks, 64, root).seen())
                say(f"round {number + 1}, {url}: {side[-1].rate:.1f}/s")
        overload = Clients(many, asked, 3 * asks, clients, root).seen()
        say(f"overload: {overload.rate:.1f}/s, {overload.statuses}")
        swapping = Clients(many, asked, 3 * asks, clients, root)
        time.sleep(3)  # the clients are at work
        register_version(uri, source, "2")
        swap = swapping.seen()
        say(f"swap: {swap.models}, {swap.statuses}")
    return Measured(together, alone, overload, swap, clients, before)


def main(arguments: Sequence[str], page: Path = REPORT) -> int:
    """Measure and write; 1 if a bar is missed."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--asks", type=int, default=240)
    parser.add_argument("--clients", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=2)
    told = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="cxrflow-serving-") as folder:
        found = measure(told.asks, told.clients, told.rounds, Path(folder))
    return 0 if write_page(found, page) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
