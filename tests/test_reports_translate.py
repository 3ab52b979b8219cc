"""The offline rules for Spanish: whole words and PadChest's stems read alike."""

from __future__ import annotations

import pytest

from tasks.reports.offline_lexicon import entries_of, find_phrase, find_word
from tasks.reports.offline_spanish import SPANISH
from tasks.reports.offline_translate import translate, translate_text
from tasks.reports.wording import fold


@pytest.mark.parametrize(
    ("spanish", "english"),
    [
        (" sin hallazg signific . cardiomegali . ", "No significant findings. Cardiomegaly."),
        ("derram pleural izquierd .", "Left pleural effusion."),
        ("Derrame pleural izquierdo.", "Left pleural effusion."),
        ("Pequeño derrame pleural derecho.", "Small right pleural effusion."),
        ("no se observ infiltr ni derram .", "No infiltrates or effusion."),
        ("No se observan consolidaciones.", "No consolidations."),
        ("siluet cardiac de taman normal .", "Cardiac silhouette of normal size."),
        ("Silueta cardíaca de tamaño normal.", "Cardiac silhouette of normal size."),
        ("nodul pulmon de 12 mm en lobul superior izquierd .",
         "Pulmonary nodule of 12 mm in the left upper lobe."),
        ("infiltr intersticial y alveol bilateral .",
         "Bilateral interstitial and alveolar infiltrates."),
        ("aument de densid en bas derech , sugest de neumoni .",
         "Increased density at the right base, suggestive of pneumonia."),
        ("no se pued descart derram .", "Cannot exclude effusion."),
        ("condens en camp medi izquierd posibl neumon .",
         "Consolidation in the left middle field, possible pneumonia."),
        ("catet venos central derech con extrem en ven cav superior .",
         "Right central venous catheter with tip in the superior vena cava."),
        ("tub endotraqueal por encim de la carin .", "Endotracheal tube above the carina."),
        ("pinz sen costofren", "Pinz the costophrenic angles."),
        ("pinzamient del sen costofren izquierd .", "Blunting of the left costophrenic angle."),
        ("sign de epoc .", "Signs of COPD."),
        ("herni de hiat .", "Hiatal hernia."),
        ("cambi degener en column dorsal .", "Degenerative changes in the thoracic spine."),
        ("neumotorax apical derech sin desviacion mediastin .",
         "Right apical pneumothorax without mediastinal deviation."),
        ("atelectasi lamin basal bilateral .", "Bilateral basal laminar atelectasis."),
        ("sin cambi respect a estudi previ .", "No changes compared to the previous study."),
        ("marcapas bicameral .", "Dual chamber pacemaker."),
        ("fractur de arc costal izquierd", "Fracture of a left rib."),
        ("ambos hemitorax", "Both hemithoraces."),
        ("radiograf de torax sin alter .", "Chest radiograph without abnormalities."),
        ("portador de marcapas izquierd .", "Left pacemaker."),
        ("boton metal proyect sobr camp medi derech .",
         "Metallic button projecting over the right middle field."),
        ("mediastin superior ensanch .", "Widened upper mediastinum."),
        ("Opacidades en vidrio deslustrado bilaterales.",
         "Bilateral ground-glass opacities."),
        ("Derrame pleural a la derecha.", "Pleural effusion on the right."),
        ("Silueta cardiaca aumentada.", "Enlarged cardiac silhouette."),
        ("Hilios de tamaño y morfología normales.", "Hila of normal size and morphology."),
        ("Persiste el derrame.", "Persistent effusion."),
    ],
)  # fmt: skip
def test_sentences(spanish: str, english: str) -> None:
    assert translate_text(spanish, SPANISH) == english


@pytest.mark.parametrize("text", ["", " . . . ", "\n"])
def test_nothing_stays_nothing(text: str) -> None:
    assert translate_text(text, SPANISH) is None


def test_unknown_words_and_numbers_stay() -> None:
    assert translate_text("zarambol de 3,5 cm .", SPANISH) == "Zarambol of 3.5 cm."


def test_sections_are_translated_one_by_one() -> None:
    answer = translate(
        {"language": "es", "sections": {"findings": "cardiomegali .", "impression": "normal ."}}
    )
    assert answer == {
        "indication": None,
        "technique": None,
        "comparison": None,
        "findings": "Cardiomegaly.",
        "impression": "Normal.",
    }


@pytest.mark.parametrize(
    ("forms", "english"),
    [
        ("izquierdo izquierda izquierdos izquierdas izquierd", "left"),
        ("derecho derecha derech dcha", "right"),
        ("derrame derrames derram", "effusion"),
        ("infiltrado infiltrados infiltr infiltración", "infiltrate"),
        ("cardiomegalia cardiomegali", "cardiomegaly"),
        ("neumonía neumoni neumon", "pneumonia"),
        ("consolidación consolidaciones consolid", "consolidation"),
        ("atelectasia atelectasias atelectasi", "atelectasis"),
        ("costillas costill", "rib"),
        ("severo severa sever", "severe"),
    ],
)
def test_all_forms_of_a_word_are_one_entry(forms: str, english: str) -> None:
    for form in forms.split():
        word = find_word(SPANISH, fold(form))
        assert word is not None and word.english == english, form


@pytest.mark.parametrize("word", ["xilofono", "bastante", "qqq", "3"])
def test_other_words_have_no_entry(word: str) -> None:
    assert find_word(SPANISH, word) is None


def test_longest_phrase_wins() -> None:
    found = find_phrase(SPANISH, ("no", "se", "pued", "descart", "derram"))
    assert found is not None
    assert (found[0].english, found[1]) == ("cannot exclude", 4)
    assert find_phrase(SPANISH, ("derram", "pleural")) is None


def test_accents_and_tildes_are_folded() -> None:
    assert fold("Pequeño NÓDULO") == "pequeno nodulo"


def test_the_dictionary_is_one_of_stems() -> None:
    entries = entries_of(SPANISH)
    assert len(entries) > 400
    assert all(word.english for word in entries.values() if word.kind != "X")
    assert {word.kind for word in entries.values()} == set("NLAQSRDX")
    assert all(stem == fold(stem) for stem in entries)
