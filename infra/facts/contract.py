"""The tables of facts: names, types and meaning of every column, under one version.

A column may be added at the end of a table; one that is renamed, removed, or means something else
raises ``VERSION``, whose files then lie in a folder of their own. A test holds names and types.

Times are UTC. Counts are whole numbers; a number that was not measured is null, never 0.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final, Literal

import pyarrow as pa

VERSION: Final = 1
Kind = Literal["runs", "steps", "rows", "rejects", "llm", "stages", "scores", "aliases", "drift"]
RunState = Literal["completed", "failed", "cancelled", "killed"]
RUN_STATES: Final[tuple[RunState, ...]] = ("completed", "failed", "cancelled", "killed")
Trigger = Literal["schedule", "deployment", "command"]
TRIGGERS: Final[tuple[Trigger, ...]] = ("schedule", "deployment", "command")
Row = Mapping[str, Any]
FactRows = dict[Kind, list[dict[str, Any]]]

_TEXT, _WHOLE, _REAL, _YES = pa.string(), pa.int64(), pa.float64(), pa.bool_()
_TIME = pa.timestamp("us", tz="UTC")

_RUN = {
    "run_id": (_TEXT, "the flow run's id in Prefect; empty where no run did it"),
    "recorded_at": (_TIME, "when this was so"),
}
_OF = {"recipe": (_TEXT, "the recipe"), "scale": (_TEXT, "paper, tiny, …")}

COLUMNS: Final[Mapping[Kind, Mapping[str, tuple[pa.DataType, str]]]] = {
    "runs": {
        "run_id": _RUN["run_id"],
        "recorded_at": (_TIME, "when it ended, or was last known to live"),
        "flow": (_TEXT, "the outermost flow: pipeline, ingest, ablate, …"),
        **_OF,
        "goal": (_TEXT, "how far it was to go; a matrix's name, or a test set's"),
        "state": (_TEXT, "completed, failed, cancelled or killed"),
        "started_at": (_TIME, "when it started"),
        "expected_at": (_TIME, "when a schedule or a person wanted it; null at a command line"),
        "seconds": (_REAL, "from its start to its end"),
        "late_seconds": (_REAL, "from when it was expected to its start"),
        "trigger": (_TEXT, "schedule, deployment or command"),
        "why": (_TEXT, "built 3 of 28 steps; or the error's class and the step"),
        "steps": (_WHOLE, "steps that it looked at"),
        "built": (_WHOLE, "of these, those that it built"),
        "cached": (_WHOLE, "of these, those that were there"),
        "failed": (_WHOLE, "of these, those that failed or were cut off"),
        "replicas": (_YES, "whether synthetic stand-ins were read"),
        "git_commit": (_TEXT, "the code's commit"),
        "host": (_TEXT, "where it ran"),
    },
    "steps": {
        **_RUN,
        **_OF,
        "kind": (_TEXT, "the artifact's kind: studies, stages, …"),
        "name": (_TEXT, "the source, the stage, the ability"),
        "state": (_TEXT, "built, cached, failed or killed"),
        "why": (_TEXT, "why it was built; or the error's class"),
        "seconds": (_REAL, "what building took, earlier attempts included; of a cached one, then"),
        "checking_seconds": (_REAL, "what finding it whole took now"),
        "attempts": (_WHOLE, "tries of Prefect's"),
        "pieces": (_WHOLE, "pieces of the artifact"),
        "built_pieces": (_WHOLE, "of these, those that this run built"),
        "rows_in": (_WHOLE, "rows that came in, over all units of the artifact"),
        "kept": (_WHOLE, "of these, those that went on"),
        "rejected": (_WHOLE, "of these, those that were rejected"),
        "drift": (_TEXT, "modules whose code has changed since, with commas; empty when none"),
        "fingerprint": (_TEXT, "the artifact's; empty when it was not reached"),
    },
    "rows": {
        **_RUN,
        "source": (_TEXT, "the source"),
        "kind": (_TEXT, "the step that counted: studies, images, reports, dialogues, examples"),
        "unit": (_TEXT, "what is counted"),
        "state": (_TEXT, "built or cached"),
        "rows_in": (_WHOLE, "rows that came in, over the whole artifact"),
        "kept": (_WHOLE, "of these, those that went on"),
        "rejected": (_WHOLE, "of these, those that were rejected"),
        "handled": (_WHOLE, "rows that came in to the pieces which this run built"),
    },
    "rejects": {
        **_RUN,
        "source": (_TEXT, "the source"),
        "kind": (_TEXT, "the step that rejected"),
        "unit": (_TEXT, "what is counted"),
        "reason": (_TEXT, "why"),
        "count": (_WHOLE, "rows rejected for it, over the whole artifact"),
    },
    "llm": {
        **_RUN,
        "source": (_TEXT, "whose text it was about"),
        "task": (_TEXT, "structure, translate, synthesize, chexprompt, …"),
        "model": (_TEXT, "the language model"),
        "requests": (_WHOLE, "requests that ended, each once however often it was tried"),
        "kept": (_WHOLE, "requests with a valid answer"),
        "failed": (_WHOLE, "requests that ended without one"),
        "cached": (_WHOLE, "requests answered by a stored answer; not among the others"),
        "retried": (_WHOLE, "tries that brought no reply and were made again"),
        "rate_limited": (_WHOLE, "tries that were answered 429"),
        "input_tokens": (_WHOLE, "tokens of what was asked"),
        "output_tokens": (_WHOLE, "tokens of what came back"),
        "cost_usd": (_REAL, "US dollars"),
        "unpriced": (_WHOLE, "paid exchanges without a known price, which the cost leaves out"),
    },
    "stages": {
        **_RUN,
        **_OF,
        "stage": (_TEXT, "the stage"),
        "kind": (_TEXT, "pretrain, align, finetune, …"),
        "fingerprint": (_TEXT, "the artifact's"),
        "device": (_TEXT, "what it trained on"),
        "devices": (_WHOLE, "how many"),
        "steps": (_WHOLE, "optimizer steps"),
        "seconds": (_REAL, "what it took, earlier attempts included"),
        "useful_tokens_per_second": (_REAL, "tokens that are no padding"),
        "examples_per_second": (_REAL, "examples"),
        "images_per_second": (_REAL, "images; null where it reads none"),
        "mfu": (_REAL, "share of the device's peak; null where that is not known"),
        "data_wait_share": (_REAL, "share of the time that it waited for data"),
        "peak_memory_gib": (_REAL, "GiB"),
        "first_loss": (_REAL, "loss at its first step"),
        "last_loss": (_REAL, "loss at its last step"),
        "validate_loss": (_REAL, "loss of the weights that were kept; null with nothing to see"),
        "bar": (_TEXT, "met, missed, or that no bar is known for the device"),
        "missed": (_TEXT, "figures that missed their bar, with commas"),
    },
    "scores": {
        **_RUN,
        **_OF,
        "ability": (_TEXT, "what was scored"),
        "model": (_TEXT, "the registered model's name"),
        "fingerprint": (_TEXT, "the scores artifact's"),
        "metric": (_TEXT, "the metric"),
        "part": (_TEXT, "of which examples, where not of all; else empty"),
        "value": (_REAL, "its value"),
        "low": (_REAL, "lower end of its 95 % interval; null without one"),
        "high": (_REAL, "upper end"),
        "n": (_WHOLE, "how many examples it is of"),
        "higher_is_better": (_YES, "which way is better"),
        "signature": (_TEXT, "digest of how it was made: only equal ones are comparable"),
    },
    "aliases": {
        **_RUN,
        "model": (_TEXT, "the registered model's name"),
        "alias": (_TEXT, "candidate, champion, …"),
        "version": (_WHOLE, "what it points at; null where it was removed"),
        "previous": (_WHOLE, "what it pointed at before; null at first"),
        "scores": (_TEXT, "fingerprints of the scores behind the version, with commas"),
    },
    "drift": {
        **_RUN,
        "model": (_TEXT, "the registered model's name"),
        "version": (_WHOLE, "the champion that was looked at"),
        "fingerprint": (_TEXT, "the look's artifact"),
        "source": (_TEXT, "the source"),
        "quantity": (_TEXT, "what was tested: film mean, reference Edema, rule14-micro-F1, …"),
        "reference": (_REAL, "share or median among studies that it was judged on; null of scores"),
        "recent": (_REAL, "the same among recent studies"),
        "reference_subjects": (_WHOLE, "subjects that it was judged on and that were tested"),
        "recent_subjects": (_WHOLE, "the same of recent studies"),
        "p_holm": (_REAL, "p corrected over the look; null where it was not tested"),
        "drifted": (_YES, "whether it is told from chance at the look's level"),
        "level": (_REAL, "the look's share of the year's false alarms; 0 once they are used up"),
    },
}
KINDS: Final[tuple[Kind, ...]] = tuple(COLUMNS)


def schema(kind: Kind) -> pa.Schema:
    """The table's columns; the version and each column's meaning stand in the metadata."""
    fields = [
        pa.field(name, type_, metadata={"meaning": meaning})
        for name, (type_, meaning) in COLUMNS[kind].items()
    ]
    return pa.schema(fields, {"cxrflow.facts": str(VERSION), "cxrflow.kind": kind})


def table(kind: Kind, rows: Sequence[Row]) -> pa.Table:
    """Rows as a table; numbers that are not finite become null.

    Raises:
        ValueError: a row has a column that the contract lacks, or lacks one.
    """
    wanted = COLUMNS[kind].keys()
    for row in rows:
        if row.keys() != wanted:
            raise ValueError(f"a row of {kind} differs in {sorted(row.keys() ^ wanted)}")
    return pa.Table.from_pylist([_finite(row) for row in rows], schema(kind))


def _finite(row: Row) -> dict[str, Any]:
    return {
        key: None if isinstance(value, float) and not math.isfinite(value) else value
        for key, value in row.items()
    }


def to_json(row: Row) -> dict[str, Any]:
    """A row as JSON values: times as ISO 8601 in UTC, what is not finite as null."""
    return {
        key: value.astimezone(UTC).isoformat() if isinstance(value, datetime) else value
        for key, value in _finite(row).items()
    }


def from_json(kind: Kind, row: Row) -> dict[str, Any]:
    """The inverse of ``to_json``; columns that a later version added are left out."""
    return {
        name: datetime.fromisoformat(row[name])
        if type_ == _TIME and row.get(name) is not None
        else row.get(name)
        for name, (type_, _) in COLUMNS[kind].items()
    }


def document(rows: Mapping[Kind, Sequence[Row]]) -> str:
    """The JSON of the contract: the version, and rows by kind."""
    kinds = {kind: [to_json(row) for row in found] for kind, found in rows.items()}
    return json.dumps({"version": VERSION, "kinds": kinds}, indent=1, allow_nan=False)
