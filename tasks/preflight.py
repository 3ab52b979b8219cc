"""Refuse before anything is read what a later step would refuse after hours of work."""

from __future__ import annotations

from collections.abc import Iterator

from infra.artifact import read_artifact
from infra.errors import SettingsError, Unavailable
from infra.step import Step
from infra.weights import require_nf4_package, weights_folder
from sources.catalog import get_source
from tasks.context import Context
from tasks.monitor.plan import steps_until
from tasks.reports.connection import named_endpoint, require_endpoint


def require_models(context: Context, goal: str) -> None:
    """Check that what the missing steps need is there: language models that may be asked, weights.

    Artifacts that are there need nothing, so that a finished run asks for no endpoint.

    Raises:
        SettingsError: a model needs an endpoint and none is set, or weights are not there.
        EgressRefused: a source's text may not go to the endpoint.
    """
    endpoint = named_endpoint(context.environment)
    for step in steps_until(context, goal):
        if read_artifact(context.store, step) is None:
            for model, source in _asked(context, step):
                require_endpoint(context.environment, model)
                if endpoint is not None:
                    endpoint.admit(source, get_source(source).card.llm_egress)
            if step.kind == "stages":
                _require_weights(context, step.name)


def _require_weights(context: Context, stage_name: str) -> None:
    models, stage = context.settings.models, context.settings.stage(stage_name)
    needed: tuple[str, ...] = ()
    if stage.kind == "pretrain":
        needed = (models.text_tower.weights, models.vision.weights)
    kinds = {context.settings.stage(name).kind for name in stage.starts_from}
    if stage.kind in ("align", "finetune") and not kinds & {"align", "finetune"}:
        needed = (models.language.weights, "" if "pretrain" in kinds else models.vision.weights)
    file = "config.json"
    if stage.draws and models.diffusion is not None:
        needed, file = (models.diffusion.weights,), "model_index.json"  # of a whole pipeline
    for name in (stage.weights,) if stage.weights else needed:
        if name:
            try:
                weights_folder(context.environment.weights_root, name, file)
            except Unavailable as error:
                raise SettingsError(
                    f"stage '{stage_name}' without its weights",
                    "a folder with the published model",
                    str(error),
                ) from None
    if stage.quantize == "nf4" and not stage.weights:
        try:
            require_nf4_package()
        except Unavailable as error:
            raise SettingsError(
                f"stage '{stage_name}' with frozen weights in 4 bits", "bitsandbytes", str(error)
            ) from None


def _asked(context: Context, step: Step) -> Iterator[tuple[str, str]]:
    """(model, source whose text it is shown) of one step."""
    settings = context.settings
    if step.kind == "reports" and set(settings.sources.routes[step.name]) != {"keep"}:
        yield settings.reports.model, step.name
    if step.kind == "dialogues":
        yield settings.reports.model, step.name
    if step.kind == "teachers":
        yield from (
            (model, step.name) for model in (settings.reports.model, *settings.score.judges)
        )
    if step.kind == "scores" and settings.abilities[step.name].kind == "report":
        for name in settings.sets[settings.abilities[step.name].examples].test_sources:
            if name in context.source_names:
                yield from ((judge, name) for judge in settings.score.judges)
