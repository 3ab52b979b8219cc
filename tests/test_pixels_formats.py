"""Every published format becomes the same grey film: JPEG, PNG of all modes, every DICOM syntax."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image
from pixel_samples import (
    PATIENT_NAME,
    SYNTAXES,
    baseline,
    compressed,
    dicom,
    eight_bit,
    film,
    jpeg,
    png,
    saved,
)
from pydicom.data import get_testdata_file
from pydicom.uid import JPEG2000Lossless

from infra.settings.sections import ImageSettings
from sources.pixels import prepare, read_grey
from sources.pixels_grey import Grey

SETTINGS = ImageSettings(short_side_px=64, smallest_side_px=16)


def difference(one: Grey, other: Grey) -> float:
    """Mean absolute difference in grey levels."""
    assert one.shape == other.shape
    return float(np.abs(one.astype(int) - other).mean())


def reference(settings: ImageSettings = SETTINGS) -> Grey:
    """The 12-bit film, shown over its whole range, at the stored size."""
    return read_grey(png(eight_bit(film())), settings).grey


def test_jpeg_is_decoded_at_reduced_scale_close_to_full_scale() -> None:
    pixels = eight_bit(film(800, 640))
    full = cv2.imdecode(np.frombuffer(jpeg(pixels), np.uint8), cv2.IMREAD_GRAYSCALE)
    for short in (64, 100, 320):
        settings = ImageSettings(short_side_px=short, smallest_side_px=16, resample="area")
        picture = read_grey(jpeg(pixels), settings)
        assert (picture.original_width, picture.original_height) == (640, 800)
        expected = cv2.resize(full, (short, short * 5 // 4), interpolation=cv2.INTER_AREA)
        assert difference(picture.grey, np.asarray(expected, np.uint8)) < 1.2


def test_jpeg_of_odd_size_keeps_its_edges_in_place() -> None:
    pixels = np.zeros((333, 347), np.uint8)
    pixels[:, 300:] = 255
    settings = ImageSettings(short_side_px=64, smallest_side_px=16)
    from_jpeg, from_png = (read_grey(data, settings).grey for data in (jpeg(pixels), png(pixels)))
    assert difference(from_jpeg, from_png) < 1.0


@pytest.mark.parametrize("mode", ["RGB", "CMYK"])
def test_colour_jpeg_becomes_grey(mode: str) -> None:
    data = saved(Image.fromarray(eight_bit(film())).convert(mode), "JPEG", quality=95)
    assert difference(read_grey(data, SETTINGS).grey, reference()) < 1.5


def test_progressive_jpeg() -> None:
    data = saved(Image.fromarray(eight_bit(film())), "JPEG", quality=95, progressive=True)
    assert difference(read_grey(data, SETTINGS).grey, reference()) < 1.0


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_applied(orientation: int) -> None:
    upright = Image.fromarray(eight_bit(film()))
    undo = {
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }
    stored = upright.transpose(undo[orientation]) if orientation in undo else upright
    exif = Image.Exif()
    exif[0x0112] = orientation
    picture = read_grey(saved(stored, "JPEG", quality=97, exif=exif.tobytes()), SETTINGS)
    assert (picture.original_width, picture.original_height) == (160, 200)
    assert difference(picture.grey, reference()) < 1.5


def test_damaged_exif_does_not_matter() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    data = saved(Image.fromarray(eight_bit(film())), "JPEG", quality=95, exif=exif.tobytes())
    start = data.index(b"Exif\0\0") + 6
    data = data[:start] + b"\xff" * 12 + data[start + 12 :]
    assert difference(read_grey(data, SETTINGS).grey, reference()) < 1.0


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA", "LA"])
def test_png_modes_give_the_same_pixels(mode: str) -> None:
    data = saved(Image.fromarray(eight_bit(film())).convert(mode), "PNG")
    np.testing.assert_array_equal(read_grey(data, SETTINGS).grey, reference())


def test_png_with_a_palette() -> None:
    image = Image.fromarray(eight_bit(film())).convert("P")
    assert difference(read_grey(saved(image, "PNG"), SETTINGS).grey, reference()) < 2.0
    clear = saved(image, "PNG", transparency=255)
    assert read_grey(clear, SETTINGS).grey.shape == reference().shape


def test_one_bit_png() -> None:
    image = Image.fromarray(eight_bit(film())).convert("1")
    assert difference(read_grey(saved(image, "PNG"), SETTINGS).grey, reference()) < 20.0


def test_transparent_pixels_lie_on_black() -> None:
    image = Image.fromarray(np.full((100, 100), 200, np.uint8)).convert("RGBA")
    alpha = np.full((100, 100), 255, np.uint8)
    alpha[:, 50:] = 0
    image.putalpha(Image.fromarray(alpha))
    grey = read_grey(saved(image, "PNG"), SETTINGS).grey
    assert (int(grey[5, 5]), int(grey[5, 60])) == (200, 0)


@pytest.mark.parametrize("bits", [10, 12, 16])
def test_16_bit_png_is_stretched_to_the_whole_range(bits: int) -> None:
    """PadChest's 10-bit films fill a sixty-fourth of the range, its 12-bit ones a sixteenth."""
    grey = read_grey(png(film(bits=bits)), SETTINGS).grey
    assert (int(grey.min()), int(grey.max())) == (0, 255)
    assert np.corrcoef(grey.ravel(), reference().ravel())[0, 1] > 0.999


def test_hot_pixels_do_not_darken_a_16_bit_png() -> None:
    pixels = film(800, 640)
    pixels[::200, ::160] = 65_535
    settings = ImageSettings(short_side_px=320, smallest_side_px=16)
    clean, hot = (read_grey(png(image), settings).grey for image in (film(800, 640), pixels))
    assert difference(clean, hot) < 1.0


@pytest.mark.parametrize("syntax", SYNTAXES)
def test_every_transfer_syntax_gives_the_same_film(syntax: str, tmp_path: Path) -> None:
    stated = dicom(film(), WindowCenter=2048, WindowWidth=4096)
    expected = read_grey(stated, SETTINGS).grey
    assert difference(expected, reference()) < 1.0
    data = SYNTAXES[syntax](film(), tmp_path)
    plain = read_grey(dicom(film()), SETTINGS).grey
    assert difference(read_grey(data, SETTINGS).grey, plain) < 0.5


def test_baseline_jpeg_in_dicom() -> None:
    data = baseline(eight_bit(film(800, 640)))
    expected = read_grey(png(eight_bit(film(800, 640))), SETTINGS).grey
    assert difference(read_grey(data, SETTINGS).grey, expected) < 1.0


def test_extended_jpeg_in_dicom() -> None:
    path = get_testdata_file("JPGExtended.dcm")
    picture = read_grey(Path(str(path)).read_bytes(), SETTINGS)
    assert (picture.original_width, picture.original_height) == (256, 1024)


def test_jpeg2000_is_decoded_at_a_lower_level_within_a_level_of_the_whole() -> None:
    pixels, window = film(1024, 800), {"WindowCenter": 2048, "WindowWidth": 4096}
    whole = read_grey(dicom(pixels, **window), SETTINGS).grey
    lower = read_grey(compressed(pixels, JPEG2000Lossless, **window), SETTINGS).grey
    assert 0.0 < difference(lower, whole) < 0.5


@pytest.mark.parametrize("bits", [8, 10, 12, 14, 15, 16])
@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
def test_bit_depths_and_inversion(bits: int, photometric: str) -> None:
    pixels = film(bits=bits)
    if photometric == "MONOCHROME1":
        pixels = np.asarray(2**bits - 1 - pixels, dtype=np.uint16)
    window: dict[str, Any] = {"WindowCenter": 2 ** (bits - 1), "WindowWidth": 2**bits}
    data = dicom(pixels, bits, PhotometricInterpretation=photometric, **window)
    assert difference(read_grey(data, SETTINGS).grey, reference()) < 1.5


def test_signed_pixels() -> None:
    pixels = np.asarray(film().astype(np.int16) - 2048, dtype=np.int16)
    data = dicom(pixels, 12, WindowCenter=0, WindowWidth=4096)
    assert difference(read_grey(data, SETTINGS).grey, reference()) < 1.0


@pytest.mark.parametrize("signed", [False, True])
def test_stray_bits_above_the_stored_ones_are_cleared(signed: bool) -> None:
    clean = np.asarray(film().astype(np.int32) - (2048 if signed else 0), dtype=np.int16)
    dirty = ((clean.view(np.uint16) & 0x0FFF) | 0xA000).view(np.int16)
    kind = np.int16 if signed else np.uint16
    window = {"WindowCenter": 0 if signed else 2048, "WindowWidth": 4096}
    expected, found = (
        read_grey(dicom(np.asarray(p.view(kind)), 12, **window), SETTINGS).grey
        for p in (clean, dirty)
    )
    np.testing.assert_array_equal(found, expected)


def test_eight_bit_data_flagged_as_twelve_bit() -> None:
    """VinDr-CXR: the header's 12-bit window would leave such a film nearly black."""
    pixels = film(bits=8)
    data = dicom(pixels, 12, WindowCenter=2048, WindowWidth=4096)
    assert difference(read_grey(data, SETTINGS).grey, reference()) < 1.0


def test_dicom_without_uids_or_preamble_or_suffix() -> None:
    bare = dicom(film(), SOPClassUID=None, SOPInstanceUID=None, PatientID=None)
    expected = read_grey(dicom(film()), SETTINGS).grey
    np.testing.assert_array_equal(read_grey(bare, SETTINGS).grey, expected)
    headless = bare[132:]
    np.testing.assert_array_equal(read_grey(headless, SETTINGS).grey, expected)


def test_colour_dicom_becomes_luma() -> None:
    path = get_testdata_file("examples_rgb_color.dcm")
    picture = read_grey(Path(str(path)).read_bytes(), SETTINGS)
    assert picture.grey.shape == (64, 85)


def test_the_stored_picture() -> None:
    stored = prepare(dicom(film()), SETTINGS)
    assert (stored.width, stored.height) == (64, 80)
    assert (stored.original_width, stored.original_height) == (160, 200)
    with Image.open(io.BytesIO(stored.pixels)) as image:
        assert (image.format, image.mode, image.size) == ("JPEG", "L", (64, 80))
    lossless = ImageSettings(short_side_px=64, smallest_side_px=16, encoding="png")
    again = prepare(dicom(film()), lossless)
    with Image.open(io.BytesIO(again.pixels)) as image:
        assert (image.format, image.mode) == ("PNG", "L")
        np.testing.assert_array_equal(np.asarray(image), read_grey(dicom(film()), lossless).grey)
    assert again.perceptual_hash == stored.perceptual_hash


def test_equal_files_give_equal_bytes() -> None:
    assert prepare(dicom(film()), SETTINGS) == prepare(dicom(film()), SETTINGS)


def test_small_films_are_enlarged_to_the_recipe_size() -> None:
    settings = ImageSettings(short_side_px=320, smallest_side_px=16)
    assert read_grey(png(eight_bit(film())), settings).grey.shape == (400, 320)


def test_nothing_of_a_header_is_stored() -> None:
    stored = prepare(dicom(film()), SETTINGS)
    assert PATIENT_NAME.split("^")[0].encode() not in stored.pixels
    assert b"4711" not in stored.pixels


@pytest.mark.public_data
def test_real_films(public_data: Path) -> None:
    """All 96 NIH films and the Open-I films, RGBA ones among them."""
    settings = ImageSettings(short_side_px=112)
    paths = sorted((public_data / "nih_cxr14" / "images").iterdir())
    modes = set()
    for path in paths:
        picture = read_grey(path.read_bytes(), settings)
        assert (picture.original_width, picture.original_height) == (1024, 1024)
        assert picture.grey.shape == (112, 112)
        with Image.open(path) as image:
            modes.add(image.mode)
    assert (len(paths), modes) == (96, {"L", "RGBA"})
    shown = sorted((public_data / "openi" / "NLMCXR_png").glob("*.png"))
    spreads = [int(np.ptp(read_grey(path.read_bytes(), settings).grey)) for path in shown]
    assert len(spreads) == 8
    assert min(spreads) > 150
