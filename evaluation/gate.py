"""The gate's arithmetic: a candidate's scores beside a champion's, and beside its own controls.

Where scores came from is none of its concern. All checks must pass at once, so that none needs a
correction for their number: a candidate that is truly worse in a metric passes by chance no more
often than it passes that metric's check.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from evaluation.controls import MODEL
from evaluation.gate_outcome import Check, Figure
from evaluation.paired import System, paired_difference, why_not_paired
from evaluation.statistics import Interval
from infra.settings.gates import Gate, GateMetric

_OF_THE_SYSTEM: Final = frozenset({"images", "max_new_tokens"})
_OF_THE_INTERVAL: Final = frozenset({"interval", "resamples", "seed", "unit"})
"""Fields of a signature that do not say how a value is counted."""
Row = Mapping[str, Any]
_WHOLE: Final = "all"  # the group of answers that holds every question
LEAST_RESAMPLES: Final = 500
"""Our choice, the recipes' own number: what an interval must have that is not drawn anew here."""


@dataclass(frozen=True)
class Scored:
    """One model's scores of one ability.

    Args:
        name: of the scores artifact.
        document: its ``scores.json``.
        system: its counts by example; None where scores are no sums over examples.
        test_set: digest of what was asked.
        units: how many subjects or films intervals draw.
        pairs: by control the model's and its counts, of the examples that both answered.
    """

    name: str
    document: Mapping[str, Any]
    system: System | None
    test_set: str
    units: int
    pairs: Mapping[str, tuple[System, System]] = field(default_factory=dict)

    def row(self, metric: str, control: str = MODEL) -> Row | None:
        """The score of that name; None without a number."""
        found = _row_of(self.document["scores"], metric, control)
        return None if found is None or found["value"] is None else found

    def beside(self, metric: str, control: str) -> Row | None:
        """The paired difference from a control, where one was kept."""
        return _row_of(self.document.get("differences", ()), metric, control)


def _row_of(rows: Iterable[Row], metric: str, control: str) -> Row | None:
    """Over everything that was asked, no group of it."""
    for row in rows:
        whole = row.get("group", _WHOLE) == _WHOLE
        if whole and (row["metric"], row["control"]) == (metric, control):
            return row
    return None


def independent_difference(other: Interval, own: Interval) -> Interval:
    """``other`` less ``own`` from two intervals, as of independent samples (G. Y. Zou and
    A. Donner, Statistics in Medicine 27:1693, 2008); wider than a paired one where both are of the
    same examples and so rise and fall together."""
    ends = (other.value, other.low, other.high, own.value, own.low, own.high)
    if any(end is None for end in ends):
        return Interval(None, None, None)
    value, low, high, base, base_low, base_high = (float(end) for end in ends if end is not None)
    below = math.hypot(value - low, base_high - base)
    above = math.hypot(high - value, base - base_low)
    gap = value - base
    return Interval(gap, gap - below, gap + above)


def check_size(ability: str, scored: Scored, gate: Gate) -> Check:
    """Enough of what intervals draw."""
    enough = scored.units >= gate.fewest_subjects
    reason = f"{scored.units} subjects or films, at least {gate.fewest_subjects} are wanted"
    figures = {"units": scored.units, "fewest": gate.fewest_subjects}
    return Check("test set is large enough", enough, reason, ability, figures)


def check_controls(
    ability: str, scored: Scored, gate: Gate, resamples: int, seed: int
) -> list[Check]:
    """Each control is beaten: what a blind control reaches too owes nothing to films.

    Args:
        resamples: of the gate's own intervals. Those that are kept beside scores are the recipe's:
            whoever trains could look for a seed that passes.
    """
    return [
        _check_control(ability, scored, gate, control, (resamples, seed))
        for control in gate.controls
    ]


def _check_control(
    ability: str, scored: Scored, gate: Gate, control: str, draws: tuple[int, int]
) -> Check:
    metric, title = gate.beats_controls_in, f"beats the control {control}"
    own, other = scored.row(metric), scored.row(metric, control)
    if own is None or other is None:
        return Check(
            title, False, f"no {metric} of {'the model' if own is None else control}", ability
        )
    gap, unknown = _beside(scored, metric, control, draws)
    if unknown is not None:
        return Check(title, False, unknown, ability)
    passed = gap.better(own["higher_is_better"]) is True
    verb = "is" if passed else "is not shown to be"
    reason = f"{metric} {own['value']:.3f} {verb} better than {other['value']:.3f}: {_text(gap)}"
    figures = {"own": own["value"], "control": other["value"], **_figures(gap)}
    return Check(title, passed, reason, ability, figures)


def _beside(
    scored: Scored, metric: str, control: str, draws: tuple[int, int]
) -> tuple[Interval, str | None]:
    """The model less a control, or why that is not known."""
    nothing = Interval(None, None, None)
    own, other = scored.row(metric), scored.row(metric, control)
    assert own is not None and other is not None, "looked up before"
    if scored.system is None:
        weak = _too_few_resamples(own, other)
        if weak is not None:
            return nothing, weak
        kept = scored.beside(metric, control)
        pair = _interval(own), _interval(other)
        return (_interval(kept) if kept else independent_difference(*pair)), None
    if control not in scored.pairs:
        return nothing, f"no predictions of {control}, from which its interval is drawn"
    model, beside = scored.pairs[control]
    found = paired_difference(beside, model, metric, *draws)
    if found is None or found.reason is not None:
        return nothing, "no counts of it" if found is None else found.reason
    return found.difference, None


def _too_few_resamples(*rows: Row) -> str | None:
    """Why kept intervals are not taken; None where they are."""
    fewest = min(int(row["signature"].get("resamples", 0)) for row in rows)
    if fewest >= LEAST_RESAMPLES:
        return None
    return (
        f"its interval was drawn with {fewest} resamples, at least {LEAST_RESAMPLES} are wanted: "
        "score it again with 'score.bootstrap_resamples'"
    )


def check_same_test(ability: str, candidate: Scored, champion: Scored) -> Check:
    """Both were asked the same; otherwise a difference of theirs is one of test sets too."""
    title = "same test set as the champion"
    if candidate.system is not None and champion.system is not None:
        apart = why_not_paired(champion.system, candidate.system)
    else:
        apart = None if candidate.test_set == champion.test_set else "other test examples"
    if apart is None:
        return Check(title, True, f"digest {candidate.test_set}", ability)
    advice = (
        "evaluate both on one set of examples, or several recipes with 'cxr compare-recipes', and "
        "promote again"
    )
    return Check(title, False, f"{apart}; {advice}", ability)


def check_signatures(ability: str, candidate: Scored, champion: Scored, gate: Gate) -> Check:
    """The metrics that decide were counted alike."""
    apart = []
    for metric in dict.fromkeys(one.metric for one in gate.metrics):
        rows = [scored.row(metric) for scored in (champion, candidate)]
        told = [_counted(row["signature"]) for row in rows if row is not None]
        if len(told) == 2 and told[0] != told[1]:
            names = sorted(
                name
                for name in told[0].keys() | told[1].keys()
                if told[0].get(name) != told[1].get(name)
            )
            apart.append(f"{metric} differs in {', '.join(names)}")
    reason = "; ".join(apart) or "alike for every metric that decides"
    return Check("signatures agree", not apart, reason, ability)


def _counted(signature: Mapping[str, Any]) -> dict[str, Any]:
    left_out = _OF_THE_SYSTEM | _OF_THE_INTERVAL
    return {name: value for name, value in signature.items() if name not in left_out}


def check_metrics(
    ability: str, candidate: Scored, champion: Scored, gate: Gate, resamples: int, seed: int
) -> list[Check]:
    """Each metric of the gate, candidate less champion."""
    return [
        _check_metric(ability, candidate, champion, asked, resamples, seed)
        for asked in gate.metrics
    ]


def _check_metric(
    ability: str, candidate: Scored, champion: Scored, asked: GateMetric, resamples: int, seed: int
) -> Check:
    title = f"{asked.metric} is {asked.rule}"
    rows = [scored.row(asked.metric) for scored in (champion, candidate)]
    if rows[0] is None or rows[1] is None:
        whose = "champion" if rows[0] is None else "candidate"
        return Check(title, False, f"the {whose} has no number for it", ability)
    gap, p = _difference(candidate, champion, asked.metric, resamples, seed)
    told = f"{rows[0]['value']:.3f} to {rows[1]['value']:.3f}, {_text(gap)}"
    figures = {
        "champion": rows[0]["value"], "candidate": rows[1]["value"], **_figures(gap), "p": p,
        "margin": asked.margin,
    }  # fmt: skip
    if isinstance(p, str):
        return Check(title, False, p, ability, figures)
    passed, why = verdict(gap, asked, rows[1]["higher_is_better"])
    return Check(title, passed, f"{told}: {why}", ability, figures)


def _difference(
    candidate: Scored, champion: Scored, metric: str, resamples: int, seed: int
) -> tuple[Interval, float | str | None]:
    """The difference with its p-value, or with why there is none."""
    if candidate.system is None or champion.system is None:
        own, other = champion.row(metric), candidate.row(metric)
        assert own is not None and other is not None, "looked up before"
        weak = _too_few_resamples(own, other)
        return independent_difference(_interval(other), _interval(own)), weak
    pair = paired_difference(champion.system, candidate.system, metric, resamples, seed)
    if pair is None:
        return Interval(None, None, None), "neither has counts of it"
    return pair.difference, pair.reason or pair.p


def verdict(gap: Interval, asked: GateMetric, higher_is_better: bool) -> tuple[bool, str]:
    """Whether a difference passes, and why; ``gap`` is the candidate less the champion."""
    if gap.low is None or gap.high is None:
        return False, "its interval is not known"
    least, most = (gap.low, gap.high) if higher_is_better else (-gap.high, -gap.low)
    if asked.rule == "better":
        if least > asked.margin:
            return True, f"better by more than {asked.margin:g}"
        return False, f"not shown to be better by more than {asked.margin:g}"
    if least >= -asked.margin:
        return True, f"worse by no more than {asked.margin:g}"
    if most < 0:
        return False, f"worse, and by up to {-least:.3f} where {asked.margin:g} is admitted"
    return False, f"may be worse by {-least:.3f} where {asked.margin:g} is admitted"


def _interval(row: Mapping[str, Any]) -> Interval:
    return Interval(row["value"], row["low"], row["high"])


def _text(gap: Interval) -> str:
    if gap.value is None or gap.low is None or gap.high is None:
        return "difference unknown"
    return f"difference {gap.value:+.3f} [{gap.low:+.3f}, {gap.high:+.3f}]"


def _figures(gap: Interval) -> dict[str, Figure]:
    return {"difference": gap.value, "low": gap.low, "high": gap.high}
