"""Numbers that name a person: national ids by their check digits, and telephone numbers.

Check digits are ``stdnum``'s and numbering plans ``phonenumbers``'; both carry their tables with
them. A number without any check digit, or of a form that chance meets often, counts only beside a
word that says what it is.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Final

import phonenumbers
from stdnum import luhn
from stdnum.ar import cuit
from stdnum.br import cpf
from stdnum.cl import rut
from stdnum.co import nit
from stdnum.es import dni, nie
from stdnum.gb import nhs
from stdnum.mx import curp
from stdnum.pt import nif
from stdnum.us import ssn

Span = tuple[int, int]
_Check = Callable[[str], bool]

_PHONE_WORDS: Final = re.compile(
    r"\b(?:tel(?:[eé]fonos?|efones?|ephone)?|phone|mobile|cell|fax|pager|beeper|bleep|ext|m[oó]vil"
    r"|celular|telem[oó]vel|whatsapp|call(?:ed)? (?:at|back)|contact(?:o|ar|ed)?(?: at| em| en)?)"
    r"\b[.:#\s]*(?=[+(\d])(?P<number>[+(]?\d[\d ().\-/]{2,18}\d)",
    re.IGNORECASE,
)
_PHONE_LIKE: Final = re.compile(r"(?:\d[^\w\n]{0,2}){8,}\d")
_PLANS: Final = ("US", "GB", "ES", "PT", "BR", "MX", "AR", "CL", "CO")
"""Where reports in the three languages are written; a number with ``+`` may be of any country."""

_CHECKED: Final[tuple[tuple[re.Pattern[str], _Check], ...]] = (
    (re.compile(r"\b\d{3}\.\d{3}\.\d{3}-\d{2}\b|\b\d{9}-?\d{2}\b"), cpf.is_valid),
    (re.compile(r"\b\d{8}[ -]?[A-HJ-NP-TV-Z]\b", re.IGNORECASE), dni.is_valid),
    (re.compile(r"\b[XYZ][ -]?\d{7}[ -]?[A-Z]\b", re.IGNORECASE), nie.is_valid),
    (re.compile(r"\b\d{3}[ -]\d{3}[ -]\d{4}\b"), nhs.is_valid),
    (re.compile(r"\b\d{3}-\d{2}-\d{4}\b"), ssn.is_valid),
    (re.compile(r"\b[A-Z]{4}\d{6}[HM][A-Z]{5}[A-Z\d]\d\b"), curp.is_valid),
    (re.compile(r"\b\d{1,2}\.\d{3}\.\d{3}-[\dkK]\b"), rut.is_valid),
    (re.compile(r"\b\d{2}-\d{8}-\d\b"), cuit.is_valid),
)
_LABELLED: Final[tuple[tuple[re.Pattern[str], _Check], ...]] = (
    (re.compile(r"\bNHS\b\D{0,12}(?P<number>\d{10})\b", re.IGNORECASE), nhs.is_valid),
    (re.compile(r"\b(?:NIF|contribuinte)\b\D{0,12}(?P<number>\d{9})\b", re.IGNORECASE),
     nif.is_valid),
    (re.compile(r"\bNIT\b\D{0,6}(?P<number>[\d.]{9,11}-?\d)\b", re.IGNORECASE), nit.is_valid),
    (re.compile(r"\b(?:CNS|SUS)\b\D{0,12}(?P<number>\d{3} ?\d{4} ?\d{4} ?\d{4})\b",
                re.IGNORECASE), lambda text: _is_cns(text)),
    (re.compile(r"\b(?:card|tarjeta|cart[aã]o)\b\D{0,12}(?P<number>(?:\d[ -]?){13,19})\b",
                re.IGNORECASE), luhn.is_valid),
)  # fmt: skip


def national_ids(text: str) -> Iterator[Span]:
    """Places of numbers whose check digits are right."""
    for pattern, is_valid in _CHECKED:
        for found in pattern.finditer(text):
            if is_valid(found[0]):
                yield found.span()
    for pattern, is_valid in _LABELLED:
        for found in pattern.finditer(text):
            if is_valid(found["number"]):
                yield found.span("number")


def _is_cns(text: str) -> bool:
    """Brazil's health card: 15 digits whose sum, weighted 15 to 1, is a multiple of 11."""
    digits = [int(letter) for letter in text if letter.isdigit()]
    weighted = sum(digit * weight for digit, weight in zip(digits, range(15, 0, -1), strict=True))
    return weighted % 11 == 0 and digits[0] in (1, 2, 7, 8, 9)


def telephone_numbers(text: str) -> Iterator[Span]:
    """Places of numbers beside a word for a telephone, and of whole ones of a numbering plan."""
    for found in _PHONE_WORDS.finditer(text):
        if sum(letter.isdigit() for letter in found["number"]) >= 4:
            yield found.span("number")
    if not _PHONE_LIKE.search(text):
        return  # the search of numbering plans takes milliseconds
    for plan in _PLANS:
        for match in phonenumbers.PhoneNumberMatcher(text, plan):
            if _is_written_as_one(match.raw_string):
                yield match.start, match.end


def _is_written_as_one(text: str) -> bool:
    """With a country's code, brackets, or in two groups at least: bare digits are other numbers
    more often."""
    groups = re.findall(r"\d+", text)
    return text.startswith(("+", "(")) or (len(groups) >= 3 and all(len(g) >= 2 for g in groups))
