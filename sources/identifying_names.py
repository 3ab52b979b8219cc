"""Names of persons in reports: after labels, titles, roles and ``per``, before degrees, by given
names.

A name is one to four capitalised words; in a report that is all capitals any word is. Words of the
chest, and of reports, are no names (``NOT_NAMES``): ``Dr. derecho``, ``Patient: Supine``. Eponyms
(``Swan-Ganz``, ``Hodgkin``) are not looked for, and follow no title.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

Span = tuple[int, int]

_UPPER: Final = "A-ZÁÉÍÓÚÀÂÊÔÃÕÇÑÜ"
_LOWER: Final = "a-záéíóúàâêôãõçñü"
_WORD: Final = rf"(?:[{_UPPER}](?:['’][{_UPPER}])?[{_LOWER}]+|[{_UPPER}]['’]?[{_UPPER}]+)"
_PART: Final = rf"{_WORD}(?:-{_WORD})*"
_JOIN: Final = r"(?i:de la|de los|de las|del|de|das|da|dos|do|e|y|van|von|bin|al|la)"
_FIRST: Final = r"(?i:de la|de los|de las|del|de|da|dos|do|van|von|bin|al)"
_INITIAL: Final = rf"[{_UPPER}]\.?"
_NAME: Final = (
    rf"(?P<name>(?:(?:{_INITIAL}|{_FIRST}) )?{_PART}"
    rf"(?:,? (?:{_JOIN} )?(?:{_PART}|{_INITIAL}(?![{_LOWER}]))){{0,3}})"
)
"""One to four words, with small ones between and initials."""

_LABELS: Final = (
    r"(?:patient(?:['’]s)?(?: full)?(?: name)?|full name|(?:last|first|family|given|sur)[ -]?name"
    r"|name|paciente|nombre(?: y apellidos)?(?: del paciente)?|apellidos?|nome(?: completo)?"
    r"(?: d[oa] paciente)?|sobrenome|m[aã]e|nome da m[aã]e|next of kin|mother|father)"
)
_ROLES: Final = (
    r"(?:(?:attending|referring|ordering|requesting|reporting|primary care|interpreting)"
    r"(?: (?:physician|radiologist|provider|doctor|clinician))?"
    r"|radiologist|physician|technologist|technician|transcriptionist|resident|radi[oó]log[oa]"
    r"|m[eé]dic[oa](?: (?:solicitante|respons[aá]vel|informante|radi[oó]log[oa]|assistente"
    r"|peticionari[oa]|referente))?|solicitante|t[eé]cnic[oa]|respons[aá]vel|informante|firmado)"
)
_SIGNED: Final = (
    r"(?:(?:electronically |digitally )?(?:signed|dictated|read|reported|interpreted|reviewed"
    r"|transcribed|verified|approved|performed) (?:and (?:signed|read|verified) )?by"
    r"|(?:discussed|reviewed|communicated|spoke|conveyed|relayed) (?:with|to)"
    r"|(?:firmado|informado|realizado|validado|dictado|revisado|solicitado|comentado)"
    r"(?: electr[oó]nicamente)?(?: por| con| a)"
    r"|(?:assinado|laudado|realizado|revisado|ditado|digitado|solicitado|discutido)"
    r"(?: eletronicamente| digitalmente)?(?: por| com)|comunicado (?:a|ao|à))"
)
_TITLES: Final = (
    r"(?:D[Rr]as?|D[Rr]s?|Doctora?|Doutora?|Prof|PROF|Professor|Mr|MR|Mrs|MRS|Ms|Sr|SR|Sra|SRA"
    r"|Srta|Do[nñ]a|Don|D\.ª|Nurse|Sister|Enf)"
)
_DEGREES: Final = r"(?:M\.?D\.?|D\.?O\.?|R\.?N\.?|PA-C|NP|FRCR|MRCP|Ph\.?D\.?|R\.?T\.?\(R\))"

_AFTER_LABEL: Final = re.compile(rf"(?i:\b{_LABELS})[ \t]*[:=#][ \t]*(?:{_TITLES}\.? )?{_NAME}")
_AFTER_ROLE: Final = re.compile(
    rf"(?i:\b(?:{_ROLES}[ \t]*[:=]|{_SIGNED}[ \t]*:?))[ \t]*(?:(?i:the )?{_TITLES}\.? ?)*{_NAME}"
)
_AFTER_TITLE: Final = re.compile(rf"\b{_TITLES}(?:\.|\b)[ \t]*(?:{_TITLES}\. )?{_NAME}")
_BEFORE_DEGREE: Final = re.compile(rf"\b{_NAME},? {_DEGREES}(?![\w-])")
_PROPER: Final = rf"[{_UPPER}](?:['’][{_UPPER}])?[{_LOWER}]{{2,}}"
_AUTHORITY: Final = re.compile(
    rf"\b(?i:as per|per|according to|según|segundo|conforme) (?P<name>(?:(?i:{_JOIN}) )?{_PROPER}"
    rf"(?:[ -](?:(?i:{_JOIN}) )?{_PROPER}){{0,2}})(?![\w-]| ?\d|,? et al)"
    r"(?! (?i:society|criteria|guid|classif|clasific|scor|scal|protocol|recommend|recomend|system"
    r"|sistema|grad|method|index|formula|model|criterios|critérios|escala|tabla|tabela))"
)
"""``Per Zhang``: a surname alone, which what it follows gives away. Capitals alone are acronyms
there (``per ACR``), and what precedes ``criteria`` is an eponym."""
_SERVICES: Final = re.compile(
    r"\w*(?:ology|olog[ií]a|rurg[ií]a|surgery|iatr[ií]a|iatry|pedics|nursing|medicine)"
    r"|enfermer[ií]a|enfermagem|medicina|anesthesia|anestesia|trauma|fleischner|genant|weibel"
    r"|protocol[oa]?s?|policy|política|routine|request(?:ed)?|orders?|solicitud|solicitado"
    r"|solicitação|outside|verbal|telephone|teléfono|telefone|epic|pacs|guidelines?|recist|gu[ií]as?"
    r"|normas?|normativa|rutina|rotina|orden|ordem|pedido|petición"
)
"""Departments, systems and rules, which are asked too; our choice of those that reports name."""
_DICOM_NAME: Final = re.compile(rf"\b(?P<name>[{_UPPER}][\w'’-]+\^[{_UPPER}][\w'’^ -]*\w)")

GIVEN: Final = frozenset(
    """
    jane james john robert michael william david richard joseph thomas charles christopher daniel
    matthew
    anthony donald steven paul andrew joshua kenneth kevin brian george edward ronald timothy jason
    jeffrey ryan jacob gary nicholas eric jonathan stephen larry justin scott brandon benjamin
    samuel
    gregory patrick alexander jack dennis jerry mary patricia jennifer linda elizabeth barbara susan
    jessica sarah karen lisa nancy betty margaret sandra ashley kimberly emily donna michelle carol
    amanda melissa deborah stephanie rebecca sharon laura cynthia kathleen amy angela shirley anna
    brenda pamela emma nicole helen samantha katherine christine debra rachel carolyn janet
    catherine
    josé jose antonio manuel francisco juan javier josefa carlos jesús alejandro miguel rafael pedro
    pablo sergio fernando alberto luis álvaro adrián diego raúl iván rubén enrique ramón vicente
    andrés joaquín maría maria carmen ana isabel laura cristina marta dolores lucía pilar elena
    raquel teresa rosa manuela mercedes beatriz rocío silvia concepción inmaculada antonia francisca
    joão joao paulo marcos lucas gabriel rafael mateus gustavo felipe leonardo rodrigo tiago thiago
    bruno marcelo ricardo eduardo vinícius adriana juliana márcia fernanda patrícia aline sandra
    camila amanda bruna jéssica letícia júlia vanessa mariana gabriela vera sônia luciana débora
    """.split()  # noqa: SIM905
)
"""Common ones of the three languages; our choice of about two hundred. Before a surname they make
a name without any other sign."""

NOT_NAMES: Final = frozenset(
    """
    a an the and or of in on at to by with without for from is are was were be been has have had no
    not none unknown unremarkable normal stable male female man woman boy girl infant child adult
    years year old age sex supine upright erect portable prone sitting standing semi position views
    view pa ap lateral frontal chest lung lungs lobe heart right left bilateral upper lower middle
    findings impression indication technique comparison history exam examination study report
    clinical
    information date time patient physician radiologist team service staff emergency department icu
    nurse floor ward clinic hospital radiology medical center resident attending referring provider
    izq der esq dir rotated tolerated intubated status post prior previous available see above
    below please improved
    unchanged worsening moderate mild severe small large acute chronic pain fever cough dyspnea
    pneumonia effusion edema pneumothorax atelectasis cardiomegaly opacity consolidation tube line
    catheter pacemaker port ct mri xr x ray mg ml cm mm kv mas id mrn dob
    el la los las un una y o de del al en con sin para por no se ha es son fue paciente varón mujer
    hombre niño niña años edad sexo derecho derecha izquierdo izquierda bilateral superior inferior
    medio lóbulo pulmón hemitórax derrame placa tórax radiografía estudio informe hallazgos
    conclusión impresión técnica motivo urgencias servicio planta solicitante radiología normal
    estable portátil decúbito bipedestación desconocido previo previa cardiomegalia neumonía
    o a os as um uma e ou do da dos das no na nos nas com sem para por não homem mulher anos idade
    direito direita esquerdo esquerda lobo pulmão pulmões derrame tórax exame laudo achados
    conclusão impressão técnica indicação urgência enfermaria serviço médico equipe masculino
    feminino radiografia prévio prévia desconhecido leito ortostase
    """.split()  # noqa: SIM905
)
_PLACE_BEFORE: Final = re.compile(
    r"\b(?:hospital|st|saint|san|santa|são|santo|clínica|centro|instituto|port|sign|line|view"
    r"|syndrome|disease|método|signo|sinal)\.? $", re.IGNORECASE
)  # fmt: skip
_GIVEN_AND_SURNAME: Final = re.compile(
    rf"\b(?P<given>{_WORD})(?=(?P<rest>(?: {_INITIAL}(?= ))?(?: (?:{_JOIN} )?{_PART}){{1,3}}))"
)


def names(text: str) -> Iterator[Span]:
    """Places of persons' names."""
    for pattern in (_AFTER_LABEL, _AFTER_ROLE, _AFTER_TITLE, _BEFORE_DEGREE, _DICOM_NAME):
        for found in pattern.finditer(text):
            yield from _trimmed(text, *found.span("name"))
    for found in _AUTHORITY.finditer(text):
        if not any(_SERVICES.fullmatch(word) for word in re.split(r"[ -]", found["name"].lower())):
            yield from _trimmed(text, *found.span("name"))
    for found in _GIVEN_AND_SURNAME.finditer(text):
        if found["given"].lower() in GIVEN and not _PLACE_BEFORE.search(text[: found.start()]):
            span = next(_trimmed(text, found.start(), found.end("rest")), None)
            if span and " " in text[slice(*span)]:
                yield span


def _trimmed(text: str, start: int, end: int) -> Iterator[Span]:
    """The words before the first that is no name; nothing where that is the first of all."""
    last = start
    for word in re.finditer(r"[^\s,]+", text[start:end]):
        plain = word[0].strip(".,;:").lower()
        is_join = word[0].lower() in _JOINS
        if (plain in NOT_NAMES and not is_join) or _TAKEN_OUT.fullmatch(plain):
            break
        if not is_join:
            last = start + word.end()
    if last > start and len(text[start:last].strip(". ")) > 1:
        yield start, last


_TAKEN_OUT: Final = re.compile(r"x{2,}\W*(?:lt;?x*)?|_+|\[.*")
"""What a publisher has put in a name's place: Open-I's ``XXXX``, MIMIC's ``___``."""
_JOINS: Final = frozenset("de la los las del da das do dos e y van von bin al".split())  # noqa: SIM905
