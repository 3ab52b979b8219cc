"""Figures of the page: what is drawn, in whose colours, the same each time."""

from __future__ import annotations

import re
import sys
from dataclasses import replace

import pytest
from matplotlib.figure import Figure
from scores_world import SETTINGS, judged_table, predictions_table

from evaluation import report_plots
from evaluation.report_plots import loss_plot, score_plot, short_name
from evaluation.scores import Scores, score_predictions
from evaluation.statistics import Interval

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


def far(scores: Scores, metric: str, name: str, scale: str, value: float) -> Scores:
    """The scores with one of them under another name, at that value on that scale."""
    changed = [
        replace(
            score,
            metric=name,
            interval=Interval(value, value - 0.5, value + 0.5),
            signature=replace(score.signature, scale=scale),
        )
        if (score.metric, score.control) == (metric, "none")
        else score
        for score in scores.scores
    ]
    return replace(scores, scores=tuple(changed))


def xlimits(scores: Scores, monkeypatch: pytest.MonkeyPatch) -> dict[str, tuple[float, float]]:
    """By label of its axis each panel's limits as drawn."""
    found = {}
    drawn = report_plots.inline_svg

    def keep(figure: Figure, title: str) -> str:
        for panel in figure.axes:
            found[panel.get_xlabel()] = panel.get_xlim()
        return drawn(figure, title)

    monkeypatch.setattr(report_plots, "inline_svg", keep)
    score_plot(scores)
    return found


def test_no_point_falls_off_its_panel(scores: Scores, monkeypatch: pytest.MonkeyPatch) -> None:
    """RadCliQ and rescaled BERTScore may be negative; a fitted error shares no axis with counts."""
    errors = "chexprompt[offline-rules]-insignificant-errors"
    fitted = far(scores, errors, "RadCliQ-v1", "errors per report, fitted; lower is better", -1.2)
    both = far(fitted, "rule14-micro-F1", "BERTScore[x,rescaled]", "0-1", -0.3)
    limits = xlimits(both, monkeypatch)
    assert list(limits) == [
        "higher is better (BLEU / 100)",
        "errors per report, lower is better",
        "fitted errors, lower is better",
    ]
    shares, counted, radcliq = limits.values()
    assert shares[0] < -0.8
    assert shares[1] > 1.0
    assert -0.2 < counted[0] < 0.0
    assert radcliq[0] < -1.7
    assert radcliq[1] > 0


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
