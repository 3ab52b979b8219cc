"""Signatures and measures: what is said about each number."""

from __future__ import annotations

import numpy as np
import pytest
from scores_world import SETTINGS, predictions_table

from evaluation.judged import COLUMNS
from evaluation.measures import (
    UNAVAILABLE,
    Measure,
    clinical_measures,
    judge_measures,
    lexical_measures,
    profile_measures,
)
from evaluation.scores import score_predictions
from evaluation.signature import Signature

ALWAYS = {"implementation", "version", "scale", "level", "empty_output"}


def measures() -> list[Measure]:
    return [
        *lexical_measures(),
        *clinical_measures("negative"),
        *judge_measures("gpt-4o", "judge-v1"),
    ]


def signature(**changes: str | int | None) -> Signature:
    values: dict[str, str | int | None] = {
        "metric": "BLEU-4", "implementation": "x", "version": "1", "scale": "0-100",
        "level": "corpus", "section": "findings", "studies": 3, "subjects": 2, "examples": 4,
        "interval": "bootstrap percentile 95%", "resamples": 500, "seed": 3, "unit": "subject",
        "empty_output": "0",
    }  # fmt: skip
    return Signature(**{**values, **changes})  # type: ignore[arg-type]


def test_a_signature_is_one_line_that_starts_with_the_metric() -> None:
    assert str(signature(tokenizer="13a")) == (
        "BLEU-4|implementation:x|version:1|scale:0-100|level:corpus|section:findings|studies:3"
        "|subjects:2|examples:4|interval:bootstrap percentile 95%|resamples:500|seed:3"
        "|unit:subject|empty_output:0|tokenizer:13a"
    )


def test_a_score_names_its_cleaner_its_films_and_where_decoding_was_cut() -> None:
    """What others wrote was shown we do not know what, and cut we do not know where."""
    own = score_predictions(predictions_table(8), None, SETTINGS, max_new_tokens=160)
    told = own.score("BLEU-4[sacrebleu-13a-cased]").signature.fields()
    assert (told["cleaner"], told["images"], told["max_new_tokens"]) == ("none", 8, 160)
    strange = score_predictions(predictions_table(8), None, SETTINGS)
    fields = strange.score("BLEU-4[sacrebleu-13a-cased]").signature.fields()
    assert fields["cleaner"] == "none"
    assert not {"images", "max_new_tokens"} & set(fields)
    r2gen = next(m for m in profile_measures() if "r2gen" in m.name)
    assert r2gen.about["cleaner"] == "R2Gen's"


def test_fields_that_do_not_apply_are_left_out() -> None:
    assert "uncertain_as" not in signature().fields()
    assert signature(uncertain_as="negative").fields()["uncertain_as"] == "negative"


@pytest.mark.parametrize(
    "change",
    [
        {"seed": 4},
        {"tokenizer": "intl"},
        {"case": "lower"},
        {"section": "impression"},
        {"studies": 9},
    ],
)
def test_scores_that_cannot_be_compared_differ_in_their_signature(
    change: dict[str, str | int],
) -> None:
    assert str(signature(**change)) != str(signature())


@pytest.mark.parametrize("measure", measures(), ids=lambda measure: measure.name)
def test_every_measure_says_how_it_is_made(measure: Measure) -> None:
    assert set(measure.about) >= ALWAYS
    assert set(measure.about) <= set(Signature.__dataclass_fields__)


def test_names_are_unique() -> None:
    names = [measure.name for measure in measures()]
    assert len(names) == len(set(names))


def test_no_measure_borrows_a_name_that_is_not_its_own() -> None:
    for measure in measures():
        assert "chexbert" not in measure.name.lower()
        assert "chexpert" not in measure.name.lower()
        assert measure.name not in UNAVAILABLE


def test_the_recipes_policy_comes_first_and_plain() -> None:
    names = [measure.name for measure in clinical_measures("positive")]
    assert names[:2] == ["rule14-micro-F1", "rule14-macro-F1"]
    assert names[4] == "rule14-micro-F1[uncertain=negative]"
    policies = [measure.about["uncertain_as"] for measure in clinical_measures("positive")]
    assert policies == ["positive"] * 4 + ["negative"] * 4


def test_a_judges_measures_carry_its_name_and_version() -> None:
    found = judge_measures("gpt-4o", "judge-v1")
    assert {measure.about["judge"] for measure in found} == {"gpt-4o"}
    assert {measure.about["version"] for measure in found} == {"judge-v1"}
    assert all(measure.name.startswith("chexprompt[gpt-4o]-") for measure in found)
    assert sum(measure.is_detail for measure in found) == 12


def test_every_judged_measure_reads_its_own_column() -> None:
    """Each column has another value; a report was judged twice, so means are halves."""
    sums = np.array([float(place) for place in range(len(COLUMNS))])
    sums[-1] = 2.0
    values = {m.name: float(m.statistic(sums)) for m in judge_measures("j", "1")}
    assert values["chexprompt[j]-significant-errors"] == COLUMNS.index("significant errors") / 2
    assert values["chexprompt[j]-errors"] == COLUMNS.index("errors") / 2
    assert values["chexprompt[j]-error-free-share"] == COLUMNS.index("error-free") / 2
    place = COLUMNS.index("insignificant wrong severity")
    assert values["chexprompt[j]-insignificant-wrong-severity"] == place / 2
    assert len(set(values.values())) == len(values)


def test_errors_are_better_when_fewer_and_shares_when_larger() -> None:
    better = {m.name: m.higher_is_better for m in judge_measures("j", "1")}
    assert not better["chexprompt[j]-significant-errors"]
    assert better["chexprompt[j]-significant-error-free-share"]
    assert all(m.higher_is_better for m in [*lexical_measures(), *clinical_measures("negative")])
