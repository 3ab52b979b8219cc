"""Fill a cache once, then replay all of it; prints one JSON line.

python -m tests.bench.llm_replay STATE SQLite|Parquet NUMBER
"""

from __future__ import annotations

import json
import resource
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from pydantic import SecretStr

from infra.egress import Egress
from infra.llm import ChatRequest, Client, Endpoint
from infra.llm.cache import AnswerCache, StoredAnswer
from infra.llm.compaction import compact
from tasks.reports.prompts import TRANSLATE, TranslatedReport

CALL = 1000
TEXT = "The heart is normal in size. The lungs are clear. No pleural effusion. " * 6


def question(text: str, model: str = "offline-rules") -> ChatRequest:
    """A report to translate."""
    payload = {"language": "es", "sections": {"findings": text}}
    return ChatRequest(
        source="manifest",
        egress=Egress.ANY,
        model=model,
        messages=TRANSLATE.messages(payload),
        answer=TranslatedReport,
        prompt_version=TRANSLATE.version,
        temperature=0.0,
        seed=1,
        max_output_tokens=600,
    )


def fill(state: Path, number: int) -> None:
    """Store an answer for every question."""
    content = TranslatedReport(
        indication=None, technique=None, comparison=None, findings=TEXT, impression=None
    ).model_dump_json()
    with closing(AnswerCache(state)) as cache:
        for index in range(number):
            key = question(f"{index}. {TEXT}").identity()
            cache.put(
                StoredAnswer(
                    key, "ok", content, "gpt-4o", "translate-1", 900, 120, 0.01, "2026-01-01"
                )
            )


def replay(state: Path, number: int) -> Iterator[int]:
    """Numbers of answers that came whole, call by call."""
    with Client(Endpoint("http://127.0.0.1:9/v1", SecretStr("k")), state) as client:
        for start in range(0, number, CALL):
            requests = [
                question(f"{index}. {TEXT}") for index in range(start, min(number, start + CALL))
            ]
            answers = client.complete_many(requests)
            yield sum(answer.cached and answer.value is not None for answer in answers)


def main() -> None:
    state, place, number = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
    if place == "SQLite":
        fill(state, number)
    else:
        with closing(AnswerCache(state)) as cache:
            compact(cache)
    started = time.perf_counter()
    found = sum(replay(state, number))
    seconds = time.perf_counter() - started
    if found != number:
        raise SystemExit(f"{found} of {number} answers came back")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    sys.stdout.write(json.dumps({"rate": number / seconds, "peak_mib": peak}) + "\n")


if __name__ == "__main__":
    main()
