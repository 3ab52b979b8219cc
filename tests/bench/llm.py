"""Measure the language-model layer against its bars, beside others that ask the same server.

    python -m tests.bench.llm [--only fixed,limit,tokens,replay,labels]

Every side runs in a process of its own, one after the other; the server is the offline server in a
process of its own.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal
from xml.etree import ElementTree

from evaluation.labeler import label_report
from tasks.reports.offline_server import Faults, offline_server, server_stats
from tests.bench.llm_beside import Outcome, ask_rival, best
from tests.bench.llm_server import fixed_server
from tests.bench.page import put_section, where_measured

HOUSE = Path(__file__).resolve().parents[2]
CONCURRENCY = 100
FIXED_REQUESTS, FIXED_LATENCY_S = 2000, 0.2
LIMITED_REQUESTS, LIMITED_LATENCY_S, PER_MINUTE, BURST = 1500, 0.3, 3000.0, 50.0
TOKEN_REQUESTS, TOKEN_LATENCY_S, TOKENS_PER_MINUTE = 150, 5.0, 200_000.0
TOKEN_CHARACTERS, TOKEN_SPREAD = 1320, 0.45
ROUNDS = 3
REPLAYED = 100_000
"""All sizes are those of the bars."""


@dataclass(frozen=True)
class Line:
    """One row of the table."""

    what: str
    figure: str
    bar: str
    is_met: bool

    def text(self) -> str:
        verdict = "met" if self.is_met else "MISSED"
        return f"| {self.what} | **{self.figure}** | {self.bar} | {verdict} |"


def start(side: str, url: str, **order: Any) -> subprocess.Popen[str]:
    """A worker on its way."""
    values = {
        "side": side,
        "url": url,
        "concurrency": CONCURRENCY,
        "characters": 60,
        "seed": 0,
        "spread": 0.25,
        **order,
    }
    command = [sys.executable, "-m", "tests.bench.llm_worker", json.dumps(values)]
    return subprocess.Popen(command, cwd=HOUSE, stdout=subprocess.PIPE, text=True)


def result(worker: subprocess.Popen[str]) -> dict[str, Any]:
    """What a worker measured."""
    answer, _ = worker.communicate()
    if worker.returncode:
        raise SystemExit(f"a worker ended with {worker.returncode}")
    found: dict[str, Any] = json.loads(answer)
    return found


def ask(side: str, url: str, **order: Any) -> dict[str, Any]:
    return result(start(side, url, **order))


@contextmanager
def state_folder() -> Iterator[str]:
    with tempfile.TemporaryDirectory() as folder:
        yield folder


def fixed() -> Iterator[Line]:
    """Constant latency: how much of the ideal is reached, and at what processor time."""
    ideal_s = FIXED_REQUESTS / CONCURRENCY * FIXED_LATENCY_S
    found: dict[str, list[dict[str, Any]]] = {"ours": [], "openai": [], "aiohttp": []}
    rivals: dict[str, list[Outcome]] = {"curator": [], "litellm": [], "data-designer": []}
    for _ in range(ROUNDS):
        for side, results in found.items():
            with fixed_server(FIXED_LATENCY_S) as url, state_folder() as at:
                results.append(ask(side, url, requests=FIXED_REQUESTS, state=at))
        for name, outcomes in rivals.items():
            with fixed_server(FIXED_LATENCY_S) as url:
                outcomes.append(ask_rival(name, url, FIXED_REQUESTS))
    shares = {side: ideal_s / min(r["seconds"] for r in rs) for side, rs in found.items()}
    cpu = {side: 1000 * min(r["cpu"] for r in rs) / FIXED_REQUESTS for side, rs in found.items()}
    others = [f"{side} {shares[side]:.1%}" for side in ("openai", "aiohttp")]
    beside = {name: best(outcomes) for name, outcomes in rivals.items()}
    others += [f"{name} {outcome.share(ideal_s)}" for name, outcome in beside.items()]
    yield Line(
        "200 ms, concurrency 100, 2,000 requests, share of the ideal time; " + ", ".join(others),
        f"{shares['ours']:.1%}",
        "90 %",
        shares["ours"] >= 0.9,
    )
    more = cpu["ours"] - cpu["openai"]
    costs = "".join(
        f", {name} {1000 * outcome.cpu / FIXED_REQUESTS:.2f} ms"
        for name, outcome in beside.items()
        if not outcome.why
    )
    yield Line(
        f"client CPU a request: ours {cpu['ours']:.2f} ms, openai on aiohttp "
        f"{cpu['openai']:.2f} ms, bare aiohttp {cpu['aiohttp']:.2f} ms{costs}; ours less openai's",
        f"{more:+.2f} ms",
        "0.3 ms",
        more <= 0.3,
    )


Kind = Literal["none", "whole"]
LIMITS: tuple[tuple[Kind, int, float, tuple[str, ...]], ...] = (
    ("whole", 1, 0.95, ("curator", "litellm", "data-designer")),
    ("none", 1, 0.88, ("litellm", "data-designer")),
    ("none", 2, 0.9, ("curator", "data-designer")),
)
"""What 429s carry, processes, the bar, and who else is measured (curator never reads Retry-After,
so that once is enough)."""


def request_limit(kind: Kind) -> Faults:
    return Faults(
        latency_s=LIMITED_LATENCY_S,
        requests_per_minute=PER_MINUTE,
        burst=BURST,
        limit_retry_after=kind,
    )


def limit() -> Iterator[Line]:
    """A request limit that nobody states, alone and shared by two processes."""
    ideal_s = (LIMITED_REQUESTS - BURST) / (PER_MINUTE / 60) + LIMITED_LATENCY_S
    for kind, processes, bar, rivals in LIMITS:
        with offline_server(request_limit(kind)) as server, state_folder() as at:
            each = LIMITED_REQUESTS // processes
            workers = [
                start("ours", server.base_url, requests=each, state=at, seed=seed)
                for seed in range(processes)
            ]
            found = [result(worker) for worker in workers]
        seconds = max(item["end"] for item in found) - min(item["start"] for item in found)
        late = sum(i["late_refused"] for i in found) / max(1, sum(i["late_sent"] for i in found))
        lost = LIMITED_REQUESTS - sum(item["kept"] for item in found)
        share = ideal_s / seconds
        told = "with Retry-After" if kind == "whole" else "without Retry-After"
        beside = ", ".join(rival_at_limit(name, kind, processes, ideal_s) for name in rivals)
        yield Line(
            f"unknown limit of 3,000 a minute, {told}, processes: {processes}; {beside}; ours: "
            f"429s after 5 s {late:.1%}, lost {lost}; share of the ideal time",
            f"{share:.1%}",
            f"{100 * bar:.0f} %, 429s under 5 %, none lost",
            share >= bar and late < 0.05 and lost == 0,
        )


def rival_at_limit(name: str, kind: Kind, processes: int, ideal_s: float) -> str:
    """A rival at a server of its own: its share, and how much of what it sent was refused."""
    with offline_server(request_limit(kind)) as server:
        each = LIMITED_REQUESTS // processes
        outcome = ask_rival(name, server.base_url, each, processes=processes)
        stats = server_stats(server)
    if outcome.why.startswith("unavailable"):
        return f"{name} {outcome.why}"
    return (
        f"{name} {outcome.share(ideal_s)} ({stats['limited'] / max(1, stats['requests']):.0%} of "
        f"{stats['requests']:,} sent answered 429)"
    )


def tokens() -> Iterator[Line]:
    """A token limit, stated in the settings and found out."""
    for known in (TOKENS_PER_MINUTE, None):
        faults = Faults(
            latency_s=TOKEN_LATENCY_S,
            tokens_per_minute=TOKENS_PER_MINUTE,
            limit_headers=known is None,
        )
        with offline_server(faults) as server, state_folder() as at:
            found = ask(
                "ours",
                server.base_url,
                requests=TOKEN_REQUESTS,
                state=at,
                characters=TOKEN_CHARACTERS,
                spread=TOKEN_SPREAD,
                tokens=known,
            )
        share = token_ideal_s(found["tokens"]) / found["seconds"]
        each, lost = found["tokens"] / TOKEN_REQUESTS, TOKEN_REQUESTS - found["kept"]
        beside = "" if known else curator_at_tokens(faults, found["tokens"]) + "; "
        yield Line(
            f"200,000 tokens a minute ({'set' if known else 'in the headers alone'}), 5 s, 150 "
            f"requests of {each:,.0f} tokens; {beside}lost {lost}; share of the ideal time",
            f"{share:.1%}",
            "85 %",
            share >= 0.85 and lost == 0,
        )


def token_ideal_s(tokens: float) -> float:
    """Seconds at best, with one second's quota in the bucket at first."""
    return tokens / (TOKENS_PER_MINUTE / 60) - 1.0 + TOKEN_LATENCY_S


def curator_at_tokens(faults: Faults, tokens: float) -> str:
    """The only rival that paces itself by a token limit; it reads the same headers."""
    with offline_server(faults) as server:
        outcome = ask_rival(
            "curator",
            server.base_url,
            TOKEN_REQUESTS,
            characters=TOKEN_CHARACTERS,
            spread=TOKEN_SPREAD,
            limits_told=True,
        )
    return f"curator {outcome.share(token_ideal_s(tokens))}"


def replay() -> Iterator[Line]:
    """Stored answers read again, hashing and validation included, from SQLite and from Parquet."""
    with state_folder() as at:
        for place in ("SQLite", "Parquet"):
            command = [sys.executable, "-m", "tests.bench.llm_replay", at, place, str(REPLAYED)]
            done = subprocess.run(command, cwd=HOUSE, stdout=subprocess.PIPE, text=True, check=True)
            found = json.loads(done.stdout)
            yield Line(
                f"replay of 100,000 answers from {place}, 1,000 a call; peak memory "
                f"{found['peak_mib']:,.0f} MiB",
                f"{found['rate']:,.0f}/s",
                "10,000/s (20,000)",
                found["rate"] >= 10_000,
            )


def openi_texts(public_data: Path) -> list[str]:
    """Findings and impression of each report in Open-I's archive."""
    found = []
    with tarfile.open(public_data / "openi" / "NLMCXR_reports.tgz") as archive:
        for member in archive:
            stream = archive.extractfile(member) if member.name.endswith(".xml") else None
            if stream is not None:
                parts = {
                    part.get("Label"): part.text or ""
                    for part in ElementTree.parse(stream).getroot().iter("AbstractText")
                }
                found.append(f"{parts.get('FINDINGS', '')} {parts.get('IMPRESSION', '')}".strip())
    return found


def labels() -> Iterator[Line]:
    """``rule14`` over the public Open-I reports."""
    texts = openi_texts(Path(os.environ["CXR_PUBLIC_DATA"]))
    label_report(texts[0])  # compiles the rules
    started = time.perf_counter()
    for text in texts:
        label_report(text)
    rate = len(texts) / (time.perf_counter() - started)
    yield Line(
        f"rule14 on {len(texts):,} Open-I reports", f"{rate:,.0f}/s", "5,000/s", rate >= 5000
    )


WORKS: dict[str, Callable[[], Iterator[Line]]] = {
    "fixed": fixed,
    "limit": limit,
    "tokens": tokens,
    "replay": replay,
    "labels": labels,
}


def measure(names: list[str]) -> list[Line]:
    """All lines, printed as they come."""
    lines = []
    for name in names:
        for line in WORKS[name]():
            sys.stdout.write(line.text() + "\n")
            sys.stdout.flush()
            lines.append(line)
    return lines


NOTES = """### What is measured

- **Fixed latency**: a server that says the same to everybody after 200 ms, in a process of its own
  on the same cores. Each side asks in a process of its own, three times in turn; the best counts.
  Ours checks egress, keeps the audit log, the ledger and the quota, validates and stores every
  answer for good; `openai` is its typed call on its own aiohttp transport, `aiohttp` a bare loop;
  both only read the answer's JSON.
- **Limits**: the offline server's token buckets, 300 ms. Every side asks 50 questions before its
  clock starts. Ours is told nothing; two processes share a state folder, so that their warm-ups
  together may already meet the limit. The ideal time is what the bucket admits at best.
- **Replay**: requests are made, hashed, looked up and validated; peak memory is that of the process
  that also stored the answers or wrote the Parquet file.
- **rule14**: one process, on the public reports that `CXR_PUBLIC_DATA` names.
"""


def main() -> None:
    """Measure; write the section unless only a part was measured."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default=",".join(WORKS))
    names = parser.parse_args().only.split(",")
    lines = measure(names)
    if set(names) == set(WORKS):
        table = [
            "| what | figure | bar (goal) | |",
            "|---|---|---|---|",
            *(x.text() for x in lines),
        ]
        text = ["## Language models", "", "`python -m tests.bench.llm`, a part of `make bench`."]
        put_section("language models", "\n".join([*text, where_measured(), "", *table, "", NOTES]))
    if not all(line.is_met for line in lines):
        raise SystemExit("a bar was missed")


if __name__ == "__main__":
    main()
