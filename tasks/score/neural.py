"""Run the encoders whose weights are here, and METEOR, in child processes; the others say what
they need."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa

from evaluation.encoders import find_encoders
from infra.launch import Event
from infra.parent import ignore_event, run_in_child
from infra.parquet import write_table
from infra.runs import NeuralRun
from infra.settings.environment import Environment
from infra.settings.sections import EncoderSettings

if TYPE_CHECKING:
    from evaluation.encoded import Encoded
    from evaluation.metric_cache import MetricCache

MODULE = "evaluation.neural"


def encode(
    settings: EncoderSettings,
    environment: Environment,
    predictions: tuple[Sequence[Path], pa.Table],
    places: tuple[Path, Path],
    cache: MetricCache | None,
    on_event: Callable[[Event], None],
) -> Encoded:
    """Counts of every encoder that can be run, and METEOR's; the encoders' table is left in the
    output folder.

    Args:
        predictions: the files, and their rows in the files' order.
        places: a folder for the output, and one for the run's own files.

    Raises:
        InputError: an encoder's files are another model's.
        ChildFailed, MeteorFailed: a child ended badly.
        Unavailable: METEOR is here, and its Java does not run.
    """
    from evaluation.meteor_counts import read_meteor

    own = _run_encoders(settings, environment, predictions, places, cache, on_event)
    return own.joined(read_meteor(settings, environment.weights_root, predictions[1], cache))


def _run_encoders(
    settings: EncoderSettings,
    environment: Environment,
    predictions: tuple[Sequence[Path], pa.Table],
    places: tuple[Path, Path],
    cache: MetricCache | None,
    on_event: Callable[[Event], None],
) -> Encoded:
    from evaluation.encoded import Encoded

    found, missing = find_encoders(settings, environment.weights_root)
    if not found:
        return Encoded(unavailable=missing)
    from evaluation.neural_table import read_encoded

    files, table = predictions
    output, scratch = places
    run = NeuralRun(
        predictions=tuple(files),
        encoders=tuple(found),
        folders=settings,
        weights_root=environment.weights_root,
        output=output,
    )
    run_in_child(MODULE, run, scratch, on_event)
    return read_encoded(output, table, missing, cache)


def encode_table(
    settings: EncoderSettings,
    environment: Environment,
    predictions: pa.Table,
    cache: MetricCache | None,
) -> Encoded:
    """The same for predictions that are no artifact; nothing is left behind.

    Raises:
        InputError, ChildFailed, MeteorFailed, Unavailable: see ``encode``.
    """
    with tempfile.TemporaryDirectory(prefix="cxrflow-score-") as place:
        folder = Path(place)  # its owner's alone: the texts are in it
        write_table(folder / "predictions.parquet", predictions)
        files = [folder / "predictions.parquet"]
        places = folder / "out", folder
        return encode(settings, environment, (files, predictions), places, cache, ignore_event)
