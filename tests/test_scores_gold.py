"""Every published value of ``metric_gold_cases.json`` through the functions that scores come from.

Each case names where it was published. A case belongs to exactly one test, and all 111 are run.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from evaluation.blocks import rrg24_overall
from evaluation.clinical import (
    FIVE,
    LabelMatrix,
    confusion,
    exact_matches,
    macro_f1,
    micro_f1,
    samples_f1,
    weighted_f1,
)
from evaluation.crimson import Judged, crimson
from evaluation.labeler import label_report
from evaluation.lexical import BLEU_PROFILE, bleu_counts, coco_bleu, corpus_bleu
from evaluation.radcliq import radcliq
from evaluation.rouge import STEMMED_PROFILE, rouge_l, rouge_l_sum, rouge_n
from sources.record import LabelValue

Case = dict[str, Any]
CASES: list[Case] = json.loads(
    (Path(__file__).parent / "metric_gold_cases.json").read_text(encoding="utf-8")
)["cases"]


def as_list(texts: Any) -> list[Any]:
    return texts if isinstance(texts, list) else [texts]


def coco(case: Case) -> float:
    references, told = as_list(case["reference"]), as_list(case["candidate"])
    return float(coco_bleu(bleu_counts(references, told, "coco-split-cased").sum(axis=0)))


def sacrebleu(case: Case) -> float:
    """The file lists references by stream: the first of every text, then the second."""
    profile = BLEU_PROFILE
    for name in ("none", "intl"):
        if f"'tokenize': '{name}'" in case["variant"]:
            profile = f"sacrebleu-{name}-cased"
    references = [tuple(texts) for texts in zip(*case["reference"], strict=True)]
    counts = bleu_counts(references, case["candidate"], profile)
    order = int(case["metric"].partition("BLEU-")[2][0])
    return float(corpus_bleu(counts.sum(axis=0), order))


def sentence_bleu(case: Case) -> float:
    counts = bleu_counts([case["reference"]], [case["candidate"]])
    return float(corpus_bleu(counts, effective_order=True)[0])


def torchmetrics_bleu(case: Case) -> float:
    """One text with several references, 0-1; no order is without a match, so smoothing is idle."""
    profile = "sacrebleu-none-cased" if "whitespace" in case["variant"] else BLEU_PROFILE
    counts = bleu_counts([case["reference"]], [case["candidate"]], profile)
    assert (counts[0, 2:6] > 0).all()
    return float(corpus_bleu(counts.sum(axis=0))) / 100.0


def rouge(case: Case) -> float:
    stemmed = "use_stemmer=True" in case["variant"] or "score stemmer" in case["variant"]
    profile = STEMMED_PROFILE if stemmed else "rouge-score-nostem"
    texts = as_list(case["reference"]), as_list(case["candidate"])
    kind = case["metric"].upper().replace("-", "").removeprefix("ROUGE")
    if kind == "L":
        return float(rouge_l(*texts, profile).mean())
    if kind == "LSUM":
        return float(rouge_l_sum(*texts, profile).mean())
    return float(rouge_n(*texts, int(kind), profile).mean())


def radcliq_of_parts(case: Case) -> list[float]:
    told = case["candidate"]
    first = told.get("radgraph_combined", told.get("radgraph"))
    semantic = told.get("semb_score", told.get("semb"))
    overlap = told.get("bleu2", told.get("bleu"))
    parts = np.array([first, told["bertscore"], semantic, overlap])
    return [float(radcliq(parts, "v1")), float(radcliq(parts, "v0"))]


def reciprocal(case: Case) -> float:
    """No relations: entity F1 is one and relation F1 zero. BLEU-2 has no weight."""
    assert "radgraph=0.5" in case["variant"]
    return 1.0 / float(radcliq(np.array([0.5, 1.0, 1.0, 1.0])))


def idf_artefact(case: Case) -> float:
    assert "rescaled -5.5502" in case["variant"]
    return float(radcliq(np.array([1.0, -5.5502, 1.0, 1.0])))


def crimson_of_judged(case: Case) -> float:
    told = case["candidate"]
    assert not told["errors"]["attribute_errors"]
    significance = {
        side: {item["id"]: item["clinical_significance"] for item in told[f"{side}_findings"]}
        for side in ("reference", "predicted")
    }
    matched = [(pair["ref_id"], pair["pred_id"]) for pair in told["matched_findings"]]
    false = told["errors"]["false_findings"]
    return crimson(Judged(significance["reference"], significance["predicted"], matched, false))


def chexbert_aggregates(case: Case) -> list[float]:
    true, told = (
        LabelMatrix.of([dict.fromkeys(names, LabelValue.POSITIVE) for names in case[side]])
        for side in ("reference", "candidate")
    )
    rows = confusion(true, told, "positive")
    flat = rows.sum(axis=0)
    return [
        float(exact_matches(rows).mean()),
        float(micro_f1(flat)),
        float(macro_f1(flat)),
        float(weighted_f1(flat)),
        float(samples_f1(rows).mean()),
        float(micro_f1(flat, FIVE)),
        float(macro_f1(flat, FIVE)),
    ]


def label_probe(case: Case) -> dict[str, int]:
    labels = label_report(case["candidate"])
    return {name: int(labels[name] is LabelValue.POSITIVE) for name in case["expected"]}


def overall(case: Case) -> float:
    return float(rrg24_overall(np.array(case["candidate"])))


RUNS: dict[str, tuple[Callable[[Case], Any], int]] = {
    "rexrank-": (radcliq_of_parts, 50),
    "radcliq-perfect": (radcliq_of_parts, 1),
    "radcliq-issue5": (reciprocal, 1),
    "radcliq-idf": (idf_artefact, 1),
    "radeval-cpu-bleu4": (coco, 2),
    "radeval-readme-bleu4": (coco, 1),
    "radeval-ht-bleu": (coco, 2),
    "bench-bleu": (coco, 4),
    "radeval-cpu-rouge": (rouge, 6),
    "radeval-ht-rouge": (rouge, 2),
    "rouge-": (rouge, 6),
    "tm-rouge": (rouge, 3),
    "tm-bleu": (torchmetrics_bleu, 1),
    "tm-sacrebleu": (torchmetrics_bleu, 1),
    "sacrebleu-corpus": (sacrebleu, 3),
    "sacrebleu-order": (sacrebleu, 4),
    "sacrebleu-sent": (sentence_bleu, 1),
    "rrg24-overall": (overall, 8),
    "crimson-": (crimson_of_judged, 2),
    "f1chexbert-": (chexbert_aggregates, 1),
    "probe-": (label_probe, 11),
}
"""By the start of a case's id: how its value is computed here, and how many cases there are."""


def run_of(case: Case) -> Callable[[Case], Any]:
    (prefix,) = [prefix for prefix in RUNS if case["id"].startswith(prefix)]
    return RUNS[prefix][0]


def test_every_case_is_run_once() -> None:
    assert len({case["id"] for case in CASES}) == len(CASES) == 111
    counted = {
        prefix: sum(case["id"].startswith(prefix) for case in CASES) for prefix, _ in RUNS.items()
    }
    assert counted == {prefix: number for prefix, (_, number) in RUNS.items()}
    assert sum(counted.values()) == 111


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["id"])
def test_a_published_value_comes_out(case: Case) -> None:
    found, expected = run_of(case)(case), case["expected"]
    if case["id"].startswith("probe-"):
        assert found == expected
    else:
        assert found == pytest.approx(expected, abs=case["tolerance"], rel=0)
