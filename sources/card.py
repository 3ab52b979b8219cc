"""A dataset's card: what it is, who may use it, where its text may go, what must be on disk."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from infra.egress import Egress
from infra.errors import SourceError
from infra.licences import Use
from sources.record import Origin


class Access(StrEnum):
    """How one gets the data."""

    PHYSIONET_CREDENTIALED = "physionet-credentialed"
    AGREEMENT = "agreement"
    OPEN = "open"
    OWN = "own"


@dataclass(frozen=True)
class Expected:
    """Counts the publisher states; None where unknown. A replica or a subset may have fewer.

    ``parts`` counts what else is stated, by name: members of a collection, questions.
    """

    subjects: int | None = None
    studies: int | None = None
    images: int | None = None
    parts: tuple[tuple[str, int], ...] = ()


@dataclass(frozen=True)
class Card:
    """What a person must know before using a source.

    Args:
        name: the module's name, and the value of ``Study.source``.
        title: the dataset's name as published, with its version.
        use: what a model that learned from it may be used for at most, as we read the licence; None
            where it is not known, and then nothing that learned from it is promoted until an
            operator declares what is allowed.
        llm_egress: whether report text may leave for a language model.
        required: glob patterns under the root; of each group of alternatives one must match.
        language: ISO 639-1 code of the reports, or None where there are none.
        has_reports: whether radiologists' text comes with it.
        questions_by: who wrote the questions and answers that come with it; templates filled in
            from labels are synthesized. None where there are none.
        official_split: whether the publisher splits it; otherwise subjects are hashed.
        redistributable: whether pictures and text may leave the data root (open licences only).
        subjects_of: the source whose subject ids this one's are, where it is built on that source's
            persons; the leakage guard then takes equal ids for one person.
    """

    name: str
    title: str
    access: Access
    licence: str
    use: Use | None
    citation: str
    llm_egress: Egress
    required: tuple[tuple[str, ...], ...]
    language: str | None
    has_reports: bool
    official_split: bool
    expected: Expected
    redistributable: bool = False
    questions_by: Origin | None = None
    subjects_of: str | None = None

    def require_files(self, root: Path) -> None:
        """Raise SourceError, naming the first missing file, unless all required files exist."""
        if not root.is_dir():
            raise SourceError(
                f"no folder at {root}",
                f"the root of {self.title}",
                f"set CXR_SOURCE_{self.name.upper()} or --source {self.name}=PATH",
            )
        for alternatives in self.required:
            if not any(next(root.glob(pattern), None) for pattern in alternatives):
                raise SourceError(
                    f"nothing that matches {' or '.join(alternatives)} under {root}",
                    f"the files of {self.title}",
                    f"check that the path is its root; see 'cxr sources {self.name}'",
                )
