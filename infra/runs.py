"""What a child process is told: the contents of ``run.json``.

``tasks`` writes these, ``models`` reads them; neither imports the other. Every path is absolute or
relative to the child's working directory. Unknown keys are refused.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal, TypeVar

from pydantic import Field, ValidationError
from pydantic_core import PydanticSerializationError

from infra.errors import InputError
from infra.settings.diffusion import DrawSettings
from infra.settings.sections import (
    EncoderSettings,
    GenerateSettings,
    Hidden,
    ImageSettings,
    RequestSettings,
    Section,
    Seed,
)
from infra.settings.stages import ModelSettings, StageSettings

Device = Literal["auto", "cpu"]
Control = Literal["none", Hidden]
RunT = TypeVar("RunT", bound=Section)


class TrainRun(Section):
    """``python -m models.train``: one stage.

    Args:
        train_examples, validate_examples: Parquet shards of EXAMPLE_SCHEMA, in their order.
        set_files: how many of ``train_examples`` each of the stage's sets has, in their order; a
            stage of one set need not tell.
        inputs: output folders of the stages named in ``stage.starts_from``.
        output: the model's folder; ``result.json`` is written there last.
        resume: checkpoints of this stage alone; kept across kills, read back on the next start.
        weights_root: where published weights lie, one folder for each name in ``models``.
        plain_request: takes the place of requests that tell the exam's indication.
        workers: processes that read examples beside the trainer; the order does not depend on it.
    """

    stage: StageSettings
    models: ModelSettings
    train_examples: tuple[Path, ...]
    set_files: dict[str, int] = Field(default_factory=dict)
    validate_examples: tuple[Path, ...] = ()
    inputs: dict[str, Path] = Field(default_factory=dict)
    output: Path
    resume: Path
    weights_root: Path | None = None
    plain_request: str | None = None
    device: Device = "auto"
    workers: int = Field(default=0, ge=0)


class GenerateRun(Section):
    """``python -m models.generate``: predictions of one model for every control.

    Args:
        model: a folder that a finetune stage wrote.
        plain_request: takes the place of requests that tell the exam's indication.
        output: folder that gets ``predictions.parquet`` and, last, ``result.json``.
        scratch: keeps finished answers of this run alone, so that a killed one goes on; None keeps
            them below ``output``.
    """

    model: Path
    generate: GenerateSettings
    examples: tuple[Path, ...]
    controls: tuple[Control, ...] = ("none",)
    plain_request: str | None = None
    output: Path
    scratch: Path | None = None
    device: Device = "auto"


class DrawRun(Section):
    """``python -m models.draw``: films of one model for every prompt.

    Args:
        model: a folder that a guide or diffuse stage wrote.
        prompts: Parquet of PROMPT_SCHEMA.
        output: folder that gets ``drawings.parquet`` and, last, ``result.json``.
        scratch: keeps finished films of this run alone, so that a killed one goes on; None keeps
            them below ``output``.
        png: also write each film as ``<prompt_id>.png`` below ``output``.
        untrained: the seed of a model of the same shape that has learned nothing, which draws in
            the trained one's place; None lets the trained one draw.
        any_view: draw prompts of views that the model has not been shown too, for whoever measures
            what comes of them; else one of them is an error.
    """

    model: Path
    draw: DrawSettings
    prompts: Path
    output: Path
    scratch: Path | None = None
    png: bool = False
    untrained: Seed | None = None
    any_view: bool = False
    device: Device = "auto"


class ChatRun(Section):
    """``python -m models.chat``: a conversation, one JSON line in and one out.

    Args:
        model: a folder that a finetune stage wrote.
        images: how published files are stored before the model is shown them.
        pipeline: a folder that a guide or diffuse stage wrote; None draws nothing.
        views: training examples by view that it was shown, where the folder does not tell.
        films: folder that gets what is drawn.
        seed: the first film's noise is drawn from it, the next one's from the number after it.
    """

    model: Path
    generate: GenerateSettings
    images: ImageSettings
    pipeline: Path | None = None
    views: dict[str, int] | None = None
    draw: DrawSettings = DrawSettings()
    films: Path
    seed: Seed = 0
    device: Device = "auto"


class ServeRun(Section):
    """``python -m models.serve``: a registered model that answers over a socket until it is closed.

    Args:
        model: the stage's folder inside the registered model.
        settings: the folder beside it that says how the model is asked, or how it draws.
        draws: whether it turns prompts into films.
        socket: number of the file descriptor that the child inherits.
        slots: answers in work at once; a model that draws takes its own batch's size.
        openings: images that are remembered beyond those, for the next question about them.
    """

    model: Path
    settings: Path
    draws: bool = False
    socket: int = Field(ge=0)
    slots: int = Field(default=16, ge=1)
    openings: int = Field(default=4, ge=0)
    device: Device = "auto"


class EmbedRun(Section):
    """``python -m models.embed``: embeddings of films and texts in one space.

    Args:
        dual_encoder: a folder that a pretrain stage wrote, or None.
        vlm: a folder that a finetune stage wrote, or None.
        examples: shards of EXAMPLE_SCHEMA; a study's target is embedded once.
        prompts: further texts for the dual encoder.
        text_tokens: the dual encoder's texts are cut there, as they were in training; None where
            there is no dual encoder.
        output: folder that gets ``embeddings.safetensors``, ``films.parquet``, ``texts.parquet``
            and, last, ``result.json``.
    """

    dual_encoder: Path | None = None
    vlm: Path | None = None
    examples: tuple[Path, ...]
    prompts: tuple[str, ...] = ()
    text_tokens: int | None = Field(default=256, ge=8)
    batch_size: int = Field(default=32, ge=1)
    output: Path
    device: Device = "auto"


class ExplainRun(Section):
    """``python -m models.explain``: heat maps of sentences over images.

    Args:
        model: a folder that a finetune stage wrote.
        examples: shards of EXAMPLE_SCHEMA; each target is the text to explain.
        sentences: SENTENCE_SCHEMA, which characters of each text are asked about.
        background: shards whose images make the mean film that occlusion fills in.
        methods: ``attention mean``, ``attention layer 3 head 1``, ``occlusion`` …; ``attention
            layer`` stands for all layers and all their heads.
        cells: occlusion's map has so many cells along a side.
        output: folder that gets ``maps-*.parquet`` and, last, ``result.json``.
    """

    model: Path
    examples: tuple[Path, ...]
    sentences: Path
    background: tuple[Path, ...] = ()
    methods: tuple[str, ...] = Field(min_length=1)
    controls: tuple[Control, ...] = ("none", "shuffled")
    cells: int = Field(default=8, ge=2)
    batch_size: int = Field(default=8, ge=1)
    seed: int = 0
    output: Path
    device: Device = "auto"

    def wants(self, method: str) -> bool:
        """Whether the method is asked for, by its name or by its family's."""
        by_layer = "attention layer" in self.methods and method.startswith("attention layer")
        return by_layer or method in self.methods

    @property
    def needs_attention(self) -> bool:
        return any(method != "occlusion" for method in self.methods)


class NeuralRun(Section):
    """``python -m evaluation.neural``: what encoders say about every reference and prediction.

    Args:
        predictions: ``predictions.parquet`` files.
        encoders: the encoders to run, by their names in ``evaluation.encoders``.
        folders: where their weights lie, as the recipe names them.
        output: folder that gets ``neural.parquet`` and, last, ``neural.json``.
    """

    predictions: tuple[Path, ...]
    encoders: tuple[str, ...]
    folders: EncoderSettings
    weights_root: Path | None = None
    output: Path
    batch_size: int = Field(default=32, ge=1)
    device: Device = "auto"


class RegistryRun(Section):
    """What is told of any model that goes into the MLflow registry.

    Args:
        model: the folder of the stage that made it.
        tags: the git commit and every fingerprint behind the model.
        metrics: scores to log beside it.
        parent_run_id: the pipeline's MLflow run, under which this run is nested.
        output: folder that gets ``registered.json``: name, version, run id, model URI, alias.
    """

    model: Path
    model_name: str = Field(min_length=1)
    alias: str = "candidate"
    tracking_uri: str
    experiment: str
    run_name: str = "register"
    parent_run_id: str | None = None
    tags: dict[str, str] = Field(default_factory=dict)
    metrics: dict[str, float] = Field(default_factory=dict)
    output: Path


class RegisterRun(RegistryRun):
    """``python -m models.register``: a model that a finetune stage wrote.

    Args:
        images: how the recipe stores pixels; a served image goes the same way.
        generate, section, request: how the scored model was asked, so that the served one is asked
            alike; ``section`` is None where it writes no report.
        answers: how it was asked questions; None where it was scored on none.
    """

    images: ImageSettings
    generate: GenerateSettings = GenerateSettings()
    section: Literal["findings", "impression"] | None = "findings"
    answers: GenerateSettings | None = None
    request: RequestSettings = RequestSettings()


class RegisterDrawingRun(RegistryRun):
    """``python -m models.register_drawing``: a pipeline that a guide or diffuse stage wrote.

    Args:
        draw: how the scored films were drawn, so that served ones are drawn alike.
        views: training examples by view that the pipeline was shown; None where nobody knows.
    """

    draw: DrawSettings = DrawSettings()
    views: dict[str, int] | None = None


class ConvertRun(Section):
    """``python -m models.convert``: one checkpoint or release into another layout.

    Args:
        source: the release's folder, a VLM's folder, or a vision tower's file, by ``action``.
        dual_encoder: the second folder of an export.
        output: an empty or new folder.
        language, text_tokenizer: published weights by name or absolute path; None takes those
            that the release names.
        with_base: an import also writes the VLM without LoRA.
        image_px, patch_px: the wanted sizes of a vision tower; None keeps its own.
        heads: attention heads of a vision tower; None takes heads of width 64.
        activation: of a CLIP tower; OpenAI's weights use ``quick_gelu``, LAION's ``gelu``.
    """

    action: Literal["import-llava-rad", "export-llava-rad", "vision"]
    source: Path
    dual_encoder: Path | None = None
    output: Path
    weights_root: Path | None = None
    language: str | None = None
    text_tokenizer: str | None = None
    with_base: bool = False
    image_px: int | None = Field(default=None, ge=1)
    patch_px: int | None = Field(default=None, ge=1)
    heads: int | None = Field(default=None, ge=1)
    activation: Literal["quick_gelu", "gelu"] = "quick_gelu"


def write_run(run: Section, path: Path) -> None:
    """Write ``run`` as the JSON file a child reads.

    Raises:
        InputError: a path in it is no text, which JSON cannot hold.
    """
    try:
        told = run.model_dump_json(indent=1)
    except PydanticSerializationError as error:
        raise InputError(
            "a path whose bytes are not UTF-8", "folders named in UTF-8", "rename it"
        ) from error
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(told + "\n")


def read_run(kind: type[RunT], path: Path) -> RunT:
    """Read a run of that kind.

    Raises:
        InputError: the file is absent, no JSON, or does not fit.
    """
    advice = "write it with infra.runs.write_run"
    if not path.is_file():
        raise InputError(f"no file {path}", f"a {kind.__name__} as JSON", advice)
    try:
        return kind.model_validate_json(path.read_text())
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"]) or "the top"
        raise InputError(
            f"'{place}' of {path.name}: {first['msg'].lower()}", f"a {kind.__name__}", advice
        ) from error
