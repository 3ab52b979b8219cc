"""What in a report may name a person, by rules: kinds and places, never the words themselves.

    found = find_identifying("Dr. Smith was called on 3/4/2021.", dates="all")
    [(one.kind, one.start, one.end) for one in found]     # [("name", 4, 9), ("date", 24, 32)]

English, Spanish and Portuguese. Rules find what has a form or a word beside it; a bare surname in
running text is not found. Precision and recall on planted identifiers: docs/screen.md.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Literal

from sources.identifying_names import names
from sources.identifying_numbers import Span, national_ids, telephone_numbers
from sources.visible_text import place_in, visible

REVISION: Final = 3
"""Raised when a rule changes: artifacts of screened sources are then made anew."""
Dates = Literal["birth", "all"]


class Kind(StrEnum):
    """What was found; the placeholder of a masked text is its value in brackets."""

    NAME = "name"
    BIRTH_DATE = "birth date"
    DATE = "date"
    RECORD = "record number"
    PHONE = "telephone"
    EMAIL = "e-mail"
    ADDRESS = "address"
    NATIONAL_ID = "national id"


@dataclass(frozen=True, order=True)
class Found:
    """A place in a text, in characters; ``end`` is the first that is no longer part of it."""

    start: int
    end: int
    kind: Kind


_MONTHS: Final = (
    r"(?:jan(?:uary|eiro)?|ene(?:ro)?|feb(?:ruary|rero)?|fev(?:ereiro)?|mar(?:ch|zo|ço)?|apr(?:il)?"
    r"|abr(?:il)?|may(?:o)?|mai(?:o)?|june?|jun(?:io|ho)|jul(?:y|io|ho)?|aug(?:ust)?|ago(?:sto)?"
    r"|sep(?:t(?:ember|iembre)?)?|set(?:embro|iembre)?|oct(?:ober|ubre)?|out(?:ubro)?"
    r"|nov(?:ember|iembre|embro)?|dec(?:ember)?|dic(?:iembre)?|dez(?:embro)?)"
)
_DAY, _MONTH = r"(?:0?[1-9]|[12]\d|3[01])", r"(?:0?[1-9]|1[0-2])"
_DATE: Final = (
    rf"(?:(?<![\d./-])(?:(?:19|20)\d\d[-/.](?:0?[1-9]|1[0-2])[-/.](?:0?[1-9]|[12]\d|3[01])"
    rf"|(?:{_DAY}(?P<sep>[-/.]){_MONTH}|{_MONTH}(?P<sep2>[-/.]){_DAY})(?(sep)(?P=sep)|(?P=sep2))"
    rf"(?:19|20)?\d\d)"
    rf"(?![\d/-]|\.\d)"
    rf"|\b(?:0?[1-9]|[12]\d|3[01])(?:st|nd|rd|th|º)?[ -](?:de |of )?{_MONTHS}\.?,?[ -](?:de |del )?"
    rf"(?:19|20)?\d\d\b"
    rf"|\b{_MONTHS}\.? (?:0?[1-9]|[12]\d|3[01])(?:st|nd|rd|th)?,? (?:19|20)\d\d\b)"
)
_ANY_DATE: Final = re.compile(_DATE, re.IGNORECASE)
_BORN: Final = re.compile(
    rf"(?:\bD\.?O\.?B\b\.?|\bborn\b|\bbirth(?: ?date|day)?\b|\bnacimiento\b|\bF\. ?(?:de )?Nac\b\.?"
    rf"|\bnacid[oa]\b|\bnascimento\b|\bnascid[oa]\b|\bD\.?N\.?\b(?=\s*:))[^\w\n]{{0,4}}"
    rf"(?:on |el |em |en |a )?(?P<date>{_DATE})",
    re.IGNORECASE,
)
_RECORD: Final = re.compile(
    r"\b(?:MRN|M\.R\.N\.?|medical record(?: number| no\.?| #)?"
    r"|acc(?:ession)?(?: number| no\.?| #|#)"
    r"|accession|patient (?:id|number|no\.?)|exam(?:ination)? (?:id|number|no\.?|#)|encounter"
    r"(?: number| id| no\.?| #)?|visit (?:id|number|no\.?)|account (?:number|no\.?)|order (?:number"
    r"|no\.?|#)|hospital (?:number|no\.?)|unit number|folder number|passport(?: no\.?)?"
    r"|NHC|N\.H\.C\.?"
    r"|(?:n[.º°úu]*(?:mero)? (?:de )?)?(?:historia(?: cl[ií]nica)?|prontu[aá]rio|atendimento"
    r"|expediente|episodio|registro|acceso|petici[oó]n|carteirinha|matr[ií]cula|processo)|H\.?C\.?"
    r"|RG|CIP|NUHSA|NSS|SSN|pasaporte|passaporte|DNI|CPF|C[eé]dula|RUT|BSN|utente)"
    r"(?:\b|(?=\d{5}))[\s:.#º°=]*(?:n[.º°o]*\s*)?(?P<number>[A-Z]{0,4}[- ]?"
    r"(?:\d(?:[.\-/]?\d){2,}\w*(?: \d{2,4}\b(?![/.\-]\d))*"
    r"|\d{2}(?: \d{2,4}\b){2,}|\d{1,3}(?: \d{3}\b){2,}))(?! ?(?:mm|cm|ml|mg|kv|%))",
    re.IGNORECASE,
)
"""Digits may stand in groups, and right behind the word where they are many."""
_ID: Final = re.compile(
    r"\bI\.?D\.?(?:\b|(?=\d)|(?<=\.))[\s:.#º°=]*(?:n[.º°o]*\s*)?"
    r"(?P<number>[A-Z]{0,4}[- ]?\d(?:[ .\-]?\d){5,}\w*)",
    re.IGNORECASE,
)
"""``ID`` says little of what follows, so that six digits are asked for at least (our choice)."""
_EMAIL: Final = re.compile(r"\b[\w.+-]+@[\w-]+(?:\.[\w-]+)+\b")
_PLACE: Final = r"[A-ZÁÉÍÓÚÂÊÔÃÕÇÑ][\wáéíóúâêôãõçñ'’.-]*"
_ADDRESS: Final = re.compile(
    rf"\b\d{{1,5}} (?:{_PLACE} ){{1,4}}(?:Street|St|Avenue|Ave|Road|Rd|Lane|Ln|Drive|Dr|Boulevard"
    rf"|Blvd|Court|Ct|Way|Terrace|Crescent|Close|Highway|Hwy)\b\.?"
    rf"(?:,? (?:Apt|Suite|Unit|Flat)\.? \w+)?"
    rf"|\bP\.? ?O\.? Box \d+"
    rf"|(?:\bC/ ?|\b(?:Calle|C\.|Avda\.?|Avenida|Plaza|Pza\.?|Paseo|Carretera|Ctra\.?|Rua|R\.|Av\.?"
    rf"|Travessa|Alameda|Praça|Rodovia|Estrada) )(?:(?:de|del|da|do|dos|das|la|las|los) )*{_PLACE}"
    rf"(?: (?:(?:de|del|da|do|dos|das|la|las|los|y|e) )*{_PLACE}){{0,4}}"
    rf",? ?(?:n[.º°o]* ?)?\d{{1,5}}\b"
)
_POSTCODE: Final = re.compile(
    r"\b(?:ZIP(?: code)?|post ?code|postal code|C\.?P\.?|c[oó]digo postal|CEP)\b[:.\s]*"
    r"(?P<number>[A-Z]{0,2}\d[\dA-Z]*(?:[ -]\d[\dA-Z]{1,3})?)"
    r"|\b(?P<cep>\d{5}-\d{3})\b"
    r"|\b(?:A[KLRZ]|C[AOT]|DC|DE|FL|GA|HI|I[ADLN]|K[SY]|LA|M[ADEINOST]|N[CDEHJMVY]|O[HKR]|PA|RI"
    r"|S[CD]|T[NX]|UT|V[AT]|W[AIVY]) (?P<zip>\d{5}(?:-\d{4})?)\b"
    r"|\b(?P<uk>[A-PR-UWYZ][A-HK-Y]?\d[\dA-HJKS-UW]? \d[ABD-HJLNP-UW-Z]{2})\b",
)


def find_identifying(text: str, dates: Dates = "birth") -> list[Found]:
    """Places in order, none over another.

    Args:
        dates: ``birth``: dates of birth alone; ``all``: every day that is named, as HIPAA's Safe
            Harbor asks.
    """
    seen, places = visible(text)
    found = [Found(*place_in(places, span), kind) for kind, span in _everything(seen, dates)]
    kept: list[Found] = []
    for each in sorted(found, key=lambda one: (one.start, -one.end, _ORDER[one.kind])):
        if kept and each.start < kept[-1].end:
            last = kept[-1]
            kept[-1] = Found(last.start, max(last.end, each.end), last.kind)
        else:
            kept.append(each)
    return kept


_ORDER: Final = {
    kind: place
    for place, kind in enumerate(
        (Kind.NATIONAL_ID, Kind.BIRTH_DATE, Kind.RECORD, Kind.EMAIL, Kind.DATE, Kind.ADDRESS,
         Kind.PHONE, Kind.NAME)
    )
}  # fmt: skip
"""Which kind is told of one place that several rules find: the surest."""


def _everything(text: str, dates: Dates) -> Iterator[tuple[Kind, Span]]:
    yield from ((Kind.NATIONAL_ID, span) for span in national_ids(text))
    yield from ((Kind.BIRTH_DATE, one.span("date")) for one in _BORN.finditer(text))
    if dates == "all":
        yield from ((Kind.DATE, one.span()) for one in _ANY_DATE.finditer(text))
    yield from ((Kind.RECORD, one.span("number")) for one in _RECORD.finditer(text))
    yield from ((Kind.RECORD, one.span("number")) for one in _ID.finditer(text))
    yield from ((Kind.EMAIL, one.span()) for one in _EMAIL.finditer(text))
    yield from ((Kind.ADDRESS, one.span()) for one in _ADDRESS.finditer(text))
    for one in _POSTCODE.finditer(text):
        yield Kind.ADDRESS, one.span(one.lastgroup or 0)
    days = [one.span() for one in _ANY_DATE.finditer(text)]
    for start, end in telephone_numbers(text):
        if not any(start < last and first < end for first, last in days):
            yield Kind.PHONE, (start, end)
    yield from ((Kind.NAME, span) for span in names(text))


def masked(text: str, found: Sequence[Found]) -> str:
    """The text with ``[name]``, ``[date]``, … in place of what was found."""
    parts, last = [], 0
    for each in found:
        parts += [text[last : each.start], f"[{each.kind}]"]
        last = each.end
    return "".join([*parts, text[last:]])


def told(found: Sequence[Found]) -> str:
    """Kinds and places for a person who may not see the words: ``name at 4-9, date at 24-32``."""
    shown = [f"{one.kind} at {one.start}-{one.end}" for one in found[:_MOST_TOLD]]
    more = len(found) - len(shown)
    return ", ".join(shown) + (f" and {more} more" if more > 0 else "")


_MOST_TOLD: Final = 8
