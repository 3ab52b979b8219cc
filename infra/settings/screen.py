"""What becomes of identifying text in reports and on films (docs/screen.md)."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from infra.settings.sections import Name, Section

Policy = Literal["reject", "mask", "allow"]


class ScreenPolicy(Section):
    """What is done where something is found: the row is rejected with a reason, or what was found
    is masked, or nothing is looked for.

    ``texts`` is of a study's reports, questions and free columns. ``dates`` says which dates count:
    those of ``birth``, or ``all`` days that are named. ``films`` is of writing in the pixels; a
    film whose header says that it has some, where none is found, is rejected, for nobody knows what
    to mask. ``headers`` is of a DICOM file's tags, none of which is ever kept: ``contradiction``
    rejects a film that says that it is de-identified and names a person, ``reject`` one that names
    a person at all.
    """

    texts: Policy = "reject"
    dates: Literal["birth", "all"] = "birth"
    films: Policy = "reject"
    headers: Literal["contradiction", "reject", "allow"] = "contradiction"

    @property
    def reads_films(self) -> bool:
        """Whether a film's pixels or its header are looked at."""
        return self.films != "allow" or self.headers != "allow"


OFF = ScreenPolicy(texts="allow", films="allow", headers="allow")


class ScreenSettings(Section):
    """``own`` is the policy of an institution's own data, ``sources`` that of a source by name.

    A published source, which its publisher has de-identified, is not screened unless it is named.
    """

    own: ScreenPolicy = ScreenPolicy()
    sources: dict[Name, ScreenPolicy] = Field(default_factory=dict)

    def policy(self, source: str, *, is_own: bool) -> ScreenPolicy:
        """The policy of a source.

        Args:
            is_own: whether it is an institution's own data, by its card.
        """
        return self.sources.get(source, self.own if is_own else OFF)
