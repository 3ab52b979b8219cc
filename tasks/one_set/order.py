"""What a person asks of a comparison of recipes, and the order that each recipe was trained by."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

from infra.errors import InputError, SettingsError
from infra.settings import load_settings
from tasks.context import Order


class ComparisonOrder(BaseModel):
    """The recipes, the first of which the others are held against, and whose test set it is.

    Args:
        on: a recipe, whose first set of reports is taken, or ``recipe/set``.
        metrics: names of scores; none are all that any of the models has.
        resamples: of each interval's bootstrap, and exchanges of each p-value.
        order: what all recipes share. An override ``recipe:key.path=value`` is that recipe's alone,
            and a source goes to the recipes that name it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    recipes: tuple[str, ...]
    on: str
    metrics: tuple[str, ...] = ()
    resamples: int = 1000
    seed: int = 3
    order: Order

    @property
    def host(self) -> str:
        """The recipe whose test set it is."""
        return self.on.partition("/")[0]

    @property
    def set_name(self) -> str:
        """The set's name; empty where the recipe's first is meant."""
        return self.on.partition("/")[2]

    def orders(self) -> dict[str, Order]:
        """By recipe, the host's too, what it was trained by.

        Raises:
            InputError: no two recipes, an override of none of them, or a source that none names.
        """
        if len(self.recipes) < 2 or len(set(self.recipes)) < len(self.recipes):
            raise InputError(
                f"recipes {' '.join(self.recipes) or 'none'}",
                "two different ones at least",
                "name each recipe once",
            )
        names = dict.fromkeys((*self.recipes, self.host))
        for override in self.order.overrides:
            _require_known(override, tuple(names))
        found = {name: self._order(name) for name in names}
        used = {source for order in found.values() for source in order.sources}
        for source in self.order.sources:
            if source not in used:
                raise InputError(
                    f"--source {source}, which none of the recipes reads",
                    "a source of one of them",
                    "see 'cxr config'; or add it by --set RECIPE:sources.routes.NAME=…",
                )
        return found

    def _order(self, recipe: str) -> Order:
        overrides = [_own(override, recipe) for override in self.order.overrides]
        chosen = tuple(each for each in overrides if each is not None)
        named = load_settings(recipe, self.order.scale, chosen).sources.names
        sources = [each for each in self.order.sources if each.partition("=")[0] in named]
        told = {"recipe": recipe, "overrides": chosen, "sources": tuple(sources)}
        return self.order.model_copy(update=told)


def _recipe_of(override: str) -> str | None:
    """Whose override it is; None where it is everybody's."""
    key = override.partition("=")[0]
    name, colon, _ = key.partition(":")
    return name.strip() if colon else None


def _own(override: str, recipe: str) -> str | None:
    """The override as the recipe reads it; None where it is another's."""
    owner = _recipe_of(override)
    if owner is None:
        return override
    return override.partition(":")[2] if owner == recipe else None


def _require_known(override: str, recipes: tuple[str, ...]) -> None:
    owner = _recipe_of(override)
    if owner is not None and owner not in recipes:
        raise SettingsError(
            f"override '{override}' of '{owner}'",
            f"one of {', '.join(recipes)} before the colon",
            "name a recipe that is compared, or none",
        )
