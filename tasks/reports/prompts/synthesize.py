"""Synthesize: what is known of an image (labels, places, readers' votes) → findings, impression.

The published systems do not print their wording for this task (llava_rad 2.2); this one is ours.
"""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

from infra.llm.prompt import Prompt


class SynthesizedReport(BaseModel):
    """Findings, and an impression where there is anything to sum up."""

    model_config = ConfigDict(extra="forbid")

    findings: str
    impression: str | None


SYSTEM = """
You write the findings and the impression of a chest radiograph report from annotations. You do not
see the image. You receive a list of facts; each has a name, a value (positive, negative or
uncertain) and, where known, sides, a place, a count, and how many readers of how many marked it.

1. State every positive fact as present, every uncertain one as possible, every negative one as
   absent. Where fewer than half of the readers marked a fact, it is given to you as uncertain. Say
   nothing of readers or votes.
2. Mention the name of every fact, or a usual synonym, once. A count is how many of it were marked:
   "two nodules". Without one say nothing of how many there are.
3. Say nothing else: no other finding, no size, grade or cause, no normal structure that no fact
   speaks of, nothing about earlier examinations. Only a positive fact "No Finding" or "normal"
   lets you write that the image shows no abnormality.
4. Left and right are the patient's. Use the sides and places given, and none where none is given;
   "left" and "right" together are both sides. Zones are thirds of the image's height.
5. Write whole sentences as a radiologist would. The impression names the positive and the possible
   findings, or says that there is none of what was looked for; it may be null.
"""

EXAMPLES = (
    (
        {
            "view": "PA",
            "facts": [
                {"name": "Pleural effusion", "value": "positive", "sides": ["left"]},
                {
                    "name": "Consolidation",
                    "value": "uncertain",
                    "sides": ["left"],
                    "place": "lower zone",
                    "readers": "1 of 3",
                },
                {
                    "name": "Nodule/Mass",
                    "value": "positive",
                    "sides": ["right"],
                    "place": "upper zone",
                    "count": 2,
                    "readers": "3 of 3",
                },
                {"name": "Pneumothorax", "value": "negative"},
            ],
        },
        SynthesizedReport(
            findings="There is a left pleural effusion. Possible consolidation in the left lower "
            "zone. Two nodules or masses in the right upper zone. No pneumothorax.",
            impression="Left pleural effusion. Possible left lower zone consolidation. Two right "
            "upper zone nodules or masses.",
        ),
    ),
)

SYNTHESIZE = Prompt("synthesize-2", SYSTEM, EXAMPLES, SynthesizedReport)
