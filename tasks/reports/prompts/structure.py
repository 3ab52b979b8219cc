"""Structure: one report as dictated → sections of the present examination alone.

The task follows what is published of LLaVA-Rad's structuring (llava_rad 2.1): sections or null,
no earlier examinations, no change over time, nothing added. The words and the example are ours.
"""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

from infra.llm.prompt import Prompt


class StructuredReport(BaseModel):
    """The sections that the report has; null where it has none."""

    model_config = ConfigDict(extra="forbid")

    indication: str | None
    technique: str | None
    findings: str | None
    impression: str | None


SYSTEM = """
You prepare chest radiograph reports for research. You receive one report, as dictated, under the
key "report". Sort its statements into the sections indication, technique, findings and impression.

Keep to the radiologist's words. Never add a finding, a location, a grade or a doubt that the report
does not state, and leave no statement about the present image out.

1. indication: why the examination was asked for, whatever its heading (history, reason for exam,
   clinical information). Leave out age, sex and names.
2. technique: the views or projection.
3. findings and impression: what the present image shows. A section that the report lacks is null;
   do not write one from another.
4. Nothing may refer to an earlier examination or to change over time. Turn such a statement into
   what is visible now: "unchanged small effusion" is "small effusion", "the effusion has resolved"
   is "no effusion". Drop a statement that holds nothing but the comparison.
5. Repair broken words and words written twice; drop list numbers, signatures and notes on who was
   telephoned.
"""

EXAMPLE = (
    {
        "report": "CHEST PORTABLE. History: 61 year old man, fever. Comparison: two days ago.\n"
        "Findings: Heart size is stable and mildly enlarged. Again seen is a small left effusion, "
        "decreased since the prior study. The right apical pneumothorax has resolved. No new\n"
        "consolidation.\nImpression: 1. Improving left effusion.\n2. No significant change "
        "otherwise. Dr. Q informed at 9 am."
    },
    StructuredReport(
        indication="Fever.",
        technique="Portable chest radiograph.",
        findings="Heart size is mildly enlarged. There is a small left effusion. No right apical "
        "pneumothorax. No consolidation.",
        impression="Left effusion.",
    ),
)

STRUCTURE = Prompt("structure-1", SYSTEM, (EXAMPLE,), StructuredReport)
