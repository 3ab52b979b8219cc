"""Every step of a recipe and what it depends on: the plan of the whole workflow, by fingerprints.

A step's fingerprint needs only the settings and what its inputs' fingerprints are, so the whole
graph is known before anything is read; ``cxr … --dry-run`` prints it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from infra.errors import InputError
from infra.settings import Settings
from infra.settings.abilities import section_pair
from infra.settings.dialogues import ROUTE_OF_TASK
from infra.settings.diffusion import touched_by
from infra.settings.sections import ExampleSettings
from infra.settings.stages import StageSettings
from infra.step import Step
from tasks.coherence.steps import coherence_told
from tasks.draw.steps import drawn_films, drawn_scores, film_classifier
from tasks.ingest.steps import images_told, studies_told

REVISIONS: Final = {
    "replicas": 1,
    "studies": 4,
    "images": 2,
    "reports": 3,
    "dialogues": 2,
    "examples": 4,
    "drawings": 1,
    "stages": 7,
    "predictions": 3,
    "scores": 11,
    "retrieval": 5,
    "grounding": 4,
    "consistency": 1,
    "classifiers": 2,
    "coherence": 4,
    "models": 1,
    "teachers": 3,
    "ablations": 7,
    "test_sets": 1,
    "comparisons": 1,
    "watches": 1,
}
"""Raised by a person when the code of a step changes its output."""

CODE: Final = {
    "replicas": ("sources.replicas.{name}",),
    "studies": ("tasks.ingest.studies", "sources.{name}"),
    "images": ("tasks.ingest.images",),
    "reports": ("tasks.reports.routes", "tasks.reports.offline_answers"),
    "dialogues": ("tasks.dialogues.routes", "tasks.reports.offline_answers"),
    "examples": (
        *("tasks.examples.packing", "tasks.examples.question_shards"),
        "tasks.examples.conversation_shards",
    ),
    "drawings": ("tasks.drawn.chosen", "models.draw"),
    "stages": ("models.train",),
    "predictions": ("models.generate",),
    "scores": ("tasks.score.work", "tasks.reports.offline_answers", "evaluation.neural.readings"),
    "retrieval": ("tasks.retrieve.work", "models.embed"),
    "grounding": ("tasks.ground.work", "tasks.ground.page", "models.explain"),
    "consistency": ("tasks.consistency.work",),
    "coherence": ("tasks.coherence.work", "models.generate", "models.draw", "models.read_films"),
    "classifiers": ("tasks.draw.classifier", "models.classify"),
    "models": ("models.register",),
    "teachers": ("tasks.quality.work", "tasks.quality.page", "tasks.reports.offline_answers"),
    "ablations": ("tasks.ablate.work",),
    "test_sets": ("tasks.one_set.fair_studies", "tasks.examples.plan"),
    "comparisons": ("tasks.one_set.work",),
    "watches": ("tasks.drift.work",),
}
"""The modules whose reachable code makes each kind; readers and rules are found by name, so that
no import leads to them."""

REDRAWN: Final[Mapping[str, int]] = {"rrg24": 2}
"""Revisions of replicas whose own plan changed while the others draw what they drew."""

SCORED_APART: Final[Mapping[str, tuple[int, tuple[str, ...]]]] = {
    "vqa": (3, ("tasks.score.answers",)),
    "draw": (3, ("tasks.draw.score", "models.read_films", "models.generate")),
}
"""By kind of ability the revision and the modules of scores that are no report's."""
DRAWN: Final = (1, ("tasks.draw.films", "models.draw"))
"""The revision and the modules of predictions that are films."""
MODELS_APART: Final = (2, ("models.register_drawing",))
"""Those of a registered model that draws."""

DRAWN_EXAMPLES: Final = (1, ("tasks.drawn.shards",))
"""The revision and the modules of examples whose films were drawn."""

RETRIES: Final = "retries"
"""The input that numbers how often a step's failed requests were released to be asked again."""


@dataclass(frozen=True)
class Graph:
    """Steps by ``kind/name`` in an order in which they can run."""

    steps: Mapping[str, Step]

    def __getitem__(self, key: str) -> Step:
        return self.steps[key]

    def of_kind(self, kind: str) -> tuple[Step, ...]:
        return tuple(step for step in self.steps.values() if step.kind == kind)

    def inputs_of(self, step: Step) -> tuple[Step, ...]:
        """The steps whose output this one reads."""
        return tuple(self.steps[name] for name in step.inputs if name in self.steps)


class _Builder:
    def __init__(self, settings: Settings, retries: Mapping[str, str]) -> None:
        self.settings, self.retries = settings, retries
        self.steps: dict[str, Step] = {}

    def add(
        self,
        kind: str,
        name: str,
        settings: Mapping[str, Any],
        needs: list[str],
        raw: Mapping[str, str] | None = None,
        made_by: tuple[int, tuple[str, ...]] | None = None,
    ) -> None:
        """A step; ``made_by`` has its revision and code where its kind is made in several ways."""
        revision, modules = made_by or (REVISIONS[kind], CODE[kind])
        inputs = {need: self.steps[need].fingerprint for need in needs} | dict(raw or {})
        if f"{kind}/{name}" in self.retries:
            inputs[RETRIES] = self.retries[f"{kind}/{name}"]
        code = tuple(module.format(name=name) for module in modules)
        self.steps[f"{kind}/{name}"] = Step(kind, name, settings, inputs, revision, code)


def build_graph(
    settings: Settings,
    raw: Mapping[str, str],
    replicas: frozenset[str],
    retries: Mapping[str, str] | None = None,
    weights: Mapping[str, str] | None = None,
    extractors: Mapping[str, str] | None = None,
) -> Graph:
    """All steps of a recipe.

    Args:
        raw: digest of each real source's raw files; sources absent here and from ``replicas`` are
            left out of the run.
        replicas: sources that are read from their synthetic stand-in.
        retries: by ``kind/name``, the round of steps whose failed requests are asked again.
        weights: digest of the files of each encoder that scores can be computed with here.
        extractors: the same of each network that films can be told apart with.

    Raises:
        InputError: no source of the recipe is given.
    """
    builder = _Builder(settings, retries or {})
    names = [name for name in settings.sources.names if name in raw or name in replicas]
    _require_sources(settings, names)
    for name in names:
        _add_source(builder, name, raw.get(name), name in replicas)
    for name in names:
        _add_dialogues(builder, name)
    _add_sets_and_stages(builder, names)
    scored = _dump(settings.score) | {"reports": _dump(settings.reports)}
    asked = {"teacher_studies": scored.pop("teacher_studies"), **scored}
    del asked["encoders"]  # how good a teacher's texts are is told without them
    encoders = {f"weights of {name}": digest for name, digest in (weights or {}).items()}
    for name, ability in settings.abilities.items():
        if ability.kind == "draw":
            _add_films(builder, name, extractors or {})
            continue
        _add_predictions(builder, name)
        if ability.kind == "vqa":
            _add_answers(builder, name)
        else:
            builder.add("scores", name, scored, [f"predictions/{name}"], encoders)
    _add_readings(builder, names)
    _add_models(builder)
    for name in names:
        builder.add("teachers", name, asked, [f"studies/{name}"])
    return Graph(builder.steps)


def _require_sources(settings: Settings, names: list[str]) -> None:
    if not names:
        first = settings.sources.names[0]
        raise InputError(
            f"no raw data for any source of recipe '{settings.recipe}'",
            f"at least one of {', '.join(settings.sources.names)}",
            f"give --source {first}=PATH, set CXR_SOURCE_{first.upper()}, or use --replicas",
        )


def _add_source(builder: _Builder, name: str, raw: str | None, replica: bool) -> None:
    settings = builder.settings
    needs: list[str] = []
    if replica:
        size = settings.replicas
        chosen = {
            "studies": size.studies.get(name, size.default_studies),
            "side_px": size.side_px,
            "seed": size.seed,
            "wording": size.wording,
            **({"superfluous": size.superfluous} if size.superfluous else {}),
        }
        drawn_by = (REDRAWN[name], CODE["replicas"]) if name in REDRAWN else None
        builder.add("replicas", name, chosen, [], made_by=drawn_by)
        needs = [f"replicas/{name}"]
    given = {"raw": raw} if raw is not None else {}
    builder.add("studies", name, studies_told(settings, name), needs, given)
    ingested = f"studies/{name}"
    builder.add("images", name, images_told(settings, name), [*needs, ingested], given)
    routes = {"routes": list(settings.sources.routes[name]), **_dump(settings.reports)}
    builder.add("reports", name, {"pieces": settings.sources.pieces, **routes}, [ingested])


def _add_dialogues(builder: _Builder, name: str) -> None:
    """Only of sources that the recipe wants dialogues of."""
    settings = builder.settings
    routes = settings.dialogues.routes.get(name, ())
    if routes:
        chosen = _dump(settings.dialogues) | {"routes": list(routes)} | _asked_of_model(settings)
        builder.add("dialogues", name, chosen, [f"studies/{name}", f"reports/{name}"])


def _asked_of_model(settings: Settings) -> dict[str, Any]:
    """How the model is asked; its reports have a failed share of their own."""
    asked = _dump(settings.reports)
    return {key: value for key, value in asked.items() if key != "largest_failed_share"}


def _add_sets_and_stages(builder: _Builder, sources: list[str]) -> None:
    """In an order in which they can run: a set of drawn films lies between the stage that draws
    them and the first that trains on them."""
    settings = builder.settings
    for name in settings.sets:
        examples = settings.shown(name)
        if examples.drawn is None:
            need = _examples_need(builder, examples, sources)
            builder.add("examples", name, read_of(examples), need)
    for stage in settings.training_order:
        for name in settings.drawn_sets_of(stage):
            if f"examples/{name}" not in builder.steps:
                _add_drawn(builder, name)
        _add_stage(builder, stage)


def _add_drawn(builder: _Builder, name: str) -> None:
    """The films of a set, and the examples that they become."""
    examples = builder.settings.sets[name]
    drawn = examples.drawn
    assert drawn is not None, "a set of drawn films"
    made_of = f"examples/{drawn.of}"
    builder.add("drawings", name, _dump(drawn), [made_of, f"stages/{drawn.stage}"])
    chosen = {"share": drawn.share, "row_group_rows": examples.row_group_rows}
    builder.add("examples", name, chosen, [made_of, f"drawings/{name}"], made_by=DRAWN_EXAMPLES)


def _examples_need(builder: _Builder, examples: ExampleSettings, names: list[str]) -> list[str]:
    """What a set is made of: of reports, or of the dialogues that were written from them."""
    kinds = ("studies", "images", "dialogues" if examples.task in ROUTE_OF_TASK else "reports")
    wanted = [f"{kind}/{name}" for name in names for kind in kinds]
    return [key for key in wanted if key in builder.steps]


_UNREAD: Final = {
    **dict.fromkeys(
        ROUTE_OF_TASK, ("images", "most_images", "choose", "request", "films_on_both_sides")
    ),
    "vqa": ("views", "images", "choose", "request"),
    "findings": ("films_on_both_sides",),
    "impression": ("films_on_both_sides",),
}
"""By a set's task the settings that its examples do not depend on."""


def read_of(examples: ExampleSettings) -> dict[str, Any]:
    """A set's settings without those that its examples do not depend on."""
    dumped = examples.model_dump(mode="json", exclude={"drawn"})
    return {key: value for key, value in dumped.items() if key not in _UNREAD[examples.task]}


def _add_stage(builder: _Builder, stage: StageSettings) -> None:
    """A stage's fingerprint covers the shapes of the networks that its kind touches, no others."""
    shapes = _dump(builder.settings.models)
    diffusion = shapes.pop("diffusion")
    if not shapes["resampler"]["places"]:
        del shapes["resampler"]["places"]  # as a resampler was before it could have any
    if shapes["vision"]["room_for"] == 1:
        del shapes["vision"]["room_for"]  # as a canvas was before it kept any
    touched = {
        "language": ("language",),
        "pretrain": ("vision", "text_encoder", "embedding"),
    }.get(stage.kind, tuple(shapes))
    models = {name: shapes[name] for name in touched}
    trained = _dump(stage)
    if not trained["history"]:
        del trained["history"]  # as a stage was before requests could stand behind others
    if stage.draws:
        models = {"diffusion": touched_by(stage.kind, diffusion)}
    else:
        del trained["ema"]  # it has none
    chosen = {"stage": trained, "models": models}
    needs = [f"stages/{name}" for name in stage.starts_from]
    sets = [f"examples/{name}" for name in builder.settings.sets_of(stage)]
    builder.add("stages", stage.name, chosen, [*sets, *needs])


def _add_predictions(builder: _Builder, name: str) -> None:
    ability = builder.settings.abilities[name]
    generated = _dump(ability.generate) | {"controls": list(builder.settings.score.controls)}
    needs = [f"stages/{ability.stage}", f"examples/{ability.examples}"]
    builder.add("predictions", name, generated, needs)


def _add_answers(builder: _Builder, name: str) -> None:
    """Scores of answers; the majority answer is learned from the set's own training questions."""
    settings, ability = builder.settings, builder.settings.abilities[name]
    chosen = {
        "kind": ability.kind,
        "resamples": settings.score.bootstrap_resamples,
        "seed": settings.score.seed,
    }
    needs = [f"predictions/{name}", f"examples/{ability.examples}"]
    builder.add("scores", name, chosen, needs, made_by=SCORED_APART["vqa"])


def _add_films(builder: _Builder, name: str, extractors: Mapping[str, str]) -> None:
    """Films, who judges them, and what comes of it."""
    settings = builder.settings
    builder.add("predictions", name, *drawn_films(settings, name), made_by=DRAWN)
    builder.add("classifiers", name, *film_classifier(settings, name))
    told = drawn_scores(settings, name)
    seen = {f"weights of {each}": digest for each, digest in extractors.items()}
    builder.add("scores", name, *told, raw=seen, made_by=SCORED_APART["draw"])


def _add_readings(builder: _Builder, sources: list[str]) -> None:
    """What is read of the first ability's model beside its scores."""
    first, asked = builder.settings.first_ability, builder.settings.readings
    if "retrieval" in asked:
        _add_retrieval(builder, first)
    if "grounding" in asked:
        _add_grounding(builder, sources, first)
    if "consistency" in asked:
        _add_consistency(builder, first)
    if "coherence" in asked:
        builder.add("coherence", first, *coherence_told(builder.settings, first))


def _add_retrieval(builder: _Builder, name: str) -> None:
    """Embeddings of test films and texts: the dual encoder's, if one was trained, and the VLM's."""
    settings, ability = builder.settings, builder.settings.abilities[name]
    encoders = [f"stages/{stage.name}" for stage in settings.stages if stage.kind == "pretrain"]
    needs = [*encoders[-1:], f"stages/{ability.stage}", f"examples/{ability.examples}"]
    builder.add("retrieval", name, _dump(settings.retrieval), needs)


def _add_grounding(builder: _Builder, sources: list[str], name: str) -> None:
    """Maps of texts over images with boxes: a publisher's, or those a replica was drawn from."""
    settings, ability = builder.settings, builder.settings.abilities[name]
    boxed = [f"{kind}/{source}" for source in sources for kind in ("studies", "images")]
    read = [f"stages/{ability.stage}", f"examples/{ability.examples}", f"predictions/{name}"]
    chosen = _dump(settings.ground) | {"views": list(settings.sets[ability.examples].views)}
    builder.add("grounding", name, chosen, [*read, *boxed])


def _add_consistency(builder: _Builder, name: str) -> None:
    """What the models of both sections wrote about the same studies."""
    score = builder.settings.score
    chosen = {
        "uncertain_as": score.uncertain_as,
        "bootstrap_resamples": score.bootstrap_resamples,
        "seed": score.seed,
    }
    pair = section_pair(builder.settings.sets, builder.settings.abilities)
    assert pair is not None, "settings that ask for consistency have both sections"
    builder.add("consistency", name, chosen, [f"predictions/{each}" for each in pair])


def _add_models(builder: _Builder) -> None:
    """One registered model for each stage that abilities name, under the first of them."""
    abilities = builder.settings.abilities
    for name, ability in abilities.items():
        same = builder.settings.abilities_of(ability.stage)
        if name != same[0]:
            continue
        read = [f"{kind}/{other}" for kind in builder.settings.readings for other in same]
        known = [each for each in read if each in builder.steps]
        needs = [f"stages/{ability.stage}", *(f"scores/{other}" for other in same), *known]
        made_by = MODELS_APART if ability.kind == "draw" else None
        builder.add("models", name, {"model_name": ability.model_name}, needs, made_by=made_by)


def _dump(section: Any) -> dict[str, Any]:
    return section.model_dump(mode="json")  # type: ignore[no-any-return]
