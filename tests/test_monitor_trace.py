"""One study is followed through the artifacts, and its text shown only if asked for."""

from __future__ import annotations

import json
from dataclasses import dataclass

import pyarrow.parquet as pq
import pytest
from raw_world import look, write_raw

from infra.errors import InputError
from sources.piece import piece_key, piece_number
from tasks.context import Context
from tasks.examples.work import write_examples
from tasks.ingest.stored_images import ingest_images
from tasks.ingest.studies import STUDIES_FILE, ingest_studies
from tasks.monitor.trace import trace_study, trace_text
from tasks.reports.connection import Teacher
from tasks.reports.work import REPORTS_FILE, write_reports

RECIPE = ('sources.routes={mimic_cxr=["keep"]}', "images.short_side_px=64", "sources.pieces=3")


@dataclass(frozen=True)
class World:
    context: Context
    study: str
    findings: str


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    """A data root whose name has what glob patterns are made of."""
    folder = tmp_path_factory.mktemp("trace") / "my [data] *"
    raw = write_raw("mimic_cxr", folder / "raw", 24)
    context = look(folder / "data", {"mimic_cxr": raw}, *RECIPE)
    ingest_studies(context, "mimic_cxr")
    ingest_images(context, "mimic_cxr")
    with Teacher(context.environment) as teacher:
        reports = write_reports(context, "mimic_cxr", teacher)
    for path in reports.files(REPORTS_FILE):
        for row in pq.read_table(path).to_pylist():
            if row["findings"]:
                return World(context, row["study_id"], row["findings"])
    raise AssertionError("no report with findings")


def test_only_the_studys_piece_is_opened(world: World) -> None:
    found = trace_study(world.context, world.study, with_text=False)
    key = piece_key(piece_number(world.study, 3))
    assert {place.split("/")[2].partition("-")[0] for place in found} == {key}
    names = {place.rpartition("/")[2] for place in found}
    assert {"studies.parquet", "images.parquet", "reports.parquet"} <= names
    assert {row["study_id"] for rows in found.values() for row in rows} == {world.study}


def test_text_and_pixels_stay_hidden(world: World) -> None:
    shown = json.dumps(trace_study(world.context, world.study, with_text=False), default=str)
    assert world.findings[:30] not in shown
    assert '"pixels"' not in shown
    with_text = trace_study(world.context, world.study, with_text=True)
    reports = [rows for place, rows in with_text.items() if place.endswith(REPORTS_FILE)]
    assert [row["findings"] for rows in reports for row in rows] == [world.findings]
    assert '"pixels"' not in json.dumps(with_text, default=str)


def test_examples_are_followed_too(world: World) -> None:
    write_examples(world.context, "llava_rad")
    found = trace_study(world.context, world.study, with_text=False)
    kinds = [place.partition("/")[0] for place in found]
    assert "examples" in kinds
    assert kinds == sorted(kinds, key=("studies", "images", "reports", "examples").index)


def test_an_unknown_study_is_one_line(world: World) -> None:
    with pytest.raises(InputError) as caught:
        trace_study(world.context, "x' OR 1=1 --", with_text=True)
    assert str(caught.value) == (
        f"found no row of study 'x' OR 1=1 --' under {world.context.store.root}; expected a "
        "study_id as its publisher writes it; check the recipe, scale and sources; 'cxr ingest' "
        "must have run"
    )


def test_the_text_has_a_line_per_row_without_empty_fields() -> None:
    found = {
        "studies/openi-1/p0000-2/studies.parquet": [
            {"study_id": "CXR1", "site": None, "labels": [], "split": "test", "note": ""}
        ],
        "images/openi-1/p0000-2/images.parquet": [{"image_id": "a"}, {"image_id": "b"}],
    }
    assert trace_text("CXR1", found).splitlines() == [
        "study CXR1",
        "",
        "studies/openi-1/p0000-2/studies.parquet  (1 row)",
        "  study_id=CXR1  split=test",
        "",
        "images/openi-1/p0000-2/images.parquet  (2 rows)",
        "  image_id=a",
        "  image_id=b",
    ]


def test_every_study_of_the_source_can_be_traced(world: World) -> None:
    artifact = world.context.artifact("studies/mimic_cxr")
    for path in artifact.files(STUDIES_FILE):
        for name in pq.read_table(path)["study_id"].to_pylist():
            assert trace_study(world.context, name, with_text=False)
