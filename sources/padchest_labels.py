"""PadChest's label strings and the CheXpert observation that each stands for.

Rule: a string is mapped where the CheXpert labeler's definition (mention phrases of its 14
observations) or the clinical hierarchy makes it an instance of that observation; nothing is
derived upwards (pneumonia does not also set Lung Opacity), because CheXpert's own labels are not.
Strings without a counterpart (scoliosis, hiatal hernia, calcified granuloma …) set no observation;
they stay in ``source_labels``, as all strings do. ``normal`` alone is No Finding. Nothing is
negative: PadChest lists what is there. A differential diagnosis is what the report says, hence
positive, but for the ones that a film suggests and cannot show (UNCERTAIN below).

The vocabulary is the one of the published tree (source_formats, appendix A) and of its older
spellings; ``KNOWN`` holds all of it so that a test can tell a new string from an unmapped one.
"""

from __future__ import annotations

from typing import Final

from sources.record import OBSERVATIONS, LabelValue

NORMAL: Final = "normal"
EXCLUDE: Final = "exclude"
SUBOPTIMAL: Final = "suboptimal study"

POSITIVE: Final[dict[str, str]] = {
    "Enlarged Cardiomediastinum": """
        mediastinal enlargement | superior mediastinal enlargement | mediastinal mass
    """,
    "Cardiomegaly": "cardiomegaly",
    "Lung Opacity": """
        alveolar pattern | infiltrates | increased density | ground glass pattern
        interstitial pattern | reticular interstitial pattern
        reticulonodular interstitial pattern | miliary opacities | air bronchogram
        fibrotic band | pulmonary fibrosis | post radiotherapy changes
        tuberculosis sequelae | lymphangitis carcinomatosa
    """,
    "Lung Lesion": """
        mass | pulmonary mass | nodule | multiple nodules | cavitation | abscess
        lung metastasis | lepidic adenocarcinoma
    """,
    "Edema": """
        pulmonary edema | kerley lines | heart insufficiency | vascular redistribution
        central vascular redistribution | hilar congestion | pulmonary venous hypertension
    """,
    "Consolidation": "consolidation",
    "Pneumonia": "pneumonia | atypical pneumonia",
    "Atelectasis": """
        atelectasis | atelectasis basal | laminar atelectasis | lobar atelectasis
        round atelectasis | segmental atelectasis | total atelectasis
        basal atelectasis
    """,
    "Pneumothorax": "pneumothorax | hydropneumothorax",
    "Pleural Effusion": """
        pleural effusion | loculated pleural effusion | loculated fissural effusion
        hydropneumothorax | hemothorax | empyema
    """,
    "Pleural Other": """
        pleural thickening | apical pleural thickening | calcified pleural thickening
        pleural plaques | calcified pleural plaques | pleural mass | fissure thickening
        major fissure thickening | minor fissure thickening | asbestosis signs
    """,
    "Fracture": """
        fracture | rib fracture | clavicle fracture | humeral fracture | vertebral fracture
        callus rib fracture | vertebral compression | vertebral anterior compression
    """,
    "Support Devices": """
        pacemaker | single chamber device | dual chamber device | electrical device | dai
        catheter | central venous catheter | central venous catheter via jugular vein
        central venous catheter via subclavian vein | central venous catheter via umbilical vein
        reservoir central venous catheter | endotracheal tube | tracheostomy tube | NSG tube
        chest drain tube | gastrostomy tube | nephrostomy tube | double J stent | stent
        ventriculoperitoneal drain tube | aortic endoprosthesis | endoprosthesis
        artificial heart valve | artificial aortic heart valve | artificial mitral heart valve
        osteosynthesis material | prosthesis | humeral prosthesis | sternotomy | suture material
        metal | tube
    """,
}
"""Observation -> PadChest strings separated by bars or line ends. Vertebral compression is a
compression fracture in the reports of the field; sternotomy means its wires, which the CheXpert
labeler counts as devices; hydropneumothorax is two observations."""

UNCERTAIN: Final[dict[str, str]] = {
    "Enlarged Cardiomediastinum": "aortic aneurysm | mediastinic lipomatosis | goiter",
    "Pneumonia": "tuberculosis",
    "Pleural Effusion": "costophrenic angle blunting",
    "Atelectasis": "hypoexpansion basal | volume loss",
    "Lung Lesion": "pseudonodule",
}
"""Blunting is effusion or thickening; basal hypoexpansion and volume loss are atelectasis, scars
or a shallow breath; a pseudonodule resembles a nodule; tuberculosis is infection, active or not; an
aneurysm, fat or a goiter may widen the mediastinum."""

UNMAPPED: Final = """
    abnormal foreign body | adenopathy | air fluid level | air trapping | aortic atheromatosis
    aortic button enlargement | aortic elongation | ascendent aortic elongation
    axial hyperostosis | azygoesophageal recess shift | azygos lobe | blastic bone lesion
    bone cement | bone metastasis | breast mass | bronchiectasis | bronchovascular markings
    bullas | calcified adenopathy | calcified densities | calcified fibroadenoma
    calcified granuloma | calcified mediastinal adenopathy | cervical rib | Chilaiditi sign
    chronic changes | COPD signs | costochondral junction hypertrophy | cyst
    descendent aortic elongation | dextrocardia | diaphragmatic eventration
    differential diagnosis | emphysema | end on vessel | esophagic dilatation
    external foreign body | flattened diaphragm | granuloma | gynecomastia
    heart valve calcified | hemidiaphragm elevation | hiatal hernia | hilar enlargement
    hyperinflated lung | hypoexpansion | kyphosis | lung vascular paucity | lytic bone lesion
    mammary prosthesis | mastectomy | mediastinal shift | nipple shadow
    non axial articular degenerative changes | obesity | osteopenia | osteoporosis
    pectum carinatum | pectum excavatum | pericardial effusion | pneumomediastinum
    pneumoperitoneo | pulmonary artery enlargement | pulmonary artery hypertension
    pulmonary hypertension | radiological finding | respiratory distress
    right sided aortic arch | sclerotic bone lesion | scoliosis | soft tissue mass
    sternoclavicular junction hypertrophy | subacromial space narrowing
    subcutaneous emphysema | supra aortic elongation | surgery | surgery breast
    surgery heart | surgery humeral | surgery lung | surgery neck
    thoracic cage deformation | tracheal shift | vascular hilar enlargement
    vertebral degenerative changes | normal | exclude | suboptimal study | unchanged
"""
"""Granuloma is left out of Lung Lesion because PadChest's are nearly all old and calcified, which
the CheXpert labeler's users do not count as a lesion (our choice); mammary prosthesis is an implant
and no support device; a pericardial effusion is not seen as such on the heart's outline."""


def _strings(block: str) -> tuple[str, ...]:
    lines = block.replace("\n", "|").split("|")
    return tuple(text for text in (part.strip() for part in lines) if text)


def mapping() -> list[tuple[str, str, str]]:
    """(PadChest string, observation, value) triples, in the order of the tables above."""
    tables = ((POSITIVE, LabelValue.POSITIVE), (UNCERTAIN, LabelValue.UNCERTAIN))
    return [
        (text, observation, str(value))
        for table, value in tables
        for observation, block in table.items()
        for text in _strings(block)
    ]


KNOWN: Final[frozenset[str]] = frozenset(_strings(UNMAPPED)) | {item[0] for item in mapping()}

DEVICES: Final[frozenset[str]] = frozenset(_strings(POSITIVE["Support Devices"]))
"""Strings that leave No Finding true beside ``normal``, as the CheXpert labeler has it."""

assert {*POSITIVE, *UNCERTAIN} < set(OBSERVATIONS)
