"""What a text says a film shows: findings, doubts, sides, and what is not told."""

from __future__ import annotations

import numpy as np
import pytest

from evaluation.film_targets import (
    FINDINGS,
    SIDED,
    TARGETS,
    film_targets,
    place_of,
    sided,
    sides_of,
)


def row_of(text: str) -> dict[str, float]:
    return dict(zip(TARGETS, film_targets([text])[0].tolist(), strict=True))


def test_the_targets_are_the_findings_then_those_that_have_sides() -> None:
    assert len(TARGETS) == len(set(TARGETS)) == 13 + 2 * len(SIDED)
    assert TARGETS[:13] == FINDINGS
    assert "No Finding" not in TARGETS
    assert set(SIDED) <= set(FINDINGS)
    assert TARGETS[place_of("Pleural Effusion, left")] == sided("Pleural Effusion", "left")


def test_a_sided_finding() -> None:
    row = row_of("There is a small left pleural effusion. The heart is normal in size.")
    assert row["Pleural Effusion"] == 1.0
    assert (row["Pleural Effusion, left"], row["Pleural Effusion, right"]) == (1.0, 0.0)
    assert row["Cardiomegaly"] == row["Pneumothorax"] == row["Pneumothorax, left"] == 0.0


@pytest.mark.parametrize(
    ("text", "left", "right"),
    [
        ("Bilateral pleural effusions.", 1.0, 1.0),
        ("Right pleural effusion. Left pleural effusion.", 1.0, 1.0),
        ("There is no left pleural effusion.", 0.0, 0.0),
        ("The lungs are clear.", 0.0, 0.0),
    ],
)
def test_both_sides_and_none(text: str, left: float, right: float) -> None:
    row = row_of(text)
    assert (row["Pleural Effusion, left"], row["Pleural Effusion, right"]) == (left, right)


def test_what_is_not_told_is_no_number() -> None:
    doubted = row_of("Possible left pleural effusion.")
    assert np.isnan(doubted["Pleural Effusion"])
    assert np.isnan(doubted["Pleural Effusion, left"])
    unsided = row_of("There is a pleural effusion.")
    assert unsided["Pleural Effusion"] == 1.0
    assert np.isnan(unsided["Pleural Effusion, left"])
    assert np.isnan(unsided["Pleural Effusion, right"])


def test_sides_gather_over_sentences() -> None:
    text = "Left pleural effusion. There is consolidation in the right lower lobe. No nodule."
    assert sides_of(text) == {"Pleural Effusion": {"left"}, "Consolidation": {"right"}}


def test_rows_follow_the_texts() -> None:
    texts = ["Left pneumothorax.", "Clear lungs.", "Left pneumothorax."]
    found = film_targets(texts)
    assert found.shape == (3, len(TARGETS))
    assert np.array_equal(found[0], found[2], equal_nan=True)
    assert found[:, place_of("Pneumothorax")].tolist() == [1.0, 0.0, 1.0]
    assert film_targets([]).shape == (0, len(TARGETS))
