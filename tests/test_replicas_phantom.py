"""Synthetic films: what is true can be seen, on its side, in its place, at the models' size."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from sources.perceptual_hash import COPY_DISTANCE, hash_distances, perceptual_hash
from sources.record import View
from sources.replicas.phantom import FRONTAL_ASPECTS, Drawing, Region, draw
from sources.replicas.phantom_canvas import Canvas, curve, smooth
from sources.replicas.truth import (
    DEVICE_KINDS,
    OBJECT_KINDS,
    ChestTruth,
    ReplicaSpec,
    TrueFinding,
    draw_cohort,
    draw_person,
)

MODEL_PX = 112
"""Side at which the tiny recipes train."""

FINDINGS: tuple[TrueFinding, ...] = (
    *(TrueFinding("pleural effusion", side, severity="small") for side in ("left", "right")),
    *(TrueFinding("pleural effusion", side, severity="large") for side in ("left", "right")),
    *(TrueFinding("pneumothorax", side, severity="small") for side in ("left", "right")),
    *(TrueFinding("pneumothorax", side, severity="large") for side in ("left", "right")),
    *(
        TrueFinding(name, side, zone)
        for name in ("consolidation", "lung opacity")
        for side in ("left", "right")
        for zone in ("upper", "middle", "lower")
    ),
    *(
        TrueFinding("nodule", side, "upper", severity)
        for side in ("left", "right")
        for severity in ("small", "large")
    ),
    *(
        TrueFinding("atelectasis", side, "lower", kind=kind)
        for side in ("left", "right")
        for kind in ("linear", "lobar")
    ),
    *(TrueFinding("pleural thickening", side, "upper") for side in ("left", "right")),
    *(
        TrueFinding("rib fracture", side, zone)
        for side in ("left", "right")
        for zone in ("upper", "middle", "lower")
    ),
    *(TrueFinding("support device", side, kind="chest tube") for side in ("left", "right")),
    *(
        TrueFinding("foreign object", side, "middle", kind=kind)
        for side in ("left", "right")
        for kind in ("coin", "button", "pin")
    ),
)
"""Every one-sided finding that a frontal film shows."""


def chest(*findings: TrueFinding, seed: int = 0) -> ChestTruth:
    person = draw_person(np.random.default_rng(seed), 1)
    return ChestTruth(person, 1, seed, (View.PA, View.LATERAL), findings)


def name_of(finding: TrueFinding) -> str:
    parts = (finding.name, finding.side, finding.zone, finding.severity, finding.kind)
    return "-".join(part for part in parts if part).replace(" ", "-")


def film(*findings: TrueFinding, seed: int = 0, view: View = View.PA, px: int = 128) -> Drawing:
    return draw(chest(*findings, seed=seed), view, px, aspect=1.0 if view.is_frontal else None)


def only_region(drawing: Drawing) -> Region:
    (region,) = drawing.regions
    return region


def centre(region: Region) -> tuple[float, float]:
    rows, columns = np.nonzero(region.mask)
    return float(columns.mean()), float(rows.mean())


@cache
def midline(seed: int) -> float:
    """Column of the spine: the middle between both lungs' fluid."""
    both = film(TrueFinding("pleural effusion", "bilateral", severity="moderate"), seed=seed)
    return float(np.mean([centre(region)[0] for region in both.regions]))


def test_pixels_are_float32_between_zero_and_one() -> None:
    for view in (View.PA, View.AP, View.LATERAL):
        pixels = draw(chest(), view, 96).pixels
        assert pixels.dtype == np.float32
        assert float(pixels.min()) >= 0.0
        assert float(pixels.max()) <= 1.0
        assert float(pixels.std()) > 0.12


@pytest.mark.parametrize("side_px", [64, 112, 257])
def test_the_short_side_is_as_asked(side_px: int) -> None:
    shapes = {draw(chest(seed=seed), View.PA, side_px).pixels.shape for seed in range(12)}
    assert {min(shape) for shape in shapes} == {side_px}
    ratios = {round(width / height, 2) for height, width in shapes}
    assert len(ratios) == len(FRONTAL_ASPECTS)
    assert draw(chest(), View.LATERAL, side_px).pixels.shape[1] == side_px


def test_an_aspect_can_be_demanded() -> None:
    assert draw(chest(), View.AP, 64, aspect=1.0).pixels.shape == (64, 64)
    assert draw(chest(), View.AP, 64, aspect=2.0).pixels.shape == (64, 128)


def test_equal_truths_give_equal_pixels_and_regions() -> None:
    truth = chest(TrueFinding("edema", "bilateral", severity="large"), seed=5)
    for view in (View.PA, View.LATERAL):
        first, second = draw(truth, view, 80), draw(truth, view, 80)
        assert np.array_equal(first.pixels, second.pixels)
        for one, other in zip(first.regions, second.regions, strict=True):
            assert np.array_equal(one.mask, other.mask)


def test_another_seed_gives_another_film_of_the_same_person() -> None:
    truth = chest(seed=5)
    again = replace(truth, seed=6)
    assert not np.array_equal(
        draw(truth, View.PA, 80, 1.0).pixels, draw(again, View.PA, 80, 1.0).pixels
    )


def test_a_normal_chest_has_no_region() -> None:
    for view in (View.PA, View.AP, View.LATERAL):
        assert draw(chest(), view, 96).regions == ()


def test_boxes_enclose_their_masks_and_lie_on_the_film() -> None:
    for truth in draw_cohort(ReplicaSpec(60), "boxes", views=(View.PA, View.LATERAL)):
        for view in truth.views:
            drawing = draw(truth, view, 96)
            height, width = drawing.pixels.shape
            for region in drawing.regions:
                rows, columns = np.nonzero(region.mask)
                assert region.mask.shape == (height, width)
                assert (region.x_min, region.x_max) == (columns.min(), columns.max() + 1)
                assert (region.y_min, region.y_max) == (rows.min(), rows.max() + 1)
                assert region.name == truth.findings[region.finding].name


@pytest.mark.parametrize("finding", FINDINGS, ids=name_of)
def test_a_finding_lies_on_the_patients_side(finding: TrueFinding) -> None:
    for seed in range(2):
        region = only_region(film(finding, seed=seed))
        x, _ = centre(region)
        is_left_of_film = x < midline(seed)
        assert region.side == finding.side
        assert is_left_of_film == (finding.side == "right"), (x, midline(seed))


@pytest.mark.parametrize("finding", FINDINGS, ids=name_of)
def test_a_finding_can_be_seen_at_model_size(finding: TrueFinding) -> None:
    """Inside its region the film with the finding differs from the film without it.

    Both have the same person, placement, exposure and grain, so that nothing else does but where
    the finding moves heart and diaphragm. Bars: 0.045 of full scale on average over the region
    (measured: 0.05 for fractures, above 0.085 for the rest), and three times the change outside.
    """
    contrasts, outside = [], []
    for seed in range(3):
        with_it = film(finding, seed=seed, px=MODEL_PX)
        without = film(seed=seed, px=MODEL_PX)
        inside = only_region(with_it).mask
        difference = np.abs(with_it.pixels - without.pixels)
        contrasts.append(float(difference[inside].mean()))
        outside.append(float(difference[~inside].mean()))
    assert float(np.mean(contrasts)) > 0.045, contrasts
    assert float(np.mean(contrasts)) > 3 * float(np.mean(outside)), outside


@pytest.mark.parametrize("name", ["consolidation", "lung opacity", "nodule", "rib fracture"])
def test_zones_follow_one_another_downwards(name: str) -> None:
    for side in ("left", "right"):
        heights = []
        for zone in ("upper", "middle", "lower"):
            findings = [TrueFinding(name, side, zone, "small" if name == "nodule" else None)]  # type: ignore[arg-type]
            heights.append(
                np.mean([centre(only_region(film(*findings, seed=seed)))[1] for seed in range(4)])
            )
        assert heights[0] + 8 < heights[1] < heights[2] - 8


@pytest.mark.parametrize("name", ["pleural effusion", "pneumothorax"])
def test_larger_degrees_cover_more(name: str) -> None:
    for side in ("left", "right"):
        for seed in range(3):
            areas = [
                only_region(film(TrueFinding(name, side, severity=degree), seed=seed)).mask.sum()  # type: ignore[arg-type]
                for degree in ("small", "moderate", "large")
            ]
            assert areas[0] < areas[1] < areas[2]


def test_the_heart_widens_with_cardiomegaly_beyond_half_of_the_thorax() -> None:
    for seed in range(4):
        hearts = [
            only_region(film(TrueFinding("cardiomegaly", severity=degree), seed=seed))  # type: ignore[arg-type]
            for degree in ("small", "moderate", "large")
        ]
        widths = [region.x_max - region.x_min for region in hearts]
        assert widths[0] < widths[1] < widths[2]
        both = film(TrueFinding("pleural effusion", "bilateral", severity="large"), seed=seed)
        thorax = max(r.x_max for r in both.regions) - min(r.x_min for r in both.regions)
        ratios = [width / thorax for width in widths]
        assert 0.5 < ratios[0] < 0.62
        assert 0.64 < ratios[2] < 0.78


def test_fluid_is_bright_and_free_air_is_dark() -> None:
    for seed in range(4):
        plain = film(seed=seed).pixels
        for name, is_brighter in (("pleural effusion", True), ("pneumothorax", False)):
            drawing = film(TrueFinding(name, "left", severity="large"), seed=seed)
            inside = only_region(drawing).mask
            change = float((drawing.pixels - plain)[inside].mean())
            assert (change > 0.1) if is_brighter else (change < -0.02), (name, change)


def test_a_large_effusion_pushes_the_mediastinum_away() -> None:
    """The heart's own region moves, since its shape does."""
    big = TrueFinding("cardiomegaly", severity="small")
    for seed in range(3):
        centres = {}
        for side in ("left", "right"):
            drawing = film(big, TrueFinding("pleural effusion", side, severity="large"), seed=seed)  # type: ignore[arg-type]
            heart = next(region for region in drawing.regions if region.name == "cardiomegaly")
            centres[side] = (heart.x_min + heart.x_max) / 2
        assert centres["left"] + 5 < centres["right"]


def test_bilateral_findings_have_one_region_per_side() -> None:
    for name in ("pleural effusion", "edema", "lung opacity", "atelectasis"):
        finding = TrueFinding(
            name, "bilateral", "lower", "moderate", "linear" if name == "atelectasis" else None
        )
        drawing = film(finding)
        assert [region.side for region in drawing.regions] == ["right", "left"]
        assert centre(drawing.regions[0])[0] < centre(drawing.regions[1])[0]


@pytest.mark.parametrize("kind", DEVICE_KINDS)
def test_each_device_is_seen_on_both_views(kind: str) -> None:
    finding = TrueFinding("support device", "left", kind=kind)
    for view in (View.PA, View.LATERAL):
        region = only_region(film(finding, view=view, px=MODEL_PX))
        assert region.mask.sum() >= 12


@pytest.mark.parametrize("kind", OBJECT_KINDS)
def test_metal_is_the_brightest_thing_on_the_film(kind: str) -> None:
    finding = TrueFinding("foreign object", "left", "middle", kind=kind)
    for seed in range(3):
        drawing = film(finding, seed=seed)
        region = only_region(drawing)
        inside = drawing.pixels[region.y_min : region.y_max, region.x_min : region.x_max]
        assert float(np.quantile(inside, 0.99)) > float(np.quantile(drawing.pixels, 0.97))


def test_lateral_only_findings_leave_no_trace_on_the_frontal_film() -> None:
    for name in ("pleural effusion", "nodule"):
        finding = TrueFinding(name, None, "lower", "small", lateral_only=True)
        for seed in range(4):
            frontal = film(finding, seed=seed)
            assert frontal.regions == ()
            assert np.array_equal(frontal.pixels, film(seed=seed).pixels)
            lateral = film(finding, seed=seed, view=View.LATERAL, px=MODEL_PX)
            plain = film(seed=seed, view=View.LATERAL, px=MODEL_PX)
            inside = only_region(lateral).mask
            assert float((lateral.pixels - plain.pixels)[inside].mean()) > 0.05


def test_lateral_fluid_lies_low_and_behind() -> None:
    finding = TrueFinding("pleural effusion", "left", severity="small")
    for seed in range(4):
        drawing = film(finding, seed=seed, view=View.LATERAL)
        x, y = centre(only_region(drawing))
        height, width = drawing.pixels.shape
        assert x > 0.6 * width
        assert y > 0.5 * height


@pytest.mark.slow
@pytest.mark.parametrize("view", [View.PA, View.LATERAL])
def test_distinct_chests_are_no_copies_to_the_perceptual_hash(view: View) -> None:
    """160 films, several of one person among them; a film's own reduced copy stays near."""
    cohort = draw_cohort(
        ReplicaSpec(160, seed=11), "hash", views=(View.PA, View.LATERAL), studies_per_subject=2.0
    )
    grey = [np.asarray(draw(truth, view, MODEL_PX).pixels * 255, np.uint8) for truth in cohort]
    hashes = np.stack([np.frombuffer(perceptual_hash(item), np.uint8) for item in grey])
    distances = hash_distances(hashes, hashes)
    np.fill_diagonal(distances, 10_000)
    assert int(distances.min()) > COPY_DISTANCE
    dimmed = perceptual_hash(np.asarray(grey[0] * 0.7, np.uint8))
    copy = np.frombuffer(dimmed, np.uint8)[None, :]
    assert int(hash_distances(hashes[:1], copy)[0, 0]) <= COPY_DISTANCE


def test_canvas_coordinates_run_right_and_down_from_the_middle_of_the_top() -> None:
    canvas = Canvas(100, 200)
    assert canvas.unit == 100
    assert canvas.x.shape == (1, 200)
    assert canvas.y.shape == (100, 1)
    assert float(canvas.x[0, 0]) == pytest.approx(-0.995)
    assert float(canvas.x.mean()) == pytest.approx(0.0, abs=1e-6)
    assert float(canvas.y[0, 0]) == pytest.approx(0.005)


def test_a_disc_covers_its_area() -> None:
    canvas = Canvas(200, 200)
    assert float(canvas.disc(0.1, 0.4, 0.2).sum()) == pytest.approx(np.pi * 40**2, rel=0.04)
    rows, columns = np.nonzero(canvas.disc(0.1, 0.4, 0.2) > 0.5)
    assert columns.mean() == pytest.approx(119.5, abs=1)
    assert rows.mean() == pytest.approx(79.5, abs=1)


def test_thin_lines_never_vanish() -> None:
    canvas = Canvas(64, 64)
    line = canvas.lines([curve((-0.4, 0.5), (0.4, 0.5))], [0.0001], [1.0])
    assert float(line.max()) > 0.3  # half of its tone, spread by antialiasing over two rows


def test_later_lines_cover_earlier_ones() -> None:
    canvas = Canvas(64, 64)
    crossing = [curve((-0.4, 0.5), (0.4, 0.5)), curve((0.0, 0.1), (0.0, 0.9))]
    layer = canvas.lines(crossing, [0.1, 0.1], [1.0, 0.5])
    assert float(layer[32, 32]) == pytest.approx(0.5, abs=0.01)


def test_smooth_curves_pass_their_points() -> None:
    points = curve((0, 0), (1, 2), (3, 1), (4, 4))
    curved = smooth(points, 31)
    assert curved.shape == (31, 2)
    assert np.allclose(curved[[0, 10, 20, 30]], points)


def test_a_coarse_blur_keeps_the_mean() -> None:
    canvas = Canvas(256, 256)
    layer = canvas.disc(0.0, 0.5, 0.1)
    for sigma in (0.0, 0.01, 0.05):
        assert float(canvas.blur(layer, sigma).mean()) == pytest.approx(
            float(layer.mean()), rel=0.02
        )
