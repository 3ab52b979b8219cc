"""What a dialogue is written from: a study's report text, its film, and whether it is asked for."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any

from infra.settings.dialogues import DialogueRoute, DialogueSettings
from sources.drawing import VIEW_SENTENCES
from sources.example import subject_place
from sources.record import SECTIONS, Image, Level, Rejected, Study, View
from tasks.reports.wording import body

ENGLISH = "en"


@dataclass(frozen=True)
class Subject:
    """What a study's dialogue is about."""

    study: Study
    report: str
    report_version: str
    film: Image


def subject_of(
    study: Study,
    reports: Mapping[str, Mapping[str, Any]],
    route: DialogueRoute,
    settings: DialogueSettings,
) -> Subject | Rejected:
    """The text and the film, or why there is no dialogue.

    Args:
        reports: the study's rows of REPORT_SCHEMA by version.
    """
    if place_of(study) >= settings.share_of(route):
        return lost(study, route, "not-chosen", "its subject is outside of the route's share")
    version = next((name for name in settings.versions if _is_read(reports.get(name))), None)
    if version is None:
        wanted = ", ".join(settings.versions)
        return lost(study, route, "no-report", f"found no English text of {wanted}")
    film = _film(study, route)
    if film is None:
        wanted = "one" if route == "converse" else "one of view PA, AP or LATERAL"
        return lost(study, route, "no-film", f"found no such image; expected {wanted}")
    return Subject(study, _text(reports[version], route), version, film)


def lost(study: Study, route: str, reason: str, detail: str, number: int | None = None) -> Rejected:
    """A rejected row of a study's dialogue, or of one question of it (from 1)."""
    row_id = f"{study.study_id}/{route}" + (f"/{number}" if number is not None else "")
    return Rejected(study.source, Level.DIALOGUE, row_id, study.study_id, reason, detail)


def by_study(reports: Iterable[Mapping[str, Any]]) -> dict[str, dict[str, Mapping[str, Any]]]:
    """Rows of reports by study and version."""
    found: dict[str, dict[str, Mapping[str, Any]]] = {}
    for row in reports:
        found.setdefault(row["study_id"], {})[row["version"]] = row
    return found


def place_of(study: Study) -> float:
    """The place of a study's subject, whatever the route."""
    return subject_place(study.source, study.subject_id, study.study_id)


def _hash(key: str) -> int:
    return int.from_bytes(blake2b(key.encode(), digest_size=8).digest())


def _is_read(row: Mapping[str, Any] | None) -> bool:
    """Whether a text is English and says anything of the film."""
    if row is None or row["language"] != ENGLISH:
        return False
    return any((row[name] or "").strip() for name in ("findings", "impression"))


def _text(row: Mapping[str, Any], route: DialogueRoute) -> str:
    """Findings and impression to ask about; to draw one of them, for the other repeats it."""
    sections = {name: " ".join(row[name].split()) for name in SECTIONS if (row[name] or "").strip()}
    if route == "converse":
        return body(sections)
    return sections.get("findings") or sections["impression"]


def _film(study: Study, route: DialogueRoute) -> Image | None:
    """The film that is asked about: a frontal one if there is any. To be drawn: one of any view
    that has a sentence, chosen by the study's id, so that laterals are asked for too."""
    if route == "converse":
        return _best(study.images)
    known = [image for image in study.images if image.view in VIEW_SENTENCES]
    return known[_hash(study.study_id) % len(known)] if known else None


def _best(images: Sequence[Image]) -> Image | None:
    """The first frontal film, else the first of a known view, else the first."""
    ranked = sorted(
        images, key=lambda image: (not image.view.is_frontal, image.view is View.UNKNOWN)
    )
    return ranked[0] if ranked else None
