"""Which of English, Spanish and Portuguese a report is written in, by its words.

Evidence is a word that only one of the three has in a radiology report, or an ending (``-ción``,
``-ção``). ``derrame pleural`` is both Spanish and Portuguese, and tells nothing.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from functools import lru_cache
from typing import Final

_WORDS: Final = {
    "en": """
        the of and is are with there without or in lung lungs left right heart effusion effusions
        pneumothorax clear seen within unremarkable consolidation chest findings size evidence small
        acute cardiac silhouette mild moderate opacity nodule upper lower lobe cardiomegaly fracture
        view views frontal disease thickening wires enlarged lymphadenopathy examination breast
        surgical soft tissues spine clips hiatal ratio
    """,
    "es": """
        el la los las del en con sin y una unos unas hay derecho derecha derechos derechas izquierdo
        izquierda izquierdos izquierdas derech izquierd pulmon pulmones hallazgos hallazg neumotorax
        neumon neumonia neumoni corazon senos silueta siluet estudio estudi signos hiliares hilios
        imagen cambios cambi lobulo lobul columna column fractura fractur infiltr derram bronquios
        engrosamiento pinzamiento marcapasos aprecian observ costofren aereo
        su sus hallazgo escoliosis patron
    """,
    "pt": """
        o os um uma uns umas da dos das na nas ao aos com sem nao ou direito direita direitos
        direitas esquerdo esquerda esquerdos esquerdas pulmao pulmoes seios lobo lobos achados exame
        coracao silhueta sinais hilares imagem coluna fratura opacidade opacidades marca marcapasso
        traqueia espessamento botao dreno linfonodos velamento
        em nos num numa pelo pela pelos sao foi mais calcio ateromatose fibrose escoliose
        hilos fios estruturas livres protese
    """,
}
"""Without accents; Spanish with the stems that PadChest publishes. Shared words (``no``, ``do``,
``as``, ``normal``) are left out."""

_ENDINGS: Final = (
    *((ending, "en") for ending in ("tion", "tions", "ity", "ities", "ary", "ally")),
    *((ending, "es") for ending in ("cion", "ciones", "miento", "mientos", "dad", "dades")),
    *((ending, "pt") for ending in ("cao", "coes", "oes", "dade", "gem", "gens", "ais", "eis")),
)
_TOLD: Final = {word: language for language, words in _WORDS.items() for word in words.split()}
_LETTERS: Final = re.compile(r"[^\W\d_]+")
MARGIN: Final = 1.5
"""How many times the evidence of the next language the first one needs (our choice: a Portuguese
report may quote an English device, an English one a Spanish name)."""


def detect_language(text: str) -> str | None:
    """``en``, ``es`` or ``pt``; None where the text does not tell."""
    parted = unicodedata.normalize("NFD", text.lower())
    plain = "".join(letter for letter in parted if not unicodedata.combining(letter))
    found = Counter(filter(None, map(_evidence, _LETTERS.findall(plain))))
    ranked = found.most_common(2)
    if not ranked or (len(ranked) > 1 and ranked[0][1] < MARGIN * ranked[1][1]):
        return None
    return ranked[0][0]


@lru_cache(maxsize=1 << 14)
def _evidence(word: str) -> str | None:
    """The one language that a word belongs to, if it belongs to one."""
    if word in _TOLD:
        return _TOLD[word]
    for ending, language in _ENDINGS:
        if len(word) > len(ending) + 2 and word.endswith(ending):
            return language
    return None
