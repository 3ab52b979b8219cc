"""What a child process is told: the contents of ``run.json``.

``tasks`` writes these, ``models`` reads them; neither imports the other. Every path is absolute or
relative to the child's working directory. Unknown keys are refused.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal, TypeVar

from pydantic import Field, ValidationError

from infra.errors import InputError
from infra.settings.sections import GenerateSettings, ImageSettings, Section
from infra.settings.stages import ModelSettings, StageSettings

Device = Literal["auto", "cpu"]
Control = Literal["none", "shuffled", "blank"]
RunT = TypeVar("RunT", bound=Section)


class TrainRun(Section):
    """``python -m models.train``: one stage.

    Args:
        train_examples, validate_examples: Parquet shards of EXAMPLE_SCHEMA, in their order.
        inputs: output folders of the stages named in ``stage.starts_from``.
        output: the model's folder; ``result.json`` is written there last.
        resume: checkpoints of this stage alone; kept across kills, read back on the next start.
        weights_root: where published weights lie, one folder for each name in ``models``.
        workers: processes that read examples beside the trainer; the order does not depend on it.
    """

    stage: StageSettings
    models: ModelSettings
    train_examples: tuple[Path, ...]
    validate_examples: tuple[Path, ...] = ()
    inputs: dict[str, Path] = Field(default_factory=dict)
    output: Path
    resume: Path
    weights_root: Path | None = None
    device: Device = "auto"
    workers: int = Field(default=0, ge=0)


class GenerateRun(Section):
    """``python -m models.generate``: predictions of one model for every control.

    Args:
        model: a folder that a finetune stage wrote.
        output: folder that gets ``predictions.parquet`` and, last, ``result.json``.
        scratch: keeps finished answers of this run alone, so that a killed one goes on; None keeps
            them below ``output``.
    """

    model: Path
    generate: GenerateSettings
    examples: tuple[Path, ...]
    controls: tuple[Control, ...] = ("none",)
    output: Path
    scratch: Path | None = None
    device: Device = "auto"


class RegisterRun(Section):
    """``python -m models.register``: one model into the MLflow registry.

    Args:
        model: a folder that a finetune stage wrote.
        images: how the recipe stores pixels; a served image goes the same way.
        max_new_tokens, beams, section, with_indication: how the scored model was asked, so that
            the served one is asked alike.
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
    images: ImageSettings
    tags: dict[str, str] = Field(default_factory=dict)
    metrics: dict[str, float] = Field(default_factory=dict)
    max_new_tokens: int = Field(default=256, ge=1)
    beams: int = Field(default=1, ge=1)
    section: Literal["findings", "impression"] = "findings"
    with_indication: bool = True
    output: Path


def write_run(run: Section, path: Path) -> None:
    """Write ``run`` as the JSON file a child reads."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(run.model_dump_json(indent=1) + "\n")


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
