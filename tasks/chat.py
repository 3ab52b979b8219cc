"""Which trained models of a data root hold a conversation, and what they are told."""

from __future__ import annotations

from pathlib import Path

from infra.errors import SettingsError
from infra.runs import ChatRun
from infra.settings.diffusion import DrawSettings
from infra.settings.film_ability import DRAWS
from tasks.context import Context
from tasks.draw.learned import learned_views
from tasks.submit.answers import require_made
from tasks.train.work import PIECE as MODEL_PIECE


def chat_run(context: Context, ability: str | None, films: Path, seed: int) -> ChatRun:
    """A conversation with the model of an ability, the recipe's first unless it is named; what it
    asks to be drawn is drawn by the recipe's last stage that draws.

    Answers are generated as ``[chat]`` says: the ability's own decoding is made for its test set.

    Raises:
        SettingsError: the recipe has no such ability, or its models only draw.
        InputError: a model has not been trained.
    """
    settings = context.settings
    drawing = {stage.name for stage in settings.stages if stage.draws}
    talking = [name for name, one in settings.abilities.items() if one.stage not in drawing]
    chosen = ability or next(iter(talking), None)
    if chosen not in talking:
        raise SettingsError(
            f"ability '{chosen}'", f"one of {', '.join(talking)}", "choose one that answers"
        )
    asked = settings.abilities[chosen]
    pipelines = [stage.name for stage in settings.stages if stage.kind in DRAWS]
    return ChatRun(
        model=_folder(context, asked.stage),
        generate=settings.chat.generate,
        images=settings.images,
        pipeline=_folder(context, pipelines[-1]) if pipelines else None,
        views=learned_views(context, pipelines[-1]) if pipelines else None,
        draw=_sampler(context, pipelines[-1] if pipelines else None),
        films=films.absolute(),
        seed=seed,
    )


def _sampler(context: Context, stage: str | None) -> DrawSettings:
    """As the films of that stage are scored; where no ability draws with it, the defaults."""
    abilities = context.settings.abilities.values()
    scored = (one.draw.sampler for one in abilities if one.draw and one.stage == stage)
    return next(scored, DrawSettings())


def _folder(context: Context, stage: str) -> Path:
    require_made(context, f"stages/{stage}", "train")
    return context.artifact(f"stages/{stage}").local_folder(MODEL_PIECE)
