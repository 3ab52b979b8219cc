"""Champions of one registered model: compare-and-set by a log, repair, and rollback.

MLflow's aliases have no compare-and-set. So an entry goes to the model's log first (see
``infra.registry``), which says against which champion it was judged; the log alone decides whether
it holds; and the alias is then set from the log, and read again until both agree. Whoever comes
next finishes what a killed promoter left, and enters what somebody moved by hand.
"""

from __future__ import annotations

import getpass
import socket
import time
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from infra.errors import CxrError, InputError, Overtaken
from infra.promotion_log import NOBODY, Entry, History, Kind, read_log
from infra.registry import LOG_SUFFIX, Registry, described

CHAMPION: Final = "champion"
GRACE_S: Final = 2.0
"""So long must a strange alias stand before it counts as moved by hand (our choice): a promoter
that was overtaken between its entry and its alias puts it right within milliseconds."""
_ROUNDS: Final = 20
"""Readings until log and alias agree (our choice): each needs somebody else's move in between."""


def this_person() -> str:
    """``user@host``."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # a container's number without a name
        user = "unknown"
    return f"{user}@{socket.gethostname()}"


@dataclass(frozen=True)
class Decision:
    """Who decides, why, and on what: the digest of the gate's outcome and the run that holds it."""

    by: str
    reason: str = ""
    outcome: str = ""
    run_id: str = ""


@dataclass(frozen=True)
class Promotions:
    """The champions of the registered model ``name``."""

    registry: Registry
    name: str
    grace_s: float = GRACE_S

    def __post_init__(self) -> None:
        if self.name.endswith(LOG_SUFFIX):
            raise InputError(
                f"'{self.name}', which is a log of promotions",
                "a registered model",
                f"name {self.name.removesuffix(LOG_SUFFIX)}",
            )

    def history(self) -> History:
        """The log as it stands; nothing is repaired."""
        return read_log(self.registry.entries(self.name))

    def settle(self, by: str) -> History:
        """Make log and alias agree: finish what a killed promoter began, enter what was moved by
        hand.

        Raises:
            CxrError: others move the alias all the time.
        """
        for _ in range(_ROUNDS):
            history, alias = self.history(), self.registry.alias(self.name, CHAMPION)
            last = history.last
            if alias == history.champion:
                self._mark(last)
                return history
            begun = last is not None and not last.settled and alias == last.expected
            if begun and self.registry.has(self.name, history.champion):
                self._publish()
            elif self._stands(history, alias):
                self._enter_outside(history, alias, by)
        raise self._restless()

    def promote(self, version: int, expected: int, decision: Decision) -> Entry:
        """Make a version champion if the one that it was judged against still is.

        Args:
            expected: the champion that it was judged against, NOBODY for none.

        Raises:
            Overtaken: another one is champion now.
        """
        history = self.settle(decision.by)
        if history.champion != expected:
            raise self._overtaken(history, version, expected)
        return self._enter("promote", version, expected, decision)

    def rollback(self, decision: Decision, to: int | None = None) -> Entry:
        """Make the champion before the present one champion again, or an earlier one.

        Raises:
            InputError: there was none, or not that one, or it was deleted.
            Overtaken: another promotion or rollback was first.
        """
        history = self.settle(decision.by)
        target = self._target(history, to)
        return self._enter("rollback", target, history.champion, decision)

    def _target(self, history: History, to: int | None) -> int:
        left = [one for one in history.earlier if self.registry.has(self.name, one)]
        if to is None and left:
            return left[0]
        if to is not None and to in left:
            return to
        what = "no earlier champion" if to is None else f"version {to}, no earlier champion"
        raise InputError(
            f"{what} of {self.name}",
            f"one that is still registered: {', '.join(map(str, left)) or 'there is none'}",
            f"see 'cxr promotions {self.name}', or promote a version",
        )

    def _enter(self, kind: Kind, version: int, expected: int, decision: Decision) -> Entry:
        """Write the entry, see whether it holds, and set the alias.

        Raises:
            Overtaken: it does not hold.
        """
        key = uuid.uuid4().hex
        self._append(key, kind, version, expected, decision)
        history = self.history()
        if not history.holds(key):
            raise self._overtaken(history, version, expected)
        self._publish()
        return next(entry for entry in history.held if entry.key == key)

    def _append(
        self, key: str, kind: Kind, version: int, expected: int, decision: Decision
    ) -> None:
        at = datetime.now(UTC).isoformat(timespec="seconds")
        run_id = decision.run_id or self._run(kind, version)
        entry = Entry(
            number=0, key=key, kind=kind, version=version, expected=expected, by=decision.by,
            at=at, outcome=decision.outcome, reason=decision.reason, run_id=run_id,
        )  # fmt: skip
        self.registry.append(self.name, entry)

    def _run(self, kind: Kind, version: int) -> str:
        """An entry needs a run: a server takes no version without one."""
        tags = {"cxrflow.model": self.name, "cxrflow.version": str(version)}
        run = self.registry.open_run(f"{kind} {self.name} {shown(version)}", tags)
        run.end("FINISHED")
        return run.run_id

    def _publish(self) -> None:
        """Set the alias from the log until both agree."""
        for _ in range(_ROUNDS):
            champion = self.history().champion
            if self.registry.alias(self.name, CHAMPION) != champion:
                self.registry.point(self.name, CHAMPION, champion)
            again = self.history()
            if again.champion == champion == self.registry.alias(self.name, CHAMPION):
                self._mark(again.last)
                return
        raise self._restless()

    def _mark(self, last: Entry | None) -> None:
        if last is not None and not last.settled:
            self.registry.mark_settled(self.name, last.number)

    def _stands(self, history: History, alias: int) -> bool:
        """Whether a strange alias still stands after a while."""
        time.sleep(self.grace_s)
        same = len(self.history().entries) == len(history.entries)
        return same and self.registry.alias(self.name, CHAMPION) == alias

    def _enter_outside(self, history: History, alias: int, by: str) -> None:
        self._mark(history.last)
        reason = "the alias was moved without a promotion"
        found = Decision(f"unknown, found by {by}", reason)
        self._append(uuid.uuid4().hex, "outside", alias, history.champion, found)

    def _overtaken(self, history: History, version: int, expected: int) -> Overtaken:
        last = history.after(expected) or history.last
        who = "" if last is None else f" ({described(self.name, last)})"
        return Overtaken(
            f"{shown(history.champion)} as champion of {self.name}{who}",
            f"still {shown(expected)}, against which version {version} was judged",
            f"nothing was changed; run it again to judge against {shown(history.champion)}",
        )

    def _restless(self) -> CxrError:
        return CxrError(
            f"found alias {CHAMPION} of {self.name} moved {_ROUNDS} times while it was set; "
            f"expected it to agree with the log; see who moves it, and run the command again"
        )


def shown(version: int) -> str:
    """A champion in words."""
    return "no champion" if version == NOBODY else f"version {version}"
