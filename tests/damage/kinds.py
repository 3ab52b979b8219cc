"""A kind of damage, as the documentation lists it."""

from __future__ import annotations

from dataclasses import dataclass

AGAIN = "download the file again and compare its checksum with the publisher's"


@dataclass(frozen=True)
class Kind:
    """One row of docs/bad-input.md.

    Args:
        name: what is wrong, in a few words; unique in its family.
        where: the source or the place.
        sees: the error's line, or ``reason: detail`` of the rejected row; ``PATH`` and ``ROOT``
            stand for paths.
    """

    name: str
    where: str
    sees: str
