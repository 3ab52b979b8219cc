"""What is true of a synthetic chest: the findings that pixels, labels, boxes and text follow."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class ReplicaSpec:
    """How much of a replica to write.

    Args:
        studies: number of studies; the source's traps (bad rows and files) come with them.
        seed: equal seeds give equal bytes.
        side_px: short side of the frontal images in px.
        processes: how many processes draw; the result does not depend on it.
    """

    studies: int
    seed: int = 0
    side_px: int = 256
    processes: int = 1
