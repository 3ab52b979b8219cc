"""What the steps of an ability of kind draw depend on, for the graph."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from infra.settings import Settings
from infra.settings.film_ability import encoder_of, reporter_of

Told = tuple[dict[str, Any], list[str]]
"""A step's settings, and the keys of the steps that it reads."""


def drawn_films(settings: Settings, name: str) -> Told:
    """Films of the trained and of an untrained model: the sampler, and which prompts."""
    ability = settings.abilities[name]
    asked = ability.films
    chosen = {
        **asked.sampler.model_dump(mode="json"),
        **{key: getattr(asked, key) for key in ("seed", "prompts", "repeated", "films")},
    }
    return chosen, [f"stages/{ability.stage}", f"examples/{ability.examples}"]


def film_classifier(settings: Settings, name: str) -> Told:
    """The classifier of real films of the ability's set."""
    ability = settings.abilities[name]
    return ability.films.classifier.model_dump(mode="json"), [f"examples/{ability.examples}"]


def drawn_scores(settings: Settings, name: str) -> Told:
    """What reads the films, and how intervals are drawn."""
    ability, score = settings.abilities[name], settings.score
    reporter = reporter_of(ability.films, settings.abilities)
    encoder = encoder_of(ability.films, settings.abilities, settings.stages)
    readers = [encoder, None if reporter is None else settings.abilities[reporter].stage]
    stages = dict.fromkeys(f"stages/{stage}" for stage in readers if stage is not None)
    chosen = {
        "kind": ability.kind,
        "findings": None if ability.films.findings is None else list(ability.films.findings),
        "encoder": encoder,
        "reporter": None if reporter is None else _asked(settings, reporter),
        "uncertain_as": score.uncertain_as,
        "resamples": score.bootstrap_resamples,
        "seed": score.seed,
    }
    needs = [f"predictions/{name}", f"classifiers/{name}", f"examples/{ability.examples}", *stages]
    return chosen, needs


def _asked(settings: Settings, reporter: str) -> Mapping[str, Any]:
    """In which words a report model is asked about a film, and how it writes."""
    ability = settings.abilities[reporter]
    examples = settings.sets[ability.examples]
    return {
        "ability": reporter,
        "stage": ability.stage,
        "task": examples.task,
        "request": examples.request.model_dump(mode="json"),
        "generate": ability.generate.model_dump(mode="json"),
    }
