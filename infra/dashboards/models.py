"""Trained stages and registered models."""

from __future__ import annotations

from typing import Final

from infra.dashboards.board import Dashboard, Row, Variable
from infra.dashboards.panel import CALM, YES, Panel, Query, at_most
from infra.dashboards.promql import ago, newest

_STAGE = 'recipe=~"$recipe", scale=~"$scale", stage=~"$stage"'
_STAGE_NAME = "{{recipe}} {{scale}} {{stage}}"
_SCORE = 'model="$model", ability="$ability", metric="$metric"'
_STAGES, _SCORES = "recipe, scale, stage", "model, alias, ability, metric, part"
_NAMED = "model, alias"
_MODEL = '{model="$model"}'
_WHOLE = f'{_SCORE}, part=""'
_CHAMPION = f'{{{_WHOLE}, alias="champion"}}'


def _figure(title: str, name: str, about: str, unit: str) -> Panel:
    """A figure of every stage's newest training."""
    return Panel(
        title, "bargauge", (Query(f"cxr_stage_{name}{{{_STAGE}}}", _STAGE_NAME),), about,
        width=8, unit=unit, steps=CALM, low=0,
    )  # fmt: skip


STAGES: Final = Dashboard(
    "cxrflow-stages",
    "cxrflow: training stages",
    "How fast each stage trained last, what it waited for, and where its loss went.",
    (
        Row(
            "The newest training of each stage",
            (
                Panel(
                    "Stages",
                    "table",
                    (
                        Query(newest(f"cxr_stage_bar_missed{{{_STAGE}}}", _STAGES)),
                        Query(ago(f"cxr_stage_trained_timestamp_seconds{{{_STAGE}}}", _STAGES)),
                        Query(newest(f"cxr_stage_seconds{{{_STAGE}}}", _STAGES)),
                        Query(newest(f'cxr_stage_loss{{{_STAGE}, of="first"}}', _STAGES)),
                        Query(newest(f'cxr_stage_loss{{{_STAGE}, of="last"}}', _STAGES)),
                        Query(newest(f'cxr_stage_loss{{{_STAGE}, of="validate"}}', _STAGES)),
                    ),
                    "A row for each stage. Bars stand in infra/bars.toml; no answer where none is "
                    "known for the device.",
                    width=24,
                    columns={
                        "A": "missed its bar", "B": "trained ago", "C": "took",
                        "D": "first loss", "E": "last loss", "F": "loss on validate",
                    },
                    units={"B": "s", "C": "s"},
                    colours={"A": at_most(1, 1)}, texts={"A": YES},
                ),
            ),
        ),
        Row(
            "Pace",
            (
                _figure("Useful tokens a second", "useful_tokens_per_second",
                        "No padding; image tokens counted.", "short"),
                _figure("MFU", "mfu",
                        "Share of the device's peak arithmetic, where that is known.",
                        "percentunit"),
                _figure("Waiting for data", "data_wait_share",
                        "Above a few percent, readers are too slow: raise CXR_LOADER_WORKERS.",
                        "percentunit"),
                _figure("Most memory used", "peak_memory_bytes",
                        "Of a GPU where there is one, else of the process.", "bytes"),
                _figure("Training took", "seconds", "Earlier attempts included.", "s"),
            ),
        ),
        Row(
            "Over time",
            (
                Panel(
                    "Useful tokens a second, training by training",
                    "timeseries",
                    (Query(f"cxr_stage_useful_tokens_per_second{{{_STAGE}}}", _STAGE_NAME),),
                    "A step down without a change of settings: another machine, or a neighbour.",
                    low=0,
                ),
                Panel(
                    "Loss on validate, training by training",
                    "timeseries",
                    (Query(f'cxr_stage_loss{{{_STAGE}, of="validate"}}', _STAGE_NAME),),
                    "Of the weights that were kept. Curves of one training are in MLflow.",
                ),
            ),
        ),
    ),
    tuple(Variable(name, "cxr_stage_seconds") for name in ("recipe", "scale", "stage")),
    "now-90d",
)  # fmt: skip

MODELS: Final = Dashboard(
    "cxrflow-models",
    "cxrflow: registered models",
    "Champions and candidates, their scores with intervals, and when aliases moved.",
    (
        Row(
            "Champion, its predecessor and the candidate",
            (
                Panel(
                    "Scores",
                    "table",
                    (
                        Query(newest(f"cxr_model_score{_MODEL}", _SCORES)),
                        Query(newest(f"cxr_model_score_low{_MODEL}", _SCORES)),
                        Query(newest(f"cxr_model_score_high{_MODEL}", _SCORES)),
                    ),
                    "With 95 % intervals. 'previous' is what champion pointed at before, where it "
                    "was scored alike.",
                    width=16, height=10, decimals=3,
                    columns={"A": "score", "B": "low", "C": "high"},
                ),
                Panel(
                    "Aliases",
                    "table",
                    (
                        Query(newest(f"cxr_model_alias_version{_MODEL}", _NAMED)),
                        Query(ago(f"cxr_model_alias_moved_timestamp_seconds{_MODEL}", _NAMED)),
                        Query(newest(f"cxr_model_alias_moves_total{_MODEL}", _NAMED)),
                    ),
                    "Where each alias points, how long ago it was seen to move, and how often.",
                    width=8, height=10,
                    columns={"A": "version", "B": "moved ago", "C": "moves"},
                    units={"B": "s"},
                ),
            ),
        ),
        Row(
            "Over time",
            (
                Panel(
                    "Champion's score with its interval",
                    "timeseries",
                    (
                        Query(f"cxr_model_score{_CHAMPION}", "{{metric}}"),
                        Query(f"cxr_model_score_low{_CHAMPION}", "low"),
                        Query(f"cxr_model_score_high{_CHAMPION}", "high"),
                    ),
                    "The band is the 95 % interval; above, another metric can be chosen.",
                    band=("low", "high"), decimals=3,
                ),
                Panel(
                    "Champion against candidate",
                    "timeseries",
                    (
                        Query(
                            f'cxr_model_score{{{_WHOLE}, alias=~"champion|candidate"}}', "{{alias}}"
                        ),
                    ),
                    "The gate of 'cxr promote' compares them in pairs; this only shows both.",
                    decimals=3,
                ),
                Panel(
                    "Which version each alias pointed at",
                    "state-timeline",
                    (Query(f"cxr_model_alias_version{_MODEL}", "{{model}}@{{alias}}"),),
                    "The whole history: 'cxr facts --kind aliases'.",
                    width=24, height=6,
                ),
            ),
        ),
        Row(
            "Drift since the champion was judged",
            (
                Panel(
                    "Newest look",
                    "table",
                    (
                        Query(newest(f"cxr_model_drift_quantities{_MODEL}", "model, source")),
                        Query(newest(f"cxr_model_drift_tested{_MODEL}", "model, source")),
                    ),
                    "By source, how many quantities have drifted of those tested; which, and how "
                    "far, is in the look's page (watches/…/drift.html). Level and rate: "
                    "docs/drift.md.",
                    width=12, height=8,
                    columns={"A": "drifted", "B": "tested"},
                ),
                Panel(
                    "Quantities that drifted, look by look",
                    "timeseries",
                    (Query(f"cxr_model_drift_quantities{_MODEL}", "{{source}}"),),
                    "One that stays is a change; the year's false-alarm rate holds for all looks "
                    "together.",
                    width=12, height=8, low=0,
                ),
            ),
        ),
    ),
    (
        Variable("model", "cxr_model_score", several=False),
        Variable("ability", "cxr_model_score", several=False),
        Variable("metric", "cxr_model_score", several=False),
    ),
    "now-90d",
)  # fmt: skip
