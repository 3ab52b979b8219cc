"""Open-I's report files, out of the archive or the folder, each as one ``Study`` of text."""

from __future__ import annotations

import gzip
import tarfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Final
from xml.etree import ElementTree

from infra.errors import SourceError
from sources.raw_files import RawFileError, RawFolder
from sources.record import (
    OBSERVATIONS,
    Image,
    Label,
    LabelValue,
    Level,
    Origin,
    Rejected,
    SectionedBy,
    SectionedText,
    SourceLabel,
    Study,
    View,
)
from sources.sections import collapse
from sources.split import hash_split
from sources.table_bytes import Unpacked, require_file

_SOURCE: Final = "openi"
_ARCHIVE: Final = "NLMCXR_reports.tgz"
_FOLDER: Final = "ecgen-radiology"
_SECTIONS: Final = ("COMPARISON", "INDICATION", "FINDINGS", "IMPRESSION")
_BLOCK_BYTES: Final = 1 << 20
LARGEST_REPORT_BYTES: Final = 4 << 20
"""Our choice: 450 times the publisher's longest file (9 kB)."""
_NOT_A_TERM: Final = "No Indexing"

COUNTERPARTS: Final[dict[str, str]] = {
    "normal": "No Finding",
    "Cardiomegaly": "Cardiomegaly",
    "Opacity/lung": "Lung Opacity",
    "Infiltrate": "Lung Opacity",
    "Airspace Disease": "Lung Opacity",
    "Nodule/lung": "Lung Lesion",
    "Mass/lung": "Lung Lesion",
    "Pulmonary Edema": "Edema",
    "Consolidation": "Consolidation",
    "Pneumonia": "Pneumonia",
    "Pulmonary Atelectasis": "Atelectasis",
    "Pneumothorax": "Pneumothorax",
    "Pleural Effusion": "Pleural Effusion",
    "Thickening/pleura": "Pleural Other",
    "Fractures, Bone": "Fracture",
    "Catheters, Indwelling": "Support Devices",
    "Implanted Medical Device": "Support Devices",
    "Medical Device": "Support Devices",
    "Tube, Inserted": "Support Devices",
}
"""A term, or the beginning of one up to a slash, to its observation. Our choice: only terms that
name what the observation names; all others speak through the source label alone."""


def report_files(root: Path) -> Iterator[tuple[str, bytes | RawFileError]]:
    """Name and content of each report, in order of name where unpacked, else of the archive.

    An unpacked file that cannot be read comes as the error.

    Raises:
        SourceError: the archive is no file, is broken or holds no report.
    """
    count = 0
    for name, data in _unpacked(root) if (root / _FOLDER).is_dir() else _archived(root):
        count += 1
        yield name, data
    if not count:
        raise SourceError(
            f"no .xml member in {root / _ARCHIVE}",
            "the reports of Open-I",
            "download NLMCXR_reports.tgz again",
        )


def parse_report(name: str, data: bytes | RawFileError, rejected: list[Rejected]) -> Study | None:
    """One study, its images without uri; None, with a row in ``rejected``, where it cannot be."""
    tree = _parse_xml(data)
    if isinstance(tree, str):
        rejected.append(Rejected(_SOURCE, Level.STUDY, name, None, "report-unreadable", tree))
        return None
    study_id = (_attribute(tree.find("uId"), "id") or "").strip()
    if not study_id:
        detail = "no uId in the report"
        rejected.append(Rejected(_SOURCE, Level.STUDY, name, None, "id-missing", detail))
        return None
    terms = [term for item in tree.iter("major") if (term := collapse(item.text or ""))]
    terms = [term for term in dict.fromkeys(terms) if term != _NOT_A_TERM]
    ids = [_attribute(item, "id") for item in tree.iter("parentImage")]
    sections = _sections(tree)
    return Study(
        source=_SOURCE,
        study_id=study_id,
        subject_id=None,
        split=hash_split(study_id),
        images=tuple(Image(image_id, View.UNKNOWN, "") for image_id in ids if image_id),
        raw_report="\n".join(f"{label}: {text}" for label, text in sections.items()) or None,
        texts=(_text(sections),) if sections else (),
        labels=_labels(terms),
        source_labels=tuple(SourceLabel(term, LabelValue.POSITIVE) for term in terms),
    )


class _WithoutDoctype(ElementTree.TreeBuilder):
    """Refuses a document type, the only place where entities can be declared.

    No report of the publisher has one, and a few lines of it can stand for gigabytes of text or
    for another file.
    """

    def doctype(self, name: str, public_id: str | None, system: str | None) -> None:
        del name, public_id, system
        raise ValueError("a document type declaration; expected XML without one")


def _parse_xml(data: bytes | RawFileError) -> ElementTree.Element | str:
    """The document, or why it is none."""
    if isinstance(data, RawFileError):
        return data.detail
    if len(data) > LARGEST_REPORT_BYTES:
        return f"more than {LARGEST_REPORT_BYTES} bytes"
    try:
        return ElementTree.fromstring(data, ElementTree.XMLParser(target=_WithoutDoctype()))
    except ElementTree.ParseError as error:
        line, column = error.position
        return f"not well-formed XML at line {line}, column {column}"
    except LookupError:
        return "XML in an encoding that nothing knows"
    except ValueError as error:  # the parser's or _WithoutDoctype's; neither quotes the text
        return str(error)


def _unpacked(root: Path) -> Iterator[tuple[str, bytes | RawFileError]]:
    with RawFolder(root) as folder:
        for path in sorted((root / _FOLDER).glob("*.xml")):
            try:
                yield path.name, folder.read(f"{_FOLDER}/{path.name}", LARGEST_REPORT_BYTES)
            except RawFileError as error:
                yield path.name, error


def _archived(root: Path) -> Iterator[tuple[str, bytes]]:
    path = root / _ARCHIVE
    require_file(path)
    try:
        # tarfile's own "r|gz" takes a cut file for the end of the archive
        with gzip.open(path) as packed:
            yield from _members(Unpacked(packed, path))
    except (tarfile.TarError, EOFError, zlib.error, OSError) as error:
        raise SourceError(
            f"a broken archive at {path} ({type(error).__name__})",
            "the reports of Open-I as a whole gzip-compressed tar",
            "download NLMCXR_reports.tgz again",
        ) from None


def _members(unpacked: Unpacked) -> Iterator[tuple[str, bytes]]:
    with tarfile.open(fileobj=unpacked, mode="r|") as archive:  # type: ignore[call-overload]
        for member in archive:
            stream = archive.extractfile(member) if member.name.endswith(".xml") else None
            if stream is not None:
                # one byte more than allowed shows that there is more
                yield Path(member.name).name, stream.read(LARGEST_REPORT_BYTES + 1)
        while unpacked.read(_BLOCK_BYTES):
            pass  # up to the checksum at the end


def _attribute(element: ElementTree.Element | None, name: str) -> str | None:
    return None if element is None else element.get(name)


def _sections(tree: ElementTree.Element) -> dict[str, str]:
    """Text by label in the publisher's order, without empty sections."""
    found = {
        str(item.get("Label")): collapse("".join(item.itertext()))
        for item in tree.iter("AbstractText")
    }
    return {label: text for label in _SECTIONS if (text := found.get(label))}


def _text(sections: dict[str, str]) -> SectionedText:
    return SectionedText(
        Origin.RADIOLOGIST,
        SectionedBy.PUBLISHER,
        "en",
        **{label.lower(): text for label, text in sections.items()},
    )


def _labels(terms: list[str]) -> tuple[Label, ...]:
    found = {
        observation
        for term in terms
        for prefix, observation in COUNTERPARTS.items()
        if f"{term}/".startswith(f"{prefix}/")
    }
    return tuple(Label(name, LabelValue.POSITIVE) for name in OBSERVATIONS if name in found)
