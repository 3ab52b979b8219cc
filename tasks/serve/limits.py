"""How much a stranger may ask of the server, and for how long."""

from __future__ import annotations

from dataclasses import dataclass

MIB = 2**20


@dataclass(frozen=True)
class Limits:
    """All are our choice; the reasons stand beside them.

    Args:
        waiting: asks beyond those in work; one more is answered 429.
        body_bytes: of one request; a film of 3,000 x 2,500 px in 16 bits takes 15 MB, and a third
            more in base64.
        held_bytes: of all requests together, so that many large ones do not take the memory.
        body_seconds: for a request's body to arrive.
        answer_seconds: from there to the answer's end.
        idle_seconds: for a request's head to arrive, and between two of a connection.
        text_letters: of one turn, indication or prompt; reports have a few thousand.
        turns: of one conversation.
        poll_seconds: between two looks at an alias.
        leave_seconds: for answers in work once the server is told to stop.
    """

    waiting: int = 64
    body_bytes: int = 32 * MIB
    held_bytes: int = 1024 * MIB
    body_seconds: float = 30.0
    answer_seconds: float = 300.0
    idle_seconds: float = 30.0
    text_letters: int = 20_000
    turns: int = 200
    poll_seconds: float = 10.0
    leave_seconds: float = 60.0
