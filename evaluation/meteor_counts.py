"""METEOR's counts of pairs of texts: from the cache, or from one child process for all of them.

    with open_meteor(program) as meteor:
        counts = meteor.counts(references, predictions, "coco-ptb", cache)      (n, 23)
    corpus_meteor(counts.sum(axis=0))        the number of COCO's tables
    corpus_meteor(counts)                    (n,) of each pair

``read_meteor`` does so for all systems of a scoring and hands over counts as the encoders do.
Shapes: n pairs.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from tempfile import TemporaryFile
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from evaluation.encoded import Encoded, EncodedSystem
from evaluation.families import Family
from evaluation.meteor import (
    METEOR_PROFILES,
    METEOR_REVISION,
    WIDTH,
    meteor_family,
    meteor_name,
    meteor_text,
    summable,
)
from evaluation.meteor_process import MeteorChild, Patience
from evaluation.meteor_program import MeteorProgram, find_meteor
from evaluation.metric_cache import MetricCache
from evaluation.statistics import Floats
from infra.fingerprint import file_digest
from infra.settings.sections import EncoderSettings

_NORMALISED = "METEOR's own (-norm)"
_TOKENIZERS: Final[Mapping[str, str]] = {
    "coco-ptb": "Penn Treebank's rules for plain ASCII prose (own port), COCO's punctuation "
    f"dropped, then {_NORMALISED}",
    "r2gen": f"R2Gen's cleaning, then {_NORMALISED}",
    "coco": _NORMALISED,
}
_COUNTED_BY = ("meteor", "tokens")
"""Modules that make a count of what the program says: part of the version of cached counts."""


class Meteor:
    """Counts of any pairs under any profile; see ``open_meteor``."""

    def __init__(self, program: MeteorProgram, child: MeteorChild) -> None:
        self._program, self._child = program, child

    def counts(
        self,
        references: Sequence[str],
        predictions: Sequence[str],
        profile: str,
        cache: MetricCache | None = None,
    ) -> Floats:
        """(n, 23) counts that can be summed, of n pairs.

        Raises:
            MeteorFailed: the program hung, died or answered something else.
            Unavailable: Java does not run.
        """
        count = partial(self._count, profile=profile)
        family = Family(meteor_family(profile), self._version, WIDTH, count)
        return family.of(references, predictions, cache)

    def about(self, profile: str) -> dict[str, str]:
        """What signatures tell of the program: version, sha256 of jar and table, tokenizer."""
        return {
            "version": f"{METEOR_REVISION}, Java {self._program.java_major}",
            "weights": self._program.weights,
            "tokenizer": _TOKENIZERS[profile],
        }

    @property
    def _version(self) -> str:
        here = Path(__file__).parent
        code = "".join(file_digest(here / f"{name}.py")[:8] for name in _COUNTED_BY)
        told = "-".join(digest[:16] for digest in self._program.weights.split())
        return f"{METEOR_REVISION}-{code}-{told}-java-{self._program.java_major}"

    def _count(self, references: Sequence[str], predictions: Sequence[str], profile: str) -> Floats:
        """Each distinct pair of lines is asked once."""
        asked = [
            (meteor_text(one, profile), meteor_text(other, profile))
            for one, other in zip(references, predictions, strict=True)
        ]
        told = {pair: self._child.statistics(*pair) for pair in dict.fromkeys(asked)}
        return summable(np.array([told[pair] for pair in asked]).reshape(-1, WIDTH))


@contextmanager
def open_meteor(program: MeteorProgram, patience: Patience | None = None) -> Iterator[Meteor]:
    """Counts by one child process, which starts when a pair is first asked."""
    with TemporaryFile() as errors, MeteorChild(program, errors, patience) as child:
        yield Meteor(program, child)


def read_meteor(
    settings: EncoderSettings,
    root: Path | None,
    predictions: pa.Table,
    cache: MetricCache | None,
) -> Encoded:
    """Counts of every system under every profile, or why there are none.

    Args:
        predictions: rows with ``example_id``, ``control``, ``reference`` and ``prediction``.

    Raises:
        MeteorFailed, Unavailable: see ``Meteor.counts``.
    """
    program = find_meteor(settings, root)
    if isinstance(program, str):
        return Encoded(unavailable={meteor_name(profile): program for profile in METEOR_PROFILES})
    with open_meteor(program) as meteor:
        systems = {
            control: _system(
                meteor, predictions.filter(pc.equal(predictions["control"], control)), cache
            )
            for control in dict.fromkeys(predictions["control"].to_pylist())
        }
        about = {meteor_name(profile): meteor.about(profile) for profile in METEOR_PROFILES}
    return Encoded(systems, about)


def _system(meteor: Meteor, rows: pa.Table, cache: MetricCache | None) -> EncodedSystem:
    references, predictions = (
        [text or "" for text in rows[side].to_pylist()] for side in ("reference", "prediction")
    )
    families = {
        meteor_family(profile): meteor.counts(references, predictions, profile, cache)
        for profile in METEOR_PROFILES
    }
    return EncodedSystem(rows["example_id"].to_pylist(), families)
