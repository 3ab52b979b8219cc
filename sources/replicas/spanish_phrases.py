"""Spanish sentences, and the PadChest labels and places, of each kind of finding.

Keys are those of ``wording_phrases.phrase_key``. Slots: ``{side}`` and ``{zone}`` masculine,
``{side_feminine}``, ``{zones}`` plural, ``{place}`` zone and side, ``{degree}`` and
``{degree_feminine}``.
"""

from __future__ import annotations

SIDES = {"left": "izquierdo", "right": "derecho", "bilateral": "bilateral"}
ZONES = {"upper": "superior", "middle": "medio", "lower": "inferior"}
DEGREES = {
    "small": ("leve", "leve"),
    "moderate": ("moderado", "moderada"),
    "large": ("severo", "severa"),
}
"""Degrees, masculine and feminine."""

POSITIVE: dict[str, tuple[str, ...]] = {
    "cardiomegaly": (
        "Cardiomegalia {degree_feminine}.",
        "Se observa cardiomegalia {degree_feminine}.",
    ),
    "enlarged mediastinum": ("Ensanchamiento mediastínico.", "Mediastino superior ensanchado."),
    "pleural effusion": (
        "Derrame pleural {side} {degree}.",
        "Se observa derrame pleural {degree} {side}.",
    ),
    "pleural effusion bilateral": ("Derrame pleural bilateral {degree}.",),
    "pleural effusion lateral": (
        "Derrame pleural posterior leve visible solo en la proyección lateral.",
    ),
    "pneumothorax": ("Neumotórax {side} {degree}.", "Se observa neumotórax {degree} {side}."),
    "consolidation": ("Consolidación en {place}.", "Condensación en {place}."),
    "lung opacity": ("Aumento de densidad en {place}.", "Opacidad mal definida en {place}."),
    "lung opacity bilateral": ("Opacidades mal definidas en ambos campos {zones}.",),
    "nodule small": ("Nódulo pulmonar en {place}.", "Pequeño nódulo en {place}."),
    "nodule large": ("Masa pulmonar en {place}.", "Se observa una masa en {place}."),
    "nodule lateral": ("Nódulo retrocardiaco visible solo en la proyección lateral.",),
    "edema": ("Edema pulmonar {degree}.", "Edema pulmonar perihiliar {degree}."),
    "atelectasis linear": ("Atelectasia laminar basal {side_feminine}.",),
    "atelectasis linear bilateral": ("Atelectasias laminares en ambas bases.",),
    "atelectasis lobar": ("Atelectasia del lóbulo inferior {side} con pérdida de volumen.",),
    "atelectasis lobar bilateral": ("Atelectasia de ambos lóbulos inferiores.",),
    "pleural thickening": ("Engrosamiento pleural apical {side}.",),
    "rib fracture": ("Fractura desplazada de una costilla {zone} {side_feminine}.",),
    "endotracheal tube": ("Tubo endotraqueal por encima de la carina.",),
    "central line": ("Catéter venoso central {side} con extremo en vena cava superior.",),
    "pacemaker": ("Marcapasos {side}.", "Portador de marcapasos {side}."),
    "chest tube": ("Tubo de drenaje torácico {side}.",),
    "coin": ("Cuerpo extraño metálico redondo sobre {place}.",),
    "button": ("Botón metálico proyectado sobre {place}.",),
    "pin": ("Alfiler metálico proyectado sobre {place}.",),
    "necklace": ("Collar metálico proyectado sobre el cuello.",),
}

NORMAL = (
    "Sin hallazgos significativos.",
    "Sin hallazgos patológicos.",
    "Radiografía de tórax sin alteraciones.",
)

NEGATIVE = (
    ("pleural effusion", "No se observa derrame pleural."),
    ("pneumothorax", "No se observa neumotórax."),
    ("cardiomegaly", "Silueta cardiaca de tamaño normal."),
    ("consolidation", "No se observan consolidaciones."),
)

LABELS: dict[str, tuple[str, ...]] = {
    "cardiomegaly": ("cardiomegaly",),
    "enlarged mediastinum": ("mediastinal enlargement",),
    "pleural effusion": ("pleural effusion",),
    "pleural effusion bilateral": ("pleural effusion",),
    "pleural effusion lateral": ("pleural effusion",),
    "pneumothorax": ("pneumothorax",),
    "consolidation": ("consolidation",),
    "lung opacity": ("increased density",),
    "lung opacity bilateral": ("increased density",),
    "nodule small": ("nodule",),
    "nodule large": ("pulmonary mass",),
    "nodule lateral": ("nodule",),
    "edema": ("pulmonary edema",),
    "atelectasis linear": ("laminar atelectasis",),
    "atelectasis linear bilateral": ("laminar atelectasis",),
    "atelectasis lobar": ("lobar atelectasis", "volume loss"),
    "atelectasis lobar bilateral": ("lobar atelectasis",),
    "pleural thickening": ("apical pleural thickening",),
    "rib fracture": ("rib fracture",),
    "endotracheal tube": ("endotracheal tube",),
    "central line": ("central venous catheter",),
    "pacemaker": ("pacemaker",),
    "chest tube": ("chest drain tube",),
    "coin": ("external foreign body",),
    "button": ("external foreign body",),
    "pin": ("external foreign body",),
    "necklace": ("external foreign body",),
}

PLACES: dict[str, tuple[str, ...]] = {
    "cardiomegaly": ("cardiac",),
    "enlarged mediastinum": ("mediastinum",),
    "pleural effusion": ("pleural",),
    "pneumothorax": ("pleural",),
    "edema": ("perihilar",),
    "atelectasis": ("basal",),
    "pleural thickening": ("apical",),
    "rib fracture": ("rib",),
    "endotracheal tube": ("tracheal",),
    "central line": ("superior cave vein",),
    "coin": ("extracorporal",),
    "button": ("extracorporal",),
    "pin": ("extracorporal",),
    "necklace": ("cervical",),
}
"""Places beside zone and side, by kind or else by name."""
