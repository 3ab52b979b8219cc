"""Fit a recipe to the sources of a run, and say so.

A recipe names the sources its paper used. A person may bring others, or not have all of them: then
a source gets the routes its card suggests, and test sources and stage filters that would leave
nothing fall back to what is there. Every such change is a note that the run prints, and part of the
fingerprints.
"""

from __future__ import annotations

from collections.abc import Iterable

from infra.errors import SettingsError
from infra.settings import Settings
from infra.settings.sections import ExampleSettings, Route
from sources.card import Access, Card
from sources.catalog import catalog, get_source

ENGLISH = "en"


def default_routes(card: Card) -> tuple[Route, ...]:
    """Reports in English are kept and structured, others translated; labels are synthesized. Of
    questions nothing is to be written.

    Of an owner's data each report tells its language, and takes the routes that are for it.
    """
    if card.questions_by is not None:
        return ("keep",)
    if not card.has_reports:
        return ("synthesize",)
    if card.access is Access.OWN:
        return ("keep", "structure", "translate")
    return ("keep", "structure") if card.language == ENGLISH else ("translate",)


def add_sources(settings: Settings, extra: Iterable[str]) -> tuple[Settings, list[str]]:
    """The recipe with routes for sources it does not name.

    Raises:
        InputError: there is no such source.
    """
    routes = dict(settings.sources.routes)
    notes = []
    for name in extra:
        if name not in routes:
            routes[name] = default_routes(get_source(name).card)
            notes.append(
                f"source {name} is not in the recipe: its routes are {', '.join(routes[name])}"
            )
    sources = settings.sources.model_copy(update={"routes": routes})
    return settings.model_copy(update={"sources": sources}), notes


def require_known(settings: Settings) -> None:
    """Raise SettingsError for a name in the recipe that is no source; a misspelt one would else
    pass for one that is absent."""
    named = {
        "sources.routes": tuple(settings.sources.routes),
        "dialogues.routes": tuple(settings.dialogues.routes),
        "screen.sources": tuple(settings.screen.sources),
        "replicas.studies": tuple(settings.replicas.studies),
        **{f"stages.{stage.name}.sources": stage.sources or () for stage in settings.stages},
        **{
            f"sets.{name}.{field}": getattr(examples, field)
            for name, examples in settings.sets.items()
            for field in _HELD_OUT
        },
    }
    for key, names in named.items():
        for name in names:
            if name not in catalog():
                raise SettingsError(
                    f"'{name}' in {key}", f"names of {', '.join(catalog())}", "correct the recipe"
                )


def fit_to_sources(settings: Settings, present: tuple[str, ...]) -> tuple[Settings, list[str]]:
    """The recipe without references to sources that are not in the run."""
    notes: list[str] = []
    sets = {
        name: examples.model_copy(update=_held_out(examples, present, notes))
        for name, examples in settings.sets.items()
    }
    stages = []
    for stage in settings.stages:
        kept = tuple(name for name in stage.sources or () if name in present)
        if stage.sources is not None and not kept:
            notes.append(f"stage {stage.name} trains on all sources: {_none_of(stage.sources)}")
            stage = stage.model_copy(update={"sources": None})
        stages.append(stage)
    fitted = settings.model_copy(update={"sets": sets, "stages": tuple(stages)})
    return fitted, list(dict.fromkeys(notes))


_HELD_OUT = ("test_sources", "validate_sources")


def _held_out(
    examples: ExampleSettings, present: tuple[str, ...], notes: list[str]
) -> dict[str, tuple[str, ...]]:
    """Test and validate sources: the recipe's, or else all with radiologists' reports, for a set of
    questions all with questions, or all."""
    cards = {name: get_source(name).card for name in present}
    suited = (
        name
        for name, card in cards.items()
        if (card.has_reports if examples.is_report else card.questions_by is not None)
    )
    fallback = tuple(suited) or present
    chosen = {}
    for field in _HELD_OUT:
        wanted: tuple[str, ...] = getattr(examples, field)
        if not set(wanted) & set(present):
            notes.append(f"{field} are {', '.join(fallback)}: {_none_of(wanted)}")
            chosen[field] = fallback
    return chosen


def _none_of(names: tuple[str, ...]) -> str:
    return f"none of the recipe's ({', '.join(names)}) is in this run"
