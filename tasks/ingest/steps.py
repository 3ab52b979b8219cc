"""What ingestion's steps are told of the recipe: all that their output depends on, and no more.

What is screened (docs/screen.md) is part of it, with the revision of the rules; so nothing that was
ingested before the screen was turned on, or by older rules, is used again.
"""

from __future__ import annotations

from typing import Any

from infra.settings import Settings
from infra.settings.screen import ScreenPolicy
from sources import burned_in, identifying
from sources.card import Access
from sources.catalog import get_source


def policy_of(settings: Settings, name: str) -> ScreenPolicy:
    """How a source is screened."""
    return settings.screen.policy(name, is_own=get_source(name).card.access is Access.OWN)


def studies_told(settings: Settings, name: str) -> dict[str, Any]:
    """Settings of the step ``studies/NAME``."""
    told = {**_read(settings), "hash_split": list(settings.sources.hash_split)}
    policy = policy_of(settings, name)
    if policy.texts == "allow":
        return told  # as before there was a screen
    screened = {"texts": policy.texts, "dates": policy.dates, "rules": identifying.REVISION}
    return {**told, "screen": screened}


def images_told(settings: Settings, name: str) -> dict[str, Any]:
    """Settings of the step ``images/NAME``."""
    told = {**_read(settings), **settings.images.model_dump(mode="json")}
    policy = policy_of(settings, name)
    if not policy.reads_films:
        return told
    screened = {"films": policy.films, "headers": policy.headers, "rules": burned_in.REVISION}
    return {**told, "screen": screened}


def _read(settings: Settings) -> dict[str, Any]:
    """How raw files are read; as before checksums were verified where they are."""
    told: dict[str, Any] = {"pieces": settings.sources.pieces}
    return told if settings.sources.checksums else {**told, "checksums": False}
