"""METEOR's counts of many pairs: the cache, the systems of a scoring, tables and commands."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from cli_world import Say
from meteor_world import lay_out, stand_in, write_java
from scores_world import SETTINGS, predictions_table
from validation_world import made_pairs, rated, write_csv

from evaluation.blocks import PROFILES
from evaluation.controls import read_outputs
from evaluation.encoded import Encoded, EncodedSystem
from evaluation.measures_neural import still_unavailable
from evaluation.meteor import METEOR_PROFILES, corpus_meteor
from evaluation.meteor_counts import open_meteor, read_meteor
from evaluation.meteor_process import MeteorFailed
from evaluation.metric_cache import MetricCache
from evaluation.scores import score_predictions
from evaluation.statistics import Floats
from infra.settings.environment import load_environment
from infra.settings.sections import EncoderSettings
from tasks.context import Order, open_context
from tasks.score.pairs import score_pairs

FOLDERS = EncoderSettings()
NAMES = [f"METEOR[{profile}]" for profile in METEOR_PROFILES]
REFERENCES = ["small left effusion", "no edema", "small left effusion", "clear lungs"]
PREDICTIONS = ["left effusion", "no edema", "left effusion", ""]


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A weights root with the stand-in, which is the java on PATH."""
    lay_out(tmp_path / "weights")
    monkeypatch.delenv("JAVA_HOME", raising=False)
    java = write_java(tmp_path / "bin")
    monkeypatch.setenv("PATH", str(java.parent))
    return tmp_path / "weights"


def starts(folder: Path) -> int:
    """How often the stand-in was started as METEOR."""
    lines = (folder / "bin" / "started").read_text().splitlines()
    return sum(json.loads(line)["argv"][0] != "-version" for line in lines)


def reports_asked(folder: Path) -> list[str]:
    """Lines after the known pairs and their EVAL, which come first of each start."""
    asked = (folder / "bin" / "asked").read_text().splitlines()
    return [line for line in asked if "enlarged heart" not in line and line[:5] == "SCORE"]


def test_each_distinct_pair_is_asked_once_and_keeps_its_places(tmp_path: Path) -> None:
    with open_meteor(stand_in(tmp_path)) as meteor:
        counts = meteor.counts(REFERENCES, PREDICTIONS, "coco")
        none = meteor.counts([], [], "coco")
    assert reports_asked(tmp_path) == [
        "SCORE ||| small left effusion ||| left effusion",
        "SCORE ||| no edema ||| no edema",
        "SCORE ||| clear lungs ||| ",
    ]
    assert counts[:, :2].tolist() == [[2, 3], [2, 2], [2, 3], [0, 2]]
    assert counts[1, 20] == 0, "a whole match is no fragment"
    scores = corpus_meteor(counts)
    assert scores[1] == 1
    assert scores[3] == 0
    assert scores[0] == scores[2] == pytest.approx(2 / 3 / (0.85 + 0.1) * (1 - 0.6))
    assert none.shape == (0, 23)


def test_awkward_texts_cannot_shift_the_answers(tmp_path: Path) -> None:
    """A line end would make two questions of one, a separator a second reference."""
    references = ["one\ntwo", "three ||| four", "five"]
    predictions = ["one two", "three four", "five\r\n|||"]
    with open_meteor(stand_in(tmp_path)) as meteor:
        counts = meteor.counts(references, predictions, "coco")
    assert counts[:, :2].tolist() == [[2, 2], [2, 2], [1, 1]]
    assert corpus_meteor(counts).tolist() == pytest.approx([1, 1 - 0.6, 1])


def test_what_was_counted_before_starts_no_java(tmp_path: Path) -> None:
    program, cache = stand_in(tmp_path), MetricCache(tmp_path / "cache")

    def count(references: list[str], predictions: list[str]) -> Floats:
        with open_meteor(program) as meteor:
            return meteor.counts(references, predictions, "coco-ptb", cache)

    first = count(REFERENCES, PREDICTIONS)
    assert starts(tmp_path) == 1
    assert np.array_equal(count(REFERENCES, PREDICTIONS), first)
    assert starts(tmp_path) == 1
    more = count([*REFERENCES, "new text"], [*PREDICTIONS, "text"])
    assert np.array_equal(more[:-1], first)
    assert starts(tmp_path) == 2
    assert reports_asked(tmp_path)[-1:] == ["SCORE ||| new text ||| text"]
    (file,) = cache.files()
    assert file.name.startswith("meteor-coco-ptb-1-") and "java-17" in file.name


@pytest.mark.parametrize("changed", ["jar", "table", "java"])
def test_another_program_has_counts_of_its_own(tmp_path: Path, changed: str) -> None:
    cache = MetricCache(tmp_path / "cache")
    one, other = stand_in(tmp_path / "a"), stand_in(tmp_path / "b")
    if changed == "java":
        other = stand_in(tmp_path / "b", version='openjdk version "21.0.1"')
    else:
        name = {"jar": "meteor-1.5.jar", "table": "data/paraphrase-en.gz"}[changed]
        (other.folder / name).write_text("another")
    for program in (one, other):
        with open_meteor(program) as meteor:
            meteor.counts(REFERENCES, PREDICTIONS, "coco", cache)
    assert len(cache.files()) == 2


def test_all_systems_and_profiles_share_one_child(tmp_path: Path, place: Path) -> None:
    predictions = predictions_table(12)
    encoded = read_meteor(FOLDERS, place, predictions, None)
    assert starts(tmp_path) == 1
    assert list(encoded.systems) == ["none", "shuffled", "blank"]
    assert list(encoded.about) == NAMES
    assert encoded.unavailable == {}
    counts = encoded.families(read_outputs(predictions), "none")
    assert {name: each.shape for name, each in counts.items()} == {
        f"meteor {profile}": (12, 23) for profile in METEOR_PROFILES
    }


def test_without_it_each_profile_says_why(tmp_path: Path) -> None:
    encoded = read_meteor(FOLDERS, tmp_path, predictions_table(4), None)
    assert list(encoded.unavailable) == NAMES
    (reason,) = set(encoded.unavailable.values())
    assert "meteor-1.5.jar and data/paraphrase-en.gz in $CXR_WEIGHTS_ROOT/meteor-1.5" in reason
    assert still_unavailable(encoded)["METEOR[r2gen]"] == reason


def test_scores_have_intervals_signatures_and_differences(place: Path) -> None:
    predictions = predictions_table(20)
    encoded = read_meteor(FOLDERS, place, predictions, None)
    scores = score_predictions(predictions, None, SETTINGS, encoded=encoded, blocks=[PROFILES])
    for name in NAMES:
        found = scores.score(name)
        low, value, high = found.interval.low, found.interval.value, found.interval.high
        assert low is not None and value is not None and high is not None
        assert low <= value <= high
        assert found.is_detail is (name != "METEOR[coco-ptb]")
        signature = found.signature
        assert signature.version == "1, Java 17"
        assert signature.weights is not None and signature.weights.startswith("sha256:")
        assert len(signature.weights.split()) == 2, "jar and table"
        assert signature.level == "corpus"
        assert scores.difference(name, "blank").beats
    assert "R2Gen's cleaning" in str(scores.score("METEOR[r2gen]").signature)
    (table,) = scores.blocks
    assert [row.metric for row in table.rows if row.interval is None] == []
    assert json.loads(scores.counts.schema.metadata[b"cxrflow.count_versions"])[NAMES[0]]
    assert scores.tracked()["none/METEOR.coco-ptb"] == scores.score(NAMES[0]).interval.value


def test_a_value_is_that_of_the_summed_counts(place: Path) -> None:
    pairs = pa.table({"reference": REFERENCES, "prediction": PREDICTIONS})
    environment = load_environment(data_root=str(place / "data"), weights_root=place)
    scores = score_pairs(pairs, SETTINGS, [PROFILES], "findings", None, environment)
    found = scores.score("METEOR[coco]").interval.value
    recall = 6 / 10  # six of six written words match, in four chunks
    expected = recall / (0.85 + 0.15 * recall) * (1 - 0.6 * (4 / 6) ** 0.2)
    assert found == pytest.approx(expected)


def test_two_sets_of_counts_are_joined_by_system() -> None:
    one = Encoded({"none": EncodedSystem(["a", "b"], {"x": np.ones((2, 2))})}, {"X": {}})
    other = Encoded(
        {"none": EncodedSystem(["a", "b"], {"y": np.ones((2, 3))})}, {"Y": {}}, {"Z": "?"}
    )
    both = one.joined(other)
    assert set(both.systems["none"].families) == {"x", "y"}
    assert (set(both.about), both.unavailable) == ({"X", "Y"}, {"Z": "?"})
    assert Encoded().joined(other) == other
    with pytest.raises(AssertionError):
        one.joined(Encoded({"none": EncodedSystem(["b", "a"], {})}))


def test_the_command_scores_a_file_of_pairs(tmp_path: Path, place: Path, cxr: Say) -> None:
    pairs = tmp_path / "pairs.csv"
    write_csv(
        pairs,
        [{"reference": a, "prediction": b} for a, b in zip(REFERENCES, PREDICTIONS, strict=True)],
    )
    order = ("score", pairs, "--data-root", tmp_path / "root", "--resamples", 20)
    bare = cxr(*order, "--block", "profiles")
    assert "unavailable: needs meteor-1.5.jar and data/paraphrase-en.gz" in bare.out
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CXR_WEIGHTS_ROOT", str(place))
        said = cxr(*order, "--block", "profiles", "--json")
        again = cxr(*order, "--block", "profiles", "--json")
    assert said.code == 0, said.err
    (block,) = json.loads(said.out)["blocks"]
    rows = {row["metric"]: row for row in block["rows"]}
    assert 0 < rows["METEOR[coco-ptb]"]["value"] < 1
    assert again.out == said.out
    assert starts(tmp_path) == 1, "the second time all counts were in the cache"


def test_a_program_that_fails_fails_the_command(
    tmp_path: Path, place: Path, cxr: Say, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_java(tmp_path / "bin", "dies")
    pairs = write_csv(tmp_path / "pairs.csv", [{"reference": "zebra", "prediction": "stripes"}])
    monkeypatch.setenv("CXR_WEIGHTS_ROOT", str(place))
    said = cxr("score", pairs, "--data-root", tmp_path / "root")
    assert said.code == 1
    assert "METEOR ended with 1 (java.lang.OutOfMemoryError)" in said.err
    assert "stripes" not in said.err


def test_the_raters_command_rates_it_too(
    tmp_path: Path, place: Path, cxr: Say, monkeypatch: pytest.MonkeyPatch
) -> None:
    ratings = write_csv(tmp_path / "ratings.csv", rated(made_pairs(10, 2), raters=2, noise=0.0))
    order = ("validate-metrics", ratings, "--resamples", 20, "--json")
    bare = json.loads(cxr(*order).out)
    assert bare["unavailable"]["METEOR"].startswith("needs meteor-1.5.jar")
    monkeypatch.setenv("CXR_WEIGHTS_ROOT", str(place))
    found = json.loads(cxr(*order).out)
    assert "METEOR" not in found["unavailable"]
    told = json.dumps(found)
    assert all(f"METEOR[{profile}, of one pair]" in told for profile in METEOR_PROFILES)


def test_it_is_part_of_the_plan_of_scores_alone(
    tmp_path: Path, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    order = Order(data_root=str(tmp_path / "data"), replicas=True)
    bare = open_context(order).graph
    monkeypatch.setenv("CXR_WEIGHTS_ROOT", str(place))
    graph = open_context(order).graph
    changed = {key for key, step in graph.steps.items() if step != bare.steps[key]}
    assert {key.split("/")[0] for key in changed} == {"scores", "models"}


def test_a_failure_names_the_error_class() -> None:
    assert MeteorFailed("METEOR\n hung").exit_code == 1
    assert str(MeteorFailed("METEOR\n hung")) == "METEOR hung"
