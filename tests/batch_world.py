"""What the tests of the Batch API share: quick rules, a client in a process, a server's view."""

from __future__ import annotations

import json
import subprocess
import sys
import time
import urllib.request
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from llm_faults_world import audit_lines, report_question
from llm_world import QUICK

from infra.llm import Answer, BatchRule, Client, Endpoint
from tasks.reports.offline_faults import BatchFaults, Faults
from tasks.reports.offline_server import offline_server, server_stats

HERE = Path(__file__).parent
PATIENCE_S = 60.0
PRICES = (
    '[[price]]\nmodel = "offline-rules"\nsince = 2024-01-01\n'
    "input = 10.0\noutput = 30.0\nbatch_discount = 0.5\n"
)


def rule(mode: str = "always", **changes: Any) -> BatchRule:
    """A rule that looks often; its deadline leaves time for a second batch."""
    fields: dict[str, Any] = {"mode": mode, "deadline_hours": 30.0, "smallest": 10}
    quick = {"first_poll_s": 0.02, "longest_poll_s": 0.1, "attempts": 3, "patience": 8}
    return BatchRule(**{**fields, **quick, **changes})


def ask(
    endpoint: Endpoint, state: Path, numbers: Sequence[int], how: BatchRule
) -> tuple[list[Answer], Client]:
    """Answers to so many report questions, and the client that got them, closed."""
    with Client(endpoint, state, QUICK, how) as client:
        return client.complete_many([report_question(number) for number in numbers]), client


def run_batch(
    state: Path,
    batch_faults: BatchFaults | None = None,
    how: BatchRule | None = None,
    faults: Faults | None = None,
    count: int = 60,
) -> tuple[list[Answer], Client, Counter[str]]:
    """Ask a fresh server, and what it has counted."""
    with offline_server(faults, batch_faults) as endpoint:
        answers, client = ask(endpoint, state, range(count), how or rule())
        return answers, client, server_stats(endpoint)


def listed(endpoint: Endpoint, what: str) -> list[dict[str, Any]]:
    """The server's files or batches."""
    with urllib.request.urlopen(f"{endpoint.base_url}/{what}", timeout=10) as reply:
        found: list[dict[str, Any]] = json.load(reply)["data"]
    return found


def events(state: Path) -> Counter[str]:
    return Counter(line["event"] for line in audit_lines(state))


PROCESS = """
import json, sys
from pathlib import Path
from pydantic import SecretStr
sys.path.insert(0, sys.argv[1])
from batch_world import ask
from infra.llm import BatchRule, Endpoint
url, state, how, first, last = sys.argv[2:]
endpoint = Endpoint(url, SecretStr("k"), rules="test")
answers, client = ask(
    endpoint, Path(state), range(int(first), int(last)), BatchRule(**json.loads(how))
)
good = sum(answer.value is not None for answer in answers)
print(client.usage.sent, client.usage.replayed, good)
"""


def process(
    endpoint: Endpoint, state: Path, how: BatchRule, first: int, last: int
) -> subprocess.Popen[str]:
    """A client in a process of its own, which prints what was sent, replayed and good."""
    words = [str(HERE), endpoint.base_url, str(state), json.dumps(asdict(how))]
    return subprocess.Popen(
        [sys.executable, "-c", PROCESS, *words, str(first), str(last)],
        stdout=subprocess.PIPE,
        text=True,
    )


def seen_by(endpoint: Endpoint) -> Endpoint:
    """The endpoint as such a process sees it."""
    return Endpoint(endpoint.base_url, endpoint.api_key, rules="test")


def told(child: subprocess.Popen[str]) -> list[int]:
    """What such a process has printed, at its good end."""
    output = child.communicate(timeout=PATIENCE_S)[0]
    assert child.returncode == 0
    return [int(word) for word in output.split()]


def wait_until(condition: Callable[[], bool]) -> None:
    """Return as soon as it holds."""
    limit = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < limit, "it never came to that"
        time.sleep(0.01)
