"""Made-up raters and texts for the tests of the validation harness; every word is invented."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from evaluation.chexprompt import KINDS
from evaluation.validation.rexval import CANDIDATES, RATINGS_FILE, TEXTS_FILE

SENTENCES = (
    "Small left pleural effusion.",
    "There is a right pneumothorax.",
    "Moderate cardiomegaly.",
    "A nodule in the right upper lobe.",
    "Consolidation in the left lower lobe.",
    "Mild pulmonary edema.",
)


def write_csv(path: Path, rows: Iterable[Mapping[str, Any]]) -> Path:
    """Rows of equal keys as a CSV."""
    listed = list(rows)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(listed[0]))
        writer.writeheader()
        writer.writerows(listed)
    return path


def made_pairs(studies: int, candidates: int, seed: int = 0) -> list[dict[str, Any]]:
    """Pairs whose prediction lacks ``lost`` of the reference's six findings."""
    rng = np.random.default_rng(seed)
    rows = []
    for study in range(studies):
        for candidate in range(candidates):
            lost = int(rng.integers(0, 6))
            kept = rng.permutation(len(SENTENCES))[lost:]
            rows.append(
                {
                    "study": f"s{study:03}",
                    "candidate": f"m{candidate}",
                    "reference": " ".join(SENTENCES),
                    "prediction": " ".join(SENTENCES[place] for place in sorted(kept)),
                    "lost": lost,
                }
            )
    return rows


def rated(pairs: Sequence[Mapping[str, Any]], raters: int, noise: float, seed: int = 1) -> Any:
    """Totals rows: each rater counts what is lost, off by one with chance ``noise``."""
    rng = np.random.default_rng(seed)
    for pair in pairs:
        for rater in range(raters):
            slip = int(rng.choice((-1, 1))) if rng.random() < noise else 0
            count = max(0, pair["lost"] + slip)
            yield {
                **{name: pair[name] for name in ("study", "candidate", "reference", "prediction")},
                "rater": f"r{rater}",
                "significant_errors": count,
                "errors": count,
            }


def write_rexval(folder: Path, studies: int = 6, raters: int = 3, first: int = 0) -> Path:
    """ReXVal's two files with invented texts: candidate number n lacks n of the findings."""
    folder.mkdir(parents=True, exist_ok=True)
    texts = [
        {
            "study_id": 50000000 + study,
            "gt_report": " ".join(SENTENCES[: 5 + study % 2]),
            **{
                name: " ".join(SENTENCES[number : 5 + study % 2])
                for number, name in enumerate(CANDIDATES)
            },
        }
        for study in range(studies)
    ]
    write_csv(folder / TEXTS_FILE, texts)
    ratings = [
        {
            "study_number": study + first,
            "candidate_type": name,
            "rater_index": rater,
            "error_category": category,
            "clinically_significant": significant,
            "num_errors": number + (rater == study % 7) if category == 2 and significant else 0,
        }
        for study in range(studies)
        for number, name in enumerate(CANDIDATES)
        for rater in range(raters)
        for category in range(1, len(KINDS) + 1)
        for significant in (True, False)
    ]
    write_csv(folder / RATINGS_FILE, ratings)
    return folder
