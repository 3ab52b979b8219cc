"""What a replica's writer knows and no reader may use: one JSON line per study."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from sources.record import LabelValue
from sources.replicas.phantom import Region
from sources.replicas.truth import ChestTruth, observations

TRUTH_FILE: Final = ".truth.jsonl"


@dataclass(frozen=True)
class TrueBox:
    """Where a finding lies on one image, in px; ``finding`` indexes the study's findings."""

    image_id: str
    finding: int
    name: str
    side: str | None
    x_min: int
    y_min: int
    x_max: int
    y_max: int

    @classmethod
    def of(cls, image_id: str, region: Region) -> TrueBox:
        """The box of a drawn region."""
        corners = (region.x_min, region.y_min, region.x_max, region.y_max)
        return cls(image_id, region.finding, region.name, region.side, *corners)


@dataclass(frozen=True)
class TrueStudy:
    """One study of a replica.

    Args:
        study_id: as the reader names it.
        truth: the chest.
        labels: the 14 observations as the source states them; by default the chest's own.
        trap: name of the damage or oddity that was put in, if any.
        boxes: where the findings lie, for sources that publish places.
        superfluous: image id and kind of the views that were planted.
        frontal_only: names of the findings that the study's lateral view does not show.
    """

    study_id: str
    truth: ChestTruth
    labels: dict[str, LabelValue] | None = None
    trap: str | None = None
    boxes: tuple[TrueBox, ...] = ()
    superfluous: tuple[tuple[str, str], ...] = ()
    frontal_only: tuple[str, ...] = ()


def write_truth(root: Path, studies: Iterable[TrueStudy]) -> None:
    """Write ``root/.truth.jsonl``: study_id, subject, views, findings, labels, trap, boxes."""
    lines = []
    for study in studies:
        labels = study.labels or observations(study.truth)
        row = {
            "study_id": study.study_id,
            "subject": study.truth.person.number,
            "views": [view.value for view in study.truth.views],
            "findings": [asdict(finding) for finding in study.truth.findings],
            "labels": {name: value.value for name, value in labels.items()},
            "trap": study.trap,
            "boxes": [asdict(box) for box in study.boxes],
        }
        if study.superfluous:
            row["superfluous"] = dict(study.superfluous)
        if study.frontal_only:
            row["frontal_only"] = list(study.frontal_only)
        lines.append(json.dumps(row, separators=(",", ":")) + "\n")
    (root / TRUTH_FILE).write_text("".join(lines))
