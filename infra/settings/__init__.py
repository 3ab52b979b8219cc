"""Settings are the recipe; the Environment is the place; the two never mix.

``Settings`` is frozen and fingerprinted, read from ``infra/presets/<recipe>.<scale>.toml`` and
``--set`` overrides. ``Environment`` (see ``environment``) says where things are and is never
fingerprinted or logged.
"""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel, ValidationError, field_validator, model_validator

from infra.errors import SettingsError
from infra.settings.abilities import (
    READS_REPORTS,
    SHARED,
    AbilitySettings,
    merge,
    named,
    section_pair,
    spread,
    without_null,
)
from infra.settings.chat import ChatSettings
from infra.settings.coherence import CoherenceSettings, requests_of
from infra.settings.dialogues import ROUTE_OF_TASK, DialogueSettings
from infra.settings.drawn import require_drawn, training_order
from infra.settings.film_ability import require_drawers
from infra.settings.screen import ScreenSettings
from infra.settings.sections import (
    ExampleSettings,
    GroundSettings,
    ImageSettings,
    Name,
    Reading,
    ReplicaSettings,
    ReportSettings,
    RetrievalSettings,
    ScoreSettings,
    Section,
    SourceSettings,
    wanted,
)
from infra.settings.stages import ModelSettings, StageSettings, without_superseded
from infra.settings.trainable import require_trainable

PRESETS = Path(__file__).parent.parent / "presets"


class Settings(Section):
    """A whole recipe at one scale; ``readings`` are taken of the model of its first ability that
    writes reports, beside its scores."""

    recipe: str
    scale: str
    sources: SourceSettings
    images: ImageSettings
    screen: ScreenSettings = ScreenSettings()
    reports: ReportSettings
    dialogues: DialogueSettings = DialogueSettings()
    sets: dict[Name, ExampleSettings]
    models: ModelSettings
    stages: tuple[StageSettings, ...]
    abilities: dict[Name, AbilitySettings]
    score: ScoreSettings
    readings: tuple[Reading, ...] = ("retrieval", "grounding")
    retrieval: RetrievalSettings = RetrievalSettings()
    ground: GroundSettings = GroundSettings()
    coherence: CoherenceSettings = CoherenceSettings()
    chat: ChatSettings = ChatSettings()
    replicas: ReplicaSettings = ReplicaSettings()

    @field_validator("stages")
    @classmethod
    def _only_stages_that_run(cls, stages: tuple[StageSettings, ...]) -> tuple[StageSettings, ...]:
        if not stages:
            raise ValueError("no stage")
        return without_superseded(stages)

    @model_validator(mode="after")
    def _stages_can_run(self) -> Settings:
        names = [stage.name for stage in self.stages]
        if len(set(names)) != len(names):
            raise ValueError(f"stage names repeat: {', '.join(names)}")
        if len(set(self.readings)) != len(self.readings):
            raise ValueError(f"readings repeat: {', '.join(self.readings)}")
        require_trainable(self.stages, self.models)
        self._require_sets_and_abilities()
        self._require_dialogues()
        require_drawn(self.sets, self.abilities, self.stages, self.models.diffusion)
        return self

    @property
    def training_order(self) -> tuple[StageSettings, ...]:
        """The stages as they are trained: one that trains on drawn films after that which draws."""
        return tuple(self.stage(name) for name in training_order(self.stages, self.sets))

    def _require_dialogues(self) -> None:
        """A set of dialogues has a route that writes them."""
        written = {route for routes in self.dialogues.routes.values() for route in routes}
        for name, examples in self.sets.items():
            route = ROUTE_OF_TASK.get(examples.task)
            if route is not None and route not in written:
                raise ValueError(
                    f"set {name} of task {examples.task} without a source whose dialogues.routes "
                    f"have {route}"
                )
        for name, ability in self.abilities.items():
            task = self.sets[ability.examples].task
            if ability.kind == "vqa" and task in ROUTE_OF_TASK:
                raise ValueError(
                    f"ability {name} of kind vqa reads {ability.examples}, a set of {task}, which "
                    "is trained on alone"
                )

    def _require_sets_and_abilities(self) -> None:
        """Each name stands for something, and each set is read by something."""
        if not self.sets or not self.abilities:
            raise ValueError("no set of examples, or no ability")
        wanted: dict[str, tuple[str, ...]]
        wanted = {f"ability {name}": (one.examples,) for name, one in self.abilities.items()}
        wanted |= {f"stage {stage.name}": self.sets_of(stage) for stage in self.stages}
        for reader, names in wanted.items():
            for name in names:
                if name not in self.sets:
                    raise ValueError(f"{reader} reads the set {name}, and there is none")
        for stage in self.stages:
            unasked = [name for name in self.sets_of(stage) if not self.sets[name].is_report]
            if unasked and stage.kind in ("align", "finetune") and stage.prompt == "image-only":
                raise ValueError(
                    f"stage {stage.name} reads the questions of {unasked[0]}, and its prompt "
                    "image-only asks none"
                )
        for stage in self.stages:
            if stage.history and not requests_of(self.sets, self.sets_of(stage)):
                raise ValueError(f"stage {stage.name} has history, and learns no set of requests")
        made_of = {one.drawn.of for one in self.sets.values() if one.drawn is not None}
        unread = set(self.sets) - made_of - {name for names in wanted.values() for name in names}
        if unread:
            raise ValueError(f"no stage or ability reads the set {', '.join(sorted(unread))}")
        for name, ability in self.abilities.items():
            if (ability.kind in READS_REPORTS) != self.sets[ability.examples].is_report:
                task = self.sets[ability.examples].task
                raise ValueError(
                    f"ability {name} of kind {ability.kind} reads {ability.examples}, a set of "
                    f"{task}"
                )
        stages = {stage.name: stage for stage in self.stages}
        require_drawers(self.abilities, stages, self.models.diffusion)
        if self.readings and self.abilities[self.first_ability].kind != "report":
            raise ValueError("readings are taken of an ability of kind report, and there is none")
        if "consistency" in self.readings and section_pair(self.sets, self.abilities) is None:
            raise ValueError("readings has consistency, and no two abilities write both sections")
        if "coherence" in self.readings and self.asked_for_films is None:
            asked = self.abilities[self.first_ability].stage
            raise ValueError(f"readings has coherence, and stage {asked} learns no set of requests")
        models: dict[str, str] = {}
        for one in self.abilities.values():
            self.stage(one.stage)
            if models.setdefault(one.stage, one.model_name) != one.model_name:
                raise ValueError(f"stage {one.stage} is registered under two names")
        if len(set(models.values())) < len(models):
            raise ValueError("two stages are registered under one name")

    @property
    def first_ability(self) -> str:
        """The first that writes reports, of which readings are taken; else the first."""
        reports = (name for name, one in self.abilities.items() if one.kind == "report")
        return next(reports, next(iter(self.abilities)))

    @property
    def asked_for_films(self) -> str | None:
        """The set of requests for films that the first ability's model has learned, if any."""
        stage = self.stage(self.abilities[self.first_ability].stage)
        return requests_of(self.sets, self.sets_of(stage))

    @property
    def drawer(self) -> str | None:
        """The first ability that draws, if any."""
        return next((name for name, one in self.abilities.items() if one.kind == "draw"), None)

    def abilities_of(self, stage: str) -> tuple[str, ...]:
        """What one stage's model can do; it is registered under the first."""
        return tuple(name for name, one in self.abilities.items() if one.stage == stage)

    def shown(self, name: str) -> ExampleSettings:
        """A set as the vision tower will see it: where it is shown the first film alone, a question
        about several cannot be answered."""
        examples = self.sets[name]
        if examples.task == "vqa" and self.models.vision.layout == "first":
            return examples.model_copy(update={"most_images": 1})
        return examples

    def sets_of(self, stage: StageSettings) -> tuple[str, ...]:
        """The sets of examples that a stage is trained on."""
        return tuple(stage.examples or tuple(self.sets)[:1])

    def drawn_sets_of(self, stage: StageSettings) -> tuple[str, ...]:
        """Those of them whose films another stage draws."""
        return tuple(name for name in self.sets_of(stage) if self.sets[name].drawn is not None)

    def stage(self, name: str) -> StageSettings:
        """The stage of that name.

        Raises:
            SettingsError: the recipe has none.
        """
        for stage in self.stages:
            if stage.name == name:
                return stage
        raise SettingsError(
            f"stage '{name}'",
            f"one of {', '.join(stage.name for stage in self.stages)}",
            "see 'cxr config'",
        )


def preset_names() -> list[tuple[str, str]]:
    """All (recipe, scale) pairs that have a preset file."""
    return sorted(
        (path.name.split(".")[0], path.name.split(".")[1]) for path in PRESETS.glob("*.*.toml")
    )


def load_settings(recipe: str, scale: str, overrides: Sequence[str] = ()) -> Settings:
    """Read a preset and apply ``key.path=value`` overrides: TOML, plain text or ``null``.

    Raises:
        SettingsError: no such preset, an override that is not ``key=value``, or a value the recipe
            does not accept.
    """
    path = PRESETS / f"{recipe}.{scale}.toml"
    if (recipe, scale) not in preset_names():
        known = ", ".join("/".join(pair) for pair in preset_names())
        raise SettingsError(
            f"recipe '{recipe}' at scale '{scale}'", f"one of {known}", "see 'cxr config --help'"
        )
    tree = named(_read_preset(path))
    for override in overrides:
        _apply_override(tree, override)
    for key in SHARED:
        if not isinstance(tree.get(key, {}), dict):
            place = f"{str(tree[key])[:80]} at '{key}' of {path.name}"
            raise SettingsError(place, "a table", "see 'cxr config'")
    tree["stages"] = without_skipped(tree.get("stages", []))
    for key in ("sets", "abilities"):
        tree[key] = without_null(tree[key])
    try:
        return Settings.model_validate(spread(tree))
    except ValidationError as error:
        raise _one_line(error, path.name) from error


def _read_preset(path: Path) -> dict[str, Any]:
    tree = tomllib.loads(path.read_text())
    parent = tree.pop("extends", None)
    return tree if parent is None else merge(_read_preset(PRESETS / f"{parent}.toml"), tree)


def without_skipped(stages: Any) -> Any:
    """``[[stages]]`` without those that say ``skip = true``; what started from a skipped stage
    starts from what that one would have started from.

    Stages that are none are left for the recipe's model to refuse.
    """
    kept: list[Any] = []
    instead: dict[str, list[str]] = {}
    if not isinstance(stages, list) or not all(_can_be_skipped(stage) for stage in stages):
        return stages
    for stage in stages:
        given = stage.get("starts_from", ())
        starts = [name for start in given for name in instead.get(start, [start])]
        skip = stage.get("skip", False)
        if skip is True:
            instead[stage.get("name", "")] = starts
            continue
        rest = {key: value for key, value in stage.items() if key != "skip" or skip is not False}
        kept.append({**rest, "starts_from": list(dict.fromkeys(starts))})
    return kept


def _can_be_skipped(stage: Any) -> bool:
    """Whether it is a table whose name and ``starts_from`` are of the right types."""
    if not isinstance(stage, dict):
        return False
    name, given = stage.get("name", ""), stage.get("starts_from", [])
    return (
        isinstance(name, str)
        and isinstance(given, list)
        and all(isinstance(start, str) for start in given)
    )


def _apply_override(tree: dict[str, Any], override: str) -> None:
    if not override.isprintable() and any("\ud800" <= letter <= "\udfff" for letter in override):
        raise SettingsError(
            f"override {override!a}", "text in UTF-8", "look at the terminal's coding"
        )
    key, equals, text = (part.strip() for part in override.partition("="))
    if not equals or not key:
        raise SettingsError(f"override '{override}'", "key.path=value", "quote it for the shell")
    value = _toml_value(text)
    if key in ("recipe", "scale") and value != tree[key]:
        # they name artifacts: another name would only be a false one
        raise SettingsError(
            f"override key '{key}'",
            "a setting of the recipe",
            f"choose the {key} by its own option",
        )
    *parents, leaf = key.split(".")
    node: Any = tree
    for part in parents:
        node = _child(node, part, key)
    if isinstance(node, list):
        node = _child(node, leaf, key)
        raise SettingsError(f"override '{key}'", "a value inside a stage", f"try {key}.steps=…")
    if not isinstance(node, dict):
        raise _no_table(key, parents[-1])
    node[leaf] = value


def _child(node: Any, part: str, key: str) -> Any:
    """Step into a table by key, or into ``[[stages]]`` by a stage's name."""
    if isinstance(node, list):
        for item in node:
            if isinstance(item, dict) and item.get("name") == part:
                return item
    elif isinstance(node, dict):
        return node.setdefault(part, {})
    raise _no_table(key, part)


def _no_table(key: str, part: str) -> SettingsError:
    return SettingsError(f"override key '{key}'", f"a table or stage '{part}'", "see 'cxr config'")


def _toml_value(text: str) -> Any:
    """TOML, or ``null`` for nothing, or else plain text."""
    if text == "null":
        return None
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except (ValueError, RecursionError):  # also numbers and brackets without end
        return text


def _keys_at(place: Sequence[int | str]) -> list[str]:
    """Keys of the table at a place of a recipe."""
    model: type[BaseModel] = Settings
    for part in place:
        if isinstance(part, str) and part in model.model_fields:  # else a name that the recipe gave
            kinds = [model.model_fields[part].annotation]
            while not any(isinstance(kind, type) and issubclass(kind, BaseModel) for kind in kinds):
                kinds = [inner for kind in kinds for inner in get_args(kind)]
            model = next(k for k in kinds if isinstance(k, type) and issubclass(k, BaseModel))
    return [*model.model_fields, *(SHARED if model is Settings else ())]


def _one_line(error: ValidationError, where: str) -> SettingsError:
    first = error.errors()[0]
    place = ".".join(str(part) for part in first["loc"])
    more = f" (and {error.error_count() - 1} more)" if error.error_count() > 1 else ""
    where = f"at '{place or 'the top'}' of {where}{more}"
    if first["type"] == "value_error":  # one of our own rules about several values
        found, expected = first["msg"].removeprefix("Value error, "), "values that fit together"
    else:
        found = repr(first["input"])[:80] if first["type"] != "missing" else "nothing"
        expected = wanted(first)
        if first["type"] == "extra_forbidden":
            expected = f"one of {', '.join(_keys_at(first['loc'][:-1]))}"
    return SettingsError(f"{found} {where}", expected, "see 'cxr config'")
