"""What a score is, in full: two numbers of one name are comparable only where these agree.

On one set of 200 pairs "BLEU-4" ranges from .087 to .135 by tokenizer and case alone, and CheXbert
F1 by what becomes of uncertain labels (evaluation_metrics 1.1 and 1.6); so every score says it all.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass


@dataclass(frozen=True)
class Signature:
    """How one score was made; None where a field does not apply to the metric.

    ``scale`` says what the largest value is (``0-1``, ``0-100``, ``errors per report``). ``unit``
    is what the bootstrap resamples; ``centre`` says what a paper prints in the value's place.
    ``empty_output`` says what an empty prediction counts as; ``cleaner`` is what texts went through
    before the tokenizer. ``images`` says how many films were shown and ``max_new_tokens`` where
    decoding was cut, both unknown for texts that others wrote. ``weights`` holds the sha256 of
    every published file of weights that the number came through.
    """

    metric: str
    implementation: str
    version: str
    scale: str
    level: str
    section: str
    studies: int
    subjects: int
    examples: int
    interval: str
    resamples: int
    seed: int
    unit: str
    empty_output: str
    tokenizer: str | None = None
    case: str | None = None
    stemmer: str | None = None
    labels: str | None = None
    uncertain_as: str | None = None
    judge: str | None = None
    model: str | None = None
    layer: str | None = None
    idf: str | None = None
    rescale: str | None = None
    weights: str | None = None
    centre: str | None = None
    cleaner: str | None = None
    images: int | None = None
    max_new_tokens: int | None = None

    def fields(self) -> dict[str, str | int]:
        """The fields that apply, in the order of the class."""
        return {name: value for name, value in asdict(self).items() if value is not None}

    def __str__(self) -> str:
        """``metric|implementation:sacrebleu|version:2.6.0|…``: one line, stable, greppable."""
        rest = [f"{name}:{value}" for name, value in self.fields().items() if name != "metric"]
        return "|".join([self.metric, *rest])
