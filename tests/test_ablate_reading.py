"""An ablation told by a reading: requests for films, and what each variant wants drawn."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from draw_ability_world import ABILITIES, drawn
from small_world import cxr_json
from test_ablate_answers import leave

from evaluation.coherence import Requests, measure_coherence
from evaluation.coherence_system import read_coherence_system
from evaluation.paired import paired_difference
from evaluation.statistics import make_bootstrap, score_interval
from infra.errors import InputError, SettingsError
from infra.settings.matrix import METRICS_OF_READING, MatrixSettings, load_matrix
from sources.answered_request import ANSWERED_REQUEST_SCHEMA, AS_WRITTEN, HELD_OUT
from sources.xray_span import with_span
from tasks.ablate.plan import (
    AblationPlan,
    additions,
    comparison_step,
    metrics_of,
    plan_variants,
)
from tasks.ablate.work import compare, table_of
from tasks.coherence.work import ANSWERS_FILE
from tasks.context import Order

SAID = ("There is a left pleural effusion.", "There is pulmonary edema.", "The heart is enlarged.")
NOTHING = "There is none."
METRICS = ["span-recall", "whole-spans", "held-out-span-recall"]


def answers(right: float, whole: int = 40) -> pa.Table:
    """40 requests of 20 subjects in two wordings; a share of them is answered rightly in the
    request's own words, and none in others; the last ones have no span."""
    rows = []
    for number in range(40):
        text = SAID[number % len(SAID)]
        own = {"source": "mimic_cxr", "study_id": f"s{number}", "subject_id": f"p{number // 2}"}
        for wording in (AS_WRITTEN, HELD_OUT):
            knows = wording == AS_WRITTEN and number < right * 40
            said = with_span("Here it is.", text if knows else "The lungs are clear.")
            rows.append(
                {
                    **own,
                    "example_id": f"e{number:02}" + (f"/{HELD_OUT}" if wording == HELD_OUT else ""),
                    "wording": wording,
                    "prompt": f"Please show me a chest X-ray. {text}",
                    "prediction": said if number < whole else NOTHING,
                    "reference": with_span("Here it is.", text),
                }
            )
    return pa.Table.from_pylist(rows, schema=ANSWERED_REQUEST_SCHEMA)


def matrix(**more: Any) -> MatrixSettings:
    tree: dict[str, Any] = {
        "name": "small",
        "recipe": "llava_rad",
        "scale": "tiny",
        "reading": "coherence",
        "set": [*drawn(abilities={"report": ABILITIES["report"]})],
        "metrics": METRICS,
        "variants": [
            {
                "name": "requests-alone",
                "question": "What does a model of requests alone want drawn?",
                "keep_sets": ["requests"],
                "stages": ["finetune"],
            }
        ],
        "resamples": 100,
    }
    return MatrixSettings.model_validate({**tree, **more})


def order(data: Path, *overrides: str) -> Order:
    return Order(data_root=str(data), replicas=True, overrides=overrides)


# The counts behind the table.


def test_a_table_tells_of_spans_what_the_reading_does() -> None:
    table = answers(0.6, 36)
    system = read_coherence_system(table)
    bootstrap = make_bootstrap(system.units, 50, 3)
    for wording, prefix in ((AS_WRITTEN, ""), (HELD_OUT, "held-out-")):
        rows = [row for row in table.to_pylist() if row["wording"] == wording]
        columns = (
            tuple(row[name] for row in rows) for name in ("prompt", "prediction", "reference")
        )
        read = measure_coherence(Requests(*columns, tuple(r["subject_id"] for r in rows)), 50, 3)
        for metric in ("span-recall", "span-precision", "span-side-accuracy", "whole-spans"):
            measure = system.measures[prefix + metric]
            own = score_interval(bootstrap, measure.statistic, system.families[measure.family])
            assert own.value == read.value("none", metric).value, prefix + metric
    assert read.value("none", "span-recall").value == 0.0


def test_a_difference_is_of_requests_in_those_words_alone() -> None:
    knows, other = read_coherence_system(answers(0.9)), read_coherence_system(answers(0.4))
    found = paired_difference(other, knows, "span-recall", 100, 3)
    assert found is not None
    assert (found.examples, found.subjects) == (40, 20)
    assert found.difference.value == pytest.approx(0.5)
    held_out = paired_difference(other, knows, "held-out-whole-spans", 100, 3)
    assert held_out is not None
    assert (held_out.own, held_out.other) == (1.0, 1.0)


def test_no_request_is_one_line() -> None:
    with pytest.raises(InputError, match="found no request for a film; expected one"):
        read_coherence_system(answers(1.0).slice(0, 0))


# Planning.


def test_nothing_but_the_reading_is_asked_of_a_variant(tmp_path: Path) -> None:
    plan = plan_variants(matrix(), order(tmp_path, 'readings=["retrieval"]'), make=False)
    for item in plan.variants:
        assert item.context.settings.readings == ("coherence",)
        kinds = {step.kind for step in item.steps}
        assert "coherence" in kinds
        assert not kinds & {"predictions", "scores", "retrieval"}
    fresh = additions(plan.variants)[1]
    assert fresh.build == ("stages/finetune", "coherence/report")
    asked = plan.variants[1].context.settings
    assert asked.stage("finetune").examples == {"requests": 0.5}
    step = comparison_step(matrix(), plan)
    assert step.settings["reading"] == "coherence"
    told = {item.name: item.context.step("coherence").fingerprint for item in plan.variants}
    assert step.inputs == told


def test_the_usual_metrics_and_a_misspelt_one(tmp_path: Path) -> None:
    given = matrix(metrics=None)
    plan = plan_variants(given, order(tmp_path), make=False)
    assert metrics_of(given, plan) == METRICS_OF_READING["coherence"]
    with pytest.raises(SettingsError) as error:
        plan_variants(matrix(metrics=["span-recal"]), order(tmp_path), make=False)
    assert "found metric 'span-recal' in matrix small" in str(error.value)
    assert "span-recall" in str(error.value)
    with pytest.raises(SettingsError, match="metric 'rule14-micro-F1' in matrix small"):
        plan_variants(matrix(metrics=["rule14-micro-F1"]), order(tmp_path), make=False)


def test_a_variant_that_learns_no_request_is_refused_before_anything_runs(tmp_path: Path) -> None:
    given = matrix(
        variants=[
            {
                "name": "reports-alone",
                "question": "?",
                "keep_sets": ["reports"],
                "stages": ["finetune"],
            }
        ]
    )
    with pytest.raises(SettingsError, match="stage finetune learns no set of requests"):
        plan_variants(given, order(tmp_path), make=False)


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ('ability = "report"\nreading = "coherence"', "it names an ability and a reading"),
        ('reading = "retrieval"', "found 'retrieval' at 'reading' of small.toml"),
    ],
)
def test_what_a_matrix_is_told_by_is_one_thing(tmp_path: Path, more: str, words: str) -> None:
    variant = '[[variants]]\nname = "x"\nquestion = "?"\nset = ["stages.finetune.steps=1"]\n'
    path = tmp_path / "small.toml"
    path.write_text(f'recipe = "medxchat"\nscale = "tiny"\n{more}\n{variant}')
    with pytest.raises(SettingsError, match=words):
        load_matrix(str(path))


# The table.


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    plan: AblationPlan = plan_variants(matrix(), order(tmp_path_factory.mktemp("told") / "data"))
    for item, right in zip(plan.variants, (0.9, 0.4), strict=True):
        for stage in item.context.settings.stages:
            model = {"model.parquet": pa.table({"weight": [0.0]})}
            leave(item.context, f"stages/{stage.name}", model, examples=len(stage.name))
        leave(item.context, "coherence/report", {ANSWERS_FILE: answers(right)})
    return table_of(compare(matrix(), plan))


def test_variants_are_compared_by_their_spans(done: dict[str, Any]) -> None:
    assert [row["name"] for row in done["rows"]] == ["baseline", "requests-alone"]
    assert done["subjects"] == 20
    alone = {cell["metric"]: cell for cell in done["rows"][1]["cells"]}
    assert alone["span-recall"]["value"]["value"] == pytest.approx(0.4)
    difference = alone["span-recall"]["difference"]
    assert difference["difference"]["value"] == pytest.approx(-0.5)
    assert difference["difference"]["high"] < 0
    assert alone["span-recall"]["better"] is False
    assert alone["whole-spans"]["value"]["value"] == 1.0
    assert alone["held-out-span-recall"]["value"]["value"] == 0.0
    assert done["rows"][1]["shared"] == ["language", "pretrain", "align"]
    assert done["rows"][1]["answer_seconds"] is None


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_a_small_matrix_is_trained_and_read(tmp_path: Path) -> None:
    """Whole, on a replica: the stage learns requests alone, and no report is written."""
    tree = matrix().model_dump(mode="json", exclude={"variants", "name"}, exclude_none=True)
    lines = [f"{name} = {json.dumps(value)}" for name, value in tree.items()]
    variant = matrix().variants[0].model_dump(mode="json", include={"name", "question"})
    lines += ["[[variants]]", *(f"{name} = {json.dumps(text)}" for name, text in variant.items())]
    lines += ['keep_sets = ["requests"]', 'stages = ["finetune"]']
    (tmp_path / "small.toml").write_text("\n".join(lines))
    data = tmp_path / "data"
    found = cxr_json("ablate", str(tmp_path / "small.toml"), "--replicas", "--data-root", str(data))
    assert [row["missing"] for row in found["rows"]] == [None, None]
    assert found["rows"][1]["trained_examples"] < found["rows"][0]["trained_examples"]
    assert len(list((data / "coherence").iterdir())) == 2
    assert not (data / "predictions").exists()
    assert not (data / "scores").exists()
