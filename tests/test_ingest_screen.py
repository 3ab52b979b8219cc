"""The screen in ingestion: what identifies is stopped or masked before a later step can see it."""

from __future__ import annotations

import ast
import csv
from pathlib import Path

import cv2
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pixel_samples import dicom, eight_bit, film, png
from raw_world import look

from infra.errors import InputError
from infra.fingerprint import HOUSE
from infra.settings.screen import OFF, ScreenPolicy, ScreenSettings
from infra.settings.sections import ImageSettings
from sources.pixels_grey import PixelError
from sources.record import (
    REJECTED_SCHEMA,
    Dialogue,
    Image,
    Study,
    Turn,
    View,
    studies_to_table,
)
from tasks.context import Context
from tasks.ingest.screened import (
    FILM_REASON,
    HEADER_REASON,
    TEXT_REASON,
    screen_film,
    screen_studies,
)
from tasks.ingest.stored_images import ingest_images
from tasks.ingest.studies import ingest_studies
from tests.writing_world import plain_films, written_on

NAME, NUMBER = "Whitcombe", "00483920"
ROWS = (
    ("S1", "P1", f"Patient: Jane {NAME} MRN: {NUMBER}. The lungs are clear."),
    ("S2", "P2", "No pleural effusion. Swan-Ganz catheter in place."),
    ("S3", "P3", "Small left effusion, compared with 12/03/2019."),
    ("S4", "P4", "The heart is enlarged."),
)
SETTINGS = ImageSettings(short_side_px=128, smallest_side_px=16)


def written_film() -> np.ndarray:
    return written_on(plain_films(2)[1], f"{NAME.upper()} JANE 1954", "DejaVuSans", 30, (60, 40))


@pytest.fixture
def raw(tmp_path: Path) -> Path:
    """A hospital's folder: the first study names its patient, the last shows a name on its film."""
    root = tmp_path / "hospital"
    root.mkdir()
    with (root / "manifest.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["image_path", "study_id", "subject_id", "view", "report"])
        for study, subject, report in ROWS:
            writer.writerow([f"{study}.png", study, subject, "PA", report])
            pixels = written_film() if study == "S4" else plain_films(2)[0]
            (root / f"{study}.png").write_bytes(png(pixels))
    return root


def ingested(tmp_path: Path, raw: Path, *overrides: str) -> tuple[Context, pa.Table, pa.Table]:
    """The context, the studies and the rejected rows of studies and of images."""
    context = look(tmp_path / "data", {"manifest": raw}, "images.short_side_px=128", *overrides)
    studies, images = ingest_studies(context, "manifest"), ingest_images(context, "manifest")
    for artifact in (studies, images):
        for count in artifact.counts:
            assert count.rows_in == count.kept + sum(count.rejected.values())
    rejected = [*studies.files("rejected.parquet"), *images.files("rejected.parquet")]
    kept = pa.concat_tables([pq.read_table(path) for path in studies.files("studies.parquet")])
    lost = [pq.read_table(path) for path in rejected]
    return context, kept, pa.concat_tables(lost, promote_options="default")


def bytes_below(root: Path) -> bytes:
    return b"".join(path.read_bytes() for path in sorted(root.rglob("*")) if path.is_file())


def everything_in(table: pa.Table) -> str:
    return str(table.to_pylist())


def test_by_default_a_hospitals_rows_that_name_somebody_are_rejected(
    tmp_path: Path, raw: Path, caplog: pytest.LogCaptureFixture
) -> None:
    _, kept, rejected = ingested(tmp_path, raw)
    assert sorted(kept["study_id"].to_pylist()) == ["S2", "S3", "S4"]
    reasons = sorted((row["level"], row["row_id"], row["reason"]) for row in rejected.to_pylist())
    assert reasons == [
        ("image", "S1.png", TEXT_REASON),
        ("image", "S4.png", FILM_REASON),
        ("study", "S1", TEXT_REASON),
    ]
    detail = next(row["detail"] for row in rejected.to_pylist() if row["level"] == "study")
    assert detail.startswith("found name at 9-23, record number at 29-37 of raw_report and in")
    for words in (NAME, NUMBER, "Jane"):
        assert words not in everything_in(rejected) + everything_in(kept) + caplog.text
        assert words.encode() not in bytes_below(tmp_path / "data")


def test_masked_rows_go_on_with_placeholders(tmp_path: Path, raw: Path) -> None:
    mask = ("screen.own.texts=mask", "screen.own.films=mask", "screen.own.dates=all")
    context, kept, rejected = ingested(tmp_path, raw, *mask)
    assert rejected.num_rows == 0
    reports = dict(zip(kept["study_id"].to_pylist(), kept["raw_report"].to_pylist(), strict=True))
    assert reports["S1"] == "Patient: [name] MRN: [record number]. The lungs are clear."
    assert reports["S3"] == "Small left effusion, compared with [date]."
    assert NAME not in everything_in(kept)
    images = context.artifact("images/manifest").files("images.parquet")
    rows = pa.concat_tables([pq.read_table(path) for path in images]).to_pylist()
    stored = {row["study_id"]: row["pixels"] for row in rows}
    pixels = cv2.imdecode(np.frombuffer(stored["S4"], np.uint8), cv2.IMREAD_GRAYSCALE)
    assert (pixels[6:9, 10:50] < 12).all()  # where the name stood, eight times as large


def test_what_was_ingested_before_the_screen_is_not_used_again(tmp_path: Path, raw: Path) -> None:
    off = "screen.sources.manifest={texts='allow', films='allow', headers='allow'}"
    before, kept, _ = ingested(tmp_path, raw, off)
    assert NAME in everything_in(kept)
    after, kept, _ = ingested(tmp_path, raw)
    assert NAME not in everything_in(kept)
    for key in ("studies/manifest", "images/manifest", "reports/manifest"):
        assert before.graph[key].fingerprint != after.graph[key].fingerprint


def test_published_sources_are_screened_where_a_person_says_so(tmp_path: Path, raw: Path) -> None:
    def steps(*overrides: str) -> dict[str, str]:
        context = look(tmp_path / "data", {"manifest": raw}, *overrides, replicas=True)
        return {
            f"{kind}": context.graph[f"{kind}/mimic_cxr"].fingerprint
            for kind in ("studies", "images")
        }

    usual = steps()
    assert steps("screen.own.texts=mask") == usual
    changed = steps("screen.sources.mimic_cxr={texts='mask', films='allow', headers='allow'}")
    assert changed["studies"] != usual["studies"]
    with pytest.raises(InputError, match=r"found 'mimic' in screen\.sources"):
        steps("screen.sources.mimic={}")


def test_the_policy_of_a_source() -> None:
    settings = ScreenSettings(sources={"openi": ScreenPolicy(texts="mask")})
    assert settings.policy("manifest", is_own=True) == ScreenPolicy()
    assert settings.policy("chexpert", is_own=False) == OFF
    assert settings.policy("openi", is_own=False).texts == "mask"
    assert not OFF.reads_films


def study(**fields: object) -> pa.Table:
    told = {"raw_report": None, "site": None, **fields}
    one = Study("manifest", "S1", "P1", None, (Image("a", View.PA, "a.png"),), **told)  # type: ignore[arg-type]
    return studies_to_table([one])


def test_every_text_of_a_study_is_searched() -> None:
    turns = (Turn("user", f"Is this Mrs. {NAME}?"), Turn("assistant", f"Yes, {NAME}."))
    asked = Dialogue("d1", ("a",), turns, answers=(f"Dr. {NAME}",))
    empty = REJECTED_SCHEMA.empty_table()
    for table in (
        study(site=f"Ward of Dr. {NAME}"),
        study(dialogues=(asked,)),
        study(raw_report=f"Dr. {NAME}"),
    ):
        kept, lost = screen_studies(table, empty, ScreenPolicy())
        assert (kept.num_rows, lost["reason"].unique().to_pylist()) == (0, [TEXT_REASON])
        assert NAME not in everything_in(lost)
        masked, none = screen_studies(table, empty, ScreenPolicy(texts="mask"))
        assert (masked.num_rows, none.num_rows) == (1, 0)
        assert NAME not in everything_in(masked)
        assert screen_studies(table, empty, ScreenPolicy(texts="allow"))[0] is table


def test_a_name_is_masked_in_all_texts_though_something_invisible_stands_in_it() -> None:
    turns = (Turn("user", "Is Okoroafor here?"), Turn("assistant", "Okoro\u00adafor is."))
    table = study(raw_report="Dr. Oko\u200broafor", dialogues=(Dialogue("d1", ("a",), turns),))
    kept, _ = screen_studies(table, REJECTED_SCHEMA.empty_table(), ScreenPolicy(texts="mask"))
    assert kept["raw_report"].to_pylist() == ["Dr. [name]"]
    [dialogue] = kept["dialogues"].to_pylist()[0]
    assert [turn["text"] for turn in dialogue["turns"]] == ["Is [name] here?", "[name] is."]


def test_a_rejected_study_takes_its_questions_with_it() -> None:
    turns = (Turn("user", f"Is this Mrs. {NAME}?"),)
    table = study(dialogues=(Dialogue("d1", ("a",), turns), Dialogue("d2", ("a",), turns)))
    _, lost = screen_studies(table, REJECTED_SCHEMA.empty_table(), ScreenPolicy())
    assert lost["level"].to_pylist() == ["study", "image", "dialogue", "dialogue"]


def test_headers_that_contradict_themselves_are_refused() -> None:
    said = dicom(film(300, 300), PatientName=f"{NAME}^Jane", PatientIdentityRemoved="YES")
    silent = dicom(film(300, 300), PatientName=f"{NAME}^Jane")
    with pytest.raises(PixelError) as caught:
        screen_film(said, SETTINGS, ScreenPolicy())
    assert caught.value.reason == HEADER_REASON
    assert "PatientName" in caught.value.detail
    assert NAME not in caught.value.detail
    assert screen_film(silent, SETTINGS, ScreenPolicy()) == ()
    with pytest.raises(PixelError, match=HEADER_REASON):
        screen_film(silent, SETTINGS, ScreenPolicy(headers="reject"))
    assert screen_film(said, SETTINGS, ScreenPolicy(headers="allow", films="allow")) == ()


def test_a_film_said_to_be_written_on_is_refused_where_nothing_is_found() -> None:
    said = dicom(film(300, 300), BurnedInAnnotation="YES")
    for films in ("reject", "mask"):
        with pytest.raises(PixelError, match="BurnedInAnnotation"):
            screen_film(said, SETTINGS, ScreenPolicy(films=films))


def test_writing_of_two_lines_is_masked_to_the_end() -> None:
    pixels = written_on(written_film(), "HOSPITAL CENTRAL", "DejaVuSans-Bold", 26, (60, 90))
    places = screen_film(png(pixels), SETTINGS, ScreenPolicy(films="mask"))
    assert len(places) >= 2
    assert screen_film(png(eight_bit(film(300, 300))), SETTINGS, ScreenPolicy(films="mask")) == ()


def test_nothing_else_reads_raw_data() -> None:
    """So nothing passes the screen by: RRG24's order of answers has neither text nor film of a
    hospital's own."""
    callers = {
        path.relative_to(HOUSE).as_posix()
        for package in ("tasks", "flows", "models", "evaluation")
        for path in (HOUSE / package).rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call)
        and ast.unparse(node.func).endswith((".raw_root", ".read_dicom"))
    }
    assert callers == {
        "tasks/ingest/studies.py",
        "tasks/ingest/stored_images.py",
        "tasks/submit/work.py",
    }
