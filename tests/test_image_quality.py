"""All numbers of drawn films together: rows as those of texts, with what each was made of."""

from __future__ import annotations

import json

import numpy as np
import pytest

from evaluation import image_quality
from evaluation.diversity import diversity
from evaluation.drawn_reports import report_agreement
from evaluation.image_quality import ImageScore, Scored, image_scores
from evaluation.prompted_findings import score_findings, score_sides
from tests.test_drawn_reports import PROMPTS, REPORTS, UNITS
from tests.test_frechet_scale import films, sets
from tests.test_prompted_findings import TEXTS, seen
from tests.test_ssim import film

SCORED = Scored(prompts=40, subjects=30, films=80, side_px=36, resamples=50, seed=3)


def parts() -> list[ImageScore]:
    drawn, real = seen(TEXTS, 1.0, 0), seen(TEXTS, 0.1, 1)
    alike = diversity({"a": [film(1), film(2)], "b": [film(3), film(4)]}, seed=3, resamples=20)
    agreed = report_agreement(PROMPTS, REPORTS, UNITS, "negative", 50, 3)
    return [
        *image_quality.distances(sets(films(4, 2.0)), "in-house", "abc", SCORED),
        image_quality.similarity(alike, alike, SCORED),
        *image_quality.findings(
            score_findings(drawn, real, 50, 3), score_sides(drawn, real, 50, 3), "def", SCORED
        ),
        *image_quality.reports(agreed, None, "negative", "ghi", SCORED),
    ]


@pytest.fixture(scope="module")
def found() -> image_quality.ImageScores:
    return image_scores(parts(), {"Frechet[rad-dino]": "needs model.safetensors"})


def test_every_number_is_there_with_its_direction(found: image_quality.ImageScores) -> None:
    directions = {each.metric: each.higher_is_better for each in found.scores}
    assert directions == {
        "Frechet-relative[in-house]": False,
        "Frechet[in-house]": False,
        "kernel-distance[in-house]": False,
        "MS-SSIM-of-pairs": False,
        "prompted-finding-AUROC-macro": True,
        "prompted-finding-AUROC-macro-seen": True,
        "prompted-finding-AUROC[Cardiomegaly]": True,
        "prompted-finding-AUROC[Pleural Effusion]": True,
        "prompted-side-accuracy": True,
        "prompted-side-accuracy-seen": True,
        "prompted-side-accuracy[Pleural Effusion]": True,
        "rule14-of-drawn-F1-micro": True,
        "rule14-of-drawn-F1-macro": True,
    }


def test_rows_have_the_shape_of_those_of_texts(found: image_quality.ImageScores) -> None:
    document = json.loads(json.dumps(found.to_dict()))
    assert document["unavailable"] == {"Frechet[rad-dino]": "needs model.safetensors"}
    for row in document["scores"]:
        assert row["control"] == "none"
        assert {"value", "low", "high", "higher_is_better", "is_detail"} <= row.keys()
        signature = row["signature"]
        assert signature["metric"] == row["metric"]
        assert signature["section"] == "films of 36 px"
        assert signature["version"]


def test_what_a_distance_was_made_with_is_told(found: image_quality.ImageScores) -> None:
    for metric in ("Frechet-relative[in-house]", "Frechet[in-house]", "kernel-distance[in-house]"):
        told = found.score(metric).signature
        assert (told.model, told.weights) == ("in-house", "abc")
    assert found.score("Frechet[in-house]").signature.examples == 200, "as many of each set"
    plain = found.score("Frechet[in-house]")
    assert plain.interval.low is None
    assert plain.ceiling is not None
    assert plain.ceiling.value is not None
    assert plain.interval.value is not None
    assert plain.ceiling.value < plain.interval.value, "real films are nearer to real films"


def test_the_kernel_distance_of_whole_sets_has_no_interval(
    found: image_quality.ImageScores,
) -> None:
    assert found.score("kernel-distance[in-house]").interval.low is None
    uneven = sets(films(4, 2.0, 90))
    [*_, kernel] = image_quality.distances(uneven, "in-house", "abc", SCORED)
    assert kernel.interval.low is not None
    assert kernel.interval.high is not None
    assert kernel.interval.value is not None
    assert kernel.interval.low < kernel.interval.value < kernel.interval.high
    assert "100 subsets of 90" in kernel.signature.level


def test_the_registry_gets_names_that_it_accepts(found: image_quality.ImageScores) -> None:
    tracked = found.tracked()
    assert tracked["none/Frechet-relative.in-house"] == pytest.approx(0.25, abs=0.06)
    assert all(not set(name) & set("[]=,") for name in tracked)
    assert all(np.isfinite(value) for value in tracked.values())


def test_a_number_that_is_not_there(found: image_quality.ImageScores) -> None:
    with pytest.raises(KeyError, match="Frechet\\[rad-dino\\]"):
        found.score("Frechet[rad-dino]")
