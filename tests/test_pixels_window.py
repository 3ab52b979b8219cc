"""Modality LUT, VOI LUT and windows: the standard's formulas, and that resizing may come first."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pydicom
import pytest
from pixel_samples import dataset, dicom, film, written
from pydicom.data import get_testdata_file
from pydicom.pixels import apply_modality_lut, apply_voi_lut
from pydicom.sequence import Sequence
from pydicom.uid import ExplicitVRLittleEndian

from infra.settings.sections import ImageSettings
from sources.pixels import read_grey
from sources.pixels_window import Display, LookUpTable, VoiFunction, Window

SETTINGS = ImageSettings(short_side_px=80, smallest_side_px=16, resample="area")
VALUES = np.linspace(-200, 4300, 900, dtype=np.float32).reshape(30, 30)


@pytest.mark.parametrize("function", list(VoiFunction))
@pytest.mark.parametrize(("center", "width"), [(2048, 4096), (1000, 500), (40.5, 1)])
def test_windows_follow_the_standard(function: VoiFunction, center: float, width: float) -> None:
    """pydicom's own implementation is the reference."""
    if function is not VoiFunction.LINEAR and width == 1:
        width = 3
    header = pydicom.Dataset()
    header.WindowCenter, header.WindowWidth = center, width
    header.VOILUTFunction = str(function)
    header.BitsStored, header.PixelRepresentation = 12, 1
    header.PhotometricInterpretation = "MONOCHROME2"
    expected = np.asarray(apply_voi_lut(VALUES.astype(np.float64), header))
    expected = (expected + 2048) / 4095
    found = Window(center, width, function).apply(VALUES)
    np.testing.assert_allclose(found, expected, atol=2e-4)


def test_look_up_tables_interpolate_and_extend_flat() -> None:
    table = LookUpTable(10, np.array([0, 100, 300], np.float32))
    found = table.apply(np.array([[5, 10, 10.5], [11.5, 12, 99]], np.float32))
    np.testing.assert_allclose(found, [[0, 0, 50], [200, 300, 300]])


def test_display_of_a_rescaled_inverted_film() -> None:
    display = Display(12, slope=2.0, intercept=-100.0, window=Window(0.5, 201.0), inverted=True)
    stored = np.array([[0, 25], [50, 100]], np.float32)
    np.testing.assert_allclose(display.show(stored), [[1, 0.75], [0.5, 0]], atol=1e-6)


def test_a_window_for_other_values_is_ignored() -> None:
    """One that shows nothing but black is replaced by the film's own range."""
    stored = film().astype(np.float32)
    shown = Display(12, window=Window(60_000, 100)).show(stored)
    np.testing.assert_array_equal(shown, Display(12).show(stored))
    assert float(np.ptp(shown)) == 1.0


def test_eight_bit_values_are_kept_as_they_are() -> None:
    stored = np.linspace(10, 200, 100, dtype=np.float32).reshape(10, 10)
    for display in (Display(8), Display(12), Display(12, window=Window(2048, 4096))):
        np.testing.assert_allclose(display.show(stored), stored / 255)
    windowed = Display(12, window=Window(128, 100, VoiFunction.LINEAR_EXACT)).show(stored)
    np.testing.assert_allclose(windowed, np.clip((stored - 78) / 100, 0, 1), atol=1e-6)


@pytest.mark.parametrize(
    ("window", "low", "high", "first"),
    [
        (Window(2048, 4096), 0, 4095, False),
        (Window(2048, 2100), 0, 4095, False),
        (Window(40, 400), -1024, 3071, True),
        (None, 0, 65_535, False),
    ],
)
def test_a_narrow_window_precedes_resizing(
    window: Window | None, low: float, high: float, first: bool
) -> None:
    assert Display(12, window=window).must_precede_resizing(low, high) is first


def curve(bits: int = 12) -> tuple[list[int], list[int]]:
    """Descriptor and data of a strongly bent look-up table to 10 bits."""
    inputs = np.linspace(0, 1, 2**bits)
    return [2**bits, 0, 10], [int(value) for value in np.rint(1023 * inputs**0.5)]


def with_table(name: str, pixels: Any) -> bytes:
    item = pydicom.Dataset()
    descriptor, entries = curve()
    item.LUTDescriptor = descriptor
    item.add_new("LUTData", "OW", np.array(entries, "<u2").tobytes())
    if name == "ModalityLUTSequence":
        item.ModalityLUTType = "US"
    data = dataset(pixels, 12)
    setattr(data, name, Sequence([item]))
    return written(data, ExplicitVRLittleEndian)


@pytest.mark.parametrize("name", ["VOILUTSequence", "ModalityLUTSequence"])
def test_resizing_before_a_bent_table_differs_by_less_than_a_level(name: str) -> None:
    pixels = film(800, 640)
    found = read_grey(with_table(name, pixels), SETTINGS).grey.astype(float)
    shown = np.asarray(curve()[1], np.float32)[pixels]
    expected = np.asarray(cv2.resize(shown, (80, 100), interpolation=cv2.INTER_AREA), float)
    slope, offset = np.polyfit(expected.ravel(), found.ravel(), 1)
    assert float(np.abs(slope * expected + offset - found).mean()) < 1.0
    if name == "VOILUTSequence":
        scaled = expected / 1023 * 255
        assert float(np.abs(scaled - found).mean()) < 1.5


def test_resizing_before_a_window_differs_by_less_than_a_level() -> None:
    pixels = film(800, 640)
    found = read_grey(dicom(pixels, WindowCenter=2000, WindowWidth=2600), SETTINGS).grey
    unit = Window(2000, 2600).apply(pixels.astype(np.float32))
    expected = cv2.resize(unit * 255, (80, 100), interpolation=cv2.INTER_AREA)
    assert float(np.abs(np.asarray(expected) - found).mean()) < 1.0


def test_of_several_windows_the_first_counts() -> None:
    several = dicom(film(), WindowCenter=[2048, 500], WindowWidth=[4096, 100])
    first = dicom(film(), WindowCenter=2048, WindowWidth=4096)
    np.testing.assert_array_equal(
        read_grey(several, SETTINGS).grey, read_grey(first, SETTINGS).grey
    )


@pytest.mark.parametrize("width", [0, -5])
def test_a_window_without_width_is_ignored(width: int) -> None:
    found = read_grey(dicom(film(), WindowCenter=2048, WindowWidth=width), SETTINGS).grey
    np.testing.assert_array_equal(found, read_grey(dicom(film()), SETTINGS).grey)


def test_a_negative_slope_inverts() -> None:
    upside_down = dicom(film(), RescaleSlope=-1, RescaleIntercept=4095)
    found = read_grey(upside_down, SETTINGS).grey.astype(int)
    plain = read_grey(dicom(film()), SETTINGS).grey
    assert float(np.abs(255 - found - plain).mean()) < 1.0


def test_narrow_window_on_real_ct_is_applied_at_full_size() -> None:
    path = Path(str(get_testdata_file("J2K_pixelrep_mismatch.dcm")))
    header = pydicom.dcmread(path)
    values = np.asarray(apply_modality_lut(header.pixel_array, header), np.float32)
    center, width = float(header.WindowCenter[0]), float(header.WindowWidth[0])
    unit = Window(center, width).apply(values)
    expected = cv2.resize(unit * 255, (80, 80), interpolation=cv2.INTER_AREA)
    found = read_grey(path.read_bytes(), SETTINGS).grey
    assert Display(16, window=Window(center, width)).must_precede_resizing(
        float(values.min()), float(values.max())
    )
    assert float(np.abs(np.asarray(expected) - found).mean()) < 1.0
