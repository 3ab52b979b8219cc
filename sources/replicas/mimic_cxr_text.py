"""Reports in MIMIC-CXR's layout, with its traps, and the LLaVA-Rad annotations made from them."""

from __future__ import annotations

import json
from itertools import chain
from textwrap import wrap
from typing import Any, Final

from sources.mimic_cxr_annotations import FILES
from sources.record import OBSERVATIONS, LabelValue, Split
from sources.replicas.mimic_cxr_plan import PlannedImage, PlannedStudy
from sources.replicas.wording import Wording, write_report

_TITLE: Final = " " * 33 + "FINAL REPORT"
_RULE: Final = " " + "_" * 78
_LINE: Final = 78
"""Characters after the leading space: lines have at most 79 (source_formats 1)."""
_DOUBT: Final = 0.05
"""Share of findings in doubt. Our choice, small: doubt cannot be learned from pixels."""
_MISSPELT: Final = {
    "FINDINGS": "FINDINS",
    "IMPRESSION": "IMPRESSON",
    "COMPARISON": "COMPARISION",
}


def word_study(study: PlannedStudy) -> Wording:
    """The report's words; half of the follow-up studies speak of the earlier one."""
    compares = study.number % 4 < 2
    return write_report(study.truth, compare=compares, doubt=_DOUBT, age_text="___")


def report_text(study: PlannedStudy, wording: Wording) -> str | None:
    """The report file; None for a study without one."""
    trap = study.report_trap
    if trap == "no report":
        return None
    procedure = study.images[0].procedure if study.images else "CHEST (PA AND LAT)"
    sections = {
        "EXAMINATION": procedure,
        "INDICATION": wording.indication,
        "TECHNIQUE": wording.technique,
        "COMPARISON": wording.comparison.replace("None.", "___."),
        "FINDINGS": wording.findings,
        "IMPRESSION": wording.impression,
    }
    if trap == "no findings":
        del sections["FINDINGS"]
    if trap == "lower-case header":
        sections["COMPARISON"] += "\nfindings: reported below."
    if trap == "misspelt headers":
        sections = {_MISSPELT.get(name, name): body for name, body in sections.items()}
    if trap == "findings and impression":
        impression = f"{sections.pop('FINDINGS')} {sections.pop('IMPRESSION')}"
        sections["FINDINGS AND IMPRESSION"] = impression
    lines = list(chain.from_iterable(_section(name, body) for name, body in sections.items()))
    if trap == "empty second findings":
        lines += [" FINDINGS: ", " "]
    if trap == "last paragraph":
        lines = [*_section("HISTORY", wording.indication), *_paragraph(wording.findings)]
    if trap == "addendum":
        note = "ADDENDUM  The referring physician was informed on ___ at ___."
        lines = [*_paragraph(note), _RULE, _TITLE, *lines]
    return "\n".join([_TITLE, *lines]) + "\n"


def _section(name: str, body: str) -> list[str]:
    """Short sections follow their header on its line, findings and impression stand below it."""
    if name.startswith(("FIND", "IMPRESS")):
        return [f" {name}: ", " ", *_paragraph(body)]
    return _paragraph(f"{name}:  {body}")


def _paragraph(text: str) -> list[str]:
    """Wrapped lines, each behind one space, and the line of one space that ends a paragraph."""
    lines = chain.from_iterable(
        wrap(part, _LINE, break_on_hyphens=False) for part in text.split("\n")
    )
    return [*(f" {line}" for line in lines), " "]


def annotation_files(studies: list[PlannedStudy]) -> dict[str, bytes]:
    """File name to content: an entry per image and method, by GPT-4 in train and dev only.

    Traps: bare ``NaN``, null ``reason``, findings that are no string, ids that repeat.
    """
    files = {}
    for split, name in FILES.items():
        entries: list[dict[str, Any]] = []
        for study in studies:
            if study.split is split:
                entries += _entries(study)
        files[name] = json.dumps(entries, indent=1).encode()
    return files


def _entries(study: PlannedStudy) -> list[dict[str, Any]]:
    if study.report_trap == "no report":
        return []
    wording = word_study(study)
    has_findings = study.report_trap not in (
        "no findings",
        "findings and impression",
        "last paragraph",
    )
    by_rules = (
        "\n".join(wrap(wording.findings, _LINE, break_on_hyphens=False)) if has_findings else None
    )
    texts: dict[str, str | None] = {"rule-based": by_rules}
    if study.split is not Split.TEST:
        plain = write_report(study.truth, compare=False, doubt=_DOUBT, age_text="___")
        texts["gpt4"] = plain.findings
    return [
        _entry(study, image, method, findings, wording)
        for image in study.images
        for method, findings in texts.items()
    ]


def _entry(
    study: PlannedStudy, image: PlannedImage, method: str, findings: str | None, wording: Wording
) -> dict[str, Any]:
    numbers = {LabelValue.POSITIVE: 1.0, LabelValue.NEGATIVE: 0.0, LabelValue.UNCERTAIN: -1.0}
    labels = wording.labels(study.truth)
    is_null = study.number % 9 == 0
    return {
        "id": f"{study.subject_id}_{study.study_id}",
        "image": f"mimic/{image.path.removeprefix('files/').rsplit('.', 1)[0]}.jpg",
        "generate_method": method,
        "reason": None if is_null else wording.indication,
        "impression": wording.impression,
        "indication": wording.indication if method == "rule-based" and not is_null else None,
        "history": None,
        "view": image.position or float("nan"),
        "orientation": "Erect",
        "chexpert_labels": {
            name: numbers.get(labels[name], float("nan")) for name in sorted(OBSERVATIONS)
        },
        "conversations": [
            {"from": "human", "value": "<image>\nDescribe the findings of the chest x-ray.\n"},
            {"from": "gpt", "value": float("nan") if findings is None else findings},
        ],
    }
