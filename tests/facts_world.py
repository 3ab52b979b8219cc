"""A house with a history: facts of every kind, by the writers that runs use."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from infra.facts.contract import COLUMNS, FactRows, Kind
from infra.facts.files import file_name, write_facts
from infra.settings.environment import Environment, load_environment
from infra.store import Store

HOUSE_PAGE = Path(__file__).parent.parent / "docs" / "facts.md"
CANARY = "moderate cardiomegaly of subject p10000032"
"""Text and an id that no fact may hold."""


def house(root: Path) -> Store:
    return Store(str(root), root / ".state")


def place(root: Path, **fields: Any) -> Environment:
    return load_environment(data_root=str(root), **fields)


def row(kind: Kind, /, **known: Any) -> dict[str, Any]:
    """A row with zeros, empty texts and now where nothing is said."""
    empty = {"string": "", "int64": 0, "double": None, "bool": False}
    values = {
        name: empty.get(str(type_), datetime.now(UTC)) for name, (type_, _) in COLUMNS[kind].items()
    }
    assert known.keys() <= values.keys(), known.keys() - values.keys()
    return {**values, **known}


def write_run(store: Store, run_id: str, ended: datetime, facts: FactRows, **known: Any) -> None:
    """An ended run of 100 s with its rows, written as a run writes them."""
    seconds = known.pop("seconds", 100.0)
    started = ended - timedelta(seconds=seconds)
    run = {
        "flow": "pipeline",
        "recipe": "llava_rad",
        "scale": "tiny",
        "goal": "register",
        "state": "completed",
        "trigger": "command",
        "started_at": started,
        "expected_at": None,
        "seconds": seconds,
        **known,
    }
    name = file_name(started, run_id)
    for kind, rows in facts.items():
        own = [{**each, "run_id": run_id, "recorded_at": ended} for each in rows]
        write_facts(store, kind, name, started, own)
    write_facts(
        store, "runs", name, started, [row("runs", run_id=run_id, recorded_at=ended, **run)]
    )


def llm_row(**known: Any) -> dict[str, Any]:
    told = {"source": "mimic_cxr", "task": "structure", "model": "gpt-4", "cost_usd": 0.0}
    return row("llm", **{**told, **known})


def score_row(fingerprint: str, value: float, metric: str = "rule14-micro-F1", /) -> dict[str, Any]:
    return row(
        "scores",
        recipe="llava_rad",
        scale="tiny",
        ability="llava_rad",
        model="llava_rad",
        fingerprint=fingerprint,
        metric=metric,
        value=value,
        low=value - 0.02,
        high=value + 0.02,
        n=100,
        higher_is_better=True,
        signature="same",
    )


def write_alias(
    store: Store, alias: str, versions: Sequence[tuple[int, str]], at: datetime
) -> None:
    """An alias that was set to each version in turn, an hour apart."""
    before = None
    for number, (version, scores) in enumerate(versions):
        moment = at + timedelta(hours=number)
        told = {"model": "llava_rad", "alias": alias, "version": version, "previous": before}
        own = row("aliases", recorded_at=moment, scores=scores, **told)
        write_facts(store, "aliases", f"llava_rad-{alias}-{number:06d}", moment, [own])
        before = version


def write_look(store: Store, at: datetime, drifted: Sequence[str], fingerprint: str = "f") -> None:
    """A look at three quantities of one source."""
    told = {"model": "llava_rad", "source": "mimic_cxr", "version": 5, "recent_subjects": 300}
    rows = [
        row("drift", recorded_at=at, fingerprint=fingerprint, quantity=name, level=0.05 / 366,
            p_holm=1e-9 if name in drifted else 1.0, drifted=name in drifted, **told)
        for name in ("film mean", "reference length", "rule14-micro-F1")
    ]  # fmt: skip
    write_facts(store, "drift", f"llava_rad-{fingerprint}", at, rows)


def day(number: int, share: float, source: str = "mimic_cxr") -> FactRows:
    """What one run found: a tenth of a source's images rejected, say, and all steps of a recipe."""
    rejected = round(1000 * share)
    counts = {"source": source, "rows_in": 1000, "kept": 1000 - rejected, "rejected": rejected}
    where = {"state": "built", "handled": 1000}
    stage = {"recipe": "llava_rad", "scale": "tiny", "stage": "finetune", "kind": "finetune"}
    steps = {"studies": source, "images": source, "examples": "reports", "stages": "finetune"}
    return {
        "steps": [
            row("steps", kind=kind, name=name, state="built", seconds=20.0)
            for kind, name in steps.items()
        ],
        "rows": [
            row("rows", kind=kind, unit=unit, **counts, **where)
            for kind, unit in (("studies", "studies"), ("images", "images"), ("examples", "rows"))
        ],
        "rejects": [
            row("rejects", source=source, kind="images", unit="images", reason="truncated",
                count=rejected)
        ],
        "llm": [
            llm_row(requests=100, kept=98, failed=2, cached=50, retried=4, rate_limited=3,
                    input_tokens=5000, output_tokens=900, cost_usd=0.25)
        ],
        "stages": [
            row("stages", **stage, device="H200", devices=1, steps=100, seconds=60.0, mfu=0.5,
                useful_tokens_per_second=14000.0 + number, data_wait_share=0.01,
                peak_memory_gib=40.0, first_loss=2.0, last_loss=1.0, validate_loss=1.1, bar="met")
        ],
        "scores": [score_row(f"scores{number}", 0.5 + number / 100)],
    }  # fmt: skip


def write_history(root: Path, now: datetime) -> Store:
    """A week of scheduled runs, one killed and mended the same day, and models with aliases."""
    store = house(root)
    for number in range(7):
        ended = now - timedelta(days=6 - number, hours=1)
        told = {"trigger": "schedule", "late_seconds": 30.0 + number}
        if number == 3:
            before = ended - timedelta(hours=2)
            write_run(store, "broken", before, {}, state="killed", trigger="command")
        write_run(store, f"run{number}", ended, day(number, 0.05), **told)
    write_alias(store, "champion", [(4, "scores4"), (5, "scores5")], now - timedelta(days=2))
    write_look(store, now, ["film mean"])
    write_alias(store, "candidate", [(6, "scores6")], now - timedelta(days=1))
    return store
