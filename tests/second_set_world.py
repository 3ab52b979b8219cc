"""How the second corruption set is scored: shares per kind, with what slipped through."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from tasks.reports.fidelity import Problem

KINDS = ("side", "denial", "number", "added", "lost", "comparison")
CAUGHT_BAR = 0.95
REFUSED_BAR = 0.02


@dataclass(frozen=True)
class Phrase:
    """One sentence, its faithful translation, and translations with one mistake, by kind."""

    written: str
    english: str
    wrong: dict[str, str] = field(default_factory=dict)


def phrase(written: str, english: str, **wrong: str) -> Phrase:
    return Phrase(written, english, wrong)


@dataclass(frozen=True)
class Case:
    """One answer; ``kind`` is ``faithful`` or the mistake in it."""

    kind: str
    source: str
    answer: str
    verdict: Callable[[], Problem | None]


@dataclass(frozen=True)
class Score:
    """Cases per kind, and those that went the wrong way."""

    cases: dict[str, int]
    wrong: dict[str, list[str]]

    def share_caught(self, kind: str) -> float:
        return 1 - len(self.wrong.get(kind, [])) / self.cases[kind]

    @property
    def all_caught(self) -> float:
        kinds = [kind for kind in self.cases if kind != "faithful"]
        missed = sum(len(self.wrong.get(kind, [])) for kind in kinds)
        return 1 - missed / sum(self.cases[kind] for kind in kinds)

    @property
    def refused(self) -> float:
        return len(self.wrong.get("faithful", [])) / self.cases["faithful"]

    def complaint(self) -> str:
        """What a failing test prints: figures, then some cases of each kind."""
        lines = [
            f"{kind}: {count - len(self.wrong.get(kind, []))} of {count} right"
            for kind, count in self.cases.items()
        ]
        for kind, texts in self.wrong.items():
            lines.append(f"{kind} went wrong: {len(texts)}")
            lines += texts[:12]
        return "\n".join(lines)


def score(cases: Iterable[Case]) -> Score:
    """Every faithful case should have no problem, every other one should have one."""
    counts: dict[str, int] = defaultdict(int)
    wrong: dict[str, list[str]] = defaultdict(list)
    for case in cases:
        counts[case.kind] += 1
        problem = case.verdict()
        if (problem is not None) == (case.kind == "faithful"):
            reason = f"[{problem.reason}: {problem.detail}] " if problem else ""
            wrong[case.kind].append(f"  {reason}{case.source!r} -> {case.answer!r}")
    return Score(dict(counts), dict(wrong))


def hold_bars(got: Score, at_least: int) -> None:
    """Both bars of the fidelity checks, over ``at_least`` cases on either side."""
    damaged = sum(count for kind, count in got.cases.items() if kind != "faithful")
    assert got.cases["faithful"] >= at_least and damaged >= at_least, got.cases
    low = [kind for kind in got.cases if kind in KINDS and got.share_caught(kind) < CAUGHT_BAR]
    assert not low, f"{low}\n{got.complaint()}"
    assert got.refused <= REFUSED_BAR, got.complaint()


def dice(name: str) -> random.Random:
    """A generator of its own for each part of the set."""
    return random.Random(f"second-set/{name}")
