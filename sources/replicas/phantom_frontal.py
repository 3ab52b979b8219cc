"""The frontal chest: borders of the thorax, then attenuation from the back to the front.

Lengths are in units of the film's short side (see ``phantom_canvas``); sign -1 is the patient's
right, +1 the left. The inner thorax is 0.72 to 0.84 wide and the heart's share of that width is
the cardiothoracic ratio.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from sources.record import View
from sources.replicas.phantom_bones import paint_bones
from sources.replicas.phantom_canvas import Canvas, Curve, Layer, curve, smooth, stream
from sources.replicas.phantom_devices import DEVICE_PAINTERS
from sources.replicas.phantom_findings import AIR_PAINTERS, LUNG_PAINTERS, Painter
from sources.replicas.truth import ChestTruth, Side, TrueFinding

SIGN_OF: dict[str, int] = {"right": -1, "left": 1}
SIDE_OF: dict[int, Side | None] = {-1: "right", 1: "left", 0: None}

HEART_RATIO = {"small": 0.555, "moderate": 0.62, "large": 0.70}
"""Cardiothoracic ratio by degree of cardiomegaly; above 0.5 is enlarged."""


@dataclass
class FrontalShape:
    """Borders of one frontal chest.

    ``half`` [H, 1] is the inner half width of the thorax, ``medial`` [H, 1] how far the
    mediastinum and heart reach to each side, ``floor`` [1, W] the diaphragm's height.
    """

    half: Layer
    medial: dict[int, Layer]
    floor: dict[int, Layer]
    dome: dict[int, float]
    apex: float
    base: float
    width: float
    shift: float
    heart_top: float

    def half_at(self, y: float) -> float:
        """Inner half width at one height."""
        return float(self.width * _bell((y - self.apex) / (self.base - self.apex)))

    def height_at(self, share: float) -> float:
        """The height at a share of the way from apex to base."""
        return self.apex + share * (self.base - self.apex)


@dataclass
class FrontalScene:
    """A film in the making; painters change ``image`` (attenuation) and ``keep`` (lung texture)."""

    canvas: Canvas
    shape: FrontalShape
    truth: ChestTruth
    rng: np.random.Generator
    image: Layer
    lungs: dict[int, Layer]
    keep: Layer
    masks: list[tuple[int, Side | None, Layer]] = field(default_factory=list)

    @property
    def aerated(self) -> Layer:
        """Both lungs [H, W]; bone stands out against air more than against soft tissue."""
        return self.lungs[-1] + self.lungs[1]

    def zone_centre(self, finding: TrueFinding, sign: int) -> tuple[float, float]:
        """A point in the middle of the zone's lung, with some play."""
        share = {"upper": 0.24, "middle": 0.47, "lower": 0.70}[finding.zone or "lower"]
        y = self.shape.height_at(share + self.rng.uniform(-0.04, 0.04))
        row = int(np.clip(np.searchsorted(self.canvas.y[:, 0], y), 0, self.canvas.height - 1))
        inner, outer = float(self.shape.medial[sign][row, 0]), self.shape.half_at(y)
        at = self.rng.uniform(0.42, 0.66)
        return sign * (inner + at * (outer - inner)) + self.shape.shift * 0.5, y


def paint_frontal(
    canvas: Canvas, truth: ChestTruth, view: View, rng: np.random.Generator
) -> tuple[Layer, list[tuple[int, Side | None, Layer]]]:
    """Attenuation [H, W] in about 0..1 and, per finding and side, its soft mask [H, W]."""
    shape = _shape(canvas, truth, view, rng)
    lungs = {sign: _lung(canvas, shape, sign) for sign in (-1, 1)}
    scene = FrontalScene(
        canvas, shape, truth, rng, _background(canvas, shape, truth, lungs, rng), lungs,
        keep=np.ones((canvas.height, canvas.width), np.float32),
    )  # fmt: skip
    _paint_heart(scene)
    _apply(scene, AIR_PAINTERS)
    _paint_texture(scene)
    _apply(scene, LUNG_PAINTERS)
    paint_bones(scene)
    _apply(scene, DEVICE_PAINTERS)
    return scene.image, scene.masks


def _apply(scene: FrontalScene, painters: dict[str, Painter]) -> None:
    """Run the painters of the findings that a frontal film shows, once per side.

    Each has random numbers of its own: the rest of the film is the same with and without it.
    """
    body = scene.rng
    for index, finding in enumerate(scene.truth.findings):
        painter = painters.get(finding.name)
        if painter is None or finding.lateral_only:
            continue
        signs = (-1, 1) if finding.side == "bilateral" else (SIGN_OF.get(finding.side or "", 0),)
        for sign in signs:
            scene.rng = stream(scene.truth.seed, finding.name, str(sign))
            scene.masks.append((index, SIDE_OF[sign], painter(scene, finding, sign)))
    scene.rng = body


def _bell(share: Layer | float) -> Layer:
    """Half width of a thorax as a share of its widest, from apex (0) to base (1)."""
    return np.asarray(np.sqrt(1.0 - (1.0 - np.clip(share, 0.0, 1.0)) ** 3.7), np.float32)


def _shape(canvas: Canvas, truth: ChestTruth, view: View, rng: np.random.Generator) -> FrontalShape:
    build = truth.person.habitus
    apex = 0.12 - 0.03 * build.height + rng.uniform(-0.01, 0.01)
    dome_y = 0.67 + 0.07 * build.height + rng.uniform(-0.025, 0.02)
    width = 0.36 + 0.06 * build.width
    dome = {-1: dome_y, 1: dome_y + 0.022}
    lobar = next((f for f in truth.findings if f.kind == "lobar"), None)
    for sign in (-1, 1):
        if lobar is not None and SIGN_OF.get(lobar.side or "", sign) == sign:
            dome[sign] -= 0.06
    base = dome_y + 0.10
    half = (width * _bell((canvas.y - apex) / (base - apex))).astype(np.float32)
    shift = _mediastinal_shift(truth) + rng.normal(0, 0.006)
    heart_top = apex + 0.52 * (dome_y - apex)
    medial = _medial(canvas, truth, view, rng, (apex, heart_top, dome_y, width, shift))
    floor = {sign: _floor(canvas, sign, dome[sign], width) for sign in (-1, 1)}
    return FrontalShape(half, medial, floor, dome, apex, base, width, shift, heart_top)


def _mediastinal_shift(truth: ChestTruth) -> float:
    """Away from a large effusion or pneumothorax, towards a collapsed lobe."""
    shift = 0.0
    for finding in truth.findings:
        sign = SIGN_OF.get(finding.side or "", 0)
        if finding.name in ("pleural effusion", "pneumothorax") and finding.severity == "large":
            shift -= 0.04 * sign
        if finding.kind == "lobar":
            shift += 0.025 * sign
    return shift


def _medial(
    canvas: Canvas,
    truth: ChestTruth,
    view: View,
    rng: np.random.Generator,
    frame: tuple[float, float, float, float, float],
) -> dict[int, Layer]:
    """Reach of mediastinum and heart to either side, [H, 1] each."""
    apex, heart_top, dome_y, width, shift = frame
    large = truth.find("cardiomegaly")
    play = rng.uniform(-0.012, 0.012)
    ratio = truth.person.habitus.heart + (0.012 if view is View.AP else 0.0)
    if large is not None and large.severity is not None:
        ratio = HEART_RATIO[large.severity] + play
    reach = 2 * width * ratio
    y = canvas.y
    upper = 0.052 + 0.008 * rng.random()
    if truth.find("enlarged mediastinum") is not None:
        upper += 0.062 * np.exp(-(((y - 0.28) / 0.16) ** 2))
    knob = 0.020 + 0.022 * truth.person.habitus.aorta
    along = np.clip((y - heart_top) / (dome_y + 0.015 - heart_top), 0, 1.25)
    left = upper + knob * np.exp(-(((y - heart_top + 0.12) / 0.038) ** 2))
    left = (
        left + (0.67 * reach - upper) * np.sin(np.pi / 2 * np.minimum(along, 1.25) ** 1.25) ** 1.1
    )
    right = upper + (0.33 * reach - upper) * np.sin(np.pi * np.clip(along * 0.8, 0, 0.97)) ** 0.8
    neck = 0.09 * np.exp(-np.clip((y - apex) / 0.035, 0, None))
    return {
        1: (left + neck + shift).astype(np.float32),
        -1: (np.maximum(right, 0.04) + neck - shift).astype(np.float32),
    }


def _floor(canvas: Canvas, sign: int, dome: float, width: float) -> Layer:
    """Height of one hemidiaphragm [1, W]: a dome that falls steeply to the costophrenic angle."""
    across = np.clip(sign * canvas.x / width, 0, 1.2)
    lateral = np.clip(across - 0.45, 0, None) / 0.55
    medial = np.clip(0.45 - across, 0, None) / 0.45
    return np.asarray(dome + 0.105 * lateral**2.4 + 0.03 * medial**2, np.float32)


def _lung(canvas: Canvas, shape: FrontalShape, sign: int) -> Layer:
    """Opacity [H, W] of one aerated lung."""
    across = sign * canvas.x
    mask = canvas.ramp(shape.half - across, 0.008) * canvas.ramp(across - shape.medial[sign], 0.012)
    mask *= canvas.ramp(shape.floor[sign] - canvas.y, 0.008)
    return np.asarray(mask, np.float32)


def _background(
    canvas: Canvas,
    shape: FrontalShape,
    truth: ChestTruth,
    lungs: dict[int, Layer],
    rng: np.random.Generator,
) -> Layer:
    """Soft tissue around and in front of two bags of air, [H, W]."""
    build = truth.person.habitus
    x, y = canvas.x, canvas.y
    sloping = 0.12 + 0.09 * rng.random()
    shoulder = 0.115 + 0.5 * np.clip((y + 0.01) / sloping, 0, 1) ** 0.8
    trunk = np.maximum(shape.half, 0.75 * shape.width) + 0.045 + 0.05 * build.fat
    below = np.clip((y - 0.30) / 0.14, 0, 1)
    outline = shoulder * (1 - below) + trunk * below
    inside = canvas.ramp(outline - np.abs(x), 0.014)
    depth = np.sqrt(np.clip(1 - (x / (outline + 0.02)) ** 2, 0, 1))
    image = inside * (0.22 + 0.06 * build.fat + 0.40 * depth)
    image *= 0.88 + 0.16 * np.clip((y - 0.2) / 0.7, 0, 1)
    image += inside * canvas.tissue(rng)
    image += inside * 0.12 * np.clip((y - shape.dome[-1] - 0.02) / 0.1, 0, 1)
    air = np.float32(rng.uniform(0.44, 0.50))
    for sign, lung in lungs.items():
        across = sign * x
        deep = np.minimum(shape.half - across, shape.floor[sign] - y + 0.03)
        deep = 1 - (1 - np.clip(deep / 0.15, 0, 1)) ** 2
        image -= lung * air * (0.62 + 0.38 * deep) * (0.94 + 0.2 * np.abs(x))
    if build.breast > 0:
        image += _breasts(canvas, shape, build.breast)
    _paint_stomach(canvas, shape, image, rng)
    return np.asarray(image, np.float32)


def _breasts(canvas: Canvas, shape: FrontalShape, size: float) -> Layer:
    """Two soft shadows with a clear lower edge."""
    radius = 0.10 + 0.05 * size
    y = shape.dome[-1] - 0.03 + 0.04 * size
    both = canvas.zeros()
    for sign in (-1, 1):
        both += canvas.oval(sign * 0.66 * shape.width, y, radius * 1.05, radius, 0.007)
    fade = np.clip((canvas.y - y + radius) / (1.6 * radius), 0, 1)
    return np.asarray(both * fade * np.float32(0.05 + 0.05 * size), np.float32)


def _paint_stomach(
    canvas: Canvas, shape: FrontalShape, image: Layer, rng: np.random.Generator
) -> None:
    """The gas bubble under the left dome, which tells the sides apart, and gas in the bowel."""
    width = rng.uniform(0.05, 0.09)
    x, y = rng.uniform(0.36, 0.50) * shape.width, shape.dome[1] + 0.052
    bubble = canvas.oval(x, y, width, rng.uniform(0.025, 0.035), 0.006)
    image -= bubble * np.float32(rng.uniform(0.10, 0.2))
    for _ in range(int(rng.integers(0, 4))):
        x, y = rng.uniform(-0.30, 0.30), shape.base + rng.uniform(0.02, 0.14)
        loop = canvas.blob(rng, x, y, rng.uniform(0.03, 0.09), rng.uniform(0.02, 0.04), 0.012)
        image -= loop * np.float32(rng.uniform(0.03, 0.09))


def _paint_heart(scene: FrontalScene) -> None:
    """Mediastinum and heart, brighter than the wall; the air of trachea and main bronchi."""
    canvas, shape = scene.canvas, scene.shape
    x, y = canvas.x, canvas.y
    inside = canvas.ramp(x + shape.medial[-1], 0.012) * canvas.ramp(shape.medial[1] - x, 0.012)
    inside *= canvas.ramp(y - shape.apex - 0.01, 0.05) * canvas.ramp(
        shape.floor[1] + 0.01 - y, 0.05
    )
    below = np.clip((y - shape.heart_top) / 0.1, 0, 1)
    scene.image += inside * (0.07 + 0.05 * below).astype(np.float32)
    carina = shape.heart_top - 0.075
    middle = shape.shift
    trachea = smooth(curve((0.3 * middle, -0.05), (0.5 * middle, 0.15), (middle, carina)))
    bronchi = [
        smooth(curve((middle, carina), (middle + s * 0.03, carina + 0.03),
                     (middle + s * 0.085, carina + 0.07)))
        for s in (-1, 1)
    ]  # fmt: skip
    tubes = canvas.lines([trachea, *bronchi], [0.032, 0.02, 0.02], [1.0, 0.6, 0.6])
    scene.image -= canvas.blur(tubes, 0.005) * np.float32(0.11)


def _paint_texture(scene: FrontalScene) -> None:
    """Hila, vessels and fine clouds, where the lung is aerated."""
    canvas, rng = scene.canvas, scene.rng
    edema = scene.truth.find("edema")
    swell = {None: 1.0, "small": 1.25, "moderate": 1.5, "large": 1.8}[
        edema.severity if edema else None
    ]
    curves: list[Curve] = []
    widths: list[float] = []
    tones: list[float] = []
    for sign in (-1, 1):
        for path, width in vessel_tree(scene, sign):
            curves.append(path)
            widths.append(width * swell)
            tones.append(min(1.0, 0.2 + width * 60))
    vessels = canvas.blur(canvas.lines(curves, widths, tones), 0.003)
    clouds = canvas.clouds(rng, 40) * np.float32(0.010) + canvas.clouds(rng, 12) * np.float32(0.012)
    lung = scene.aerated * scene.keep
    scene.image += lung * (vessels * np.float32(0.17) + clouds)


def vessel_tree(scene: FrontalScene, sign: int) -> list[tuple[Curve, float]]:
    """Vessels of one lung as (curve [N, 2], width), thick ones first."""
    shape, rng = scene.shape, scene.rng
    hilum = np.array([sign * 0.062 + shape.shift, shape.heart_top - 0.01 - 0.012 * sign])
    found: list[tuple[Curve, float]] = []
    for angle in np.linspace(-1.25, 1.35, 8) + rng.normal(0, 0.1, 8):
        reach = 0.30 if angle > 0.4 else 0.24
        width = rng.uniform(0.007, 0.013)
        heading, start = float(angle), hilum
        for generation in range(3):
            length = reach * (0.42, 0.34, 0.26)[generation] * rng.uniform(0.8, 1.2)
            step = np.array([sign * np.cos(heading), np.sin(heading)]) * length
            bend = rng.normal(0, 0.012, 2)
            path = smooth(np.array([start, start + step / 2 + bend, start + step]), 8)
            found.append((path, width * (1.0, 0.6, 0.35)[generation]))
            fork = heading + rng.choice((-1, 1)) * rng.uniform(0.3, 0.7)
            side = np.array([sign * np.cos(fork), np.sin(fork)]) * length * 0.9
            found.append(
                (
                    smooth(np.array([path[4], path[4] + side]), 4),
                    width * (0.5, 0.35, 0.25)[generation],
                )
            )
            start, heading = start + step, heading + rng.normal(0, 0.2)
    return sorted(found, key=lambda item: -item[1])
