"""What was read of a source beside the counts of its card: told on one line, and never refused."""

from __future__ import annotations

import pyarrow.compute as pc

from sources.catalog import Source
from sources.record import Reading


def stated_line(source: Source, reading: Reading) -> str | None:
    """What of the card's counts was read; None where it states none that can be counted.

    A count that is less is no fault: a subset may be meant, and rows that were rejected with their
    reason have no section.
    """
    expected = source.card.expected
    rows = {name: getattr(expected, name) for name in ("subjects", "studies", "images")}
    stated = rows | dict(expected.parts)
    found = _rows(reading) | source.counted(reading)
    known = {name: n for name, n in stated.items() if n is not None and name in found}
    if not known:
        return None
    others = [
        f"{name} {found[name]:,} for {count:,}"
        for name, count in known.items()
        if found[name] != count
    ]
    same = f"{len(known) - len(others)} of {len(known)} counts"
    told = f"{source.card.name}: {same} are as its card states"
    return f"{told}; read were {', '.join(others)}" if others else told


def _rows(reading: Reading) -> dict[str, int]:
    """Listed studies and images, rejected ones too, and subjects that are known."""
    subjects = set(pc.unique(reading.studies["subject_id"]).to_pylist()) - {None}
    return {
        "subjects": len(subjects | set(reading.lost_owners.values())),
        "studies": reading.studies_in,
        "images": reading.images_in,
    }
