"""Every metric that is computed here: its counts per example, its arithmetic, its description.

A measure is a function of summed counts, so that one bootstrap serves all. An example that a system
did not write, or a judge did not judge, has zero counts and so adds nothing. Shapes: N examples.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from importlib.metadata import version

from evaluation import labeler_rules
from evaluation.chrf import CHRF_PROFILE, CHRF_REVISION, corpus_chrf
from evaluation.cider import CIDER_PROFILES, CIDER_REVISION
from evaluation.clinical import FIVE, TOP_FIVE, UncertainAs, macro_f1, micro_f1
from evaluation.families import bleu_family, rouge_family
from evaluation.judged import COLUMNS, DETAILS, FREE, SUMMARY
from evaluation.lexical import (
    ARITHMETIC,
    BLEU_PROFILE,
    BLEU_PROFILES,
    BLEU_REVISION,
    REXRANK_PROFILE,
)
from evaluation.rouge import (
    COCO_BETA,
    COCO_PROFILE,
    ROUGE_PROFILE,
    ROUGE_REVISION,
    STEMMED_PROFILE,
)
from evaluation.statistics import Floats, Statistic, mean_of

OWN = "cxrflow"
"""Name of this package as an implementation."""


@dataclass(frozen=True)
class Measure:
    """One metric.

    ``family`` names the counts that it reads; ``about`` holds the signature's fields that do not
    depend on the data. A detail is part of another measure, or stands in a block's own table, and
    stays out of the main one.
    """

    name: str
    family: str
    statistic: Statistic
    higher_is_better: bool
    about: Mapping[str, str] = field(default_factory=dict)
    is_detail: bool = False


def lexical_measures() -> list[Measure]:
    """BLEU-1, BLEU-4 and ROUGE-L in LLaVA-Rad's profile."""
    measures = [bleu_measure(BLEU_PROFILE, order) for order in (1, 4)]
    return [*measures, rouge_measure(ROUGE_PROFILE)]


def block_measures() -> list[Measure]:
    """What RRG24's block adds: the texts under its own profiles."""
    return [
        replace(measure, is_detail=True)
        for measure in (bleu_measure("coco-split-cased", 4), rouge_measure(STEMMED_PROFILE))
    ]


def profile_measures() -> list[Measure]:
    """The same texts under every lexical profile, for readers who compare with other lines of work.

    sacrebleu's other tokenizers are left out: no table in the field uses them.
    """
    named = [
        name for name in BLEU_PROFILES if not name.startswith(("sacrebleu-intl", "sacrebleu-n"))
    ]
    found = [bleu_measure(name, order) for name in named for order in (1, 4)]
    found.append(_valued(f"BLEU-2[{REXRANK_PROFILE}]", REXRANK_PROFILE, _rexrank_about()))
    found += [rouge_measure(name) for name in (ROUGE_PROFILE, STEMMED_PROFILE, COCO_PROFILE)]
    found += [
        rouge_measure(name, kind)
        for name in (ROUGE_PROFILE, STEMMED_PROFILE)
        for kind in ("1", "2", "Lsum")
    ]
    for name in CIDER_PROFILES:
        found.append(_valued(f"CIDEr-D[{name}]", f"cider-d {name}", _cider_about(name)))
        found.append(_valued(f"CIDEr[{name}]", f"cider {name}", _cider_about(name)))
    return found


def bleu_measure(profile: str, order: int) -> Measure:
    """Corpus BLEU of one profile and largest order."""
    chosen = BLEU_PROFILES[profile]
    is_coco = chosen.arithmetic == "coco"
    about = {
        "implementation": f"{OWN}, COCO's arithmetic" if is_coco else f"{OWN}, equal to sacrebleu",
        "version": str(BLEU_REVISION) if is_coco else version("sacrebleu"),
        "tokenizer": _TOKENIZER_NAMES.get(chosen.tokenizer, chosen.tokenizer),
        "case": "kept" if chosen.tokenizer in _CASED else "lower",
        "scale": "0-1" if is_coco else "0-100",
        "level": "corpus",
        "empty_output": "no n-grams, counts for brevity",
        **({"cleaner": "R2Gen's"} if chosen.tokenizer == "r2gen" else {}),
    }
    statistic = partial(ARITHMETIC[chosen.arithmetic], order=order)
    return Measure(f"BLEU-{order}[{profile}]", bleu_family(profile), statistic, True, about)


_CASED = ("13a", "intl", "none", "split")
_TOKENIZER_NAMES = {
    "13a-lower": "13a",
    "split": "white space",
    "split-lower": "white space",
    "ptb": "Penn Treebank's rules for plain ASCII prose (own port), COCO's punctuation dropped",
    "r2gen": "R2Gen's cleaning, white space",
}


def rouge_measure(profile: str, kind: str = "L") -> Measure:
    """Mean ROUGE-1, -2, -L or -Lsum of one profile; the last takes lines for sentences, and is
    ROUGE-L where a report is one line."""
    is_coco = profile == COCO_PROFILE
    about = {
        "implementation": f"{OWN}, COCO's arithmetic"
        if is_coco
        else f"{OWN}, equal to rouge-score",
        "version": str(ROUGE_REVISION),
        "tokenizer": "single spaces" if is_coco else "a-z0-9",
        "case": "kept" if is_coco else "lower",
        "stemmer": f"Porter, nltk {version('nltk')}" if profile == STEMMED_PROFILE else "none",
        "scale": "0-1",
        "level": f"mean over reports, beta {COCO_BETA}" if is_coco else "mean over reports",
        "empty_output": "0",
    }
    return _valued(f"ROUGE-{kind}[{profile}]", rouge_family(profile, kind), about)


def _valued(name: str, family: str, about: Mapping[str, str]) -> Measure:
    """The mean of a value per example."""
    return Measure(name, family, mean_of, True, about)


def _rexrank_about() -> dict[str, str]:
    return {
        "implementation": f"{OWN}, fast_bleu's arithmetic",
        "version": str(BLEU_REVISION),
        "tokenizer": "full stops apart, single spaces",
        "case": "lower",
        "scale": "0-1",
        "level": "mean over reports",
        "empty_output": "0",
    }


def _cider_about(profile: str) -> dict[str, str]:
    return {
        "implementation": OWN,
        "version": str(CIDER_REVISION),
        "tokenizer": _TOKENIZER_NAMES[CIDER_PROFILES[profile]],
        "case": "kept" if CIDER_PROFILES[profile] in _CASED else "lower",
        "idf": "from all references of the test set, kept when resampled",
        "scale": "0-10",
        "level": "mean over reports",
        "empty_output": "0",
    }


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
    "GREEN": "not implemented here: its judge is a 7B language model (GREEN-radllama2-7b)",
    "METEOR": "needs Java and METEOR 1.5 with its table of paraphrases",
}
"""Metrics of the field that no number is given for, and why."""
