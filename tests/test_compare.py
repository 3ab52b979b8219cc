"""Two scored runs side by side, found by their names, and single errors by kind."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from test_paired import BAD, GOOD, system

from evaluation.compare import compare_systems, example_changes
from evaluation.scores import score_predictions
from infra.artifact import build_artifact
from infra.errors import InputError
from infra.parquet import write_table
from infra.pieces import BuiltPiece
from infra.settings.environment import Environment
from infra.settings.sections import ScoreSettings
from infra.step import Step
from infra.store import Store
from infra.tracking_database import make_database
from sources.example import examples_to_table
from sources.prediction import PREDICTION_SCHEMA
from tasks.compare.errors import error_table
from tasks.compare.scored import find_scored, newest_scored
from tasks.compare.show import comparison_text, errors_text, slices_text
from tasks.compare.work import compare_scored, list_errors, slice_scored, texts_of
from tasks.reports.offline_judge import find_errors, judge
from tests.models_world import example

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # MLflow's own tables
REFERENCE = "There is a small left pleural effusion. The heart is enlarged."


# Comparing counts.


def test_every_metric_is_compared_and_corrected_for_their_number() -> None:
    found = compare_systems(system([BAD] * 30), system([GOOD] * 30), 200, 0, shown=3)
    names = [item.metric for item in found.differences]
    assert "rule14-micro-F1" in names
    assert "BLEU-4[sacrebleu-13a-cased]" in names
    assert found.tests == len(names)
    for item in found.differences:
        assert item.p is not None
        assert item.p_holm is not None
        assert item.p_holm >= item.p


def test_examples_that_changed_most_come_first_and_counts_add_up() -> None:
    before = [BAD] * 10 + [GOOD] * 20
    after = [GOOD] * 10 + [GOOD] * 15 + [BAD] * 5
    found = compare_systems(system(before), system(after), 20, 0, shown=4)
    assert [change.f1 for change in found.improved] == [(0.0, 1.0)] * 4
    assert [change.f1 for change in found.worsened] == [(1.0, 0.0)] * 4
    assert found.unchanged == 15
    assert found.examples == 30
    assert example_changes(system(before), system(after))[0].errors is None


# A store with two scored runs.


def build(store: Store, step: Step, files: dict[str, pa.Table]) -> str:
    def write(key: str, folder: Path) -> BuiltPiece:
        assert key == "piece"
        for name, rows in files.items():
            write_table(folder / name, rows)
        return BuiltPiece(())

    return build_artifact(store, step, lambda: {"piece": ""}, write).fingerprint


def predictions(texts: list[str], control: str = "none") -> pa.Table:
    rows = [
        {
            "example_id": f"mimic_cxr-test-{number}",
            "source": "mimic_cxr",
            "study_id": f"s{number}",
            "subject_id": f"p{number // 2}",
            "split": "test",
            "view": "PA",
            "control": control,
            "image_study_id": None,
            "prediction": text,
            "reference": GOOD,
            "finish_reason": "stop",
            "tokens": 4,
        }
        for number, text in enumerate(texts)
    ]
    return pa.Table.from_pylist(rows, schema=PREDICTION_SCHEMA)


def judgements(texts: list[str]) -> pa.Table:
    from evaluation.judged import JUDGED_SCHEMA

    rows = []
    for number, text in enumerate(texts):
        answer = judge({"reference": GOOD, "prediction": text})
        tiers = {tier: list(counts.values()) for tier, counts in answer.items()}
        rows.append(
            {
                "example_id": f"mimic_cxr-test-{number}",
                "control": "none",
                "judge": "offline-rules",
                "judge_version": "1",
                **tiers,
                "failure": None,
            }
        )
    return pa.Table.from_pylist(rows, schema=JUDGED_SCHEMA)


def scored_run(store: Store, name: str, texts: list[str]) -> str:
    rows = [example(number, "test") for number in range(len(texts))]
    packed = Step("examples", "small", {"n": len(texts)}, {}, 1, ())
    examples = build(store, packed, {"test-000.parquet": examples_to_table(rows)})
    told = Step("predictions", "small", {"run": name}, {"examples/small": examples}, 1, ())
    both = pa.concat_tables([predictions(texts), predictions([BAD] * len(texts), "blank")])
    written = build(store, told, {"predictions.parquet": both})
    settings = {"judges": ["offline-rules"], "seed": 3, "reports": {"model": "m"}}
    score = Step("scores", "small", settings | {"run": name}, {"predictions/small": written}, 1, ())
    judged = judgements(texts)
    counts = score_predictions(both, judged, ScoreSettings(judges=("offline-rules",))).counts
    return build(store, score, {"judged.parquet": judged, "counts.parquet": counts})


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    root = tmp_path_factory.mktemp("scored")
    return Store(str(root), root / ".state")


@pytest.fixture(scope="module")
def environment(store: Store) -> Environment:
    return Environment(data_root=store.root)


@pytest.fixture(scope="module")
def runs(store: Store) -> tuple[str, str]:
    weak = scored_run(store, "weak", [BAD if number < 30 else GOOD for number in range(40)])
    return weak, scored_run(store, "strong", [GOOD] * 40)


def test_a_run_is_found_by_its_fingerprint_or_its_folder(
    store: Store, environment: Environment, runs: tuple[str, str]
) -> None:
    weak, _ = runs
    for name in (weak, weak[:8], f"small-{weak}", f"scores/small-{weak}"):
        found = find_scored(store, environment, name)
        assert found.scores.fingerprint == weak
        assert found.rows().num_rows == 40
        assert found.settings.judges == ("offline-rules",)
    assert newest_scored(store).scores.fingerprint in runs


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("abc", "4 characters at least"),
        ("ffffffffff", "no scores 'ffffffffff'"),
        ("small-", "2 scored runs for 'small-'"),
        ("models:/nothing/7", "no registry at sqlite:"),
        ("models:/nothing@champion", "no registry at sqlite:"),
    ],
)
def test_a_name_of_no_run_or_of_several_is_one_line(
    store: Store, environment: Environment, runs: tuple[str, str], name: str, words: str
) -> None:
    with pytest.raises(InputError) as error:
        find_scored(store, environment, name)
    assert words in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("version", ["/7", "@champion"])
def test_a_version_that_the_registry_has_not_is_one_line(
    store: Store, tmp_path: Path, version: str
) -> None:
    place = Environment(data_root=store.root, mlflow_uri=f"sqlite:///{tmp_path / 'mlflow.db'}")
    make_database(place.tracking_uri)
    told = version.strip("/")
    with pytest.raises(InputError, match=f"no version '{told}' of model 'nothing'"):
        find_scored(store, place, f"models:/nothing{version}")


def test_a_run_scored_by_an_earlier_version_is_one_line(tmp_path: Path) -> None:
    store = Store(str(tmp_path / "data"), tmp_path / "state")
    written = build(
        store,
        Step("predictions", "old", {}, {}, 1, ()),
        {"predictions.parquet": predictions([GOOD] * 4)},
    )
    step = Step("scores", "old", {"judges": []}, {"predictions/old": written}, 1, ())
    build(store, step, {"judged.parquet": judgements([GOOD] * 4)})
    with pytest.raises(InputError, match=r"without counts\.parquet"):
        newest_scored(store).system()


def test_nothing_scored_says_what_to_run(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cxr evaluate"):
        newest_scored(Store(str(tmp_path / "data"), tmp_path / "state"))


def test_two_runs_are_compared_with_their_judgements(
    store: Store, environment: Environment, runs: tuple[str, str]
) -> None:
    weak, strong = (find_scored(store, environment, name) for name in runs)
    found = compare_scored(weak, strong, 400, 0)
    verdicts = {item.metric: item.better for item in found.differences}
    assert verdicts["rule14-micro-F1"] is True
    assert verdicts["chexprompt[offline-rules]-significant-errors"] is True
    assert found.improved[0].errors == (2.0, 0.0)
    assert found.unchanged == 10

    ids = [change.example_id for change in found.improved]
    before, after = texts_of(weak, ids), texts_of(strong, ids)
    texts = {name: (*before[name], after[name][1]) for name in ids}
    shown = comparison_text((weak.name, strong.name), found, texts)
    assert "reference  There is a left pleural effusion." in shown
    assert "significant errors 2 to 0" in shown
    plain = comparison_text((weak.name, strong.name), found, None)
    assert GOOD not in plain
    assert "10 examples unchanged" in plain
    assert "significant errors are those that offline-rules counted" in plain


def test_the_text_tells_what_the_columns_are(
    store: Store, environment: Environment, runs: tuple[str, str]
) -> None:
    weak, strong = (find_scored(store, environment, name) for name in runs)
    found = compare_scored(weak, strong, 400, 7)
    shown = comparison_text(("a", "b"), found, None)
    assert "40 examples of 20 subjects, of both" in shown
    assert "rule14-micro-F1 ↑ " in shown
    assert "chexprompt[offline-rules]-significant-errors ↓ " in shown
    assert "400 resamples of subjects" in shown
    assert "seed 7" in shown
    assert f"corrected for {found.tests} metrics tested" in shown
    assert "--resamples" not in shown
    few = comparison_text(("a", "b"), compare_scored(weak, strong, 20, 7), None)
    assert f"give --resamples {20 * found.tests} or more" in few


def test_runs_of_other_examples_are_refused(
    store: Store, environment: Environment, runs: tuple[str, str]
) -> None:
    short = find_scored(store, environment, scored_run(store, "short", [GOOD] * 30))
    with pytest.raises(InputError, match="30 of 40 and 30 are shared"):
        compare_scored(find_scored(store, environment, runs[0]), short, 20, 0)


def test_a_run_is_sliced_by_the_facts_of_its_examples(
    store: Store, environment: Environment, runs: tuple[str, str]
) -> None:
    weak = find_scored(store, environment, runs[0])
    found = slice_scored(weak, (), ("rule14-micro-F1",), 50, 0)
    assert "nothing to slice by" in slices_text(weak.name, found)
    twice = slice_scored(weak, ("view", "view"), ("rule14-micro-F1",) * 2, 50, 0)
    assert twice == slice_scored(weak, ("view",), ("rule14-micro-F1",), 50, 0)
    with pytest.raises(InputError, match="dimension 'colour'"):
        slice_scored(weak, ("colour",), ("rule14-micro-F1",), 50, 0)
    with pytest.raises(InputError, match="metric 'F2'"):
        slice_scored(weak, (), ("F2",), 50, 0)


# Errors one by one.


def test_errors_name_their_finding_and_side() -> None:
    found = find_errors(REFERENCE, "There is a right pleural effusion. There is a left nodule.")
    told = {(error.kind, error.finding, error.side, error.tier) for error in found}
    assert told == {
        ("incorrect_location", "effusion", "L", "significant"),
        ("false_positive_finding", "nodule", "L", "significant"),
        ("omission_finding", "cardiomegaly", "", "significant"),
    }


def test_single_errors_add_up_to_the_judges_counts() -> None:
    for prediction in (BAD, GOOD, REFERENCE, "", "New large right pneumothorax since the prior."):
        counts = judge({"reference": REFERENCE, "prediction": prediction})
        found = find_errors(REFERENCE, prediction)
        for tier, kinds in counts.items():
            for kind, count in kinds.items():
                assert count == sum((e.tier, e.kind) == (tier, kind) for e in found)


def test_groups_and_findings_count_the_same_errors() -> None:
    pairs = [(f"e{number}", REFERENCE, BAD if number % 2 else REFERENCE) for number in range(10)]
    found = error_table(pairs, shown=2)
    assert (found.reports, found.without_error, found.without_significant_error) == (10, 5, 5)
    omitted = {group.finding: group for group in found.groups if group.kind == "omitted"}
    assert omitted["effusion"].side == "left"
    assert omitted["effusion"].significant == 5
    assert omitted["effusion"].examples == ("e1", "e3")
    rows = {row.finding: row for row in found.findings}
    assert rows["cardiomegaly"].omitted == omitted["cardiomegaly"].errors == 5
    assert (rows["effusion"].in_references, rows["effusion"].in_both) == (10, 5)
    assert sum(group.errors for group in found.groups) == 10


def test_the_counts_of_each_finding_add_up() -> None:
    """An opacity for a consolidation is neither omitted nor hallucinated."""
    texts = [
        "There is a left consolidation.",
        "There is a left opacity.",
        "There is a nodule. There is cardiomegaly.",
        "There is a mass.",
        "The lungs are clear.",
    ]
    pairs = [
        (f"{a}/{b}", one, other) for a, one in enumerate(texts) for b, other in enumerate(texts)
    ]
    rows = {row.finding: row for row in error_table(pairs, shown=1).findings}
    for row in rows.values():
        assert row.in_references == row.in_both + row.omitted + row.named_otherwise
        assert row.in_predictions == row.in_both + row.hallucinated + row.said_for_another
    assert (rows["consolidation"].named_otherwise, rows["consolidation"].said_for_another) == (1, 1)
    assert (rows["nodule"].named_otherwise, rows["cardiomegaly"].named_otherwise) == (1, 0)


def test_errors_of_a_run_are_told_without_its_texts(
    store: Store, environment: Environment, runs: tuple[str, str]
) -> None:
    weak = find_scored(store, environment, runs[0])
    found = list_errors(weak)
    text = errors_text(weak.name, found, 1, None)
    assert "40 reports, 10 without an error" in text
    rest = found.groups[1:]
    assert f"{len(rest)} groups with no more significant errors are in --json" in text
    assert all(group.significant <= found.groups[0].significant for group in rest)
    assert "named otherwise  said for another" in text
    assert GOOD not in text
    document: dict[str, Any] = json.loads(json.dumps(found.to_dict()))
    assert document["read_by"] == "offline-rules"


def test_the_parquet_of_the_world_is_what_a_run_writes(store: Store, runs: tuple[str, str]) -> None:
    files = [Path(path) for path in Path(store.root).glob("predictions/*/*/predictions.parquet")]
    assert files
    assert all(pq.read_schema(path).equals(PREDICTION_SCHEMA) for path in files)
