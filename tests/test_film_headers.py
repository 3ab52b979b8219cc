"""A DICOM header's claims: who is named, and whether writing is said to be in the pixels."""

from __future__ import annotations

import pytest
from pixel_samples import PATIENT_NAME, dicom, film, png

from sources.film_headers import PERSONAL, HeaderClaims, read_claims


def test_a_person_is_told_by_the_elements_keyword_alone() -> None:
    data = dicom(
        film(), PatientName=PATIENT_NAME, PatientBirthDate="19500101", BurnedInAnnotation="YES"
    )
    claims = read_claims(data)
    assert claims.personal == ("PatientName", "PatientBirthDate")
    assert claims.burned_in
    assert not claims.identity_removed
    assert "Zylberstein" not in repr(claims)


@pytest.mark.parametrize("stand_in", ["", "ANONYMOUS", "anonymized", "De-Identified", "^", "XXXX"])
def test_what_stands_for_nobody_names_nobody(stand_in: str) -> None:
    claims = read_claims(dicom(film(), PatientName=stand_in, PatientIdentityRemoved="YES"))
    assert claims == HeaderClaims(identity_removed=True)


def test_an_id_is_no_name() -> None:
    assert "PatientID" not in PERSONAL
    assert read_claims(dicom(film(), PatientName="", PatientID="10000032")).personal == ()


@pytest.mark.parametrize("data", [b"", b"DICM", png(film()), b"\0" * 128 + b"DICM" + b"\xff" * 40])
def test_other_and_damaged_files_claim_nothing(data: bytes) -> None:
    assert read_claims(data) == HeaderClaims()
