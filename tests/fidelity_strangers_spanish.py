"""Spanish for the third and fourth corruption sets: a sentence, its English, and the English with
one mistake.

By whom and when they were written, and what was tuned on them: ``fidelity_strangers``.
"""

from __future__ import annotations

from second_set_world import Phrase, phrase

THIRD: tuple[Phrase, ...] = (
    phrase(
        "Catéter venoso central de acceso yugular derecho con extremo en vena cava superior.",
        "Central venous catheter with right jugular access and its tip in the superior vena cava.",
        side="Central venous catheter with left jugular access "
        "and its tip in the superior vena cava.",
    ),
    phrase(
        "No se aprecian signos de derrame pleural.",
        "No signs of pleural effusion are seen.",
        denial="Signs of pleural effusion are seen.",
    ),
    phrase(
        "Nódulo de 8 mm en el lóbulo superior izquierdo.",
        "An 8 mm nodule in the left upper lobe.",
        side="An 8 mm nodule in the right upper lobe.",
        number="An 18 mm nodule in the left upper lobe.",
        denial="No 8 mm nodule in the left upper lobe.",
    ),
    phrase(
        "Pinzamiento del seno costofrénico izquierdo en probable relación con derrame.",
        "Blunting of the left costophrenic angle, probably related to an effusion.",
        side="Blunting of the right costophrenic angle, probably related to an effusion.",
    ),
    phrase(
        "Aumento de densidad retrocardíaco sugestivo de consolidación.",
        "Retrocardiac increase in density suggestive of consolidation.",
        denial="No retrocardiac increase in density to suggest consolidation.",
    ),
    phrase(
        "Índice cardiotorácico aumentado.",
        "Increased cardiothoracic index.",
        denial="The cardiothoracic index is not increased.",
    ),
    phrase(
        "Hilios de tamaño normal.",
        "Hila of normal size.",
        denial="Hila of abnormal size.",
    ),
    phrase(
        "Fracturas antiguas del sexto y séptimo arcos costales derechos.",
        "Old fractures of the right sixth and seventh ribs.",
        side="Old fractures of the left sixth and seventh ribs.",
        number="Old fractures of the right fourth and fifth ribs.",
    ),
    phrase(
        "Elevación del hemidiafragma derecho.",
        "Elevation of the right hemidiaphragm.",
        side="Elevation of the left hemidiaphragm.",
        denial="No elevation of the right hemidiaphragm.",
    ),
    phrase(
        "Marcapasos bicameral con electrodos en aurícula y ventrículo derechos.",
        "Dual-chamber pacemaker with leads in the right atrium and ventricle.",
        side="Dual-chamber pacemaker with leads in the left atrium and ventricle.",
    ),
    phrase(
        "Sin evidencia de neumotórax.",
        "Without evidence of pneumothorax.",
        denial="With evidence of pneumothorax.",
    ),
    phrase(
        "Infiltrado alveolar en base pulmonar derecha.",
        "Alveolar infiltrate in the right lung base.",
        side="Alveolar infiltrate in the left lung base.",
        denial="No alveolar infiltrate in the right lung base.",
    ),
    phrase(
        "Cambios degenerativos en columna dorsal.",
        "Degenerative changes in the thoracic spine.",
        denial="No degenerative changes in the thoracic spine.",
    ),
    phrase(
        "Tubo endotraqueal a 5 cm de la carina.",
        "Endotracheal tube 5 cm from the carina.",
        number="Endotracheal tube 2 cm from the carina.",
    ),
    phrase(
        "Engrosamiento pleural apical bilateral de aspecto residual.",
        "Bilateral apical pleural thickening of residual appearance.",
        denial="No bilateral apical pleural thickening.",
    ),
    phrase(
        "Hernia de hiato.",
        "Hiatal hernia.",
        denial="No hiatal hernia.",
    ),
    phrase(
        "Signos de atrapamiento aéreo compatibles con EPOC.",
        "Signs of air trapping consistent with COPD.",
        denial="No signs of air trapping or COPD.",
    ),
    phrase(
        "Elongación aórtica.",
        "Aortic elongation.",
        denial="No aortic elongation.",
    ),
    phrase(
        "Atelectasia laminar en el lóbulo medio.",
        "Laminar atelectasis in the middle lobe.",
        denial="No laminar atelectasis in the middle lobe.",
    ),
    phrase(
        "Silueta cardiomediastínica sin alteraciones.",
        "Cardiomediastinal silhouette without abnormalities.",
        denial="Cardiomediastinal silhouette with abnormalities.",
    ),
    phrase(
        "Escoliosis dorsal de convexidad derecha.",
        "Thoracic scoliosis convex to the right.",
        side="Thoracic scoliosis convex to the left.",
    ),
    phrase(
        "Prótesis mamaria izquierda.",
        "Left breast prosthesis.",
        side="Right breast prosthesis.",
    ),
)

FOURTH: tuple[Phrase, ...] = (
    phrase(
        "Pequeña cámara de neumotórax apical izquierdo.",
        "Small left apical pneumothorax.",
        side="Small right apical pneumothorax.",
        denial="No left apical pneumothorax.",
    ),
    phrase(
        "Opacidad en lóbulo inferior derecho que podría corresponder a neumonía.",
        "Opacity in the right lower lobe that could correspond to pneumonia.",
        side="Opacity in the left lower lobe that could correspond to pneumonia.",
        denial="No opacity in the right lower lobe.",
    ),
    phrase(
        "No hay consolidaciones.",
        "There are no consolidations.",
        denial="There are consolidations.",
    ),
    phrase(
        "Senos costofrénicos libres.",
        "Clear costophrenic angles.",
        denial="Blunted costophrenic angles.",
    ),
    phrase(
        "Dos granulomas calcificados en ápex derecho.",
        "Two calcified granulomas in the right apex.",
        number="Four calcified granulomas in the right apex.",
        side="Two calcified granulomas in the left apex.",
    ),
    phrase(
        "Clavícula izquierda con callo de fractura.",
        "Left clavicle with a fracture callus.",
        side="Right clavicle with a fracture callus.",
    ),
    phrase(
        "Masa de 3,2 cm en hilio derecho.",
        "A 3.2 cm mass in the right hilum.",
        number="A 2.3 cm mass in the right hilum.",
        side="A 3.2 cm mass in the left hilum.",
        denial="No 3.2 cm mass in the right hilum.",
    ),
    phrase(
        "Redistribución vascular.",
        "Vascular redistribution.",
        denial="No vascular redistribution.",
    ),
    phrase(
        "Aplastamiento de la octava vértebra dorsal.",
        "Collapse of the eighth thoracic vertebra.",
        number="Collapse of the sixth thoracic vertebra.",
        denial="No collapse of the eighth thoracic vertebra.",
    ),
    phrase(
        "Sonda nasogástrica con extremo en estómago.",
        "Nasogastric tube with its tip in the stomach.",
    ),
    phrase(
        "Mediastino de anchura normal.",
        "Mediastinum of normal width.",
        denial="Widened mediastinum.",
    ),
    phrase(
        "Patrón intersticial bibasal.",
        "Bibasal interstitial pattern.",
        denial="No bibasal interstitial pattern.",
    ),
    phrase(
        "Callos costales izquierdos.",
        "Left rib calluses.",
        side="Right rib calluses.",
    ),
    phrase(
        "Botón aórtico prominente.",
        "Prominent aortic knob.",
        denial="The aortic knob is not prominent.",
    ),
)
