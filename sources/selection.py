"""Which examples of its shards a stage is shown."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from infra.settings.stages import StageSettings
from sources.example import subject_place

SELECTED_BY: Final = ("source", "text_version", "subject_id", "study_id")
"""The columns of EXAMPLE_SCHEMA that tell."""


@dataclass(frozen=True)
class Selection:
    """Which examples of the shards a stage trains on; see StageSettings."""

    sources: tuple[str, ...] | None = None
    text_versions: tuple[str, ...] | None = None
    share: float = 1.0

    def __str__(self) -> str:
        said = ", ".join(self.sources) if self.sources else "any source"
        versions = f", text versions {', '.join(self.text_versions)}" if self.text_versions else ""
        return f"{said}{versions}" + (f", share {self.share:g}" if self.share < 1 else "")

    def keeps(self, row: Mapping[str, Any]) -> bool:
        """Whether a row with ``SELECTED_BY`` columns is one of them."""
        return (
            (self.sources is None or row["source"] in self.sources)
            and (self.text_versions is None or row["text_version"] in self.text_versions)
            and (self.share >= 1.0 or _place(row) < self.share)
        )


def _place(row: Mapping[str, Any]) -> float:
    """The place of a row's subject."""
    return subject_place(row["source"], row["subject_id"], row["study_id"])


def selection_of(stage: StageSettings) -> Selection:
    """The examples that a stage trains on."""
    return Selection(stage.sources, stage.text_versions, stage.share)
