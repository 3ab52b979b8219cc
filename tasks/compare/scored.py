"""One scored model, found by what a person calls it: its predictions, judgements and examples."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from infra.artifact import Artifact, checked_files, find_artifacts
from infra.errors import InputError
from infra.settings.abilities import AbilityKind
from infra.settings.environment import Environment
from infra.settings.sections import ScoreSettings
from infra.store import Store
from infra.tracking import version_tags
from infra.tracking_database import require_database
from infra.tracking_runs import RunBook
from sources.record import Split
from tasks.predict.work import PREDICTIONS_FILE
from tasks.score.work import COUNTS_FILE, JUDGED_FILE

if TYPE_CHECKING:
    from evaluation.paired import System

_MODEL = re.compile(r"models:/(?P<name>[^/@]+)(?:/(?P<version>\d+)|(?P<alias>@.+))")
SHORTEST = 4
"""Characters of a fingerprint: fewer are a slip more often than a name (our choice)."""
_MODEL_ITSELF = "none"  # the control column's value of the model with its own image
ADVICE = "give a fingerprint's beginning, a folder's name under scores/, or models:/NAME/VERSION"


@dataclass(frozen=True)
class Scored:
    """A scores artifact with the predictions behind it."""

    scores: Artifact
    predictions: Artifact

    @property
    def name(self) -> str:
        """``llava_rad-34c6933bca69ad3a``."""
        return self.scores.folder.partition("/")[2]

    @property
    def settings(self) -> ScoreSettings:
        """How it was scored."""
        told = {
            key: value
            for key, value in self.scores.step.settings.items()
            if key in ScoreSettings.model_fields
        }
        return ScoreSettings.model_validate(told)

    def rows(self) -> pa.Table:
        """The model's own predictions, no control's."""
        table = _table(self.predictions, PREDICTIONS_FILE)
        return table.filter(pc.equal(table["control"], _MODEL_ITSELF))

    def system(self) -> System:
        """Its counts."""
        from evaluation.paired import read_system

        counts, judged = (_table(self.scores, name) for name in (COUNTS_FILE, JUDGED_FILE))
        return read_system(self.rows(), counts, judged, self.settings)

    def examples(self) -> tuple[Artifact, ...]:
        """The examples that it was tested on."""
        return examples_behind(self.predictions)


def find_scored(store: Store, environment: Environment, text: str) -> Scored:
    """The scored model of that name.

    Args:
        text: the beginning of a scores artifact's fingerprint, its folder's name, or a registered
            model's ``models:/NAME/VERSION`` or ``models:/NAME@ALIAS``.

    Raises:
        InputError: there is none, or several.
    """
    beginnings = _fingerprints_of_model(environment, text) or [
        text.removeprefix("scores/").strip("/")
    ]
    if min(map(len, beginnings)) < SHORTEST:
        raise InputError(f"'{text}' for a run", f"{SHORTEST} characters at least", ADVICE)
    found = [one for each in beginnings for one in find_artifacts(store, "scores", each)]
    reports = [artifact for artifact in found if _is_of_reports(artifact)]
    if found and not reports:
        what = _OTHERS[_kind_of(found[0])]
        raise InputError(
            f"{found[0].folder} with scores of {what}", "scores of reports", "look at its page"
        )
    found = reports
    if not found:
        raise InputError(f"no scores '{text}' under {store.root}", "a scored run", ADVICE)
    if len(found) > 1:
        names = ", ".join(artifact.folder for artifact in found[:3])
        raise InputError(f"{len(found)} scored runs for '{text}': {names}", "one", ADVICE)
    return Scored(found[0], _predictions_of(store, found[0]))


def newest_scored(store: Store) -> Scored:
    """The scored model that was scored last.

    Raises:
        InputError: nothing has been scored.
    """
    found = [one for one in find_artifacts(store, "scores", "") if _is_of_reports(one)]
    if not found:
        raise InputError(f"no scores under {store.root}", "a scored run", "run 'cxr evaluate'")
    return Scored(found[0], _predictions_of(store, found[0]))


_OTHERS: Final[Mapping[AbilityKind, str]] = {"vqa": "answers", "draw": "films"}
"""By kind of ability what has scores of its own, which are compared on their page alone."""


def _kind_of(scores: Artifact) -> AbilityKind:
    kind: AbilityKind = scores.step.settings.get("kind", "report")
    return kind


def _is_of_reports(scores: Artifact) -> bool:
    return _kind_of(scores) == "report"


def _fingerprints_of_model(environment: Environment, text: str) -> list[str]:
    """Fingerprints of the scores behind a registered version, by ability; none for other names."""
    named = _MODEL.fullmatch(text)
    if named is None:
        return []
    require_database(environment.tracking_uri)  # MLflow would make one
    book = RunBook(environment.tracking_uri, named["name"])
    tags = version_tags(book, named["name"], named["version"] or named["alias"])
    found = [value for key, value in tags.items() if key.startswith("cxrflow.scores.")]
    if found:
        return found
    raise InputError(f"{text} without a tag cxrflow.scores", "a model that cxrflow scored", ADVICE)


def _predictions_of(store: Store, scores: Artifact) -> Artifact:
    for key, fingerprint in scores.step.inputs.items():
        if key.startswith("predictions/"):
            found = find_artifacts(store, "predictions", fingerprint)
            if found:
                return found[0]
    raise InputError(
        f"{scores.folder} without its predictions", "both under one data root", "score it again"
    )


def _table(artifact: Artifact, name: str) -> pa.Table:
    """All rows of that table.

    Raises:
        InputError: a version that had no such table made the artifact.
        ArtifactError: the table is damaged; no number may come of it.
    """
    files = checked_files(artifact, name)
    if not files:
        raise InputError(
            f"{artifact.folder} without {name}", "a run that this version scored", "score it again"
        )
    return pa.concat_tables([pq.read_table(path) for path in files])


def examples_behind(made: Artifact) -> tuple[Artifact, ...]:
    """The examples that a step read: of its inputs those that lie under the same data root."""
    wanted = [value for key, value in made.step.inputs.items() if key.startswith("examples/")]
    return tuple(found for each in wanted for found in find_artifacts(made.store, "examples", each))


def test_shards(made: Artifact) -> list[str]:
    """Local paths of the shards of the test split behind predictions or a reading.

    Raises:
        InputError: they are no longer there.
        ArtifactError: one is damaged.
    """
    found = [
        str(path)
        for artifact in examples_behind(made)
        for name in sorted({file.name for piece in artifact.pieces for file in piece.files})
        if name.startswith(f"{Split.TEST}-")
        for path in checked_files(artifact, name)
    ]
    if not found:
        raise InputError(
            f"{made.folder} without the examples it was tested on",
            "examples under the same data root",
            "run 'cxr write-examples' with its recipe",
        )
    return found
