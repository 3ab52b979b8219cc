"""Figures of the page: what is drawn, in whose colours, the same each time."""

from __future__ import annotations

import re
import sys

import pytest
from scores_world import SETTINGS, judged_table, predictions_table

from evaluation.report_plots import loss_plot, score_plot, short_name
from evaluation.scores import Scores, score_predictions

CURVE = [(step, 5.0 / (1 + step)) for step in range(100)]


@pytest.fixture(scope="module")
def scores() -> Scores:
    predictions = predictions_table(20)
    return score_predictions(predictions, judged_table(predictions), SETTINGS)


@pytest.fixture(scope="module")
def plot(scores: Scores) -> str:
    return score_plot(scores)


def words(svg: str) -> list[str]:
    return re.findall(r"<text[^>]*>([^<]*)</text>", svg)


@pytest.mark.parametrize("stages", [1, 2, 4, 5, 7])
def test_every_stage_has_its_panel(stages: int) -> None:
    names = [f"stage {place}" for place in range(stages)]
    found = words(loss_plot(dict.fromkeys(names, CURVE)))
    assert [word for word in found if word in names] == names
    assert found.count("step") == stages


def test_the_last_loss_is_written_out() -> None:
    assert "2.25" in words(loss_plot({"align": [(1, 3.0), (2, 2.25)]}))


def test_a_long_curve_is_smoothed_over_a_spike() -> None:
    spiked = [(step, 90.0 if step == 99 else 1.0) for step in range(100)]
    assert "1.00" in words(loss_plot({"finetune": spiked}))


def test_a_stage_without_steps_is_an_empty_panel() -> None:
    assert "language" in words(loss_plot({"language": []}))


def test_every_metric_of_the_main_table_is_a_line(plot: str) -> None:
    found = words(plot)
    for name in ("BLEU 4", "ROUGE L", "rule14 micro F1", "significant errors", "error free share"):
        assert name in found
    assert "significant missing finding" not in found


def test_without_a_judge_there_is_one_panel() -> None:
    alone = score_plot(score_predictions(predictions_table(8), None, SETTINGS))
    assert "errors per report, lower is better" not in words(alone)


def test_plots_name_themselves_and_load_nothing(plot: str) -> None:
    svg = loss_plot({"align": CURVE})
    assert svg.startswith('<svg role="img" aria-label="Training loss of each stage')
    assert plot.startswith('<svg role="img" aria-label="Scores of the model')
    for text in (svg, plot):
        assert "http" not in text
        assert "<style" not in text
        assert not re.search(r"#[0-9a-f]{6}\b(?!\))", re.sub(r'(href="|url\()#\w+', "", text))


def test_three_systems_have_three_colours(plot: str) -> None:
    for variable in ("--model", "--shuffled", "--blank"):
        assert f"var({variable})" in plot


def test_equal_data_give_equal_bytes(scores: Scores, plot: str) -> None:
    assert score_plot(scores) == plot


def test_nothing_is_kept_by_pyplot(plot: str) -> None:
    assert plot
    pyplot = sys.modules.get("matplotlib.pyplot")
    assert pyplot is None or not pyplot.get_fignums()


@pytest.mark.parametrize(
    ("metric", "name"),
    [
        ("BLEU-4[sacrebleu-13a-cased]", "BLEU 4"),
        ("chexprompt[offline-rules]-significant-errors", "significant errors"),
        ("rule14-micro-F1-5", "rule14 micro F1 5"),
    ],
)
def test_short_names(metric: str, name: str) -> None:
    assert short_name(metric) == name
