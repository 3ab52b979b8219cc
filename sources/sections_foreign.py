"""Sections of reports in Spanish and Portuguese, by their headings.

A heading is a known name at the start of a line, in any case, closed by a colon. Text before the
first heading, and a report without any, is findings: unlike English references, which are compared
with an official parser's, these are only translated, and nothing of them may be lost. A line that
ends without a full stop before one that begins with a capital is a sentence.
"""

from __future__ import annotations

import re
import unicodedata
from typing import Final

from sources.record import SECTIONS, Origin, SectionedBy, SectionedText

_NAMES: Final[dict[str, dict[str, str]]] = {
    "es": {
        "findings": "hallazgos, hallazgo, informe, descripción, resultados",
        "impression": "impresión, impresión diagnóstica, conclusión, conclusiones, opinión,"
        " diagnóstico, juicio diagnóstico, resumen",
        "indication": "indicación, motivo, motivo de consulta, motivo de la exploración, historia"
        " clínica, antecedentes, datos clínicos, información clínica, indicación clínica",
        "technique": "técnica, exploración, estudio, procedimiento, proyección, proyecciones",
        "comparison": "comparación, estudios previos, estudio previo",
    },
    "pt": {
        "findings": "achados, análise, relatório, laudo, descrição, aspectos observados, os"
        " seguintes aspectos foram observados",
        "impression": "impressão, impressão diagnóstica, conclusão, conclusões, opinião, hipótese"
        " diagnóstica, diagnóstico, resumo",
        "indication": "indicação, indicação clínica, dados clínicos, informação clínica,"
        " informações clínicas, informe clínico, história clínica, motivo do exame",
        "technique": "técnica, método, exame, estudo, incidência, incidências, procedimento",
        "comparison": "comparação, exames anteriores, exame anterior, exames prévios",
    },
}
FOREIGN: Final = frozenset(_NAMES)
"""ISO 639-1 codes of the languages whose headings are known."""


def _plain(text: str) -> str:
    """Lower case without accents; a composed text keeps its length."""
    parted = unicodedata.normalize("NFD", text.lower())
    return "".join(letter for letter in parted if not unicodedata.combining(letter))


_SECTION_OF: Final = {
    language: {
        _plain(name): section for section, some in names.items() for name in some.split(", ")
    }
    for language, names in _NAMES.items()
}
_HEADINGS: Final = {
    language: re.compile(rf"^[ \t]*({'|'.join(names)})[ \t]*:[ \t]*", re.MULTILINE)
    for language, names in _SECTION_OF.items()
}
_NEW_SENTENCE: Final = re.compile(r"(?<=[^\W_])[ \t]*\n\s*(?=[A-ZÀ-ÖØ-Þ])")


def has_heading(text: str, language: str) -> bool:
    """Whether a known heading of that language stands in the text."""
    return _HEADINGS[language].search(_plain(text)) is not None


def section_foreign(text: str, language: str) -> SectionedText | None:
    """The sections of a report in one of the languages FOREIGN; None where it is blank."""
    text = unicodedata.normalize("NFC", text)
    found: dict[str, str] = {}
    name, start = "findings", 0
    for match in [*_HEADINGS[language].finditer(_plain(text)), None]:
        body = text[start : match.start() if match else len(text)]
        joined = " ".join(_NEW_SENTENCE.sub(". ", body.strip()).split())
        if joined:
            found[name] = f"{found[name]} {joined}" if name in found else joined
        if match is not None:
            name, start = _SECTION_OF[language][match.group(1)], match.end()
    if not found:
        return None
    return SectionedText(
        Origin.RADIOLOGIST,
        SectionedBy.RULES,
        language,
        **{name: found.get(name) for name in SECTIONS},
    )
