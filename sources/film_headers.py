"""What a DICOM header says of the person on the film, and of writing in its pixels.

The values are looked at and forgotten: no function here returns one.
"""

from __future__ import annotations

import io
import warnings
from dataclasses import dataclass
from typing import Final

from pydicom import Dataset, dcmread

from sources.pixels_dicom import is_dicom
from sources.pixels_dicom_frame import DICOM_DAMAGE

PERSONAL: Final = (
    *("PatientName", "OtherPatientNames", "PatientBirthName", "PatientMotherBirthName"),
    *("PatientBirthDate", "PatientAddress", "PatientTelephoneNumbers", "OtherPatientIDs"),
    *("ReferringPhysicianName", "PerformingPhysicianName", "RequestingPhysician"),
    *("NameOfPhysiciansReadingStudy", "OperatorsName", "ResponsiblePerson"),
    *("InstitutionAddress", "ReferringPhysicianTelephoneNumbers", "MilitaryRank"),
)
"""Elements that name a person or where one lives, of those that DICOM's Basic Application Level
Confidentiality Profile empties or replaces (PS3.15, table E.1-1). PatientID is none: what takes its
place in a de-identified file cannot be told from it."""
_FLAGS: Final = ("BurnedInAnnotation", "PatientIdentityRemoved")
_STAND_INS: Final = ("", "ANON", "ANONYMOUS", "ANONYMIZED", "ANONYMISED", "DEIDENTIFIED", "UNKNOWN",
                     "REMOVED", "NONE", "NA", "XXXX", "00010101", "19000101")  # fmt: skip
"""Values that name nobody; compared without marks and in capitals."""


@dataclass(frozen=True)
class HeaderClaims:
    """``burned_in``: its pixels are said to hold writing (0028,0301); ``identity_removed``: it is
    said to be de-identified (0012,0062); ``personal``: keywords of elements that name a person."""

    burned_in: bool = False
    identity_removed: bool = False
    personal: tuple[str, ...] = ()


def read_claims(data: bytes) -> HeaderClaims:
    """What a file's header claims; nothing for what is no DICOM or is too damaged to be read,
    which its pixels will tell."""
    if not is_dicom(data):
        return HeaderClaims()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pydicom's quote header values
        try:
            header = dcmread(
                io.BytesIO(data),
                force=True,
                stop_before_pixels=True,
                specific_tags=[*PERSONAL, *_FLAGS],
            )
            return HeaderClaims(
                _says_yes(header, "BurnedInAnnotation"),
                _says_yes(header, "PatientIdentityRemoved"),
                tuple(name for name in PERSONAL if _names_somebody(header, name)),
            )
        except DICOM_DAMAGE:
            return HeaderClaims()


def _says_yes(header: Dataset, name: str) -> bool:
    return str(header.get(name) or "").strip().upper() == "YES"


def _names_somebody(header: Dataset, name: str) -> bool:
    plain = "".join(letter for letter in str(header.get(name) or "") if letter.isalnum()).upper()
    return plain not in _STAND_INS
