r"""What rule14 looks for: the terms of each observation, and the words that change their meaning.

Every string is a regular expression fragment over lower-case text with single spaces; all start at
a word boundary and, unless they end in ``\w*``, end at one. No fragment may hold a capturing group.
Which phrases count for which observation follows the published CheXpert scheme as
evaluation_metrics 2.2 tells it; where that is silent the choice is ours and says so.
"""

from __future__ import annotations

from dataclasses import dataclass

REVISION = 1
"""Raise when a rule changes what is labelled; part of every rule14 score's signature."""

TERMS: dict[str, tuple[str, ...]] = {
    "Enlarged Cardiomediastinum": (
        r"(?:wide|widened|enlarged|prominent) (?:superior |upper )?(?:cardio)?mediastin\w+",
        r"(?:widening|enlargement|prominence|fullness) of (?:the )?(?:superior |upper )?"
        r"(?:cardio)?mediastin\w+",
        r"(?:cardio)?mediastinal (?:silhouette )?(?:widening|enlargement|fullness|prominence)",
    ),
    "Cardiomegaly": (
        r"cardiomegaly",
        r"(?:enlarged|large|prominent|big) (?:heart|cardiac (?:silhouette|shadow|contours?|size)"
        r"|cardiopericardial silhouette)",
        r"(?:cardiac|heart|cardiopericardial) enlargement",
        r"(?:enlargement|prominence) of (?:the )?(?:heart|cardiac|cardiopericardial)"
        r"(?: silhouette| shadow| contours?| size)?",
        r"(?:left |right |bi)?ventricular enlargement",
    ),
    "Lung Opacity": (
        r"opaci\w+",
        r"air ?-?space (?:disease|process|abnormality|filling)",
        r"infiltrat\w+",
        r"hazy (?:density|densities|appearance|airspace)",
        r"haziness",
        r"(?:increased|abnormal|patchy|focal|streaky|linear|hazy|ill-defined) densit(?:y|ies)",
        r"interstitial (?:disease|process|thickening|prominence|abnormalit\w+|pattern|lung)",
        r"reticular (?:pattern|markings|change\w*)|reticulation\w*|reticulonodular\w*",
        r"(?:parenchymal|pulmonary|lung|bibasilar|basilar|apical|linear) scar\w*|scarring",
        r"peribronchial (?:thickening|cuffing)|bronchial wall thickening",
        r"(?:increased|prominent|coarse\w*|accentuat\w+) (?:\w+ )?(?:interstitial|bronchovascular"
        r"|lung|pulmonary|reticular)(?: lung)? markings",
        r"(?:prominence|coarsening) of (?:the )?(?:\w+ )?(?:interstitial|bronchovascular|lung"
        r"|pulmonary)(?: lung)? (?:markings|interstitium)",
    ),
    "Lung Lesion": (
        r"nodul\w+",
        r"mass(?:es)?",
        r"lesions?",
        r"tumou?rs?|neoplasm\w*|malignan\w+|carcinoma\w*|metasta\w+",
        r"cavit(?:y|ary|ation|ies)",
    ),
    "Edema": (
        r"o?edema\w*",
        r"(?:pulmonary|vascular|venous|central|interstitial|hilar)(?: vascular| venous)?"
        r" congestion",
        r"congestive (?:heart )?(?:failure|changes?)|heart failure|chf",
        r"vascular (?:indistinctness|engorgement|redistribution)|cephalization",
        r"indistinctness of (?:the )?(?:pulmonary )?vascul\w+",
        r"kerley|(?:fluid|volume) overload",
    ),
    "Consolidation": (r"consolidat\w+",),
    "Pneumonia": (r"(?:broncho)?pneumonias?|pneumonic", r"infect\w+"),
    "Atelectasis": (r"atelecta\w*", r"collaps(?:e|ed|ing)"),
    "Pneumothorax": (r"pneumothora\w+",),
    "Pleural Effusion": (
        r"effusions?",
        r"pleural fluid|fluid in the pleural space|hydrothorax|hemothorax|empyema",
    ),
    "Pleural Other": (
        r"pleural (?:\w+ )?(?:thickening|scar\w*|plaques?|calcification\w*|disease)",
        r"thickening of the pleura",
        r"pleuro-?parenchymal (?:scar\w*|thickening|change\w*|fibrosis)|fibrothorax",
        r"apical (?:pleural )?cap(?:ping|s)?",
    ),
    "Fracture": (r"fractur\w+",),
    "Support Devices": (
        r"tubes?|catheters?|picc|pacemakers?|pacers?|pacing|aicd|icd|defibrillator\w*|leads?",
        r"port(?:-a-?cath|acath)?s?|mediport|swan-ganz|balloon pump|iabp|lvad|intubat\w+",
        r"(?:central|venous|subclavian|jugular|ij|femoral|arterial|picc|dialysis) lines?",
        r"(?:sternal|sternotomy|cerclage) wires?|wires|clips?|stents?|sutures|staples",
        r"hardware|prosthe\w+|(?:support|implanted|medical|monitoring) devices?|rods|screws",
        r"(?:valve|valvular) replacement|prosthetic valve|drains?|stimulator|tracheostomy",
    ),
}
"""Phrases that, unmodified, say that the observation is there."""

NOT_TERMS: tuple[str, ...] = (
    r"pericardial fluid|joint effusions?",
    r"(?:prior|previous|old|remote|healed|chronic|past) (?:\w+ )?(?:infect\w+|pneumonias?)",
    r"(?:prior |old |remote )?granulomatous (?:\w+ )?(?:infect\w+|disease|process|change\w*)",
    r"mass effect|body mass|nipple shadows?|soft tissue (?:o?edema\w*|mass(?:es)?)",
    r"(?:subcutaneous|peripheral|leg|pedal) o?edema\w*",
    r"(?:bone|bony|osseous|skeletal|lytic|sclerotic|blastic|destructive|vertebral|rib)"
    r" (?:\w+ )?lesions?",
    r"vertebral (?:body )?collaps\w+|collapsed vertebra\w*",
    r"lead(?:s|ing)? to|mediastinal (?:mass|lymph)\w*",
)
"""Longer phrases that contain a term and mean something else; they are read first."""

BOTH_TERMS: tuple[tuple[str, str, str], ...] = (
    (r"hydro-?pneumothora\w+|hemo-?pneumothora\w+", "Pneumothorax", "Pleural Effusion"),
)
"""Words that assert two observations at once."""

IMPLIES_UNCERTAIN: tuple[tuple[str, str], ...] = (
    (r"congestive (?:heart )?failure|heart failure|chf", "Cardiomegaly"),
)
"""A positive mention that matches also raises the doubt of another observation (CheXpert)."""


@dataclass(frozen=True)
class Carrier:
    """Anatomy that says nothing alone: an abnormal word makes it a finding, a normal one denies it.

    The first word of either kind after the carrier, inside its clause, decides.
    """

    observation: str
    carriers: str
    abnormal: str
    normal: str
    borderline: str = r"(?!)"


CARRIERS: tuple[Carrier, ...] = (
    Carrier(
        "Cardiomegaly",
        r"heart(?: size| shadow| silhouette| contours?)?|cardiac (?:silhouette|size|contours?"
        r"|shadow|borders?)|cardiopericardial silhouette|cardiac and mediastinal \w+",
        r"(?:is|are|appears?|remains?|be|size|mildly|moderately|markedly|slightly|severely"
        r"|grossly|again|stably|significantly|somewhat|minimally)"
        r" (?:enlarged|large|big|prominent|increased)|enlarged|enlargement",
        r"normal|unremarkable|not (?:\w+ )?(?:enlarged|increased|large)|upper limits? of normal",
        r"borderline (?:\w+ )?(?:enlarged|enlargement|in size|size|large|heart)|borderline",
    ),
    Carrier(
        "Enlarged Cardiomediastinum",
        r"(?:cardio)?mediastin(?:um|al (?:silhouettes?|contours?|structures?|shadow|outlines?"
        r"|borders?|width)|al and hilar \w+|al)",
        r"(?:is|are|appears?|remains?|mildly|moderately|markedly|slightly|severely|somewhat)"
        r" (?:enlarged|wide|widened|prominent|full)|enlarged|widened|widening|enlargement",
        r"normal|unremarkable|not (?:\w+ )?(?:enlarged|widened)|intact|midline",
        r"borderline",
    ),
    Carrier(
        "Lung Opacity",
        r"(?:interstitial|bronchovascular|bronchial|lung|pulmonary|reticular)(?: lung)? markings",
        r"increased|prominent|prominence|coarse\w*|accentuat\w+|thickened",
        r"normal|unremarkable",
    ),
    Carrier(
        "Lung Opacity",
        r"lungs?(?: fields?| bases?| volumes?)?",
        r"(?!)",
        r"(?<!otherwise )clear(?! of)",
    ),
)
OTHER_ABNORMALITY: tuple[str, ...] = (
    r"emphysema\w*|copd|obstructive pulmonary disease|hyperinflat\w+|hyperexpan\w+|hyperlucen\w+",
    r"fibrosis|fibrotic|bronchiectasis|hernias?|pneumoperitoneum|pneumomediastinum|free air",
    r"free intraperitoneal air|pericardial effusions?",
)
"""Findings outside the 14 that keep a report from being No Finding (our choice: a report of
emphysema is not one without a finding, and NIH's names without a counterpart must not read so)."""

NORMALITY = (
    r"no (?:\w+ ){0,4}(?:abnormalit\w+|disease|process|finding\w*)|normal|clear|unremarkable"
    r"|negative (?:chest|exam\w*|study|radiograph\w*)"
)
"""Words that say that the chest was looked at and found normal; needed for No Finding where no
observation is mentioned, so that empty or senseless text is never No Finding (our choice)."""

PRE_UNCERTAIN = (
    r"cannot (?:\w+ )?(?:exclude|rule out)|can ?not be certain|rule out|exclude|differential"
    r"|(?:(?:may|might|could)(?: \w+)? be|possibly|perhaps|presumably) (?:due|secondary|related) to"
    r"|(?:may|might|could)(?: \w+)? be (?:compatible|consistent) with|may|might|could|perhaps"
    r"|question of|rais\w+ the|(?:evaluate|assess|correlate)(?: \w+)? for|presum\w+"
)
"""Doubt about what follows. ``likely`` and ``probable`` are no doubt here: they commit the reader,
and Open-I's human coders take them as findings (measured on the tuning half)."""

PRE_SUGGESTED = (
    r"concern\w* for|concerning|suspicious for|suspicious|worrisome for|suspicion (?:of|for)"
    r"|suggest\w*"
)
"""Doubt that a negation before it takes along: "no opacity to suggest pneumonia" denies both."""

EITHER_UNCERTAIN = (
    r"possib\w+|suspected|questionable|question|equivocal|versus|vs|potential\w*"
    r"|in the (?:appropriate|proper|right|correct) clinical (?:setting|context)"
)
PRE_NEGATIVE = (
    r"no|without|absence of|absent|free of|clear of|negative for|neither|nor|denies|lack of"
    r"|resolution of|removal of|rather than|never"
    r"|not (?:\w+ )?(?:see|appear|show|demonstrate|suggest|identify|have|appreciate|represent"
    r"|reflect|indicate|suggestive|meet|consistent)\w*"
)
EITHER_NEGATIVE = r"unlikely|resolved"
POST_NEGATIVE = (
    r"(?:not|no longer) (?:(?!well|excluded|ruled)\w+ ){0,2}(?:seen|identified|visuali[sz]ed"
    r"|present|evident|appreciated|demonstrated|detected|noted|apparent|suspected|found|observed"
    r"|visible)|absent|(?:has|have|is|are|been) (?:\w+ )?(?:resolved|cleared|disappeared)"
    r"|been (?:\w+ )?(?:removed|extracted)|ruled out|(?:is|are|was|were) (?:excluded|negative)"
    r"|within (?:the )?(?:normal limits|limits of normal)"
)
POST_UNCERTAIN = (
    r"(?:cannot|can not|could not|not|hard to|difficult to)(?: be)? (?:\w+ )?(?:excluded|ruled out)"
    r"|(?:is|are|be|as|remains?) (?:\w+ )?(?:possible|questionable|suspected|considered"
    r"|a possibility|a consideration|a concern|equivocal|in the differential|questioned)"
    r"|consideration"
)
NOT_ASSERTED = (
    r"history of|hx of|h/o|(?:evaluation|assessment|evaluated) (?:for|of)|limited for"
    r"|(?:to|in|for) (?:identify|detect)(?:ing)?"
)
"""What follows is told as history or as a question, and is no mention."""

NOT_CUES = (
    r"(?:no|without) (?:\w+ ){0,3}(?:changes?|increase|decrease|improvement|difference|progression)"
    r"(?: in| of)?|not (?:\w+ )?changed|no longer|not only|no doubt|no prior|no previous"
    r"|no comparison"
)
"""Phrases that hold a negation and deny nothing; they are read first."""

BREAKERS = (
    r"but|however|although|though|except|aside from|other than|apart from|besides|yet|while|whereas"
    r"|despite|otherwise|which|there (?:is|are|has|have)|secondary to|due to|because"
    r"|superimposed on|in the setting of|(?<!compatible )(?<!consistent )(?<!associated )with"
)
"""Words that end the reach of a modifier."""

AFFIRMED_START = (
    r"(?:a |an |the )?(?:mild|mildly|small|moderate|minimal|trace|stable|unchanged|persistent"
    r"|chronic|old|again|tiny|interval|increas\w+|worsen\w+|improv\w+|decreas\w+|residual|there"
    r"|left|right|heart|patchy|streaky|low)"
)
"""How a list item starts that a negation before its comma does not reach, unless an ``or`` or
``nor`` still follows."""
