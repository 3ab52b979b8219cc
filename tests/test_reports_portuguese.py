"""The offline rules for Portuguese: words of Brazil and Portugal, with and without accents."""

from __future__ import annotations

import re
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from second_set_portuguese import PHRASES
from second_set_world import Phrase

from evaluation.labeler import label_report
from tasks.reports.fidelity_translated import check_translated
from tasks.reports.offline_lexicon import KINDS, entries_of, find_phrase, find_word
from tasks.reports.offline_portuguese import PORTUGUESE
from tasks.reports.offline_translate import translate, translate_text
from tasks.reports.wording import fold, numbers_of, sides_of


def english(text: str) -> str:
    found = translate_text(text, PORTUGUESE)
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("portuguese", "said"),
    [
        # gender, number and plurals that keep no stem
        ("Nódulo pulmonar. Nódulos pulmonares.", "Pulmonary nodule. Pulmonary nodules."),
        ("Lesão óssea. Lesões ósseas.", "Bony lesion. Bony lesions."),
        ("Opacidade visível. Opacidades visíveis.", "Visible opacity. Visible opacities."),
        ("Imagem nodular. Imagens nodulares.", "Nodular image. Nodular images."),
        ("Derrames pleurais.", "Pleural effusions."),
        ("Sinal indireto. Sinais de congestão.", "Indirect sign. Signs of congestion."),
        # contractions and articles
        ("Nódulo no lobo inferior do pulmão direito.",
         "Nodule in the lower lobe of the right lung."),
        ("Opacidades nas bases e nos ápices.", "Opacities at the bases and at the apices."),
        ("Opacidade numa das bases.", "Opacity in one of the bases."),
        ("A aorta está alongada.", "Aorta is elongated."),
        ("Cateter pela veia jugular direita.", "Catheter by the right jugular vein."),
        # denials
        ("Não se observa derrame.", "No effusion."),
        ("Não foram identificadas fraturas.", "No fractures."),
        ("Não há evidência de pneumotórax.", "No evidence of pneumothorax."),
        ("Ausência de derrame.", "Absence of effusion."),
        ("Sem derrame, pneumotórax nem consolidação.",
         "No effusion, pneumothorax or consolidation."),
        ("Derrame pleural não caracterizado.", "Pleural effusion not seen."),
        ("Coração não aumentado.", "Heart not enlarged."),
        # doubts
        ("Provável atelectasia.", "Probable atelectasis."),
        ("Opacidade podendo corresponder a pneumonia.",
         "Opacity which may correspond to pneumonia."),
        ("Não se pode excluir pneumonia.", "Cannot exclude pneumonia."),
        ("Achados compatíveis com edema.", "Findings compatible with edema."),
        # sides
        ("Derrame à esquerda.", "Effusion on the left."),
        ("Derrame a esquerda.", "Effusion on the left."),
        ("Derrames bilaterais.", "Bilateral effusions."),
        ("Derrame no HTD.", "Effusion in the right hemithorax."),
        ("Opacidade na base E.", "Opacity at the left base."),
        ("Consolidação no LSE e no LID.",
         "Consolidation in the left upper lobe and in the right lower lobe."),
        ("Átrio e ventrículo direitos dilatados.", "Right dilated atrium and ventricle."),
        # word order
        ("Pequeno derrame pleural loculado à direita.",
         "Small loculated pleural effusion on the right."),
        ("Botão aórtico proeminente e calcificado.", "Prominent and calcified aortic knob."),
        ("Hilos de dimensões e contornos normais.", "Hila of normal dimensions and contours."),
        ("Nódulos múltiplos e bilaterais.", "Multiple bilateral nodules."),
        ("Silhueta cardíaca globalmente aumentada.", "Globally enlarged cardiac silhouette."),
        ("Opacidades distribuídas difusamente.", "Opacities distribuídas diffusely."),
        ("Estudo limitado pela inspiração.", "Study limited by inspiration."),
        ("Traqueia desviada para a esquerda.", "Trachea deviated to the left."),
        # comparison
        ("Derrame estável em relação ao exame anterior.",
         "Stable effusion compared to the previous study."),
        ("O derrame aumentou.", "Effusion has increased."),
        ("Houve redução da consolidação.", "There was decrease of consolidation."),
        ("Mantém-se o derrame pleural.", "Persistent pleural effusion."),
        ("Surgiram opacidades.", "New opacities."),
        ("O derrame persiste.", "Effusion persists."),
        ("Sem alterações em relação ao exame prévio.",
         "No changes compared to the previous study."),
        # numbers
        ("Nódulo de 3,5 cm.", "Nodule of 3.5 cm."),
        ("Sonda a 2 cm da carina.", "Tube 2 cm from the carina."),
        ("Fratura do 11º arco costal esquerdo.", "Fracture of the 11th left rib."),
        ("Exame de 01/02/2020.", "Study of 01/02/2020."),
        # Portugal
        ("Ângulos costofrénicos livres.", "Clear costophrenic angles."),
        ("Hipotransparência na base direita.", "Opacity at the right base."),
        ("Sem lesões em fase activa.", "No lesions in active phase."),
        ("Pacemaker com eléctrodos.", "Pacemaker with leads."),
        # capitals, no accents
        ("NAO HA DERRAME PLEURAL.", "No pleural effusion."),
        ("area cardiaca aumentada", "Enlarged cardiac silhouette."),
    ],
)  # fmt: skip
def test_sentences(portuguese: str, said: str) -> None:
    assert english(portuguese) == said


@pytest.mark.parametrize("phrase", PHRASES, ids=lambda phrase: phrase.english[:40])
@pytest.mark.parametrize("spell", [str, fold], ids=["words", "without accents"])
def test_the_findings_are_those_of_the_known_english(phrase: Phrase, spell: type[str]) -> None:
    """rule14 on the rules' English and on the English that a person wrote."""
    found = label_report(english(spell(phrase.written)))
    known = label_report(phrase.english)
    assert found.pop("No Finding", None) in (None, "positive")
    known.pop("No Finding", None)
    assert found == known


@pytest.mark.parametrize("phrase", PHRASES, ids=lambda phrase: phrase.english[:40])
@pytest.mark.parametrize("spell", [str, fold], ids=["words", "without accents"])
def test_the_rules_pass_their_own_checks(phrase: Phrase, spell: type[str]) -> None:
    source = spell(phrase.written)
    said = english(source)
    assert check_translated({"findings": source}, {"findings": said}, "pt") is None, said


@pytest.mark.parametrize("phrase", PHRASES, ids=lambda phrase: phrase.english[:40])
def test_no_portuguese_is_left(phrase: Phrase) -> None:
    assert english(phrase.written).isascii()


SIDED = {"direita": "right", "esquerda": "left"}
FINDINGS = ("Derrame pleural", "Consolidação", "Pneumotórax", "Atelectasia laminar", "Opacidade")
PLACES = ("na base", "no ápice", "no hemitórax", "no lobo superior", "no pulmão", "na axila")
GRADES = ("", "Pequena ", "Volumosa ", "Discreta ", "Provável ")


@settings(max_examples=150, deadline=None)
@given(
    st.sampled_from(GRADES),
    st.sampled_from(FINDINGS),
    st.sampled_from(PLACES),
    st.sampled_from(sorted(SIDED)),
    st.booleans(),
    st.integers(1, 199),
)
def test_sides_never_flip_and_numbers_survive(
    grade: str, finding: str, place: str, side: str, accents: bool, tenths: int
) -> None:
    number = f"{tenths // 10},{tenths % 10}"
    gendered = side if place.startswith("na ") else f"{side[:-1]}o"
    source = f"{grade}{finding} de {number} cm {place} {gendered}."
    said = english(source if accents else fold(source))
    assert sides_of(said) == {SIDED[side]}
    assert numbers_of(said) == Counter([number.replace(",", ".")])
    assert check_translated({"findings": source}, {"findings": said}, "pt") is None


@settings(max_examples=60, deadline=None)
@given(st.lists(st.sampled_from(PHRASES), min_size=1, max_size=8))
def test_a_report_is_its_sentences_in_order(phrases: list[Phrase]) -> None:
    texts = [phrase.written for phrase in phrases]
    assert english(" ".join(texts)) == " ".join(english(text) for text in texts)


@settings(max_examples=150, deadline=None)
@given(st.text(max_size=80))
def test_any_text_gives_a_sentence_or_nothing(text: str) -> None:
    said = translate_text(text, PORTUGUESE)
    assert said is None or (said.endswith(".") and said.strip())


@settings(max_examples=100, deadline=None)
@given(st.text(alphabet="abcdeorstãçéà 0123456789", min_size=1, max_size=60))
def test_digits_are_kept_whatever_stands_around_them(text: str) -> None:
    said = translate_text(text, PORTUGUESE) or ""
    assert re.findall(r"\d", said) == re.findall(r"\d", text)


@pytest.mark.parametrize("word", ["ecocardiograma", "zarambol", "quilotórax"])
def test_a_word_that_is_not_known_stays(word: str) -> None:
    assert word in english(f"Derrame pleural e {word} esquerdo.")


def test_the_dictionary_holds_every_part_of_speech() -> None:
    entries = entries_of(PORTUGUESE)
    assert len(entries) > 800
    assert {word.kind for word in entries.values()} == set(KINDS)
    assert all(stem == fold(stem) and stem.strip() for stem in entries)
    assert all(word.english for word in entries.values() if word.kind != "X")


@pytest.mark.parametrize(
    ("forms", "said"),
    [
        ("direito direita direitos direitas", "right"),
        ("esquerdo esquerda esquerdos esquerdas esq", "left"),
        ("pulmao pulmoes", "lung"),
        ("pulmonar pulmonares", "pulmonary"),
        ("calcificado calcificada calcificados calcificadas", "calcified"),
        ("calcificacao calcificacoes", "calcification"),
        ("pleural pleurais", "pleural"),
        ("imagem imagens", "image"),
        ("nivel niveis", "level"),
        ("torax", "chest"),
    ],
)
def test_all_forms_of_a_word_are_one_entry(forms: str, said: str) -> None:
    for form in forms.split():
        word = find_word(PORTUGUESE, form)
        assert word is not None and word.english == said, form


@pytest.mark.parametrize("word", ["xilofone", "bastante", "semana", "sinusal"])
def test_other_words_have_no_entry(word: str) -> None:
    assert find_word(PORTUGUESE, word) is None


def test_the_longest_phrase_wins() -> None:
    found = find_phrase(PORTUGUESE, ("nao", "se", "pode", "descartar", "derrame"))
    assert found is not None
    assert (found[0].english, found[1]) == ("cannot exclude", 4)


def test_the_question_names_the_language() -> None:
    sections = {"findings": "Sem derrame.", "impression": "Exame normal."}
    answer = translate({"language": "pt", "sections": sections})
    assert (answer["findings"], answer["impression"]) == ("No effusion.", "Normal study.")
    assert translate({"sections": sections}) == answer
    spanish = {"findings": "Sin derrame derecho."}
    assert translate({"sections": spanish})["findings"] == "No right effusion."
    with pytest.raises(KeyError):
        translate({"language": "fr", "sections": sections})
