"""The recipe's sections but for the training stages (see ``stages``); each is fingerprinted alone.

All are frozen and refuse unknown keys, so that a misspelt key is an error and not a default.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator
from pydantic_core import ErrorDetails


def wanted(problem: ErrorDetails) -> str:
    """What pydantic expected, in words that can follow ``expected``."""
    if problem["type"] in ("model_type", "dict_type"):
        return "a table"
    words = problem["msg"].removeprefix("Input should be ").removeprefix("Input should ")
    if words.startswith(("greater", "less")):
        return f"a value {words}"
    return words[:1].lower() + words[1:]


class Section(BaseModel):
    """Base of every part of a recipe."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


Share = Annotated[float, Field(ge=0.0, le=1.0)]
Route = Literal["keep", "structure", "translate", "synthesize"]


class SourceSettings(Section):
    """Which sources are read, and how their reports are routed.

    ``hash_split`` gives the shares of train, validate and test where the publisher has no split.
    """

    routes: dict[str, tuple[Route, ...]]
    hash_split: tuple[Share, Share, Share] = (0.8, 0.1, 0.1)
    pieces: int = Field(default=16, ge=1, le=4096, description="pieces a source is cut into")

    @model_validator(mode="after")
    def _shares_sum_to_one(self) -> SourceSettings:
        if abs(sum(self.hash_split) - 1.0) > 1e-9:
            raise ValueError(f"hash_split sums to {sum(self.hash_split):.6g}, expected 1")
        return self

    @model_validator(mode="after")
    def _each_source_goes_somewhere(self) -> SourceSettings:
        if not self.routes:
            raise ValueError("routes names no source, expected one at least")
        for name, routes in self.routes.items():
            if not routes:
                raise ValueError(f"routes.{name} is empty, expected one route at least")
            if len(set(routes)) < len(routes):
                raise ValueError(f"routes.{name} names a route twice")
        return self

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(self.routes)


class ImageSettings(Section):
    """How pixels are stored; lengths in px of the stored image."""

    short_side_px: int = Field(ge=16, le=4096)
    resample: Literal["bicubic", "area"] = "bicubic"
    encoding: Literal["jpeg", "png"] = "jpeg"
    jpeg_quality: int = Field(default=95, ge=1, le=100)
    smallest_side_px: int = Field(default=128, ge=1)
    largest_megapixels: float = Field(default=100.0, gt=0)
    largest_aspect_ratio: float = Field(default=4.0, gt=1)


class ReportSettings(Section):
    """How the language model is asked; the endpoint itself is a place, not a recipe."""

    model: str
    temperature: float = Field(default=0.0, ge=0.0, le=2.0)
    seed: int = 0
    max_output_tokens: int = Field(default=1024, ge=1)
    largest_failed_share: Share = 0.05


class ExampleSettings(Section):
    """Which studies become examples, and how shards are cut."""

    views: tuple[Literal["PA", "AP", "LATERAL", "UNKNOWN"], ...] = Field(
        default=("PA", "AP"), min_length=1
    )
    section: Literal["findings", "impression"] = "findings"
    test_sources: tuple[str, ...]
    validate_sources: tuple[str, ...]
    with_indication: bool = True
    shard_rows: int = Field(default=512, ge=1)
    row_group_rows: int = Field(default=64, ge=1)


class GenerateSettings(Section):
    """How findings are generated."""

    batch_size: int = Field(default=8, ge=1)
    max_new_tokens: int = Field(default=256, ge=1)
    beams: int = Field(default=1, ge=1)
    seed: int = 0


class EncoderSettings(Section):
    """Published weights behind the neural metrics: folders under ``CXR_WEIGHTS_ROOT``, by the
    publisher's name, or absolute paths.

    A metric whose folder is absent is unavailable, and the scores say so. ``bertscore`` and
    ``radcliq_bertscore`` end in the name of a model whose rescaling baseline is known.
    """

    chexbert: str = "StanfordAIMI/RRG_scorers"
    chexbert_tokenizer: str = "bert-base-uncased"
    radgraph: str = "StanfordAIMI/RRG_scorers/radgraph"
    radgraph_xl: str = "StanfordAIMI/RRG_scorers/radgraph-xl"
    bertscore: str = Field(
        default="distilbert-base-uncased", pattern=r"(^|/)distilbert-base-uncased$"
    )
    radcliq_bertscore: str = Field(
        default="distilroberta-base", pattern=r"(^|/)distilroberta-base$"
    )
    rate_entities: str = "Angelakeke/RaTE-NER-Deberta"
    rate_embeddings: str = "FremyCompany/BioLORD-2023-C"


class ScoreSettings(Section):
    """How predictions are scored."""

    bootstrap_resamples: int = Field(default=500, ge=10)
    seed: int = 3
    uncertain_as: Literal["negative", "positive"] = "negative"
    judges: tuple[str, ...]
    judged_studies: int | None = Field(default=None, ge=1, description="None judges all")
    teacher_studies: int | None = Field(
        default=500, ge=1, description="of each source and task, for the teacher's quality"
    )
    controls: tuple[Literal["shuffled", "blank"], ...] = ("shuffled", "blank")
    encoders: EncoderSettings = EncoderSettings()


class RegistrySettings(Section):
    """Where the model is registered; MLflow and its filters allow only such names."""

    model_name: str = Field(pattern=r"^[A-Za-z0-9_.-]+$")


class ReplicaSettings(Section):
    """Synthetic replicas: studies per source, short side of the images in px, style of reports."""

    studies: dict[str, int] = Field(default_factory=dict)
    default_studies: int = Field(default=60, ge=1)
    side_px: int = Field(default=256, ge=64)
    seed: int = 0
    wording: Literal["free", "template"] = "free"
