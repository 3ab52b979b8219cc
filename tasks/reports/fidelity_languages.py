"""What the translation checks look for in Spanish and Portuguese, and its English counterparts.

All patterns are for lower case without accents (``fold``). None is shared with the dictionaries of
the offline rules, so that the checks measure those rules too.
"""

from __future__ import annotations

import re
from dataclasses import dataclass


@dataclass(frozen=True)
class Tongue:
    """One language that reports are translated from.

    Args:
        name: its English name.
        sides: words and abbreviations of a side; group 1 is left, group 2 right.
        denial: words that deny.
        comparison: stems of change and comparison.
        doubt: words of a statement that is not certain.
        words: common words; a translation that holds many is none.
    """

    name: str
    sides: re.Pattern[str]
    denial: re.Pattern[str]
    comparison: re.Pattern[str]
    doubt: re.Pattern[str]
    words: frozenset[str]


SPANISH = Tongue(
    "Spanish",
    re.compile(
        r"\b(izq\w*|izd[oa]s?|l[si]i)\b|\b(derech\w*|d(?:e?r)?ch\w*|l[si]d)\b"
    ),  # LSD: lobulo superior derecho
    re.compile(
        r"\b(?:no|sin|ni|ausen\w*|niega|nunca|tampoco|descart\w*|libr\w*|negativ\w*|inexist\w*)\b"
    ),
    re.compile(
        r"\b(?:previ|compar|respect|persist|nuev|res(?:uel|olu)|mejor|empeor|evoluc|estab(?!lec)"
        r"|disminu|(?<!cardiac )(?<!cardiac[ao] )(?<!corazon )"
        r"aument(?!\w* (?:de|del) (?:taman|dens|calibr|volum|trama))|progres|continu"
        r"|desaparec|anterior|antigu|recient|control|actual"
        r"|cambi(?!\w* (?:\w+ )?(?:degen|post|fibr|cron|artr)))"
    ),
    re.compile(
        r"\b(?:posib|probab|dud|sospech|descart|suger|sugest|compat|podr|pued|parec|impres|valor"
        r"|aparent|interrog|plantea|relacion|en torno)"
    ),
    frozenset(
        """
        el la los las del con sin en por para que se una uno derecho derecha izquierdo izquierda
        derrame pulmon pulmonar hallazgos torax estudio cambios derech izquierd derram
        """.split()  # noqa: SIM905
    ),
)
"""A size, density or calibre may be increased and a change be degenerative, chronic or left by
surgery in one image."""

PORTUGUESE = Tongue(
    "Portuguese",
    re.compile(
        r"\b(esq|esquerd\w*|l[si]e|hte)\b|\b(direit\w*|dir|dt[oa]s?|l[si]d|htd)\b"
    ),  # LSE: lobo superior esquerdo; HTD: hemitorax direito
    re.compile(
        r"\b(?:nao|sem|nem|ausen\w*|nega\w*|nunca|tampouco|descart\w*|livr\w*|limp[oa]s?|inexist\w*"
        r"|isent\w*|exclu\w*)\b"
    ),
    re.compile(
        r"\b(?:previ|compar|relacao a|persist|permanec|mante[mr]|mantid|nov[oa]s?\b|resol|melhor"
        r"|pior|agrav|evolu|estave[li]|estabil|inalter|diminu|reduc(?!\w* volum)|reduz|regre"
        r"|(?<!cardiac[ao] )(?<!cardiac[ao]s )(?<!coracao )(?<!toracico )"
        r"aument(?!\w* (?:de|do|da) (?:tamanh|dens|calibr|volum|trama|area))|progre"
        r"|continu|surg|apareci|desaparec|anterior|antig|recent|control|a[c]?tual|manut"
        r"|alterac(?!\w* (?:\w+ )?(?:degen|pos|fibr|cron|artr)))"
    ),
    re.compile(
        r"\b(?:possive[li]|provave[li]|provavel|possivel|duvid|suspeit|descart|exclu|suger|sugest"
        r"|compat|pod(?:e|em|endo|era)\b|parec|aparent|eventual|relaciona|questiona|hipotes"
        r"|esclarec|valorizar|consider)"
    ),
    frozenset(
        """
        os as do da dos das em no na nos nas com sem por pelo pela para que se um uma ao nao
        direito direita esquerdo esquerda derrame pulmao pulmoes pulmonar achados torax exame
        alteracoes lobo pequeno ausencia
        """.split()  # noqa: SIM905
    )
    - {"as", "no", "do"},
)
"""``as``, ``no`` and ``do`` are English words too."""

TONGUES = {"es": SPANISH, "pt": PORTUGUESE}
"""By ISO 639-1 code."""

ENGLISH_DOUBT = re.compile(
    r"\b(?:possib|probab|likely|suspect|suspici|question|suggest|may\b|might\b|could\b|consistent"
    r"|compatible|cannot|exclu|consider|concern|apparent|appear|seem|equivocal|doubt|perhaps"
    r"|impress|rul(?:e|ing) out|evaluat|assess|relat|presum|correlat|represent|clarif|hypothes"
    r"|versus|differential)|\?"
)
ENGLISH_OPEN_DOUBT = re.compile(
    r"\b(?:possib|probab|likely|suspected|questionab|may\b|might\b|could\b|perhaps|equivocal"
    r"|presum)"
)
"""Words that make a statement uncertain whatever it is about."""

FINDINGS: tuple[tuple[str, re.Pattern[str], re.Pattern[str]], ...] = tuple(
    (name, re.compile(told), re.compile(said))
    for name, told, said in (
        ("effusion", r"\bderram", r"effusion|pleural fluid"),
        ("pneumothorax", r"p?neumotor", r"pneumothora"),
        ("pneumonia", r"neumon[ií]|neumon\b", r"pneumoni"),
        ("consolidation", r"consolid|condens", r"consolid|condens|\bheal|airspace"),
        ("atelectasis", r"atele[c]?t", r"atelect"),
        ("nodule", r"nodul", r"nodul"),
        ("mass", r"\bmas(?:s?as?|s)\b", r"\bmass"),
        ("fracture", r"fra[c]?tur", r"fractur"),
        ("edema", r"\bedem", r"\bo?edema"),
        ("emphysema", r"enfisem", r"emphysem"),
        ("hernia", r"\bherni|\bhern\b", r"hernia"),
        ("cardiomegaly", r"cardiomegal", r"cardiomegal|enlarge|heart size"),
        ("granuloma", r"granulom", r"granulom"),
        ("scoliosis", r"escolio", r"scolio"),
        ("pacemaker", r"marca-?pas|pacemaker", r"pacemaker|pacing"),
        ("thickening", r"engros|espess(?!ura)", r"thick"),
        ("calcification", r"\bcalci", r"calci"),
        ("bronchiectasis", r"bronquiect", r"bronchiect"),
        ("cavitation", r"cavita|caverna", r"cavit|cavern"),
        ("lymphadenopathy", r"adeno[pm]|ganglio|linfonod", r"lymph|adenop|\bnod(?:e|al)"),
        ("pneumoperitoneum", r"neumoperit", r"pneumoperit"),
        ("aneurysm", r"aneurism", r"aneurysm"),
    )
)
"""Findings by their stem in either language, and by the English that stands for it. One that a
sentence names must be named in its translation."""

ADDED_FROM: dict[str, tuple[re.Pattern[str], re.Pattern[str]]] = {
    name: (said, told) for name, told, said in FINDINGS
} | {
    name: (re.compile(said), re.compile(told))
    for name, said, told in (
        (
            "cardiomegaly",
            r"cardiomegal",
            r"cardiomeg|\b(?:cardi|corac|coraz|sil[hu]+et|indic).*\b(?:aument|dilat|crec|agrand)"
            r"|\b(?:aument|dilat|crec|agrand).*\b(?:cardi|corac|coraz|sil[hu]+et)",
        ),
        ("mass", r"\bmass(?:es)?\b", r"\bmas|tumor|neoplas"),
        ("cavitation", r"\bcavit|cavern", r"cavi|cavern|e[sx]cava"),
        ("lymphadenopathy", r"lymph|adenop", r"adeno[pm]|gangli|linf"),
        ("consolidation", r"consolid", r"consolid|condens"),
        ("calcification", r"calci", r"calc|granulom|aterom|ateros"),
        ("effusion", r"effusion", r"derram|liquid|liqu\b"),
        ("thickening", r"thick", r"engros|espess|paquipl|grues|gross"),
        ("atelectasis", r"atelect", r"atele|lamin|colaps"),
        ("pneumonia", r"pneumoni", r"neumon|infec"),
    )
}
"""By finding: the English that names it without doubt, and what of a source may be so translated.
Where the first is there and nothing of the second, it was added."""
