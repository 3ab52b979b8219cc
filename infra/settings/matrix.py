"""An ablation matrix: a TOML file of variants of one recipe, each a list of overrides.

    recipe = "llava_rad"
    scale = "tiny"
    set = ["stages.finetune.steps=400"]      # for the baseline and every variant

    [[variants]]
    name = "no-pretrain"
    question = "What is contrastive pretraining worth?"
    skip = ["pretrain"]

A variant says what differs by ``set`` (as ``--set``) or by a shorthand for such overrides:
``skip`` leaves stages out, ``leave_out`` and ``keep_only`` choose the sources that the stages train
on, ``keep_sets`` the sets of their mixture, ``text_versions`` the routes of their texts, and
``share`` the part of the subjects.
"""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Final, Literal

from pydantic import Field, ValidationError, model_validator

from infra.errors import SettingsError
from infra.settings import Settings, load_settings
from infra.settings.abilities import AbilityKind
from infra.settings.kept_sets import KeptSets
from infra.settings.sections import NAME, Name, Resamples, Route, Section, Seed, wanted
from infra.settings.stages import StageSettings

BASELINE = "baseline"
NO_READINGS = "readings=[]"
"""The table is made of scores: what else a recipe reads of a model would be time for nothing. A
matrix that wants it says so in ``set``."""
MATRICES = Path(__file__).parent.parent / "ablations"
"""Matrices that come with the package."""
METRICS_OF_KIND: Final[Mapping[AbilityKind, tuple[str, ...]]] = {
    "report": ("rule14-micro-F1", "rule14-macro-F1", "ROUGE-L[rouge-score-nostem]"),
    "vqa": ("accuracy", "closed-accuracy", "open-token-F1"),
}
"""What is tabulated where a matrix does not say; abilities of other kinds cannot be compared."""
Told = Literal["coherence"]
"""Readings that a matrix can be told by: what they read is kept example by example."""
METRICS_OF_READING: Final[Mapping[Told, tuple[str, ...]]] = {
    "coherence": ("span-recall", "span-precision", "whole-spans"),
}


_SEED = re.compile(r"\s*stages\.[\w-]+\.seed\s*=")


class VariantSettings(Section):
    """One variant.

    ``stages`` names the stages that a shorthand is for; None means all but those of kind
    ``language``, which stand in for published weights. ``again`` is the baseline trained once
    more: its ``set`` has seeds of stages alone, and what lies no farther from the baseline than it
    does is called neither better nor worse.
    """

    name: str = Field(pattern=NAME)
    question: str = Field(min_length=1)
    set: tuple[str, ...] = ()
    skip: tuple[str, ...] = ()
    leave_out: tuple[str, ...] = ()
    keep_only: tuple[str, ...] = ()
    keep_sets: tuple[Name, ...] = ()
    text_versions: tuple[Route, ...] = ()
    share: float | None = Field(default=None, gt=0.0, le=1.0)
    stages: tuple[str, ...] | None = None
    again: bool = False

    @model_validator(mode="after")
    def _differs(self) -> VariantSettings:
        if self.leave_out and self.keep_only:
            raise ValueError(f"variant {self.name} has leave_out and keep_only")
        if self.name == BASELINE:
            raise ValueError(f"a variant is named {BASELINE}")
        chosen = (self.leave_out, self.keep_only, self.keep_sets, self.text_versions)
        shorthands = (self.skip, *chosen, self.share)
        if not self.set and not any(shorthands):
            raise ValueError(f"variant {self.name} does not differ from the baseline")
        if self.again and (any(shorthands) or not all(map(_SEED.match, self.set))):
            raise ValueError(f"variant {self.name} is the baseline again, and sets more than seeds")
        return self


class MatrixSettings(Section):
    """A baseline and its variants.

    ``metrics`` are those that are tabulated and tested; a judge's stand for themselves. None are
    those of METRICS_OF_KIND.
    ``resamples`` counts bootstrap resamples and random exchanges alike. ``ability`` is the one of
    the recipe's that is tabulated; None is its first. With ``reading`` the table is told by that
    reading of the first ability's model, and nothing else is asked of it.
    """

    name: str = Field(pattern=NAME)
    recipe: str
    scale: str
    set: tuple[str, ...] = ()
    ability: str | None = Field(default=None, pattern=NAME)
    reading: Told | None = None
    variants: tuple[VariantSettings, ...] = Field(min_length=1)
    metrics: tuple[str, ...] | None = Field(default=None, min_length=1)
    resamples: Resamples = 1000
    seed: Seed = 0

    @model_validator(mode="after")
    def _names_differ(self) -> MatrixSettings:
        names = [variant.name for variant in self.variants]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"variant names repeat: {', '.join(twice)}")
        if self.ability is not None and self.reading is not None:
            raise ValueError("it names an ability and a reading; it is told by one of them")
        metrics = self.metrics or ()
        if len(set(metrics)) < len(metrics):
            raise ValueError(f"metrics repeat: {', '.join(metrics)}")
        return self

    def metrics_of(self, kind: AbilityKind) -> tuple[str, ...]:
        """The metrics that are asked for, or else the usual ones of the reading or of a kind of
        ability."""
        usual = METRICS_OF_READING[self.reading] if self.reading else METRICS_OF_KIND[kind]
        return self.metrics or usual

    def settled(self, overrides: Sequence[str]) -> tuple[str, ...]:
        """Overrides with the readings that the table needs: none, or the one that it is told by,
        whatever else is asked for."""
        if self.reading is None:
            return (NO_READINGS, *overrides)
        return (*overrides, f'readings=["{self.reading}"]')

    @property
    def trained_again(self) -> frozenset[str]:
        """Variants that are the baseline with other seeds."""
        return frozenset(variant.name for variant in self.variants if variant.again)

    def tabulated(self, settings: Settings) -> str:
        """The ability whose scores are compared."""
        return settings.first_ability if self.ability is None else self.ability

    def overrides(
        self, settings: Settings | None = None, present: Collection[str] | None = None
    ) -> dict[str, tuple[str, ...]]:
        """``--set`` overrides of the baseline and of every variant, by name, in order.

        Args:
            settings: the baseline's recipe, as the run fits it to its sources; None reads it.
            present: the sources of the run; None means all of the recipe's. Variants that ask for
                others alone are left out (``skipped``).

        Raises:
            SettingsError: a shorthand names a stage, source or set that the recipe lacks, or leaves
                a stage without any.
        """
        recipe, here = self._fitted(settings, present)
        found = {BASELINE: self.set}
        for variant in self.variants:
            if _why_skipped(variant, recipe, here) is None:
                own = _expanded(variant, recipe, here, self.tabulated(recipe))
                found[variant.name] = (*self.set, *own, *variant.set)
        return found

    def skipped(
        self, settings: Settings | None = None, present: Collection[str] | None = None
    ) -> dict[str, str]:
        """By name of each variant that the sources of the run cannot answer, why."""
        recipe, here = self._fitted(settings, present)
        reasons = {item.name: _why_skipped(item, recipe, here) for item in self.variants}
        return {name: reason for name, reason in reasons.items() if reason is not None}

    def _fitted(
        self, settings: Settings | None, present: Collection[str] | None
    ) -> tuple[Settings, Collection[str]]:
        recipe = settings or load_settings(self.recipe, self.scale, self.settled(self.set))
        return recipe, recipe.sources.names if present is None else present


def matrix_names() -> list[str]:
    """Matrices that come with the package."""
    return sorted(path.stem for path in MATRICES.glob("*.toml"))


def load_matrix(name: str) -> MatrixSettings:
    """Read a matrix by the name of a shipped one or by its file's path.

    Raises:
        SettingsError: there is none, or it is no matrix.
    """
    path = MATRICES / f"{name}.toml" if name in matrix_names() else Path(name)
    if not path.is_file():
        raise SettingsError(
            f"no ablation matrix '{name}'",
            f"a TOML file, or one of {', '.join(matrix_names())}",
            "give the path of a matrix",
        )
    try:
        tree = tomllib.loads(path.read_text(encoding="utf-8"))
        return MatrixSettings.model_validate({"name": path.stem, **tree})
    except ValidationError as error:
        raise _one_line(error, path.name) from error
    except OSError as error:
        raise SettingsError(f"{path}: {error.strerror}", "a readable file", "look at it") from error
    except (ValueError, RecursionError) as error:  # also numbers and brackets without end
        raise SettingsError(f"{path.name}: {error}", "TOML", "correct the matrix") from error


def _one_line(error: ValidationError, file: str) -> SettingsError:
    first = error.errors()[0]
    place = ".".join(str(part) for part in first["loc"]) or "the top"
    if first["type"] == "value_error":
        found, expected = first["msg"].removeprefix("Value error, "), "a matrix that fits together"
    elif first["type"] == "missing":
        found, expected = "nothing", "a value"
    else:
        found, expected = repr(first["input"])[:80], wanted(first)
        if first["type"] == "extra_forbidden":
            table = VariantSettings if first["loc"][0] == "variants" else MatrixSettings
            expected = f"one of {', '.join(table.model_fields)}"
    return SettingsError(f"{found} at '{place}' of {file}", expected, "see docs/ablations.md")


def _why_skipped(
    variant: VariantSettings, settings: Settings, present: Collection[str]
) -> str | None:
    """Why a variant has no answer here: none of the sources that it is about is in the run."""
    named = variant.leave_out or variant.keep_only
    for name in named:
        if name not in settings.sources.names:
            raise SettingsError(
                f"source '{name}' in variant {variant.name}",
                f"one of {', '.join(settings.sources.names)}",
                "correct the matrix",
            )
    if not named or set(named) & set(present):
        return None
    are = "source {} is" if len(named) == 1 else "sources {} are"
    return f"{are.format(', '.join(named))} not in this run"


def _expanded(
    variant: VariantSettings, settings: Settings, present: Collection[str], tabulated: str
) -> list[str]:
    """The shorthands of a variant as overrides; those that change nothing are left out, so that a
    variant which trains on the baseline's data is the baseline's own step."""
    found = [f"stages.{settings.stage(name).name}.skip=true" for name in variant.skip]
    stages = _chosen_stages(variant, settings)
    if variant.keep_sets:
        choice = KeptSets(f"variant {variant.name}", variant.keep_sets, variant.skip, tabulated)
        found += choice.overrides(settings, stages)
    for stage in stages:
        here = [name for name in stage.sources or settings.sources.names if name in present]
        found += _data_overrides(variant, stage, settings, here)
    return found


def _chosen_stages(variant: VariantSettings, settings: Settings) -> list[StageSettings]:
    if variant.stages is not None:
        return [settings.stage(name) for name in variant.stages]
    return [
        stage
        for stage in settings.stages
        if stage.kind != "language" and stage.name not in variant.skip
    ]


def _data_overrides(
    variant: VariantSettings, stage: StageSettings, settings: Settings, here: Sequence[str]
) -> list[str]:
    """Overrides of one stage, which trains on the sources ``here``."""
    prefix, found = f"stages.{stage.name}", []
    kept = _kept(variant, stage, here)
    if kept != list(here):
        found.append(f"{prefix}.sources={json.dumps(kept)}")
    routes = {route for name in kept for route in settings.sources.routes[name]}
    read = routes & set(stage.text_versions or routes)
    if variant.text_versions and not read <= set(variant.text_versions):
        found.append(f"{prefix}.text_versions={json.dumps(variant.text_versions)}")
    if variant.share is not None and variant.share != stage.share:
        found.append(f"{prefix}.share={variant.share:g}")
    return found


def _kept(variant: VariantSettings, stage: StageSettings, here: Sequence[str]) -> list[str]:
    """The sources that a stage keeps of those ``here``."""
    chosen = set(variant.keep_only or here) - set(variant.leave_out)
    kept = [name for name in here if name in chosen]
    if here and not kept:
        raise SettingsError(
            f"no source for stage {stage.name} in variant {variant.name}",
            "one at least",
            f"name the stages that it is for: stages = […], without {stage.name}",
        )
    return kept
