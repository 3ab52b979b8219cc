"""What the reading of coherence depends on, for the graph."""

from __future__ import annotations

from typing import Any

from infra.settings import Settings


def coherence_told(settings: Settings, name: str) -> tuple[dict[str, Any], list[str]]:
    """Settings and inputs: the model that is asked, its requests, and what draws and judges films
    where the recipe has it."""
    asked, drawer = settings.asked_for_films, settings.drawer
    assert asked is not None, "settings that ask for coherence have a set of requests"
    needs = [f"stages/{settings.abilities[name].stage}", f"examples/{asked}"]
    chosen: dict[str, Any] = {
        **settings.coherence.model_dump(mode="json"),
        "batch_size": settings.abilities[name].generate.batch_size,
        "draw": None,
    }
    if drawer is not None:
        films = settings.abilities[drawer].films
        chosen["draw"] = {"ability": drawer, **films.sampler.model_dump(mode="json")}
        needs += [f"stages/{settings.abilities[drawer].stage}", f"classifiers/{drawer}"]
    return chosen, needs
