"""Reports of three languages with planted identifiers, and sentences that only look like them.

Every person, number and place is invented. ``planted`` builds texts from templates with ``{slots}``
and tells where each slot's value stands. Some names stand without any sign, as they do in
hospitals, so that recall is not that of easy cases alone.
"""

from __future__ import annotations

import random
import re
from dataclasses import dataclass
from typing import Final

from stdnum.br import cpf
from stdnum.es import dni
from stdnum.gb import nhs

from sources.identifying import Kind

PEOPLE: Final = {
    "en": (("Jane", "Whitcombe"), ("Robert", "Ashdown"), ("Oluwaseun", "Adeyemi"),
           ("Kathleen", "O'Neil"), ("Wei", "Zhang"), ("Priya", "Raman"), ("Brandon", "Kowalski")),
    "es": (("María José", "Ruiz Peña"), ("Juan", "García López"), ("Iker", "Etxeberria"),
           ("Nuria", "Ferrer"), ("Andrés", "Núñez"), ("Pilar", "de la Torre")),
    "pt": (("João", "Ferreira"), ("Luciana", "dos Santos"), ("Thiago", "Albuquerque"),
           ("Iara", "Nogueira"), ("Márcia", "Conceição"), ("Raimundo", "Teixeira")),
}  # fmt: skip
TEMPLATES: Final[dict[str, tuple[str, ...]]] = {
    "en": (
        "Patient: {name}  MRN: {record}. PA and lateral chest. The lungs are clear.",
        "PATIENT NAME: {NAME}\nDOB: {birth}\nFINDINGS: Small left pleural effusion.",
        "Findings were discussed with Dr. {surname} at 14:30. Right apical pneumothorax.",
        "No focal consolidation. Electronically signed by {name}, MD.",
        "Dictated by: {name}. Accession number {record}. Stable cardiomegaly.",
        "Call the reading room at {phone} with questions. No acute process.",
        "Results e-mailed to {email}. Lines and tubes as above.",
        "Mrs. {surname} was informed. NHS number {nhs}. Hyperinflated lungs.",
        "{name} was seen in clinic. Heart size is normal.",
        "Address: {street}. Chest pain. Comparison to the prior study.",
        "Reviewed with {name} RN by phone. Tube tip 4 cm above the carina.",
        "Mr {surname}'s family was told. Bibasilar atelectasis.",
        "Per {surname}, the line was pulled back. No pneumothorax.",
        "Referring physician: {name}. Reason: fever. SSN {ssn}.",
    ),
    "es": (
        "PACIENTE: {NAME}. NHC: {record}. Radiografía de tórax sin hallazgos.",
        "Nombre: {name}. Fecha de nacimiento: {birth}. Derrame pleural izquierdo.",
        "Informado por Dra. {surname}. Cardiomegalia leve.",
        "Médico solicitante: {name}. Tos de tres semanas. DNI {dni}.",
        "Se comenta con el Dr. {surname} por teléfono. Neumotórax apical derecho.",
        "Avisar al teléfono {phone}. Infiltrado en lóbulo inferior derecho.",
        "Domicilio: {street}. Catéter bien situado.",
        "Firmado electrónicamente por {name}. Sin cambios respecto al previo.",
        "Acude {name} por dolor torácico. Índice cardiotorácico normal.",
        "Sra. {surname}, control. Correo {email}.",
        "Según {surname}, sin cambios. Senos costofrénicos libres.",
    ),
    "pt": (
        "Nome do paciente: {name}. Prontuário: {record}. Pulmões sem alterações.",
        "PACIENTE: {NAME}\nData de nascimento: {birth}\nDerrame pleural à esquerda.",
        "Laudado por: {name}. Cardiomegalia discreta.",
        "Médico solicitante: Dr. {surname}. Tosse. CPF {cpf}.",
        "Contato: {phone}. Consolidação no lobo inferior direito.",
        "Endereço: {street}. CEP {cep}. Sonda bem posicionada.",
        "Discutido com a Dra. {surname} por telefone. Sem pneumotórax.",
        "{name}, internado no leito 12. Seios costofrênicos livres.",
        "E-mail {email}. Atendimento n. {record}. Área cardíaca normal.",
        "Conforme {surname}, sem alterações desde o exame anterior.",
    ),
}
HARD_NEGATIVES: Final = (
    "Swan-Ganz catheter tip in the right pulmonary artery. Hodgkin lymphoma, treated.",
    "Kerley B lines. Hampton hump. Westermark sign. Ghon focus in the left upper lobe.",
    "Right-sided Port-A-Cath; Dobhoff tube; Hickman catheter; Jackson-Pratt drain.",
    "Comparison: 12/03/2019 and March 4, 2018. Unchanged since 2017-05-06.",
    "Nodule of 1.2 x 3.4 x 5.6 cm, previously 11/12 mm; T12/L1 disc space.",
    "Patient: Supine. Technique: AP portable at 05:30, 85 kV, 3.2 mAs.",
    "Findings were discussed with the ICU team by telephone at 14:30.",
    "Hemitórax dr. sin derrame. Campo pulmonar Dr. e Izq. libres.",
    "Pancoast tumor. Chilaiditi sign. Scheuermann disease. Bochdalek hernia.",
    "Signo de Felson. Línea de Kerley. Catéter de Hickman. Sonda de Levin.",
    "Sinal de Golden. Cateter de Swan-Ganz. Linhas B de Kerley.",
    "Ribs 4-5-6 on the left; levels 10-11-12. Score 2/3. Image 12 of 345.",
    "Patient is a 67 year old male with St. Jude valve and Mitraclip.",
    "Paciente varón de 54 años. Paciente en decúbito supino.",
    "Paciente em ortostase. Médico do serviço avisado.",
    "Dose 1500 mg; WBC 12.400; creatinine 1.2. Study 2 of 3. L4-L5.",
    "Mr. and Dr. are titles. Read by the resident on call. Name of study: Chest PA.",
    "Grade 2-3-4 changes. 100 120 140 kV. Follow-up in 6-8 weeks. Fleischner 2017.",
    "Charcot-Marie-Tooth. Marie disease. Port St. Lucie line. Monitor leads in place.",
    "Technologist: unknown. Radiologist: see below. Referring: none.",
    "Santa Maria sign and San Jose virus. Dandy-Walker. Right IJ Cordis.",
    "Impresión: cardiomegalia. Conclusión: sin cambios. Sr: 40 mm.",
    "Per Radiology, per ICU and as per protocol. Follow-up per Fleischner Society guidelines.",
    "Nodule, per Lung-RADS 2 and according to Light criteria. Per Orthopedics, Fleischner 2017.",
    "Según Neumología, sin cambios. Según Guía y según clasificación de Kerley. Per Report.",
    "Exam no. 2, 10 20 30 ml of contrast. IDs match; id 4 of 12. Valid 120 kV, 2 mAs, 180 cm.",
    "Registro de 10 20 30 mm. Episodio 2 de 14. Processo inflamatório 12 mm. ID consult 12 03.",
    "Conforme Protocolo, segundo arco costal. Conforme Cirurgia. Segundo Cardiologia, estável.",
)
_DOMAINS: Final = ("hospital.example", "clinic.example.org", "saude.example.br")


@dataclass(frozen=True)
class Planted:
    """A text, and by kind where its identifiers stand."""

    text: str
    language: str
    places: tuple[tuple[Kind, int, int], ...]


def planted(count: int, seed: int) -> list[Planted]:
    """So many texts, templates in turn and values by chance."""
    rng = random.Random(seed)
    pairs = [(language, text) for language, texts in TEMPLATES.items() for text in texts]
    return [_fill(*pairs[number % len(pairs)], rng) for number in range(count)]


_KINDS: Final = {
    "name": Kind.NAME, "NAME": Kind.NAME, "surname": Kind.NAME, "record": Kind.RECORD,
    "birth": Kind.BIRTH_DATE, "phone": Kind.PHONE, "email": Kind.EMAIL, "street": Kind.ADDRESS,
    "dni": Kind.NATIONAL_ID, "cpf": Kind.NATIONAL_ID, "nhs": Kind.NATIONAL_ID,
    "ssn": Kind.NATIONAL_ID, "cep": Kind.ADDRESS,
}  # fmt: skip


def _fill(language: str, template: str, rng: random.Random) -> Planted:
    given, surname = rng.choice(PEOPLE[language])
    text, places, last = "", list[tuple[Kind, int, int]](), 0
    for slot in re.finditer(r"\{(\w+)\}", template):
        text += template[last : slot.start()]
        value = _value(slot[1], language, given, surname, rng)
        places.append((_KINDS[slot[1]], len(text), len(text) + len(value)))
        text, last = text + value, slot.end()
    return Planted(text + template[last:], language, tuple(places))


def _value(slot: str, language: str, given: str, surname: str, rng: random.Random) -> str:
    day, month, year = rng.randint(1, 28), rng.randint(1, 12), rng.randint(1930, 1999)
    digits = "".join(str(rng.randint(0, 9)) for _ in range(8))
    values = {
        "name": f"{given} {surname}",
        "NAME": f"{given} {surname}".upper(),
        "surname": surname,
        "record": rng.choice((digits[:7], f"H{digits[:6]}", f"{digits[:4]}-{digits[4:]}")),
        "ssn": f"{rng.randint(100, 599)}-{rng.randint(10, 99)}-{rng.randint(1000, 9999)}",
        "cep": f"{digits[:5]}-{digits[5:]}",
        "birth": rng.choice((f"{day:02}/{month:02}/{year}", f"{year}-{month:02}-{day:02}")),
        "email": f"{surname.split()[0].lower().replace(chr(39), '')}@{rng.choice(_DOMAINS)}",
    }
    return values[slot] if slot in values else _numbered(slot, language, digits, rng)


def _numbered(slot: str, language: str, digits: str, rng: random.Random) -> str:
    """Telephones and streets as each country writes them, and numbers with right check digits."""
    if slot == "phone":
        return {
            "en": f"(617) 555-{digits[:4]}",
            "es": f"91{digits[0]} {digits[1:4]} {digits[4:7]}",
            "pt": f"(11) 9{digits[:4]}-{digits[4:]}",
        }[language]
    if slot == "street":
        number = rng.randint(2, 480)
        return {
            "en": f"{number} Larch Hill Road",
            "es": f"Calle de las Acacias, {number}",
            "pt": f"Rua das Palmeiras, {number}",
        }[language]
    if slot == "dni":
        return f"{digits}{dni.calc_check_digit(digits)}"
    if slot == "cpf":
        base = f"{digits}{rng.randint(0, 9)}"
        ends = (f"{base}{end:02}" for end in range(100))
        return str(cpf.format(next(each for each in ends if cpf.is_valid(each))))
    while True:
        number = f"4{digits}{rng.randint(0, 9)}"
        if nhs.is_valid(number):
            return f"{number[:3]} {number[3:6]} {number[6:]}"
        digits = "".join(str(rng.randint(0, 9)) for _ in range(8))


STRANGERS: Final = (
    ("Pt Name - HOLLOWAY, MERCY A; Acc# CX4471902", ("HOLLOWAY, MERCY A", "CX4471902")),
    ("Verbally reported to Nurse Bellweather in the ED at 0310.", ("Bellweather",)),
    ("cc: Dr Anand Krishnamurthy, Lowfield Surgery, LS1 4DY", ("Anand Krishnamurthy", "LS1 4DY")),
    ("Transcribed by Tamsin Oke, 04/12/2022. D.O.B.: 7 May 1948", ("Tamsin Oke", "7 May 1948")),
    ("Hospital number 0077123. Seen with wife Gloria.", ("0077123", "Gloria")),
    ("Mobile: +44 7700 900123 (daughter)", ("+44 7700 900123",)),
    ("I, Fergus MacAllister MD, have reviewed the images.", ("Fergus MacAllister",)),
    ("Ms. Quispe-Huanca reports cough. Contact: rq@mail.example", ("Quispe-Huanca",
                                                                   "rq@mail.example")),
    ("Pte. Hinojosa, cama 14. Hª 558213", ("Hinojosa", "558213")),
    ("Dr. Urrutia / Dra. Zabala. Radiólogo: Txomin Urrutia", ("Urrutia", "Zabala",
                                                              "Txomin Urrutia")),
    ("Nacida el 3 de abril de 1961. Avda. del Mar 22, Vigo", ("3 de abril de 1961",
                                                             "Avda. del Mar 22")),
    ("Apellidos: Belaunde Saldías. Tfno. 600 123 456", ("Belaunde Saldías", "600 123 456")),
    ("Sr. Oyarzún, RUT 12.345.678-5", ("Oyarzún", "12.345.678-5")),
    ("Exame realizado pelo técnico Genivaldo. Registro: 88-1203", ("Genivaldo", "88-1203")),
    ("Solicitante: Dra. Yara Bittencourt CRM 55123", ("Yara Bittencourt",)),
    ("Nascido em 02.09.1957; Av. Brasil, 1500; tel 21 98765-4321", ("02.09.1957",
                                                                  "Av. Brasil, 1500",
                                                                  "21 98765-4321")),
    ("Assinado digitalmente por Dr. Wanderley Prado", ("Wanderley Prado",)),
    ("Cartão SUS 700 0000 0000 0005, mãe: Zuleide Prado", ("Zuleide Prado",)),
)  # fmt: skip
"""Written after the rules were, and never used to change them: text, and what should be found."""
