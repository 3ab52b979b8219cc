"""Conversations about uploaded films: in memory alone, for those who began them, for a while."""

from __future__ import annotations

import secrets
import time
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Final

from sources.learned_views import parted
from tasks.serve.refused import Refused

TALK_SECONDS: Final = 2 * 3600.0
"""After its last turn. Our choice: a film of somebody's does not stay overnight."""
_MOST_TALKS: Final = 200
_MOST_BYTES: Final = 512 * 2**20
"""Of all films in memory; the conversations that were silent longest go first (our choice)."""


@dataclass(frozen=True)
class Turn:
    """One thing said; ``asks_report`` is the upload's own request, which has no words."""

    role: str
    text: str
    asks_report: bool = False
    to_draw: str = ""
    model: str = ""

    @property
    def drawing(self) -> dict[str, str]:
        """What the form that draws is filled with: the view that is asked for, and the text."""
        view, text = parted(self.to_draw)
        return {"text": text, **({} if view is None else {"view": view})}


@dataclass
class Talk:
    """One conversation.

    Args:
        film: as it was sent; ``shown`` the same as PNG. None where it began with words.
        drawn: films that were drawn in it, as PNG with the text that they are of.
    """

    key: str
    owner: str
    film: bytes | None
    shown: bytes | None
    turns: list[Turn] = field(default_factory=list)
    drawn: list[tuple[str, bytes]] = field(default_factory=list)
    is_busy: bool = False
    seen: float = field(default_factory=time.monotonic)

    @property
    def bytes(self) -> int:
        own = len(self.film or b"") + len(self.shown or b"")
        return own + sum(len(film) for _, film in self.drawn)


@dataclass
class Talks:
    """All conversations of a room."""

    _talks: OrderedDict[str, Talk] = field(default_factory=OrderedDict)

    def begin(self, owner: str, film: bytes | None, shown: bytes | None) -> Talk:
        """A new one, of that visitor's."""
        talk = Talk(secrets.token_urlsafe(16), owner, film, shown)
        self._talks[talk.key] = talk
        self._make_room()
        return talk

    def find(self, key: str, owner: str) -> Talk:
        """Raises:
        Refused: 404, it is over, or another's.
        """
        self._make_room()
        talk = self._talks.get(key)
        if talk is None or talk.owner != owner:
            message = "that conversation is over; films and words are kept in memory for two hours"
            raise Refused(404, "no_talk", message)
        talk.seen = time.monotonic()
        self._talks.move_to_end(key)
        return talk

    def of(self, owner: str) -> list[Talk]:
        """A visitor's own, newest first."""
        self._make_room()
        return [talk for talk in reversed(self._talks.values()) if talk.owner == owner]

    def end(self, key: str, owner: str) -> None:
        """Forget one."""
        talk = self.find(key, owner)
        del self._talks[talk.key]

    def _make_room(self) -> None:
        now = time.monotonic()
        for key in [key for key, talk in self._talks.items() if now - talk.seen > TALK_SECONDS]:
            del self._talks[key]
        while len(self._talks) > 1 and (
            len(self._talks) > _MOST_TALKS
            or sum(talk.bytes for talk in self._talks.values()) > _MOST_BYTES
        ):
            self._talks.popitem(last=False)
