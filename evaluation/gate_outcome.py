"""What a gate says: every check with its figures, a line of reason, and passed or failed.

Checks of scores are in ``gate``; those here are of what the model learned from and is made of.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Final

from infra.fingerprint import fingerprint
from infra.licences import Licence, Use

FORMAT: Final = 1
"""Raise when a reader of ``Outcome.to_dict`` must change."""
Figure = float | int | str | None


@dataclass(frozen=True)
class Check:
    """One check; ``ability`` is empty where it is about the whole model."""

    name: str
    passed: bool
    reason: str
    ability: str = ""
    figures: Mapping[str, Figure] = field(default_factory=dict)

    @property
    def title(self) -> str:
        return f"{self.ability}: {self.name}" if self.ability else self.name


@dataclass(frozen=True)
class Outcome:
    """All checks of one candidate.

    ``settings`` are the gates that held; ``judged`` names the scores artifacts by ability, the
    candidate's and the champion's. Versions are numbers of the registry, 0 for no champion.
    """

    model: str
    version: int
    against: int
    use: Use
    checks: tuple[Check, ...]
    settings: Mapping[str, Any]
    judged: Mapping[str, Sequence[str]]

    @property
    def passed(self) -> bool:
        return all(check.passed for check in self.checks)

    @property
    def failed(self) -> tuple[Check, ...]:
        return tuple(check for check in self.checks if not check.passed)

    @property
    def digest(self) -> str:
        """Of everything in it: an entry of the log names its evidence by that."""
        return fingerprint(self._plain())

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {**self._plain(), "digest": self.digest}

    def _plain(self) -> dict[str, Any]:
        return {
            "format": FORMAT,
            "model": self.model,
            "version": self.version,
            "against": self.against,
            "use": str(self.use),
            "passed": self.passed,
            "checks": [asdict(check) for check in self.checks],
            "settings": dict(self.settings),
            "judged": {name: list(both) for name, both in self.judged.items()},
        }


def check_learned(who: str, ability: str, found: Mapping[str, int], studies: int) -> Check:
    """Of the test studies none was learned from; ``found`` counts those that were, by reason."""
    told = ", ".join(f"{count} {reason}" for reason, count in sorted(found.items()) if count)
    reason = f"of {studies} test studies: {told or 'none learned from'}"
    figures = {"studies": studies, **{name: count for name, count in found.items() if count}}
    return Check(f"no leakage into the {who}", not told, reason, ability, figures)


def check_licences(
    what: str, wanted: Use, found: Mapping[str, Licence], declared: Sequence[str]
) -> Check:
    """Whatever the model was made of may be used as wanted.

    Args:
        what: ``data`` or ``base weights``.
        found: licences by name of source or weights.
        declared: names whose use an operator answers for.
    """
    refused, unknown = [], []
    for name, licence in found.items():
        if name in declared:
            continue
        if licence.use is None:
            unknown.append(f"{name}: {licence.name}")
        elif not licence.use.admits(wanted):
            refused.append(f"{name} admits {licence.use} ({licence.name})")
    told = [f"{each}; allow it with '--allow-licence {each.partition(':')[0]}'" for each in unknown]
    by_hand = [name for name in found if name in declared]
    fine = f"{len(found)} admit {wanted}" if found else "there are none"
    fine += f"; declared: {', '.join(by_hand)}" if by_hand else ""
    reason = "; ".join([*refused, *told]) or fine
    uses: dict[str, Figure] = {name: str(one.use or "unknown") for name, one in found.items()}
    return Check(
        f"licences of {what} admit {wanted} use", not (refused or unknown), reason, "", uses
    )
