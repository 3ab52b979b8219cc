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
    if problem["type"] == "tuple_type":
        return "a list"
    words = problem["msg"].removeprefix("Input should be ").removeprefix("Input should ")
    if words.startswith(("greater", "less")):
        return f"a value {words}"
    return words[:1].lower() + words[1:]


class Section(BaseModel):
    """Base of every part of a recipe."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


NAME = r"^[a-z0-9][a-z0-9_.-]*$"
"""What becomes part of a folder's name: a stage, a variant, a matrix."""
Name = Annotated[str, Field(pattern=NAME)]
Share = Annotated[float, Field(ge=0.0, le=1.0)]
Seed = Annotated[int, Field(ge=0, le=2**32 - 1)]
"""What numpy, which transformers seeds too, takes for a seed."""
Resamples = Annotated[int, Field(ge=10, le=1_000_000)]
"""Bootstrap resamples. The bound is our choice: an interval's last shown digit needs fewer, and a
slip of the pen would be met after all training only."""
LARGEST_GUIDANCE = 100.0
"""Our choice: ten times what anybody draws with; far above it a film's numbers end."""
Route = Literal["keep", "structure", "translate", "synthesize"]
Reading = Literal["retrieval", "grounding", "consistency", "coherence"]
REPORT_TASKS = ("findings", "impression")
"""What a set's examples may be of a report; each is the section's name."""


class SourceSettings(Section):
    """Which sources are read, and how their reports are routed.

    ``hash_split`` gives the shares of train, validate and test where the publisher has no split.
    """

    routes: dict[str, tuple[Route, ...]]
    hash_split: tuple[Share, Share, Share] = (0.8, 0.1, 0.1)
    pieces: int = Field(default=16, ge=1, le=4096, description="pieces a source is cut into")
    checksums: bool = Field(default=True, description="hold files against the publisher's lists")

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
    seed: Seed = 0
    max_output_tokens: int = Field(default=1024, ge=1)
    largest_failed_share: Share = 0.05


class RequestSettings(Section):
    """The words a model is asked in; None are our own.

    A published model expects those it was trained on. ``with_indication`` is used where the exam's
    reason is known, which takes the place of ``{indication}``; with a ``plain`` and no
    ``with_indication`` a model is never told the reason. Training examples without one are asked in
    ``plain`` or a wording of ``also``, each as often; held-out ones in ``plain`` alone.
    """

    plain: str | None = Field(default=None, min_length=1)
    also: tuple[Annotated[str, Field(min_length=1)], ...] = ()
    with_indication: str | None = Field(default=None, min_length=1)

    @model_validator(mode="after")
    def _indication_has_a_place(self) -> RequestSettings:
        if self.with_indication is not None and self.with_indication.count("{indication}") != 1:
            raise ValueError("with_indication has no single place {indication}")
        return self

    @model_validator(mode="after")
    def _other_wordings_stand_beside_one(self) -> RequestSettings:
        if self.also and (self.plain is None or len({self.plain, *self.also}) <= len(self.also)):
            raise ValueError("request.also needs a plain, and wordings that differ")
        return self


class DrawnSettings(Section):
    """The films of a set that were drawn from the texts of another one (docs/diffusion.md).

    ``stage`` draws them, by DDIM with ``steps`` and ``guidance``, for the training examples of the
    set ``of``. ``share`` is the part of its subjects whose films are drawn, the same ones that a
    stage of that share trains on. A film's first noise follows from ``seed`` and its example.
    The defaults are those of MedXChat's released code.
    """

    stage: str = Field(pattern=NAME)
    of: str = Field(pattern=NAME)
    share: float = Field(default=1.0, gt=0.0, le=1.0)
    steps: int = Field(default=50, ge=1)
    guidance: float = Field(default=1.1, ge=0.0, le=LARGEST_GUIDANCE)
    batch_size: int = Field(default=16, ge=1)
    seed: Seed = 0


class ExampleSettings(Section):
    """Which studies become examples, how a model is asked, and how shards are cut.

    ``images`` makes an example of each image, or one of each study with up to ``most_images`` of
    its films. ``choose`` says which where there are more: the ``first`` ones in the study's order,
    the first of every view before a second of any (``one-per-view``), the first that are no near
    copy of one before (``distinct``), or of these the first that do not lie on their side
    (``upright``, which looks at the stored pixels).

    A set of questions (``vqa``) shows the films that its publisher asks about, and leaves out those
    about more than ``most_images``: more than one where ``models.vision.layout`` is ``first``. Of
    the above it reads this, the sources and how shards are cut. ``films_on_both_sides`` lets it
    train on films that a held-out question shows too, as VQA-RAD's own split does; no question tied
    to a held-out one goes with them.

    Sets of dialogues that were written from reports are about one film each: ``dialogue`` shows it,
    ``generate`` asks for it and has none. They read ``views``, the sources and how shards are cut.

    ``drawn`` makes it a set of drawn films: the examples of another set, with films drawn from
    their texts.
    """

    views: tuple[Literal["PA", "AP", "LATERAL", "UNKNOWN"], ...] = Field(
        default=("PA", "AP"), min_length=1
    )
    task: Literal["findings", "impression", "vqa", "dialogue", "generate"] = "findings"
    images: Literal["each", "study"] = "each"
    most_images: int = Field(default=4, ge=1, le=16)
    choose: Literal["first", "one-per-view", "distinct", "upright"] = "first"
    films_on_both_sides: bool = False
    test_sources: tuple[str, ...]
    validate_sources: tuple[str, ...]
    request: RequestSettings = RequestSettings()
    shard_rows: int = Field(default=512, ge=1)
    row_group_rows: int = Field(default=64, ge=1)
    drawn: DrawnSettings | None = None

    @property
    def is_report(self) -> bool:
        """Whether a section of a report is what is learned."""
        return self.task in REPORT_TASKS


class GenerateSettings(Section):
    """How a model's answers are generated.

    ``prompt`` is ``turns``, the request with the exam's indication, or ``no-indication``. With
    ``beams`` a finished answer's score is its summed log-probability over its tokens to the power
    ``length_penalty``. ``repetition_penalty`` makes what stands in the prompt or the answer less
    likely, above 1.
    """

    batch_size: int = Field(default=8, ge=1)
    max_new_tokens: int = Field(default=256, ge=1)
    min_new_tokens: int = Field(default=0, ge=0)
    beams: int = Field(default=1, ge=1)
    length_penalty: float = Field(default=1.0, ge=-10.0, le=10.0)
    repetition_penalty: float = Field(default=1.0, gt=0.0, le=10.0)
    prompt: Literal["turns", "no-indication"] = "turns"
    seed: Seed = 0

    @model_validator(mode="after")
    def _room_for_the_shortest(self) -> GenerateSettings:
        if self.min_new_tokens > self.max_new_tokens:
            raise ValueError(
                f"min_new_tokens {self.min_new_tokens} above max_new_tokens {self.max_new_tokens}"
            )
        return self


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
    meteor: str = "meteor-1.5"


Hidden = Literal["shuffled", "blank", "without-first", "first-alone"]
"""What a control hides: the study's own films behind another study's or a blank picture; of several
films the first, or all others, which lie black in their places."""


class ScoreSettings(Section):
    """How predictions are scored."""

    bootstrap_resamples: Resamples = 500
    seed: Seed = 3
    uncertain_as: Literal["negative", "positive"] = "negative"
    judges: tuple[str, ...]
    judged_studies: int | None = Field(default=None, ge=1, description="None judges all")
    teacher_studies: int | None = Field(
        default=500, ge=1, description="of each source and task, for the teacher's quality"
    )
    controls: tuple[Hidden, ...] = ("shuffled", "blank")
    encoders: EncoderSettings = EncoderSettings()


class RetrievalSettings(Section):
    """How retrieval and zero-shot classification are measured (docs/retrieval.md)."""

    batch_size: int = Field(default=32, ge=1)
    bootstrap_resamples: Resamples = 500
    seed: Seed = 3


GroundedText = Literal["reference", "prediction", "phrase"]
MapMethod = Literal[
    "attention mean",
    "attention max",
    "attention rollout",
    "attention gradient",
    "attention layer",
    "occlusion",
]


class GroundSettings(Section):
    """How heat maps are made and held against boxes (docs/grounding.md).

    ``attention layer`` stands for every layer and every head. ``cells`` and ``batch_size`` are
    occlusion's; ``sharpness`` lists the powers that a map may be raised to.
    """

    texts: tuple[GroundedText, ...] = ("reference", "prediction", "phrase")
    methods: tuple[MapMethod, ...] = Field(
        default=(
            "attention mean",
            "attention max",
            "attention rollout",
            "attention gradient",
            "attention layer",
            "occlusion",
        ),
        min_length=1,
    )
    sharpness: tuple[Annotated[float, Field(gt=0)], ...] = Field(default=(1.0, 2.0, 4.0, 8.0))
    cells: int = Field(default=8, ge=2, le=64)
    batch_size: int = Field(default=8, ge=1)
    test_texts: int | None = Field(default=300, ge=1, description="per source and kind; None: all")
    validate_texts: int = Field(default=60, ge=1, description="on which the method is chosen")
    bootstrap_resamples: Resamples = 500
    seed: Seed = 3
    overlays: int = Field(default=12, ge=0, description="pictures on the page")


class ReplicaSettings(Section):
    """Synthetic replicas: studies per source, short side of the images in px, style of reports, and
    the share of ``rrg24``'s studies that get films which are no help (``ReplicaSpec``)."""

    studies: dict[str, Annotated[int, Field(ge=1)]] = Field(default_factory=dict)
    default_studies: int = Field(default=60, ge=1)
    side_px: int = Field(default=256, ge=64)
    seed: Seed = 0
    wording: Literal["free", "template"] = "free"
    superfluous: Share = 0.0
