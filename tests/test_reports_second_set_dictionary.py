"""Offline translation of hospital Spanish that was written without a look at the dictionary."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from second_set_spanish import PHRASES
from second_set_world import Phrase

from sources.replicas.spanish import stem_report
from tasks.reports.fidelity_translated import check_translated
from tasks.reports.offline_spanish import SPANISH
from tasks.reports.offline_translate import translate_text

SAME_IN_STEMS = (
    ("Imagen nodular de 9 mm en LSD.", "Nodular image of 9 mm in the right upper lobe."),
    ("Derrame pleural izquierdo de pequeña cuantía.", "Left pleural effusion of small amount."),
    ("Elevación del hemidiafragma derecho.", "Elevation of the right hemidiaphragm."),
    ("Aorta elongada y calcificada.", "Elongated and calcified aorta."),
    ("Adenopatías hiliares bilaterales.", "Bilateral hilar adenopathies."),
    ("Neumoperitoneo no valorable en esta proyección.",
     "Pneumoperitoneum not assessable in this projection."),
    ("Cardiomegalia global.", "Global cardiomegaly."),
    ("Patrón intersticial bilateral de predominio basal.",
     "Bilateral interstitial pattern predominantly basal."),
    ("Hilios de aspecto vascular no aumentados de tamaño.",
     "Hila of vascular appearance not increased in size."),
    ("Granuloma calcificado de 4 mm en campo medio izquierdo.",
     "Calcified granuloma of 4 mm in the left middle field."),
    ("Sin cambios significativos respecto al estudio previo.",
     "No significant changes compared to the previous study."),
    ("Ha desaparecido el derrame pleural derecho.", "Resolved right pleural effusion."),
    ("Silueta cardiomediastínica normal.", "Normal cardiomediastinal silhouette."),
    ("Tráquea desviada hacia la derecha.", "Trachea deviated to the right."),
    ("Consolidación parcheada en ambas bases pulmonares.",
     "Patchy consolidation at both pulmonary bases."),
    ("Enfisema subcutáneo en pared torácica izquierda.",
     "Subcutaneous emphysema in the left chest wall."),
    ("Fractura antigua de clavícula izquierda.", "Old fracture of the left clavicle."),
    ("Fractura del 7.º arco costal izquierdo.", "Fracture of the 7th left rib."),
    ("Tubo de drenaje pleural izquierdo.", "Left pleural drainage tube."),
    ("Mastectomía derecha.", "Right mastectomy."),
    ("Bullas en ambos lóbulos superiores.", "Bullae in both upper lobes."),
    ("No se descarta pequeño derrame pleural izquierdo.",
     "Cannot exclude small left pleural effusion."),
    ("Escoliosis dorsal de convexidad derecha.", "Thoracic scoliosis of right convexity."),
    ("Calcificación del botón aórtico.", "Calcification of the aortic knob."),
)  # fmt: skip
WORDS_ONLY = (
    ("Tubo endotraqueal a 3,5 cm de la carina.", "Endotracheal tube 3.5 cm from the carina."),
    ("Sin infiltrados, derrame ni neumotórax.", "No infiltrates, effusion or pneumothorax."),
    ("Masa de 10,25 cm.", "Mass of 10.25 cm."),
    ("Fractura del 1.º y 2.º arcos costales.", "Fracture of 1st and 2nd ribs."),
    ("Fractura del 11.º arco costal derecho.", "Fracture of the 11th right rib."),
    ("Nódulo en LSI; derrame en LID.",
     "Nodule in the left upper lobe. Effusion in the right lower lobe."),
)  # fmt: skip


@pytest.mark.parametrize(("spanish", "english"), SAME_IN_STEMS)
def test_words_and_stems_read_alike(spanish: str, english: str) -> None:
    assert translate_text(spanish, SPANISH) == english
    assert translate_text(stem_report((spanish,)), SPANISH) == english


@pytest.mark.parametrize(("spanish", "english"), WORDS_ONLY)
def test_what_stems_have_lost(spanish: str, english: str) -> None:
    assert translate_text(spanish, SPANISH) == english


@pytest.mark.parametrize("stems", [False, True], ids=["words", "stems"])
@pytest.mark.parametrize("phrase", PHRASES, ids=lambda phrase: phrase.english[:30])
def test_the_rules_pass_their_own_checks(phrase: Phrase, stems: bool) -> None:
    spanish = phrase.written
    source = stem_report((spanish,)) if stems else spanish
    english = translate_text(source, SPANISH)
    assert english is not None
    assert check_translated({"findings": source}, {"findings": english}, "es") is None, english


@settings(max_examples=60, deadline=None)
@given(st.lists(st.sampled_from(PHRASES), min_size=1, max_size=8))
def test_a_report_is_its_sentences_in_order(phrases: list[Phrase]) -> None:
    spanish = [phrase.written for phrase in phrases]
    parts = [translate_text(text, SPANISH) for text in spanish]
    assert translate_text(" ".join(spanish), SPANISH) == " ".join(part or "" for part in parts)


@settings(max_examples=100, deadline=None)
@given(st.text(max_size=80))
def test_any_text_gives_a_sentence_or_nothing(text: str) -> None:
    english = translate_text(text, SPANISH)
    assert english is None or (english.endswith(".") and english.strip())


UNKNOWN = ("ecocardiograma", "zarambol", "quilotorax")


@pytest.mark.parametrize("word", UNKNOWN)
def test_a_word_that_is_not_known_stays(word: str) -> None:
    english = translate_text(f"Derrame pleural y {word} izquierdo.", SPANISH)
    assert english is not None and word in english and "left" in english
