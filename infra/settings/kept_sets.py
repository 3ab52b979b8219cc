"""``keep_sets`` of an ablation's variant: a stage is trained on some sets of its mixture alone.

What then has no meaning is left out with them: an ability that the stage is no longer taught, and a
set that nothing reads any more. The ability that is tabulated stays, whatever it was taught.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from infra.errors import SettingsError
from infra.settings import Settings
from infra.settings.coherence import requests_of
from infra.settings.stages import StageSettings


@dataclass(frozen=True)
class KeptSets:
    """The choice of one variant.

    Args:
        place: the variant in an error's words.
        names: the sets that are kept.
        skip: stages that the variant leaves out.
        tabulated: the ability whose scores are compared.
    """

    place: str
    names: tuple[str, ...]
    skip: tuple[str, ...]
    tabulated: str

    def overrides(self, settings: Settings, stages: Sequence[StageSettings]) -> list[str]:
        """``--set`` overrides for the given stages; none where all of their sets are kept.

        Raises:
            SettingsError: a set that the recipe lacks, or a stage that would have none.
        """
        for name in self.names:
            if name not in settings.sets:
                raise SettingsError(
                    f"set '{name}' in {self.place}",
                    f"one of {', '.join(settings.sets)}",
                    "correct the matrix",
                )
        kept = {stage.name: self._kept(settings, stage) for stage in stages}
        changed = {
            name: sets
            for name, sets in kept.items()
            if tuple(sets) != settings.sets_of(settings.stage(name))
        }
        if not changed:
            return []
        found = [f"stages.{name}.examples={_table(sets)}" for name, sets in changed.items()]
        found += [f"stages.{name}.history=0.0" for name in self._alone(settings, changed)]
        lost = self._untaught(settings, changed)
        unread = self._unread(settings, changed, lost)
        found += [f"abilities.{name}=null" for name in lost]
        return [*found, *(f"sets.{name}=null" for name in unread)]

    def _kept(self, settings: Settings, stage: StageSettings) -> dict[str, float]:
        """By set its share of the stage's rows."""
        shares = stage.examples or dict.fromkeys(settings.sets_of(stage), 1.0)
        kept = {name: share for name, share in shares.items() if name in self.names}
        if not kept:
            raise SettingsError(
                f"no set for stage {stage.name} in {self.place}",
                f"one at least of {', '.join(shares)}",
                f"name the stages that it is for: stages = […], without {stage.name}",
            )
        return kept

    def _alone(self, settings: Settings, changed: Mapping[str, Mapping[str, float]]) -> list[str]:
        """Stages with a history for requests, which learn none any more."""
        return [
            name
            for name, sets in changed.items()
            if settings.stage(name).history and not requests_of(settings.sets, tuple(sets))
        ]

    def _untaught(
        self, settings: Settings, changed: Mapping[str, Mapping[str, float]]
    ) -> list[str]:
        """Abilities of a changed stage whose set was in its mixture and is no more."""
        return [
            name
            for name, ability in settings.abilities.items()
            if name != self.tabulated
            and ability.stage in changed
            and ability.examples in settings.sets_of(settings.stage(ability.stage))
            and ability.examples not in changed[ability.stage]
        ]

    def _unread(
        self,
        settings: Settings,
        changed: Mapping[str, Mapping[str, float]],
        lost: Sequence[str],
    ) -> list[str]:
        read = {one.examples for name, one in settings.abilities.items() if name not in lost}
        for stage in settings.stages:
            if stage.name not in self.skip:
                read |= set(changed.get(stage.name, settings.sets_of(stage)))
        drawn = (settings.sets[name].drawn for name in read)
        read |= {each.of for each in drawn if each is not None}
        return [name for name in settings.sets if name not in read]


def _table(shares: Mapping[str, float]) -> str:
    """A TOML table on one line."""
    return "{" + ",".join(f"{json.dumps(name)}={share}" for name, share in shares.items()) + "}"
