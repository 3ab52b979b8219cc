"""Sets whose films a stage of the recipe draws (``[sets.<name>.drawn]``), and the order that they
bring into training: the stage that draws comes before the stage that trains on its films.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from infra.settings.abilities import AbilitySettings
from infra.settings.diffusion import DiffusionSettings
from infra.settings.sections import ExampleSettings
from infra.settings.stages import StageSettings

Sets = Mapping[str, ExampleSettings]


def require_drawn(
    sets: Sets,
    abilities: Mapping[str, AbilitySettings],
    stages: Sequence[StageSettings],
    diffusion: DiffusionSettings | None,
) -> None:
    """Every drawn set is made of a set of reports by a stage that draws what it is asked, and is
    trained on alone.

    Raises:
        ValueError: one is not, or a stage would wait for films that are drawn from itself.
    """
    by_name = {stage.name: stage for stage in stages}
    for name, examples in sets.items():
        if examples.drawn is None:
            continue
        _require_made_of(name, examples, sets)
        stage = by_name.get(examples.drawn.stage)
        if stage is None or not _reads_prompts(stage, diffusion):
            raise ValueError(
                f"set {name} is drawn by {examples.drawn.stage}, which is no stage that draws what "
                "a text asks for"
            )
        for ability, one in abilities.items():
            if one.examples == name:
                raise ValueError(
                    f"ability {ability} reads {name}, a set of drawn films, which is trained on "
                    "alone"
                )
    _require_steps(sets, abilities, diffusion)
    training_order(stages, sets)


def _require_steps(
    sets: Sets, abilities: Mapping[str, AbilitySettings], diffusion: DiffusionSettings | None
) -> None:
    """Films are drawn in no more steps than the noise has; published weights bring their own."""
    if diffusion is None or diffusion.weights:
        return
    asked = {f"set {name}": one.drawn.steps for name, one in sets.items() if one.drawn}
    asked |= {f"ability {name}": one.draw.steps for name, one in abilities.items() if one.draw}
    for name, steps in asked.items():
        if steps > diffusion.noise.steps:
            raise ValueError(
                f"{name} draws in {steps} steps, and diffusion.noise has {diffusion.noise.steps}"
            )


def _require_made_of(name: str, examples: ExampleSettings, sets: Sets) -> None:
    drawn = examples.drawn
    assert drawn is not None, "a drawn set"
    base = sets.get(drawn.of)
    if base is None or base.drawn is not None or not base.is_report or base.images != "each":
        raise ValueError(
            f"set {name} is drawn of {drawn.of}, which is no set of reports with an example of "
            "each film"
        )
    told = [
        field
        for field in ExampleSettings.model_fields
        if field != "drawn" and getattr(examples, field) != getattr(base, field)
    ]
    if told:
        raise ValueError(f"set {name} has another {told[0]} than {drawn.of}, which it is drawn of")


def _reads_prompts(stage: StageSettings, diffusion: DiffusionSettings | None) -> bool:
    """A base that learned without words draws the same films whatever is asked."""
    asked = diffusion is not None and diffusion.base_prompts == "reports"
    return stage.kind == "guide" or (stage.kind == "diffuse" and asked)


def training_order(stages: Sequence[StageSettings], sets: Sets) -> tuple[str, ...]:
    """The stages' names as they can run: the recipe's order but where one waits for drawn films.

    Raises:
        ValueError: a stage waits for films that are drawn from itself.
    """
    needed = {stage.name: (*stage.starts_from, *_drawing(stage, sets)) for stage in stages}
    order: list[str] = []

    def visit(name: str, waiting: tuple[str, ...]) -> None:
        if name in waiting:
            circle = " → ".join((*waiting[waiting.index(name) :], name))
            raise ValueError(f"stages wait for each other's models or films: {circle}")
        if name not in order:
            for each in needed[name]:
                visit(each, (*waiting, name))
            order.append(name)

    for stage in stages:
        visit(stage.name, ())
    return tuple(order)


def _drawing(stage: StageSettings, sets: Sets) -> list[str]:
    """The stages that draw films which this one trains on."""
    read = (sets[name] for name in stage.examples or tuple(sets)[:1])
    return [each.drawn.stage for each in read if each.drawn is not None]
