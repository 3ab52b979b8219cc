"""``[abilities.<name>.draw]``: how an ability of kind draw is asked for films, and who judges them.

Films are drawn from prompts of the test split, by the trained pipeline and by an untrained one of
its shape; a classifier of real films, networks that tell films apart and a report model look at
both (docs/image_quality.md).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, Literal, Protocol

from pydantic import Field, model_validator

from infra.settings.diffusion import DiffusionSettings, DrawSettings, GuideParts
from infra.settings.sections import NAME, Section, Seed
from infra.settings.stages import StageSettings

Finding = Literal[
    "Enlarged Cardiomediastinum", "Cardiomegaly", "Lung Opacity", "Lung Lesion", "Edema",
    "Consolidation", "Pneumonia", "Atelectasis", "Pneumothorax", "Pleural Effusion",
    "Pleural Other", "Fracture", "Support Devices",
]  # fmt: skip
"""The 14 observations but ``No Finding``, which is the others' absence."""
DRAWS: Final = ("diffuse", "guide")
"""Kinds of stage whose folder draws films; ``autoencode`` only takes them apart."""
_HAS_TOWER: Final = ("pretrain", "align", "finetune")


class ClassifierSettings(Section):
    """The classifier of findings that is trained on real films and judges drawn ones.

    The defaults are those it was measured with on films of 64 px (docs/log.md).
    """

    side_px: int = Field(default=64, ge=32, multiple_of=16)
    width: int = Field(default=24, ge=4, multiple_of=4)
    steps: int = Field(default=1200, ge=1)
    batch_size: int = Field(default=64, ge=1)
    learning_rate: float = Field(default=2e-3, gt=0)
    seed: Seed = 0


class FilmAbilitySettings(DrawSettings):
    """How many films are drawn, from what noise, and what reads them.

    ``prompts`` bounds how many test examples are prompts (a seeded choice; None takes all), each of
    which gets one film; ``repeated`` of them get ``films`` each, for how alike a prompt's films
    are. ``findings`` are those that are judged, None all that have support. ``encoder`` names the
    stage whose vision tower is the in-house extractor: None is the last ``pretrain`` stage, else
    that of the report model. ``reporter`` names the ability of kind report whose model writes about
    drawn films, None the recipe's first.
    """

    seed: Seed = 0
    prompts: int | None = Field(default=500, ge=1)
    repeated: int = Field(default=20, ge=0)
    films: int = Field(default=4, ge=2)
    findings: tuple[Finding, ...] | None = Field(default=None, min_length=1)
    encoder: str | None = Field(default=None, pattern=NAME)
    reporter: str | None = Field(default=None, pattern=NAME)
    classifier: ClassifierSettings = ClassifierSettings()

    @model_validator(mode="after")
    def _findings_differ(self) -> FilmAbilitySettings:
        if self.findings is not None and len(set(self.findings)) < len(self.findings):
            raise ValueError("draw.findings names a finding twice")
        return self

    @property
    def sampler(self) -> DrawSettings:
        """What the sampler alone is told."""
        return DrawSettings(**{name: getattr(self, name) for name in DrawSettings.model_fields})


class _Ability(Protocol):
    """What is read of ``AbilitySettings``, which knows this module."""

    @property
    def kind(self) -> str: ...
    @property
    def stage(self) -> str: ...
    @property
    def draw(self) -> FilmAbilitySettings | None: ...


def require_drawers(
    abilities: Mapping[str, _Ability],
    stages: Mapping[str, StageSettings],
    diffusion: DiffusionSettings | None,
) -> None:
    """Each ability asks a stage that can do it, and those that judge films exist.

    Raises:
        ValueError: one does not.
    """
    for name, one in abilities.items():
        stage = stages.get(one.stage)
        if stage is None:
            continue  # told elsewhere
        asks = f"ability {name} of kind {one.kind} asks stage {stage.name} of kind {stage.kind}"
        if one.draw is None and stage.draws:
            raise ValueError(f"{asks}, which writes nothing")
        if one.draw is not None:
            if stage.kind not in DRAWS:
                raise ValueError(f"{asks}, which draws nothing")
            _require_judges(name, one.draw, abilities, stages)
            _require_parts(name, one.draw.guide_parts, stage, diffusion)


def _require_judges(
    name: str,
    draw: FilmAbilitySettings,
    abilities: Mapping[str, _Ability],
    stages: Mapping[str, StageSettings],
) -> None:
    if draw.encoder is not None:
        found = stages.get(draw.encoder)
        if found is None or found.kind not in _HAS_TOWER:
            raise ValueError(
                f"ability {name}: draw.encoder is {draw.encoder}, which is no stage of kind "
                f"{', '.join(_HAS_TOWER)}"
            )
    if draw.reporter is not None:
        ability = abilities.get(draw.reporter)
        if ability is None or ability.kind != "report":
            raise ValueError(
                f"ability {name}: draw.reporter is {draw.reporter}, which is no ability of kind "
                "report"
            )


def _require_parts(
    name: str, parts: GuideParts, stage: StageSettings, diffusion: DiffusionSettings | None
) -> None:
    """A guide that is drawn with in part has that part."""
    if parts == "all":
        return
    asks = f"ability {name}: draw.guide_parts is {parts}"
    if stage.kind != "guide" or diffusion is None or diffusion.guide != "zero-convolutions":
        raise ValueError(f"{asks}, and stage {stage.name} trains no zero convolutions")
    if parts == "guess" and not diffusion.hint_weight:
        raise ValueError(f"{asks}, and models.diffusion.hint_weight is 0")


def reporter_of(draw: FilmAbilitySettings, abilities: Mapping[str, _Ability]) -> str | None:
    """The ability whose model writes about drawn films; None where the recipe writes no report."""
    reports = (name for name, one in abilities.items() if one.kind == "report")
    return draw.reporter or next(reports, None)


def encoder_of(
    draw: FilmAbilitySettings, abilities: Mapping[str, _Ability], stages: Sequence[StageSettings]
) -> str | None:
    """The stage whose vision tower is the in-house extractor; None where there is none."""
    if draw.encoder is not None:
        return draw.encoder
    pretrained = [stage.name for stage in stages if stage.kind == "pretrain"]
    if pretrained:
        return pretrained[-1]
    reporter = reporter_of(draw, abilities)
    return None if reporter is None else abilities[reporter].stage
