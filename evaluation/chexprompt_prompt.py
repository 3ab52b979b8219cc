"""What a CheXprompt judge is asked: our wording and invented examples; the shape is ErrorCounts."""

from __future__ import annotations

from evaluation.chexprompt import ErrorCounts, kind_counts
from infra.llm.prompt import Prompt

SYSTEM = """
You are a chest radiologist who checks written findings against a colleague's reference for the same
image. You receive "reference" and "prediction". You do not see the image: the reference is right.

Count the errors of the prediction. Each error belongs to one kind:
- false_positive_finding: it states a finding that the reference does not have, or denies;
- omission_finding: it leaves out, or denies, a finding that the reference states;
- incorrect_location: a finding of both, at another side or place;
- incorrect_severity: a finding of both, of another size or grade;
- false_positive_comparison: it speaks of a change, or of no change, that the reference lacks;
- omission_comparison: it leaves out a change, or a lack of change, that the reference states.

and to one tier: significant, if it would probably alter treatment, follow-up or outcome;
insignificant otherwise. One wrong statement is one error of one kind. Different words for the same
thing, another order, and normal structures that are not mentioned are no errors. Give all twelve
counts, zeros included.
"""


EXAMPLES = (
    (
        {
            "reference": "Small right pleural effusion. Heart size is normal. No pneumothorax.",
            "prediction": "The heart is not enlarged. There is a small right effusion.",
        },
        ErrorCounts(significant=kind_counts(), insignificant=kind_counts()),
    ),
    (
        {
            "reference": "Large left pneumothorax. Pulmonary edema.",
            "prediction": "Small right pneumothorax. Mild degenerative change of the spine.",
        },
        ErrorCounts(
            significant=kind_counts(incorrect_location=1, incorrect_severity=1, omission_finding=1),
            insignificant=kind_counts(false_positive_finding=1),
        ),
    ),
    (
        {
            "reference": "Consolidation in the left lower lobe, new since the prior study.",
            "prediction": "Left lower lobe consolidation. Moderate pulmonary edema.",
        },
        ErrorCounts(
            significant=kind_counts(false_positive_finding=1, omission_comparison=1),
            insignificant=kind_counts(),
        ),
    ),
    (
        {
            "reference": "Mild cardiomegaly. Lungs are clear.",
            "prediction": "Moderate cardiomegaly, unchanged. Clear lungs.",
        },
        ErrorCounts(
            significant=kind_counts(),
            insignificant=kind_counts(incorrect_severity=1, false_positive_comparison=1),
        ),
    ),
    (
        {
            "reference": "Nodule in the right upper zone. Minimal left basal atelectasis.",
            "prediction": "No focal lesion. No effusion.",
        },
        ErrorCounts(
            significant=kind_counts(omission_finding=1),
            insignificant=kind_counts(omission_finding=1),
        ),
    ),
)

JUDGE = Prompt("chexprompt-1", SYSTEM, EXAMPLES, ErrorCounts)
