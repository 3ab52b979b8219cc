"""What was asked of language models, as facts: each request of the ledger in one run's rows.

The ledger of a state folder counts over all its processes and for ever. A run claims what it has
grown by since the last claim, whoever made that. So the sums over all facts are the ledger's, also
after a kill; of two runs at once in one state folder either may claim the other's requests.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from infra.facts.contract import COLUMNS
from infra.facts.open_runs import has_note, is_open, note
from infra.llm.status import WorkCounts, read_status
from infra.store import Store

CLAIM_FILE = "facts-llm.json"
_LOCK = "facts-llm"
_NANO_DIGITS = 9  # the ledger counts whole billionths of a dollar
_NUMBERS = tuple(COLUMNS["llm"])[5:]
Totals = dict[str, dict[str, float]]
"""By source, task and model (as one JSON list) the ledger's counts."""


def claim_requests(store: Store, key: str) -> int:
    """Note what nobody has claimed yet as the run's of that key; the number of rows.

    The claim is written before the note and tells the note's name: a claim whose process was killed
    in between counts for nothing.
    """
    with store.lock(_LOCK):
        now, before = _ledger_totals(store), _claimed(store)
        grown = _difference(now, before)
        if not grown:
            return 0
        name = f"llm-{uuid.uuid4().hex}"
        claim = {"run": key, "note": name, "before": before, "after": now}
        place = store.state / CLAIM_FILE
        beside = place.with_suffix(".new")
        beside.write_text(json.dumps(claim))
        beside.replace(place)
        run_id = key.partition("-")[2]
        note(store, key, name, {"llm": [_row(run_id, *item) for item in grown.items()]})
    return len(grown)


def _claimed(store: Store) -> Totals:
    place = store.state / CLAIM_FILE
    if not place.exists():
        return {}
    claim: dict[str, Any] = json.loads(place.read_text())
    key = claim["run"]
    held = has_note(store, key, claim["note"]) or not is_open(store, key)
    totals: Totals = claim["after"] if held else claim["before"]
    return totals


def _ledger_totals(store: Store) -> Totals:
    return {
        json.dumps([row.source, row.task, row.model]): _numbers(row)
        for row in read_status(store.state).work
    }


def _numbers(row: WorkCounts) -> dict[str, float]:
    failed = sum(row.failed.values())
    return {
        "requests": row.kept + failed,
        "kept": row.kept,
        "failed": failed,
        "cached": row.replayed,
        "retried": row.retried,
        "rate_limited": row.rate_limited,
        "input_tokens": row.input_tokens,
        "output_tokens": row.output_tokens,
        "cost_usd": row.cost_usd,
        "unpriced": row.unpriced,
    }


def _difference(now: Totals, before: Totals) -> Totals:
    """What grew; all of it where something shrank, for then the ledger is a new one."""
    shrunk = any(
        now.get(work, {}).get(name, 0) < number
        for work, numbers in before.items()
        for name, number in numbers.items()
    )
    base = {} if shrunk else before
    grown = {
        work: {
            name: round(numbers[name] - base.get(work, {}).get(name, 0), _NANO_DIGITS)
            for name in _NUMBERS
        }
        for work, numbers in now.items()
    }
    return {work: numbers for work, numbers in grown.items() if any(numbers.values())}


def _row(run_id: str, work: str, numbers: Mapping[str, float]) -> dict[str, Any]:
    source, task, model = json.loads(work)
    told = {"run_id": run_id, "recorded_at": datetime.now(UTC)}
    return {**told, "source": source, "task": task, "model": model, **numbers}
