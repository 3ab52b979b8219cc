"""MIMIC-CXR 2.1.0 (DICOM and reports) and MIMIC-CXR-JPG 2.1.0, under one root or either alone.

Raw tree; files of both releases may lie side by side, the file names say 2.0.0 in 2.1.0 too::

    mimic-cxr-2.0.0-metadata.csv.gz  mimic-cxr-2.0.0-split.csv.gz        (-JPG)
    mimic-cxr-2.0.0-chexpert.csv.gz  mimic-cxr-2.1.0-test-set-labeled.csv
    IMAGE_FILENAMES
    cxr-record-list.csv.gz  cxr-study-list.csv.gz                        (DICOM)
    mimic-cxr-reports.zip                                   reports, read without unpacking, or
    files/p10/p10999999/s50999999.txt                       the same reports as files
    files/p10/p10999999/s50999999/<dicom_id>.jpg            -JPG
    files/p10/p10999999/s50999999/<dicom_id>.dcm            DICOM
    llava-rad-mimic-cxr-annotation-1.0.0/chat_{train,dev,test}_MIMIC_CXR_all_gpt4extract_rulebased_v1.json

One row of the metadata table (invented)::

    aaaaaaaa-bbbbbbbb-cccccccc-dddddddd-eeeeeeee,10999999,50999999,CHEST (PA AND LAT),PA,3056,2544,
    21550101,101112.131,CHEST (PA AND LAT),postero-anterior,Erect

Texts: ``sources.sections`` cuts each report, unless the LLaVA-Rad annotations are there (in that
folder or in the root): then, for the splits whose file is there, their two versions per study
(rules and GPT-4) are the only texts, as in LLaVA-Rad. ``raw_report`` is the report as published.

Labels: the CheXpert labeler's, but the radiologist's where the 2.1.0 test file has the study; its
``Airspace Opacity`` is ``Lung Opacity`` here and keeps its own name among the source labels.

Which of an image's two files is read is said in ``mimic_cxr_tables``, and so is what is taken from
DICOM headers where the -JPG tables are not there (then the split is a hash of the subject).
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pyarrow as pa

from infra.egress import Egress
from infra.licences import Use
from infra.tables import connect
from sources import mimic_cxr_tables
from sources.assembly import assemble
from sources.card import Access, Card, Expected
from sources.mimic_cxr_annotations import read_annotations
from sources.mimic_cxr_reports import attach_texts
from sources.record import Reading
from sources.split import split_table
from sources.tables import query, to_study_table

CARD = Card(
    name="mimic_cxr",
    title="MIMIC-CXR 2.1.0 and MIMIC-CXR-JPG 2.1.0",
    access=Access.PHYSIONET_CREDENTIALED,
    licence="PhysioNet Credentialed Health Data License 1.5.0 (DUA 1.5.0)",
    use=Use.RESEARCH,
    citation="Johnson et al. 2019, doi 10.1038/s41597-019-0322-0 and arXiv 1901.07042; "
    "LLaVA-Rad annotations: doi 10.13026/4ma4-k740",
    llm_egress=Egress.ZERO_RETENTION,
    required=((mimic_cxr_tables.METADATA, mimic_cxr_tables.RECORDS), ("files",)),
    language="en",
    has_reports=True,
    official_split=True,
    expected=Expected(subjects=64_588, studies=227_835, images=377_110),
)
"""Counts: https://mimic.mit.edu/docs/iv/modules/cxr. ``official_split`` needs the -JPG tables."""


def read(root: Path) -> Reading:
    """Read tables and reports under ``root``; images are not opened, nor looked for one by one.

    Added reasons: image ``id-missing``, ``view-unknown``; study ``split-missing``,
    ``split-unknown``, ``split-conflict``, ``label-value-unknown``; text ``report-empty``,
    ``report-not-utf8``, ``report-unreadable`` and those of ``mimic_cxr_annotations``. A study
    without a report is kept, and so is one without images.

    Raises:
        SourceError: no table, or a table, archive or annotation file that cannot be read.
    """
    CARD.require_files(root)
    with connect() as connection:
        mimic_cxr_tables.list_images(connection, root)
        reading = assemble(connection, CARD.name)
    reading = _with_imageless(reading, mimic_cxr_tables.read_study_list(root))
    return attach_texts(root, reading, read_annotations(root))


def _with_imageless(reading: Reading, listed: pa.Table | None) -> Reading:
    """Add the studies of the study list that have no image in any table.

    Their split is that of the subject's other studies, else the hash's; labels they have none.
    """
    if listed is None:
        return reading
    ids = [table.column("study_id") for table in (reading.studies, reading.rejected)]
    seen = pa.table({"study_id": pa.chunked_array([c for column in ids for c in column.chunks])})
    more = query(
        """SELECT study_id, min(listed.subject_id) AS subject_id,
                  min(coalesce(official.split, hashed.split)) AS split
           FROM listed LEFT JOIN hashed ON identifier = listed.subject_id
           LEFT JOIN (SELECT subject_id, min(split) AS split FROM studies GROUP BY subject_id)
               AS official ON official.subject_id = listed.subject_id
           WHERE study_id NOT IN (SELECT study_id FROM seen WHERE study_id IS NOT NULL)
           GROUP BY study_id""",
        listed=listed,
        seen=seen,
        studies=reading.studies.select(["subject_id", "split"]),
        hashed=split_table(listed.column("subject_id")),
    )
    if more.num_rows == 0:
        return reading
    studies = pa.concat_tables([reading.studies, to_study_table(more, CARD.name)])
    return replace(
        reading,
        studies=studies.sort_by("study_id").combine_chunks(),
        studies_in=reading.studies_in + more.num_rows,
    )
