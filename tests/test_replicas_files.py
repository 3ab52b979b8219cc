"""Published pixel formats: what is written is read back, byte for byte the same each time."""

from __future__ import annotations

import os
from io import BytesIO
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from pydicom import dcmread

from infra.settings import ImageSettings
from sources.pixels import read_grey
from sources.record import View
from sources.replicas.files import (
    DicomStyle,
    TransferSyntax,
    draw_many,
    encode_dicom,
    encode_jpeg,
    encode_png,
    quantise,
    write_file,
)
from sources.replicas.phantom import draw
from sources.replicas.traps import spread, truncate
from sources.replicas.truth import ReplicaSpec, draw_cohort
from sources.replicas.truth_file import TRUTH_FILE, TrueBox, TrueStudy, write_truth

LOSSLESS = [syntax for syntax in TransferSyntax if syntax is not TransferSyntax.JPEG_BASELINE]


@pytest.fixture(scope="module")
def pixels() -> NDArray[np.float32]:
    return draw(draw_cohort(ReplicaSpec(1), "files")[0], View.PA, 133).pixels


def stored(data: bytes) -> NDArray[np.int64]:
    return np.asarray(dcmread(BytesIO(data)).pixel_array, np.int64)


def test_quantise_takes_the_smallest_type() -> None:
    ramp = np.linspace(-0.1, 1.1, 13, dtype=np.float32)
    assert quantise(ramp, 255).dtype == np.uint8
    assert quantise(ramp, 4095).dtype == np.uint16
    assert (quantise(ramp, 4095).min(), quantise(ramp, 4095).max()) == (0, 4095)


def test_an_eight_bit_png_reads_back(pixels: NDArray[np.float32]) -> None:
    with Image.open(BytesIO(encode_png(pixels))) as image:
        assert image.mode == "L"
        assert np.array_equal(np.asarray(image), quantise(pixels, 255))


def test_a_sixteen_bit_png_reads_back_at_quarter_range(pixels: NDArray[np.float32]) -> None:
    data = encode_png(pixels, levels=16383)
    read = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    assert read is not None
    assert read.dtype == np.uint16
    assert np.array_equal(read, quantise(pixels, 16383))


def test_an_rgba_png_has_four_equal_channels(pixels: NDArray[np.float32]) -> None:
    with Image.open(BytesIO(encode_png(pixels, rgba=True))) as image:
        assert image.mode == "RGBA"
        channels = np.asarray(image)
    assert (channels[..., 3] == 255).all()
    assert (channels[..., 0] == channels[..., 2]).all()


def test_a_jpeg_is_grey_and_near(pixels: NDArray[np.float32]) -> None:
    with Image.open(BytesIO(encode_jpeg(pixels, quality=95))) as image:
        assert (image.format, image.mode) == ("JPEG", "L")
        error = np.abs(np.asarray(image, np.int64) - quantise(pixels, 255))
    assert float(error.mean()) < 2.5


def test_a_lower_quality_is_smaller(pixels: NDArray[np.float32]) -> None:
    assert len(encode_jpeg(pixels, 50)) < len(encode_jpeg(pixels, 95))


@pytest.mark.parametrize("bits", [8, 10, 12, 16])
@pytest.mark.parametrize("syntax", LOSSLESS, ids=lambda item: item.name)
def test_lossless_dicom_reads_back(
    pixels: NDArray[np.float32], syntax: TransferSyntax, bits: int
) -> None:
    data = encode_dicom(pixels, DicomStyle(syntax, bits, window=False))
    dataset = dcmread(BytesIO(data))
    assert dataset.file_meta.TransferSyntaxUID == syntax.value
    assert (dataset.BitsStored, dataset.HighBit) == (bits, bits - 1)
    assert dataset.BitsAllocated == (8 if bits == 8 else 16)
    assert np.array_equal(stored(data), quantise(pixels, 2**bits - 1))


def test_baseline_jpeg_dicom_is_near(pixels: NDArray[np.float32]) -> None:
    data = encode_dicom(pixels, DicomStyle(TransferSyntax.JPEG_BASELINE, 8, window=False))
    assert float(np.abs(stored(data) - quantise(pixels, 255)).mean()) < 2.5


def test_baseline_jpeg_refuses_more_than_eight_bits(pixels: NDArray[np.float32]) -> None:
    with pytest.raises(AssertionError, match="baseline JPEG holds 8 bits"):
        encode_dicom(pixels, DicomStyle(TransferSyntax.JPEG_BASELINE, 12))


def test_monochrome1_is_stored_upside_down(pixels: NDArray[np.float32]) -> None:
    plain = stored(encode_dicom(pixels, DicomStyle(bits_stored=12)))
    data = encode_dicom(pixels, DicomStyle(bits_stored=12, inverted=True))
    assert dcmread(BytesIO(data)).PhotometricInterpretation == "MONOCHROME1"
    sums = plain + stored(data)
    assert int(sums.max()) - int(sums.min()) <= 1


def test_the_window_covers_the_picture(pixels: NDArray[np.float32]) -> None:
    data = encode_dicom(pixels, DicomStyle(bits_stored=12, slope=2.0, intercept=-1000.0))
    dataset = dcmread(BytesIO(data))
    values = stored(data) * 2.0 - 1000.0
    low = dataset.WindowCenter - dataset.WindowWidth / 2
    high = dataset.WindowCenter + dataset.WindowWidth / 2
    assert low - 2 <= values.min()
    assert values.max() <= high + 2
    assert (dataset.RescaleSlope, dataset.RescaleIntercept) == (2.0, -1000.0)


def test_without_a_window_there_are_no_window_tags(pixels: NDArray[np.float32]) -> None:
    dataset = dcmread(BytesIO(encode_dicom(pixels, DicomStyle(window=False))))
    assert "WindowCenter" not in dataset
    assert "RescaleSlope" not in dataset


def test_an_eight_bit_picture_may_claim_twelve(pixels: NDArray[np.float32]) -> None:
    data = encode_dicom(pixels, DicomStyle(bits_stored=12, window=False, top=255))
    assert dcmread(BytesIO(data)).BitsStored == 12
    assert np.array_equal(stored(data), quantise(pixels, 255))


def test_tags_are_written_as_given_and_no_identifier_is_added(
    pixels: NDArray[np.float32],
) -> None:
    style = DicomStyle(tags={"PatientSex": "F", "PatientAge": "045Y"}, instance_uid="ab" * 16)
    dataset = dcmread(BytesIO(encode_dicom(pixels, style)))
    assert (dataset.PatientSex, dataset.PatientAge) == ("F", "045Y")
    assert not {"SOPInstanceUID", "StudyInstanceUID", "PatientID", "Modality"} & set(dataset.dir())


@pytest.mark.parametrize("syntax", list(TransferSyntax), ids=lambda item: item.name)
@pytest.mark.parametrize("inverted", [False, True])
def test_the_pixel_reader_shows_the_film_as_drawn(
    pixels: NDArray[np.float32], syntax: TransferSyntax, inverted: bool
) -> None:
    bits = 8 if syntax is TransferSyntax.JPEG_BASELINE else 12
    data = encode_dicom(pixels, DicomStyle(syntax, bits, inverted=inverted))
    side = min(pixels.shape)
    shown = read_grey(data, ImageSettings(short_side_px=side)).grey.astype(np.float64)
    assert shown.shape == pixels.shape
    assert np.corrcoef(shown.ravel(), pixels.ravel())[0, 1] > 0.995


def test_all_encodings_are_deterministic(pixels: NDArray[np.float32]) -> None:
    assert encode_png(pixels, 65535) == encode_png(pixels, 65535)
    assert encode_jpeg(pixels) == encode_jpeg(pixels)
    for syntax in LOSSLESS:
        style = DicomStyle(syntax, 12)
        assert encode_dicom(pixels, style) == encode_dicom(pixels, style)


def test_write_file_makes_the_folders(tmp_path: Path) -> None:
    write_file(tmp_path / "a" / "b" / "c.bin", b"data")
    assert (tmp_path / "a" / "b" / "c.bin").read_bytes() == b"data"


def _square(number: int) -> tuple[int, int]:
    return number * number, os.getpid()


def test_many_processes_keep_the_order() -> None:
    alone = [value for value, _ in draw_many(_square, range(30), 1)]
    spawned = list(draw_many(_square, range(30), 2))
    assert [value for value, _ in spawned] == alone == [n * n for n in range(30)]
    assert os.getpid() not in {process for _, process in spawned}


def test_traps_are_spread_and_each_marks_one_study() -> None:
    assert spread(("a", "b"), 10) == {0: "a", 5: "b"}
    assert spread(("a", "b", "c"), 2) == {0: "a", 1: "b"}
    assert truncate(b"12345678") == b"1234"


def test_the_truth_file_holds_findings_labels_and_boxes(tmp_path: Path) -> None:
    cohort = draw_cohort(ReplicaSpec(30), "truth-file", views=(View.PA,))
    truth = next(item for item in cohort if item.find("consolidation"))
    drawing = draw(truth, View.PA, 64)
    boxes = tuple(TrueBox.of("i1", region) for region in drawing.regions)
    write_truth(tmp_path, [TrueStudy("s1", truth, trap="odd", boxes=boxes)])
    (line,) = (tmp_path / TRUTH_FILE).read_text().splitlines()
    assert '"study_id":"s1"' in line
    assert '"trap":"odd"' in line
    assert '"Consolidation":"positive"' in line
    assert f'"image_id":"i1","finding":{boxes[0].finding}' in line
