"""Scores of an ability as the gate reads them, and which two of two models can be held together."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq

from infra.artifact import Artifact, checked_files, find_artifacts
from tasks.compare.scored import Scored as ScoredReports
from tasks.examples.question_shards import QUESTIONS_FILE
from tasks.leaderboard.runs import test_set_of
from tasks.predict.work import PREDICTIONS_FILE
from tasks.promote.lineage import Model, input_of, kind_of
from tasks.score.work import COUNTS_FILE, JUDGED_FILE, SCORES_FILE

if TYPE_CHECKING:
    from evaluation.beside_controls import Pair
    from evaluation.gate import Scored
    from evaluation.paired import System


@dataclass(frozen=True)
class Asked:
    """Scores with the predictions and examples behind them."""

    scores: Artifact

    @cached_property
    def predictions(self) -> Artifact:
        return input_of(self.scores, "predictions")

    @cached_property
    def examples(self) -> Artifact:
        """The set that was tested on."""
        return input_of(self.predictions, "examples")

    @cached_property
    def test_set(self) -> str:
        """Digest of studies and references."""
        return test_set_of(self.scores.store, self.predictions, self.examples).digest

    def read(self, controls: Sequence[str] = ()) -> Scored:
        """As the gate reads them.

        Args:
            controls: what the model will be held against.
        """
        from evaluation.gate import Scored

        [file] = checked_files(self.scores, SCORES_FILE)
        document = json.loads(file.read_text(encoding="utf-8"))
        system = self._system()
        units = document["subjects"] if system is None else len(set(system.units))
        name = self.scores.folder.partition("/")[2]
        pairs = {control: self._pair(control) for control in controls}
        known = {control: pair for control, pair in pairs.items() if pair is not None}
        return Scored(name, document, system, self.test_set, units, known)

    def _system(self) -> System | None:
        """Counts by example; films have none."""
        kind = kind_of(self.scores)
        if kind == "report":
            return self._reports.system()
        if kind == "draw":
            return None
        from evaluation.answer_system import read_answer_system

        return read_answer_system(*self._answers)

    def _pair(self, control: str) -> Pair | None:
        """Counts of the model and of a control by example."""
        from evaluation.beside_controls import answer_pair, report_pair

        kind = kind_of(self.scores)
        if kind == "draw":
            return None
        if kind == "vqa":
            return answer_pair(*self._answers, control)
        predictions = _table(self.predictions, PREDICTIONS_FILE)
        counts, judged = (_table(self.scores, name) for name in (COUNTS_FILE, JUDGED_FILE))
        return report_pair(predictions, counts, judged, self._reports.settings, control)

    @property
    def _reports(self) -> ScoredReports:
        return ScoredReports(self.scores, self.predictions)

    @cached_property
    def _answers(self) -> tuple[pa.Table, pa.Table]:
        """Predictions and questions."""
        both = (self.predictions, PREDICTIONS_FILE), (self.examples, QUESTIONS_FILE)
        predictions, questions = (_table(artifact, name) for artifact, name in both)
        return predictions, questions


def _table(artifact: Artifact, name: str) -> pa.Table:
    return pa.concat_tables([pq.read_table(path) for path in checked_files(artifact, name)])


def together(candidate: Model, champion: Model, ability: str) -> tuple[Asked, Asked] | None:
    """Scores of both on one test set: their own, or those of a later comparison; where no two are,
    their own. None where the champion has no such ability."""
    own, other = candidate.scores[ability], champion.scores.get(ability)
    if other is None or kind_of(own) != kind_of(other):
        return None
    mine, theirs = _all_of(candidate, own), _all_of(champion, other)
    for one in mine:
        for two in theirs:
            if one.test_set == two.test_set:
                return one, two
    return mine[0], theirs[0]


def _all_of(model: Model, own: Artifact) -> list[Asked]:
    """The ability's own scores first, then others of the same kind that the same model reached."""
    found = [Asked(own)]
    for scores in find_artifacts(model.store, "scores", ""):
        if scores.folder == own.folder or kind_of(scores) != kind_of(own):
            continue
        if _answered_by(scores, model.stage):
            found.append(Asked(scores))
    return found


def _answered_by(scores: Artifact, stage: Artifact) -> bool:
    """Whether what was scored is of that stage's model; not if its predictions are gone."""
    return any(
        predictions.step.inputs.get(f"stages/{stage.step.name}") == stage.fingerprint
        for key, fingerprint in scores.step.inputs.items()
        if key.startswith("predictions/")
        for predictions in find_artifacts(scores.store, "predictions", fingerprint)
    )
