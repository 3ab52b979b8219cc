"""Spanish for the second corruption set: a sentence, its English, and the English with one mistake.

Written by hand, before the checks were read; hospital Spanish beyond the replica's phrases.
"""

from __future__ import annotations

from second_set_world import Phrase, phrase

PHRASES: tuple[Phrase, ...] = (
    phrase(
        "Pinzamiento del seno costofrénico izquierdo.",
        "Blunting of the left costophrenic angle.",
        side="Blunting of the right costophrenic angle.",
    ),
    phrase(
        "No se identifican infiltrados ni condensaciones.",
        "No infiltrates or consolidations are identified.",
        denial="Infiltrates and consolidations are identified.",
    ),
    phrase(
        "Cardiomegalia moderada con signos de redistribución vascular.",
        "Moderate cardiomegaly with signs of vascular redistribution.",
        comparison="Unchanged moderate cardiomegaly with signs of vascular redistribution.",
    ),
    phrase(
        "Nódulo de 12 mm en lóbulo superior derecho.",
        "A 12 mm nodule in the right upper lobe.",
        side="A 12 mm nodule in the left upper lobe.",
        number="A 21 mm nodule in the right upper lobe.",
    ),
    phrase(
        "Aorta elongada y calcificada.",
        "Elongated and calcified aorta.",
        comparison="Elongated and calcified aorta, stable.",
    ),
    phrase(
        "Sin evidencia de neumotórax.",
        "No evidence of pneumothorax.",
        denial="Evidence of pneumothorax.",
    ),
    phrase(
        "Atelectasia subsegmentaria en base derecha.",
        "Subsegmental atelectasis at the right base.",
        side="Subsegmental atelectasis at the left base.",
    ),
    phrase(
        "Elevación del hemidiafragma derecho.",
        "Elevation of the right hemidiaphragm.",
        side="Elevation of the left hemidiaphragm.",
    ),
    phrase(
        "Fractura del 7.º arco costal izquierdo.",
        "Fracture of the 7th left rib.",
        side="Fracture of the 7th right rib.",
        number="Fracture of the 8th left rib.",
    ),
    phrase(
        "Catéter venoso central por vía yugular derecha.",
        "Right jugular central venous catheter.",
        side="Left jugular central venous catheter.",
    ),
    phrase(
        "Tubo endotraqueal a 3,5 cm de la carina.",
        "Endotracheal tube 3.5 cm above the carina.",
        number="Endotracheal tube 5.3 cm above the carina.",
    ),
    phrase(
        "Ausencia de derrame pleural.",
        "Absence of pleural effusion.",
        denial="Presence of pleural effusion.",
    ),
    phrase(
        "Engrosamiento pleural apical bilateral.",
        "Bilateral apical pleural thickening.",
        side="Left apical pleural thickening.",
    ),
    phrase(
        "Escoliosis dorsal de convexidad derecha.",
        "Right convex thoracic scoliosis.",
        side="Left convex thoracic scoliosis.",
    ),
    phrase(
        "Hernia de hiato.",
        "Hiatal hernia.",
        comparison="Stable hiatal hernia.",
    ),
    phrase(
        "No se observan lesiones óseas agudas.",
        "No acute bone lesions are seen.",
        denial="Acute bone lesions are seen.",
    ),
    phrase(
        "Granuloma calcificado de 4 mm en campo medio izquierdo.",
        "A 4 mm calcified granuloma in the left mid lung field.",
        side="A 4 mm calcified granuloma in the right mid lung field.",
        number="A 14 mm calcified granuloma in the left mid lung field.",
    ),
    phrase(
        "Marcapasos bicameral con electrodos en aurícula y ventrículo derechos.",
        "Dual-chamber pacemaker with leads in the right atrium and ventricle.",
        side="Dual-chamber pacemaker with leads in the left atrium and ventricle.",
    ),
    phrase(
        "Patrón intersticial bilateral de predominio basal.",
        "Bilateral interstitial pattern, predominantly basal.",
        side="Right interstitial pattern, predominantly basal.",
    ),
    phrase(
        "Silueta cardiomediastínica normal.",
        "Normal cardiomediastinal silhouette.",
    ),
    phrase(
        "Senos costofrénicos libres.",
        "The costophrenic angles are free.",
    ),
    phrase(
        "Derrame pleural derecho que ha aumentado respecto al control previo.",
        "Right pleural effusion that has increased compared with the previous study.",
        side="Left pleural effusion that has increased compared with the previous study.",
    ),
    phrase(
        "Hilios de aspecto vascular, no aumentados de tamaño.",
        "Vascular-appearing hila, not increased in size.",
        denial="Vascular-appearing hila, increased in size.",
    ),
    phrase(
        "Cambios degenerativos en la columna dorsal.",
        "Degenerative changes in the thoracic spine.",
        comparison="Worsening degenerative changes in the thoracic spine.",
    ),
    phrase(
        "Sonda nasogástrica con extremo en estómago.",
        "Nasogastric tube with its tip in the stomach.",
        number="Nasogastric tube with its tip 5 cm below the diaphragm.",
    ),
    phrase(
        "No hay signos de insuficiencia cardiaca.",
        "There are no signs of heart failure.",
        denial="There are signs of heart failure.",
    ),
    phrase(
        "Opacidad mal definida en língula, a valorar proceso neumónico.",
        "Ill-defined opacity in the lingula, consider a pneumonic process.",
        comparison="New ill-defined opacity in the lingula, consider a pneumonic process.",
    ),
    phrase(
        "Bullas en ambos lóbulos superiores.",
        "Bullae in both upper lobes.",
        side="Bullae in the right upper lobe.",
    ),
)

ADDED = (
    "Small left pneumothorax.",
    "Cardiomegaly is present.",
    "Multiple pulmonary nodules.",
    "No rib fractures.",
    "There is consolidation in the right lower lobe.",
    "Pulmonary edema.",
)
