"""All scores of one model's predictions, each with interval and signature, beside its controls.

    scores = score_predictions(predictions, judged, settings)
    scores.to_dict()                      what ``cxr evaluate --json`` prints
    scores.examples                       one row per example and control, for Parquet

Metrics whose weights are absent are listed as unavailable with the reason; no number is invented.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np
import pyarrow as pa

from evaluation.block_scores import BlockTable, block_tables, overall_measure
from evaluation.blocks import BLOCKS, PROFILES, RRG24_OVERALL, RRG24_PARTS, Block
from evaluation.board import Board, Difference, Families, Score
from evaluation.clinical import LabelScore, label_scores
from evaluation.controls import MODEL, Outputs, read_outputs
from evaluation.counts_table import counts_table, no_counts
from evaluation.encoded import Encoded, chexbert_family
from evaluation.example_scores import EXAMPLE_SCORES_SCHEMA, example_rows
from evaluation.families import FAMILIES, LABELS
from evaluation.judged import JudgedCounts, read_judged
from evaluation.judges import (
    Disagreement,
    Kinship,
    answering,
    disagreements,
    kin_of_teachers,
    mean_of_judges,
)
from evaluation.lateral import FAMILY_OF, Truths, film_counts, film_measures, hidden_any
from evaluation.measures import (
    UNAVAILABLE,
    Measure,
    block_measures,
    clinical_measures,
    judge_family,
    judge_measures,
    lexical_measures,
    profile_measures,
    translation_measures,
)
from evaluation.measures_neural import available_measures, still_unavailable
from evaluation.metric_cache import MetricCache
from evaluation.parts import Parts
from evaluation.statistics import make_bootstrap
from evaluation.texts import BLOCK_FAMILIES, TextCounts, count_texts
from infra.settings.sections import ScoreSettings

__all__ = [
    "Difference",
    "Families",
    "Score",
    "Scores",
    "SystemCounts",
    "nothing_scored",
    "score_predictions",
]

FORMAT = 1
"""Raise when a reader of ``to_dict`` must change."""

NO_JUDGE = "no judge was asked"


@dataclass(frozen=True)
class SystemCounts:
    """How much a system wrote: empty texts, texts cut at the token limit, and by judge the pairs
    that were judged and, by reason, those that were not."""

    examples: int
    empty: int
    cut_short: int
    judged: dict[str, int]
    judge_failures: dict[str, dict[str, int]]


@dataclass(frozen=True)
class Scores:
    """Everything measured on one set of predictions; ``labels`` are rule14's by control,
    ``chexbert_labels`` CheXbert's where its weights are here.

    ``kin`` are the judges that share a family with a model behind the texts; ``counts`` is what
    all of it was computed from (``counts_table``).
    """

    scores: tuple[Score, ...]
    differences: tuple[Difference, ...]
    labels: dict[str, list[LabelScore]]
    systems: dict[str, SystemCounts]
    unavailable: dict[str, str]
    studies: int
    subjects: int
    examples: pa.Table
    disagreements: tuple[Disagreement, ...] = ()
    kin: tuple[Kinship, ...] = ()
    blocks: tuple[BlockTable, ...] = ()
    counts: pa.Table = field(default_factory=no_counts)
    chexbert_labels: dict[str, list[LabelScore]] = field(default_factory=dict)

    def score(self, metric: str, control: str = MODEL) -> Score:
        """The score of that name; KeyError where there is none."""
        for score in self.scores:
            if (score.metric, score.control) == (metric, control):
                return score
        raise KeyError(f"{metric} of {control}")

    def difference(self, metric: str, control: str) -> Difference:
        """The difference of that name; KeyError where there is none."""
        for difference in self.differences:
            if (difference.metric, difference.control) == (metric, control):
                return difference
        raise KeyError(f"{metric} against {control}")

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON, without the examples; unknown numbers are None."""
        return {
            "format": FORMAT,
            "studies": self.studies,
            "subjects": self.subjects,
            "systems": {name: asdict(counts) for name, counts in self.systems.items()},
            "blocks": [table.to_dict() for table in self.blocks],
            "scores": [score.to_row() for score in self.scores],
            "differences": [item.to_row() for item in self.differences],
            "labels": {name: [asdict(r) for r in rows] for name, rows in self.labels.items()},
            "chexbert_labels": {
                name: [asdict(r) for r in rows] for name, rows in self.chexbert_labels.items()
            },
            "disagreements": [asdict(item) for item in self.disagreements],
            "kin": [{**asdict(item), "warning": str(item)} for item in self.kin],
            "unavailable": self.unavailable,
        }

    def tracked(self) -> dict[str, float]:
        """``control/metric`` → value, then ``block/metric`` → value on the block's scale, in names
        that MLflow accepts (no brackets or commas)."""
        names = str.maketrans({"[": ".", "]": None, "=": "-", ",": "."})
        found = {
            f"{score.control}/{score.metric}": score.interval.value
            for score in self.scores
            if score.interval.value is not None
        }
        for table in self.blocks:
            found |= table.tracked()
        return {name.translate(names): value for name, value in found.items()}


def score_predictions(
    predictions: pa.Table,
    judged: pa.Table | None,
    settings: ScoreSettings,
    section: str = "findings",
    teachers: Iterable[tuple[str, str]] = (),
    *,
    translated: bool = False,
    encoded: Encoded | None = None,
    blocks: Sequence[Block] = tuple(BLOCKS.values()),
    cache: MetricCache | None = None,
    parts: Parts | None = None,
    max_new_tokens: int | None = None,
    truths: Truths | None = None,
) -> Scores:
    """Score the model and its image-blind controls.

    Args:
        predictions: rows of the model (control ``none``) and of any control.
        judged: rows of ``judged.JUDGED_SCHEMA``, or None where no judge was asked.
        section, max_new_tokens: what was written and where it was cut (None: unknown), to sign.
        teachers: models behind the texts, each with what it wrote, to flag judges of their kin.
        translated: the texts are translations (chrF). encoded: counts of encoders that are here.
        blocks: the tables to fill; ``blocks.PROFILES`` computes many more lexical counts.
        cache: counts of pairs that were counted before. parts: who counts many others.
        truths: what replicas were drawn from, for findings that one kind of film alone shows.

    Raises:
        InputError: a table does not fit (see ``controls`` and ``judged``).
    """
    outputs = read_outputs(predictions)
    encoders, families = encoded or Encoded(), _lexical_families(blocks)
    texts = {
        name: count_texts(outputs, written, families, translated, cache, parts)
        for name, written in outputs.written.items()
    }
    judges, means = _judges(judged, outputs)
    bootstrap = make_bootstrap(outputs.subjects, settings.bootstrap_resamples, settings.seed)
    measures = _measures(settings, (judges, means), translated, blocks, encoders)
    counts = _families(outputs, texts, [*judges, *means], encoders)
    measures += _add_one_kind_of_film(counts, outputs, texts, truths or {})
    board = Board(outputs, bootstrap, section, counts, max_new_tokens)
    return replace(
        _scored(board, measures, settings, blocks, encoders),
        systems={name: _system_counts(outputs, name, judges) for name in outputs.written},
        unavailable=still_unavailable(encoders) | ({} if judges else {"chexprompt": NO_JUDGE}),
        examples=example_rows(outputs, texts, judges),
        disagreements=tuple(disagreements(judges, bootstrap)),
        kin=kin_of_teachers(answering(judged), teachers) if judged is not None else (),
    )


def _judges(
    judged: pa.Table | None, outputs: Outputs
) -> tuple[list[JudgedCounts], list[JudgedCounts]]:
    """What each judge counted, and their means."""
    places = {example_id: place for place, example_id in enumerate(outputs.example_ids)}
    judges = read_judged(judged, places) if judged is not None else []
    return judges, mean_of_judges(judges)


def _scored(
    board: Board,
    measures: list[Measure],
    settings: ScoreSettings,
    blocks: Sequence[Block],
    encoded: Encoded,
) -> Scores:
    """What is computed of counts alone."""
    overall = overall_measure({item.name: item for item in measures}, board.families)
    every = [*measures, *([overall] if overall is not None else [])]
    scores = board.scores(every)
    chosen = {item.name: item for item in every}
    return Scores(
        scores=scores,
        differences=board.differences(every),
        labels=_label_scores(board, f"rule14-{settings.uncertain_as}"),
        systems={},
        unavailable={},
        studies=len(set(board.outputs.studies)),
        subjects=board.bootstrap.subjects,
        examples=EXAMPLE_SCORES_SCHEMA.empty_table(),
        blocks=block_tables(board, blocks, chosen, scores, _absent(encoded)),
        counts=counts_table(board.outputs, board.families, _versions(board.families, encoded)),
        chexbert_labels=_label_scores(board, chexbert_family(settings.uncertain_as)),
    )


def _label_scores(board: Board, family: str) -> dict[str, list[LabelScore]]:
    """By control the scores of each observation, of the systems that have the counts."""
    return {
        name: label_scores(counts[family])
        for name, counts in board.families.items()
        if family in counts
    }


def _lexical_families(blocks: Sequence[Block]) -> list[str]:
    """Names of the lexical counts that blocks need, each once."""
    profiles = profile_measures() if PROFILES in blocks else []
    return list(dict.fromkeys([*BLOCK_FAMILIES, *(item.family for item in profiles)]))


def _measures(
    settings: ScoreSettings,
    judges: Iterable[Iterable[JudgedCounts]],
    translated: bool,
    blocks: Sequence[Block],
    encoded: Encoded,
) -> list[Measure]:
    """Every measure in the order of the tables, each name once; each group of judges by name."""
    measures = translation_measures() if translated else []
    measures += [*lexical_measures(), *clinical_measures(settings.uncertain_as), *block_measures()]
    if PROFILES in blocks:
        known = {item.name for item in measures}
        measures += [item for item in profile_measures() if item.name not in known]
    measures += available_measures(encoded)
    for group in judges:
        for name, judge_version in sorted({(one.judge, one.judge_version) for one in group}):
            measures += judge_measures(name, judge_version)
    return measures


def _absent(encoded: Encoded) -> dict[str, str]:
    """Why each metric that a block may name has no number, if it has none."""
    found = still_unavailable(encoded)
    missing = [name for name in RRG24_PARTS if name in found]
    return found | {RRG24_OVERALL: f"needs {' and '.join(missing)}"}


def _versions(families: Families, encoded: Encoded) -> dict[str, str]:
    """What made the counts, by family; encoders by their own names."""
    names = {name for counts in families.values() for name in counts}
    own = {name: FAMILIES[name].version for name in names if name in FAMILIES}
    return {**own, "rule14": LABELS.version, **encoded.versions}


def nothing_scored(reason: str) -> Scores:
    """Scores of no predictions: every metric is unavailable, and why."""
    metrics = (*lexical_measures(), *clinical_measures("negative"), *block_measures())
    return Scores(
        scores=(),
        differences=(),
        labels={},
        systems={},
        unavailable={**{item.name: reason for item in metrics}, **UNAVAILABLE},
        studies=0,
        subjects=0,
        examples=EXAMPLE_SCORES_SCHEMA.empty_table(),
    )


def _families(
    outputs: Outputs,
    texts: Mapping[str, TextCounts],
    judges: list[JudgedCounts],
    encoded: Encoded,
) -> Families:
    families = {
        control: {**texts[control].families, **encoded.families(outputs, control)}
        for control in outputs.written
    }
    for item in judges:
        if item.control in families:
            families[item.control][judge_family(item.judge)] = item.counts
    return families


def _add_one_kind_of_film(
    counts: Families, outputs: Outputs, texts: Mapping[str, TextCounts], truths: Truths
) -> list[Measure]:
    """Add the counts of findings on lateral or on frontal films alone; the measures of them, where
    there are findings that no frontal film shows."""
    if not hidden_any(truths, outputs.named_studies):
        return []
    for control, written in outputs.written.items():
        own = [truths.get(outputs.named_studies[row]) for row in written.rows]
        for kind, family in FAMILY_OF.items():
            found = np.zeros((len(outputs.example_ids), 3))
            found[written.rows] = film_counts(own, texts[control].prediction_labels, kind)
            counts[control][family] = found
    return [measure for kind in FAMILY_OF for measure in film_measures(kind)]


def _system_counts(outputs: Outputs, control: str, judges: list[JudgedCounts]) -> SystemCounts:
    written = outputs.written[control]
    own = [item for item in judges if item.control == control]
    return SystemCounts(
        examples=len(written.predictions),
        empty=written.empty,
        cut_short=written.cut_short,
        judged={item.judge: int(item.column("judged").sum()) for item in own},
        judge_failures={item.judge: dict(item.failures) for item in own},
    )
