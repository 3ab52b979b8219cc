"""Facts added up: what counters, histograms and gauges are made of.

Only sums and newest values are kept, so that memory grows with the number of sources, flows and
models, not of runs; of a run itself five numbers stay.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from copy import copy
from datetime import datetime
from statistics import median
from typing import Any, Final, NamedTuple

from infra.facts.contract import FactRows

Row = Mapping[str, Any]
Key = tuple[str, ...]
INGESTED: Final = "studies"
"""The step that looks at a source's raw files."""
USUAL_BUILDS: Final = 10
"""Builds, or runs, that make what is usual. Our choice: two weeks of working days."""
BROKEN: Final = ("failed", "killed")
"""States of runs that somebody should look after; a cancelled one was somebody's wish."""
LLM_NUMBERS: Final = (
    *("kept", "failed", "cached", "retried", "rate_limited", "input_tokens", "output_tokens"),
    "cost_usd",
)


class Ended(NamedTuple):
    """One run of a flow."""

    at: datetime
    state: str
    trigger: str
    seconds: float
    late_seconds: float | None


class Moved(NamedTuple):
    """An alias that was set, moved or removed; ``scores`` are fingerprints behind the version."""

    at: datetime
    version: int | None
    scores: tuple[str, ...]


class Tally:
    """Sums and newest values; ``add`` it rows in any order."""

    def __init__(self) -> None:
        self.runs: defaultdict[Key, list[Ended]] = defaultdict(list)
        self.steps: Counter[Key] = Counter()
        self.step_seconds: defaultdict[str, float] = defaultdict(float)
        self.rows: dict[Key, Row] = {}
        self.handled: Counter[Key] = Counter()
        self.shares: defaultdict[Key, list[tuple[datetime, float]]] = defaultdict(list)
        self.rejects: dict[Key, tuple[str, dict[str, int]]] = {}
        self.checked: dict[str, datetime] = {}
        self.changed: dict[str, datetime] = {}
        self.llm: defaultdict[Key, Counter[str]] = defaultdict(Counter)
        self.stages: dict[Key, Row] = {}
        self.scores: defaultdict[str, list[Row]] = defaultdict(list)
        self.aliases: defaultdict[Key, list[Moved]] = defaultdict(list)
        self.looks: dict[str, tuple[Row, ...]] = {}

    def copy(self) -> Tally:
        """A tally that can be added to without changing this one."""
        other = Tally()
        for name, value in vars(self).items():
            setattr(other, name, copy(value))
        for name in ("runs", "shares", "scores", "aliases", "llm"):
            table = getattr(other, name)
            for key, value in table.items():
                table[key] = copy(value)
        return other

    def add(self, facts: FactRows) -> None:
        """Rows of one run, or of several."""
        for row in facts.get("runs", ()):
            ended = Ended(
                *(
                    row["recorded_at"],
                    row["state"],
                    row["trigger"],
                    row["seconds"],
                    row["late_seconds"],
                )
            )
            self.runs[row["flow"], row["recipe"], row["scale"]].append(ended)
        for row in facts.get("steps", ()):
            self._add_step(row)
        self._add_counts(facts)
        for row in facts.get("llm", ()):
            sums = self.llm[row["source"], row["task"], row["model"]]
            for name in LLM_NUMBERS:
                sums[name] += row[name] or 0
        for row in facts.get("stages", ()):
            self._newest(self.stages, (row["recipe"], row["scale"], row["stage"]), row)
        for row in facts.get("scores", ()):
            self.scores[row["fingerprint"]].append(row)
        for row in facts.get("aliases", ()):
            scores = tuple(filter(None, row["scores"].split(",")))
            moved = Moved(row["recorded_at"], row["version"], scores)
            self.aliases[row["model"], row["alias"]].append(moved)
        self._add_looks(facts.get("drift", ()))

    def _add_looks(self, rows: Sequence[Row]) -> None:
        """Of each model the tests of its newest look at drift."""
        found: dict[tuple[str, datetime, str], list[Row]] = defaultdict(list)
        for row in rows:
            found[row["model"], row["recorded_at"], row["fingerprint"]].append(row)
        for (model, at, _), tests in sorted(found.items(), key=lambda item: item[0]):
            known = self.looks.get(model)
            if known is None or known[0]["recorded_at"] <= at:
                self.looks[model] = tuple(tests)

    def _add_step(self, row: Row) -> None:
        self.steps[row["kind"], row["state"]] += 1
        if row["state"] == "built":
            self.step_seconds[row["kind"]] += row["seconds"] or 0.0
        if row["kind"] == INGESTED and row["state"] in ("built", "cached"):
            name = row["name"]
            self.checked[name] = max(row["recorded_at"], self.checked.get(name, row["recorded_at"]))
            if row["state"] == "built":
                self.changed[name] = max(
                    row["recorded_at"], self.changed.get(name, row["recorded_at"])
                )

    def _add_counts(self, facts: FactRows) -> None:
        by_step: dict[Key, list[Row]] = defaultdict(list)
        for row in facts.get("rows", ()):
            self._newest(self.rows, (row["source"], row["kind"], row["unit"]), row)
            self.handled[row["source"], row["kind"], row["unit"]] += row["handled"]
            by_step[row["run_id"], row["source"], row["kind"]].append(row)
        reasons: dict[Key, Counter[str]] = defaultdict(Counter)
        for row in facts.get("rejects", ()):
            reasons[row["run_id"], row["source"], row["kind"]][row["reason"]] += row["count"]
        for (run_id, *place), rows in by_step.items():
            key, at = tuple(place), max(row["recorded_at"] for row in rows)
            came = sum(row["rows_in"] for row in rows)
            built = any(row["state"] == "built" for row in rows)
            if came and built:
                self.shares[key].append((at, sum(row["rejected"] for row in rows) / came))
            if key not in self.rejects or self.rejects[key][0] <= at.isoformat():
                self.rejects[key] = (at.isoformat(), dict(reasons[run_id, *place]))

    def _newest(self, table: dict[Key, Row], key: Key, row: Row) -> None:
        if key not in table or table[key]["recorded_at"] <= row["recorded_at"]:
            table[key] = row

    def reject_shares(self) -> Iterator[tuple[Key, float, float | None]]:
        """By source and step the newest build's share, and the usual one of those before it."""
        for key, found in self.shares.items():
            shares = [share for _, share in sorted(found)]
            before = shares[-1 - USUAL_BUILDS : -1]
            yield key, shares[-1], median(before) if before else None

    def recoveries(self) -> Iterator[tuple[Key, float]]:
        """By flow, seconds from the end of a first failed run to that of the next good one."""
        for key, found in self.runs.items():
            failed_at: datetime | None = None
            for run in sorted(found):
                if run.state in BROKEN:
                    failed_at = failed_at or run.at
                elif run.state == "completed" and failed_at is not None:
                    yield key, (run.at - failed_at).total_seconds()
                    failed_at = None
