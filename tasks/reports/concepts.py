"""The findings that publishers' labels speak of: their names, and how a radiologist words them.

One line per concept, continued on indented lines::

    names | observation | how it is placed | nouns, one of which is used | absent, if unusual

Names are those of CheXpert, VinDr-CXR, NIH, object-CXR and PadChest, in lower case. The place is
``side`` (left pleural effusion), ``lung`` (opacity in the right upper lobe), ``bone`` (as side) or
``none``. A ``+`` before a noun takes no article. The observation is the CheXpert one that the
concept is an instance of, or ``-``; a finding that only suggests an observation (blunting, volume
loss, a pseudonodule) has ``-`` too, and the observation stands beside it as an uncertain fact.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

TABLE = """
enlarged cardiomediastinum; mediastinal enlargement; superior mediastinal enlargement | Enlarged
    Cardiomediastinum | none | +widening of the mediastinum; +enlargement of the
    cardiomediastinal silhouette | The mediastinal contours are normal
mediastinal mass | Enlarged Cardiomediastinum | none | +mediastinal widening from a mediastinal
    mass
cardiomegaly | Cardiomegaly | none | +cardiomegaly; an enlarged cardiac silhouette; +enlargement
    of the cardiac silhouette | The heart size is normal; The cardiac silhouette is not enlarged
lung opacity; airspace opacity; alveolar pattern | Lung Opacity | lung | an opacity; an airspace
    opacity; a parenchymal opacity
increased density | Lung Opacity | lung | +increased density; an area of increased density
infiltration; infiltrates; infiltrate | Lung Opacity | lung | +infiltrates; an infiltrate;
    +infiltration
ild; interstitial pattern | Lung Opacity | lung | +interstitial disease; an interstitial pattern
ground glass pattern | Lung Opacity | lung | +ground-glass opacity
reticular interstitial pattern | Lung Opacity | lung | a reticular interstitial pattern
reticulonodular interstitial pattern | Lung Opacity | lung | a reticulonodular interstitial
    pattern
miliary opacities | Lung Opacity | lung | +miliary opacities
fibrotic band | Lung Opacity | lung | a fibrotic linear opacity; a band-like scarring opacity
lung lesion | Lung Lesion | lung | a lung lesion; a pulmonary lesion
nodule/mass | Lung Lesion | lung | a nodule or mass
nodule | Lung Lesion | lung | a nodule; a pulmonary nodule
multiple nodules | Lung Lesion | lung | +multiple nodules
mass; pulmonary mass | Lung Lesion | lung | a mass; a pulmonary mass
lung tumor | Lung Lesion | lung | a lung tumor
lung cavity; cavitation | Lung Lesion | lung | a lung cavity; a cavitary lesion
lung metastasis | Lung Lesion | lung | +lung metastases
edema; pulmonary edema | Edema | none | +pulmonary edema; +edema
hilar congestion | Edema | none | +hilar vascular congestion
vascular redistribution; central vascular redistribution | Edema | none | +vascular redistribution
heart insufficiency | Edema | none | +congestive heart failure
kerley lines | Edema | none | +Kerley lines
consolidation | Consolidation | lung | +consolidation; a consolidation
pneumonia; atypical pneumonia | Pneumonia | lung | +pneumonia
atelectasis; atelectasis basal; laminar atelectasis; lobar atelectasis; segmental atelectasis;
    round atelectasis; total atelectasis; basal atelectasis | Atelectasis | lung | +atelectasis;
    +atelectatic change
pneumothorax | Pneumothorax | side | a pneumothorax
hydropneumothorax | Pneumothorax | side | a hydropneumothorax
pleural effusion; effusion | Pleural Effusion | side | a pleural effusion
loculated pleural effusion; loculated fissural effusion | Pleural Effusion | side | a loculated
    pleural effusion
hemothorax | Pleural Effusion | side | a hemothorax
empyema | Pleural Effusion | side | an empyema
pleural other | Pleural Other | side | +pleural disease; +pleural thickening
pleural thickening; apical pleural thickening | Pleural Other | side | +pleural thickening
calcified pleural thickening | Pleural Other | side | +calcified pleural thickening
pleural plaques; calcified pleural plaques | Pleural Other | side | +pleural plaques
fissure thickening; major fissure thickening; minor fissure thickening | Pleural Other | side |
    +pleural thickening of a fissure
fracture | Fracture | side | a fracture
rib fracture; callus rib fracture | Fracture | side | a rib fracture
clavicle fracture | Fracture | side | a clavicle fracture
vertebral fracture; vertebral compression; vertebral anterior compression | Fracture | none | a
    vertebral compression fracture
support devices | Support Devices | none | +support devices; +lines and tubes | No support devices
pacemaker; single chamber device; dual chamber device | Support Devices | none | a pacemaker
dai | Support Devices | none | an implanted defibrillator
central venous catheter; reservoir central venous catheter; central venous catheter via jugular
    vein; central venous catheter via subclavian vein | Support Devices | none | a central
    venous catheter
catheter | Support Devices | none | a catheter
endotracheal tube | Support Devices | none | an endotracheal tube
nsg tube | Support Devices | none | a nasogastric tube
chest drain tube | Support Devices | side | a chest drain tube
chest tube | Support Devices | side | a chest tube
tracheostomy tube | Support Devices | none | a tracheostomy tube
sternotomy | Support Devices | none | +sternotomy wires
metal; suture material; osteosynthesis material | Support Devices | none | +surgical hardware,
    sutures or clips
artificial heart valve; artificial aortic heart valve; artificial mitral heart valve | Support
    Devices | none | a prosthetic heart valve
no finding; normal | No Finding | none | +no abnormality
emphysema | - | lung | +emphysema; +emphysematous change
fibrosis; pulmonary fibrosis | - | lung | +fibrosis; +fibrotic change
hernia; hiatal hernia | - | none | a hiatal hernia; a hernia
calcification | - | lung | a calcification
aortic enlargement | - | none | +aortic enlargement; +enlargement of the aorta
enlarged pa; pulmonary artery enlargement | - | none | +enlargement of the pulmonary artery
copd; copd signs | - | none | +signs of COPD
lung cyst | - | lung | a lung cyst
mediastinal shift | - | none | +mediastinal shift
other lesion | - | none | an unspecified abnormality
other disease; other diseases | - | none | +signs of another disease
foreign object; foreign objects | - | object | a foreign object; a radiopaque foreign object
aortic elongation; supra aortic elongation; ascendent aortic elongation; descendent aortic
    elongation | - | none | +elongation of the aorta
aortic atheromatosis | - | none | +aortic atheromatosis
scoliosis | - | none | +scoliosis
kyphosis | - | none | +kyphosis
vertebral degenerative changes | - | none | +degenerative changes of the spine
hemidiaphragm elevation; diaphragmatic eventration | - | side | +elevation of the hemidiaphragm
hyperinflated lung; air trapping | - | none | +hyperinflation of the lungs
subcutaneous emphysema | - | side | +subcutaneous emphysema
bronchiectasis | - | lung | +bronchiectasis
calcified granuloma; granuloma | - | lung | a calcified granuloma
tuberculosis | - | lung | +tuberculosis
pseudonodule | - | lung | a pseudonodule
volume loss | - | lung | +volume loss
hypoexpansion basal | - | lung | +basal hypoexpansion
costophrenic angle blunting | - | side | +costophrenic angle blunting
hilar enlargement; vascular hilar enlargement | - | side | +hilar enlargement; an enlarged hilum
breast mass | - | side | a breast lump
mammary prosthesis | - | side | a breast implant
abnormal foreign body | - | object | an abnormal foreign body
external foreign body | - | object | an external foreign body
chilaiditi sign | - | none | +colonic interposition (Chilaiditi sign)
adenopathy | - | none | +enlarged lymph nodes (adenopathy)
calcified adenopathy | - | none | +calcified adenopathy
calcified mediastinal adenopathy | - | none | +calcified mediastinal adenopathy
aortic aneurysm | - | none | an aortic aneurysm
aortic button enlargement | - | none | +enlargement of the aortic knob (button)
aortic endoprosthesis | Support Devices | none | an aortic stent graft (endoprosthesis)
azygos lobe | - | none | an azygos lobe
air bronchogram | - | lung | +air bronchograms
air fluid level | - | side | an air-fluid level
abscess | - | lung | an abscess
bullas | - | lung | +bullae (bullas)
chronic changes | - | none | +chronic changes
dextrocardia | - | none | +dextrocardia
flattened diaphragm | - | none | +flattening of the diaphragm
goiter | - | none | a goiter
gynecomastia | - | side | +gynecomastia
heart valve calcified | - | none | +calcification of a heart valve
humeral fracture | Fracture | side | a humeral fracture
humeral prosthesis | Support Devices | side | a humeral prosthesis
hypoexpansion | - | none | +hypoexpansion of the lungs
mastectomy; surgery breast | - | side | +mastectomy; +changes after breast surgery
nipple shadow | - | side | a nipple shadow
osteopenia | - | none | +osteopenia
osteoporosis | - | none | +osteoporosis
pericardial effusion | - | none | a pericardial effusion
pneumomediastinum | - | none | +pneumomediastinum
pneumoperitoneo | - | none | +pneumoperitoneum
post radiotherapy changes | - | none | +changes after radiotherapy
pulmonary hypertension; pulmonary artery hypertension; pulmonary venous hypertension | - | none |
    +signs of pulmonary hypertension
right sided aortic arch | - | none | a right sided aortic arch
surgery | - | none | +changes after surgery
surgery heart | - | none | +changes after heart surgery
surgery humeral | - | none | +changes after humeral surgery
surgery lung | - | none | +changes after lung surgery
surgery neck | - | none | +changes after neck surgery
thoracic cage deformation | - | none | +deformation of the thoracic cage
tracheal shift | - | none | +tracheal shift
tuberculosis sequelae | - | none | +sequelae of tuberculosis
"""


@dataclass(frozen=True)
class Concept:
    """One finding: its key (the first name), its observation or None, and its words."""

    key: str
    observation: str | None
    placed: str
    nouns: tuple[str, ...]
    absent: tuple[str, ...]


@cache
def _concepts() -> dict[str, Concept]:
    found: dict[str, Concept] = {}
    for line in TABLE.replace("\n    ", " ").strip().splitlines():
        names, observation, placed, nouns, *absent = (part.strip() for part in line.split("|"))
        keys = _split(names)
        concept = Concept(
            keys[0],
            None if observation == "-" else observation,
            placed,
            _split(nouns),
            _split(absent[0]) if absent else (),
        )
        found.update(dict.fromkeys(keys, concept))
    return found


def find_concept(name: str) -> Concept | None:
    """The concept of a publisher's label, or None where the table has none."""
    return _concepts().get(name.lower().replace("_", " ").strip())


def _split(text: str) -> tuple[str, ...]:
    return tuple(part for part in (item.strip() for item in text.split(";")) if part)
