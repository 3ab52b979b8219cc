"""Every metric that is computed here: its counts per example, its arithmetic, its description.

A measure is a function of summed counts, so that one bootstrap serves all. An example that a system
did not write, or a judge did not judge, has zero counts and so adds nothing. Shapes: N examples.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from importlib.metadata import version

from evaluation import labeler_rules
from evaluation.chrf import CHRF_PROFILE, CHRF_REVISION, corpus_chrf
from evaluation.clinical import FIVE, TOP_FIVE, UncertainAs, macro_f1, micro_f1
from evaluation.judged import COLUMNS, DETAILS, FREE, SUMMARY
from evaluation.lexical import BLEU_PROFILE, ROUGE_PROFILE, ROUGE_REVISION, corpus_bleu
from evaluation.statistics import Floats, Statistic, mean_of

OWN = "cxrflow"
"""Name of this package as an implementation."""


@dataclass(frozen=True)
class Measure:
    """One metric.

    ``family`` names the counts that it reads; ``about`` holds the signature's fields that do not
    depend on the data. A detail is part of another measure and stays out of the main table.
    """

    name: str
    family: str
    statistic: Statistic
    higher_is_better: bool
    about: Mapping[str, str] = field(default_factory=dict)
    is_detail: bool = False


def lexical_measures() -> list[Measure]:
    """BLEU-1, BLEU-4 and ROUGE-L in LLaVA-Rad's profile."""
    bleu = {
        "implementation": f"{OWN}, equal to sacrebleu",
        "version": version("sacrebleu"),
        "tokenizer": "13a",
        "case": "kept",
        "scale": "0-100",
        "level": "corpus",
        "empty_output": "no n-grams, counts for brevity",
    }
    rouge = {
        "implementation": f"{OWN}, equal to rouge-score",
        "version": str(ROUGE_REVISION),
        "tokenizer": "a-z0-9",
        "case": "lower",
        "stemmer": "none",
        "scale": "0-1",
        "level": "mean over reports",
        "empty_output": "0",
    }
    named = [(f"BLEU-{n}[{BLEU_PROFILE}]", partial(corpus_bleu, order=n)) for n in (1, 4)]
    measures = [Measure(name, "bleu", statistic, True, bleu) for name, statistic in named]
    return [*measures, Measure(f"ROUGE-L[{ROUGE_PROFILE}]", "rouge", mean_of, True, rouge)]


def translation_measures() -> list[Measure]:
    """chrF, which a translation's other endings and articles cost little."""
    about = {
        "implementation": f"{OWN}, equal to sacrebleu",
        "version": f"{CHRF_REVISION}, {version('sacrebleu')}",
        "tokenizer": "characters without white space",
        "case": "kept",
        "scale": "0-100",
        "level": "corpus",
        "empty_output": "no n-grams",
    }
    return [Measure(f"chrF[{CHRF_PROFILE}]", "chrf", corpus_chrf, True, about)]


def clinical_measures(uncertain_as: UncertainAs) -> list[Measure]:
    """rule14 F1 under the recipe's policy, then under the other one, which its name tells."""
    policies: list[UncertainAs] = ["negative", "positive"]
    measures = []
    for policy in sorted(policies, key=lambda item: item != uncertain_as):
        suffix = "" if policy == uncertain_as else f"[uncertain={policy}]"
        measures += _rule14_measures(policy, suffix)
    return measures


def _rule14_measures(policy: UncertainAs, suffix: str) -> list[Measure]:
    about = {
        "implementation": f"{OWN} rule14",
        "version": str(labeler_rules.REVISION),
        "scale": "0-1",
        "level": "corpus",
        "uncertain_as": policy,
        "empty_output": "all unmentioned",
    }
    fourteen = {**about, "labels": "CheXpert-14"}
    five = {**about, "labels": ", ".join(TOP_FIVE)}
    family = f"rule14-{policy}"
    return [
        Measure(f"rule14-micro-F1{suffix}", family, micro_f1, True, fourteen),
        Measure(f"rule14-macro-F1{suffix}", family, macro_f1, True, fourteen),
        Measure(f"rule14-micro-F1-5{suffix}", family, partial(micro_f1, labels=FIVE), True, five),
        Measure(f"rule14-macro-F1-5{suffix}", family, partial(macro_f1, labels=FIVE), True, five),
    ]


def judge_measures(judge: str, judge_version: str) -> list[Measure]:
    """CheXprompt of one judge: mean errors per report, shares of reports without, and each kind."""
    about = {
        "implementation": f"{OWN} chexprompt",
        "version": judge_version,
        "judge": judge,
        "level": "mean over judged reports",
        "empty_output": "judged as written",
    }
    errors = {**about, "scale": "errors per report"}
    share = {**about, "scale": "0-1"}
    named = [
        *((name, name, False, errors) for name in SUMMARY),
        *((name, f"{name} share", True, share) for name in FREE),
        *((name, name, False, errors) for name in DETAILS),
    ]
    return [
        Measure(
            f"chexprompt[{judge}]-{title.replace(' ', '-')}",
            judge_family(judge),
            partial(_judged_mean, column=COLUMNS.index(column)),
            higher,
            text,
            is_detail=column in DETAILS,
        )
        for column, title, higher, text in named
    ]


def judge_family(judge: str) -> str:
    """Name of the counts of one judge."""
    return f"judge {judge}"


def _judged_mean(sums: Floats, column: int) -> Floats:
    return mean_of(sums[..., [column, -1]])


UNAVAILABLE: dict[str, str] = {
    "CheXbert-F1": "needs CheXbert's checkpoint (chexbert.pth) and a BERT tokenizer",
    "RadGraph-F1": "needs RadGraph's weights",
    "BERTScore": "needs a local encoder such as distilbert-base-uncased",
    "RadCliQ": "needs RadGraph-F1, BERTScore and CheXbert's encoder",
    "RaTEScore": "needs RaTE-NER-Deberta and BioLORD weights",
    "GREEN": "needs the GREEN-radllama2-7b weights",
    "METEOR": "needs Java and METEOR 1.5 with its table of paraphrases",
}
"""Metrics of the field that no number is given for, and why."""
