"""The words by which a report says where, how large, how severe and of what kind a finding is.

One line per name: ``name: pattern``, over lower-case text; the name is what an answer is told in.
The lists are our choice, from the usual wording of chest radiograph reports.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

Table = Mapping[str, re.Pattern[str]]


def _table(lines: str) -> Table:
    pairs = (line.partition(":") for line in lines.strip().splitlines())
    return {name.strip(): re.compile(rf"\b(?:{words.strip()})\b") for name, _, words in pairs}


SIDES: Final = _table("""
left: left|bilateral(?:ly)?|both|biapical|bibasilar|bibasal
right: right|bilateral(?:ly)?|both|biapical|bibasilar|bibasal
""")

REGIONS: Final = _table("""
upper: upper
middle: mid|middle
lower: lower
lingula: lingula\\w*
apex: apex|apices|apical|biapical
base: bases?|basal|basilar|bibasilar|bibasal
hilum: hil(?:um|a|ar)|(?:peri|infra)hilar
heart shadow: retrocardiac|behind the heart
costophrenic angle: costophrenic
posterior: posterior(?:ly)?
anterior: anterior(?:ly)?
fissure: fissur\\w+
carina: carina
vena cava: vena cava|svc
right atrium: atri(?:um|al)|cavoatrial
ventricle: ventricle
stomach: stomach
chest wall: chest wall
""")
REGIONS_APART: Final = frozenset({"upper", "middle", "lower"})
"""Of these a finding in one is not in another; the rest may name one place in two ways."""

SIZES: Final = _table("""
tiny: tiny|minuscule
trace: trace
small: small
moderate: moderate(?:ly)?
large: large
massive: massive|huge
""")
MEASURE: Final = re.compile(r"\b\d+(?:[.,]\d+)?(?: x \d+(?:[.,]\d+)?)? ?(?:mm|cm)\b")

SEVERITIES: Final = _table("""
minimal: minimal(?:ly)?
slight: slight(?:ly)?
mild: mild(?:ly)?
moderate: moderate(?:ly)?
severe: severe(?:ly)?
marked: marked(?:ly)?
extensive: extensive(?:ly)?
borderline: borderline
""")
SHARED_GRADE: Final = "moderate"
"""Says a size or a severity, whichever words stand beside it."""

KINDS: Final[Mapping[str, Table]] = {
    "Lung Opacity": _table("""
hazy: haz(?:y|iness)
patchy: patchy
ill-defined: ill-defined
ground-glass: ground[- ]glass
interstitial: interstitial
reticular: reticul\\w+
streaky: streaky
linear: linear|band-like
airspace: air ?-?space
infiltrate: infiltrat\\w+
"""),
    "Lung Lesion": _table("""
nodule: nodul\\w+
mass: mass(?:es)?
cavity: cavit\\w+
metastasis: metasta\\w+
"""),
    "Edema": _table("""
interstitial: interstitial
alveolar: alveolar
"""),
    "Consolidation": _table("""
dense: dense
patchy: patchy
multifocal: multifocal
lobar: lobar
with air bronchograms: air bronchograms?
"""),
    "Pneumonia": _table("""
bronchopneumonia: bronchopneumonia
lobar: lobar
atypical: atypical
aspiration: aspiration
"""),
    "Atelectasis": _table("""
linear: linear|plate-?like|discoid
lobar: lobar
subsegmental: subsegmental
segmental: segmental
compressive: compressive
round: round(?:ed)?
with volume loss: volume loss
"""),
    "Pneumothorax": _table("""
tension: tension
loculated: loculated
hydropneumothorax: hydro-?pneumothora\\w+
"""),
    "Pleural Effusion": _table("""
loculated: loculated
layering: layering
subpulmonic: subpulmonic
hydropneumothorax: hydro-?pneumothora\\w+
hemothorax: hemothorax
empyema: empyema
"""),
    "Pleural Other": _table("""
thickening: thickening
plaque: plaques?
scarring: scar\\w*
calcification: calcifi\\w+
"""),
    "Fracture": _table("""
displaced: displaced
healed: heal\\w+
rib: ribs?
clavicle: clavic\\w+
humeral: humer\\w+
vertebral: vertebra\\w*
compression: compression
"""),
    "Support Devices": _table("""
endotracheal tube: endotracheal tubes?|intubat\\w+
nasogastric tube: (?:naso|oro)gastric tubes?|enteric tubes?|feeding tubes?
chest tube: chest tubes?|pleural drains?
tracheostomy tube: tracheostomy
central venous catheter: central (?:venous )?(?:lines?|catheters?)
PICC: picc
port: port(?:-a-?cath|acath)?s?|mediport
pacemaker: pacemakers?|pacers?
defibrillator: defibrillator\\w*|a?icd
sternal wires: (?:sternal|sternotomy|cerclage) wires?
prosthetic valve: prosthetic (?:\\w+ )?valves?|valve replacement
clips: clips?
stent: stents?
"""),
}
"""By observation. What a radiologist would answer to: of what type is it?"""


def found_in(table: Table, text: str) -> frozenset[str]:
    """Names of a table whose pattern stands in lower-case text."""
    return frozenset(name for name, words in table.items() if words.search(text))
