"""Whether new studies differ from those that a model was judged on: tests with a stated error rate.

A look compares two windows, source by source, in many quantities. Three things would each make
chance look like drift, and each is accounted for:

* several studies of a subject are alike: one of them is taken, by a digest of its id, so that what
  is compared is independent whatever the number of studies a subject has;
* many quantities are tested: Holm's correction over all of one look;
* many looks are taken at one reference: the yearly false-alarm rate is divided by the looks that a
  year may have (Bonferroni). Looks share their reference, and windows may overlap, so that their
  p-values depend on each other; this holds under any dependence.

Shares are tested by Fisher's exact test, all else by the Mann-Whitney test of ranks. Both hold
whatever the distribution, which matters far out where the corrected levels lie. Measured rates and
power: docs/drift.md.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from hashlib import blake2b
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from evaluation.paired import holm
from evaluation.statistics import Floats

FEWEST: Final = 20
"""Subjects on each side, from which the rank test's approximation holds (Mann and Whitney, 1947,
show it close from eight). Our choice."""
RAREST: Final = 5
"""Of both windows together, fewer of a kind than that can reach no corrected level; and the sum of
both is what the exact test holds fixed, so leaving it out costs no error rate (Tarone, 1990)."""
LOOKS_PER_YEAR: Final = 366
"""Every night."""
YEARLY_RATE: Final = 0.05
"""Chance of any false alarm in a year: once in twenty years (our choice)."""
Form = Literal["share", "value", "score"]


@dataclass(frozen=True)
class Quantity:
    """One thing that is told of every example.

    Args:
        form: a ``share`` of examples (0 or 1), a ``value``, or a ``score`` whose mean is no figure
            of its own (``figure`` tells it).
        values: (N,), nan where an example has none.
    """

    name: str
    form: Form
    values: Floats


@dataclass(frozen=True)
class Window:
    """Examples of one source; (N,) each. ``subjects`` names the unit of each example."""

    source: str
    subjects: tuple[str, ...]
    example_ids: tuple[str, ...]
    quantities: Mapping[str, Quantity]

    def one_each(self) -> NDArray[np.intp]:
        """Places of one example for each subject, chosen by a digest of its id."""
        best: dict[str, tuple[bytes, int]] = {}
        for place, (subject, name) in enumerate(zip(self.subjects, self.example_ids, strict=True)):
            key = (blake2b(name.encode(), digest_size=8).digest(), place)
            best[subject] = min(best.get(subject, key), key)
        return np.array(sorted(place for _, place in best.values()), dtype=np.intp)


@dataclass(frozen=True)
class Tested:
    """One quantity of one source in both windows.

    ``reference`` and ``recent`` are shares or medians of all that was tested; ``p_holm`` is p
    corrected over the look. ``drifted`` says that p_holm is below the look's level. What was not
    tested says why.
    """

    source: str
    quantity: str
    form: Form
    reference: float | None
    recent: float | None
    reference_subjects: int
    recent_subjects: int
    p: float | None
    p_holm: float | None = None
    drifted: bool = False
    reason: str = ""


@dataclass(frozen=True)
class Look:
    """All tests of one comparison, and the level that they were held to.

    ``level`` is this look's share of ``yearly_rate``; 0 where the year's looks are used up.
    """

    tests: tuple[Tested, ...]
    level: float
    yearly_rate: float
    looks_per_year: int
    only_recent: tuple[str, ...] = ()
    only_reference: tuple[str, ...] = ()
    scores: tuple[Mapping[str, Any], ...] = field(default=())

    @property
    def drifted(self) -> tuple[Tested, ...]:
        """What has drifted, the surest first."""
        found = [test for test in self.tests if test.drifted]
        return tuple(sorted(found, key=lambda test: test.p_holm or 0.0))

    def to_dict(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "drifted": bool(self.drifted),
            "level": self.level,
            "yearly_rate": self.yearly_rate,
            "looks_per_year": self.looks_per_year,
            "tested": sum(test.p is not None for test in self.tests),
            "only_recent": list(self.only_recent),
            "only_reference": list(self.only_reference),
            "scores": [dict(score) for score in self.scores],
            "tests": [asdict(test) for test in self.tests],
        }


def look_level(yearly_rate: float, looks_per_year: int, looks_taken: int) -> float:
    """The level of one more look, if so many were taken in the year before it; 0 for one too many.

    In any year no more than ``looks_per_year`` looks have a level, so that the chance of a false
    alarm in it is ``yearly_rate`` at most.
    """
    return yearly_rate / looks_per_year if looks_taken < looks_per_year else 0.0


def compare_windows(
    reference: Sequence[Window],
    recent: Sequence[Window],
    yearly_rate: float = YEARLY_RATE,
    looks_per_year: int = LOOKS_PER_YEAR,
    looks_taken: int = 0,
) -> Look:
    """Test every quantity of every source that both windows have."""
    before = {window.source: window for window in reference}
    after = {window.source: window for window in recent}
    level = look_level(yearly_rate, looks_per_year, looks_taken)
    found = [
        test
        for source in sorted(before.keys() & after.keys())
        for test in _test_source(before[source], after[source])
    ]
    corrected = holm([test.p for test in found])
    tests = tuple(_judged(test, p, level) for test, p in zip(found, corrected, strict=True))
    return Look(
        tests,
        level,
        yearly_rate,
        looks_per_year,
        tuple(sorted(after.keys() - before.keys())),
        tuple(sorted(before.keys() - after.keys())),
    )


def _judged(test: Tested, p_holm: float | None, level: float) -> Tested:
    drifted = p_holm is not None and p_holm <= level
    return Tested(**{**asdict(test), "p_holm": p_holm, "drifted": drifted})


def _test_source(before: Window, after: Window) -> list[Tested]:
    old, new = before.one_each(), after.one_each()
    return [
        _test(before.source, quantity, quantity.values[old], after.quantities[name].values[new])
        for name, quantity in before.quantities.items()
        if name in after.quantities
    ]


def _test(source: str, quantity: Quantity, before: Floats, after: Floats) -> Tested:
    one, two = before[np.isfinite(before)], after[np.isfinite(after)]
    p, reason = p_value(quantity.form, one, two)
    told = (_told(quantity.form, one), _told(quantity.form, two))
    return Tested(source, quantity.name, quantity.form, *told, len(one), len(two), p, reason=reason)


def p_value(form: Form, before: Floats, after: Floats) -> tuple[float | None, str]:
    """Two-sided p of independent values (n,) and (m,); None with the reason why not.

    Fisher's exact test for shares, else Mann and Whitney's, with ties corrected.
    """
    if min(len(before), len(after)) < FEWEST:
        return None, f"fewer than {FEWEST} subjects"
    if form == "share":
        return _fisher(before, after)
    if np.ptp(np.concatenate([before, after])) == 0:
        return None, "one value alone"
    p = stats.mannwhitneyu(before, after, alternative="two-sided", method="asymptotic").pvalue
    return float(p), ""


def _fisher(before: Floats, after: Floats) -> tuple[float | None, str]:
    one, two = int(before.sum()), int(after.sum())
    without = len(before) + len(after) - one - two
    if min(one + two, without) < RAREST:
        return None, f"fewer than {RAREST} of a kind"
    table = [[one, len(before) - one], [two, len(after) - two]]
    return float(stats.fisher_exact(table).pvalue), ""


def _told(form: Form, values: Floats) -> float | None:
    """A share, or a median; of a score none."""
    if not len(values) or form == "score":
        return None
    figure = float(np.mean(values) if form == "share" else np.median(values))
    return figure if math.isfinite(figure) else None
