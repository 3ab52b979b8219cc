"""The lateral chest, facing left: sternum at negative x, spine at positive x.

Right and left lie over each other; findings keep their zone (height) and a depth that fits the
lobe. Units as in ``phantom_canvas``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from sources.record import View
from sources.replicas.phantom_canvas import Canvas, Curve, Layer, curve, smooth, stream
from sources.replicas.truth import ChestTruth, Side, TrueFinding

_HEART_SIZE = {None: 1.0, "small": 1.16, "moderate": 1.28, "large": 1.42}


@dataclass
class LateralScene:
    """A lateral film in the making.

    ``front`` and ``back`` [H, 1] bound the lung, ``floor`` [1, W] is the diaphragm's height.
    """

    canvas: Canvas
    truth: ChestTruth
    rng: np.random.Generator
    apex: float
    dome: float
    front: Layer
    back: Layer
    floor: Layer
    lung: Layer
    image: Layer
    masks: list[tuple[int, Side | None, Layer]] = field(default_factory=list)

    def spine_x(self, y: float) -> float:
        """Middle of the vertebral bodies at one height."""
        return 0.20 + 0.055 * float(np.sin(np.pi * np.clip((y - self.apex) / 0.75, 0, 1)))


def paint_lateral(
    canvas: Canvas, truth: ChestTruth, view: View, rng: np.random.Generator
) -> tuple[Layer, list[tuple[int, Side | None, Layer]]]:
    """Attenuation [H, W] in about 0..1 and, per finding and side, its soft mask [H, W]."""
    assert not view.is_frontal
    scene = _scene(canvas, truth, rng)
    _paint_heart(scene)
    _paint_texture(scene)
    _apply(scene, _PAINTERS)
    _paint_bones(scene)
    _apply(scene, {"support device": _paint_device, "foreign object": _paint_device})
    return scene.image, scene.masks


def _apply(
    scene: LateralScene, painters: dict[str, Callable[[LateralScene, TrueFinding], Layer]]
) -> None:
    """Run the painters of the findings, each with random numbers of its own."""
    body = scene.rng
    for index, finding in enumerate(scene.truth.findings):
        if finding.name in painters:
            scene.rng = stream(scene.truth.seed, finding.name, "lateral")
            mask = painters[finding.name](scene, finding)
            scene.masks.append((index, finding.side, mask))
    scene.rng = body


def _scene(canvas: Canvas, truth: ChestTruth, rng: np.random.Generator) -> LateralScene:
    build = truth.person.habitus
    y = canvas.y
    apex = 0.10 + rng.uniform(-0.015, 0.015)
    dome = 0.70 + 0.05 * build.height + rng.uniform(-0.02, 0.02)
    share = np.clip((y - apex) / (dome + 0.10 - apex), 0, 1)
    bulge = np.sin(np.pi / 2 * np.clip(share * 1.35, 0, 1)) ** 0.9
    front = np.asarray(-0.10 - (0.24 + 0.05 * build.width) * bulge, np.float32)
    hollow = np.sin(np.pi / 2 * np.clip(share * 2.0, 0, 1)) ** 0.8
    back = np.asarray(0.16 + 0.19 * hollow, np.float32)
    lobar = any(finding.kind == "lobar" for finding in truth.findings)
    floor = _floor(canvas, dome - (0.04 if lobar else 0.0))
    lung = canvas.ramp(canvas.x - front, 0.010) * canvas.ramp(back - canvas.x, 0.010)
    domes = 0.6 * canvas.ramp(floor - y, 0.008) + 0.4 * canvas.ramp(floor + 0.024 - y, 0.008)
    lung = np.asarray(lung * domes * canvas.ramp(y - apex - 0.05, 0.16), np.float32)
    image = _soft_tissue(canvas, truth, front, back, rng)
    image -= lung * np.float32(rng.uniform(0.37, 0.43)) * (0.72 + 0.34 * share)
    image = np.asarray(image, np.float32)
    return LateralScene(canvas, truth, rng, apex, dome, front, back, floor, lung, image)


def _soft_tissue(
    canvas: Canvas, truth: ChestTruth, front: Layer, back: Layer, rng: np.random.Generator
) -> Layer:
    """The body's outline, wide at the top where the raised arms lie."""
    build = truth.person.habitus
    x, y = canvas.x, canvas.y
    arms = np.clip((0.34 - y) / 0.34, 0, 1.2) ** rng.uniform(1.1, 2.2)
    fat = 0.035 + 0.04 * build.fat
    breast = 0.07 * build.breast * np.exp(-(((y - 0.5) / 0.12) ** 2))
    belly = (0.02 + 0.05 * build.fat) * np.clip((y - 0.75) / 0.3, 0, 1)
    skin = front - fat - 0.20 * arms - breast - belly
    behind = back + fat + 0.02 + 0.16 * arms
    inside = canvas.ramp(x - skin, 0.012) * canvas.ramp(behind - x, 0.012)
    across = (2 * x - skin - behind) / (behind - skin + 0.05)
    profile = np.sqrt(np.clip(1 - across**2, 0, 1))
    thick = 0.22 + 0.44 * profile + 0.10 * np.minimum(arms, 1) + 1.3 * canvas.tissue(rng)
    return np.asarray(inside * thick, np.float32)


def _floor(canvas: Canvas, dome: float) -> Layer:
    """The diaphragm [1, W]: highest in front of the middle, deepest behind."""
    x = canvas.x
    behind = np.clip(x + 0.05, 0, None) / 0.40
    ahead = np.clip(-0.05 - x, 0, None) / 0.28
    return np.asarray(dome + 0.155 * behind**1.8 + 0.06 * ahead**2, np.float32)


def _paint_heart(scene: LateralScene) -> None:
    """Heart on the front of the diaphragm, aorta and trachea."""
    canvas = scene.canvas
    large = scene.truth.find("cardiomegaly")
    size = _HEART_SIZE[large.severity if large else None]
    heart = _heart_area(scene, size)
    scene.image += heart * scene.lung * np.float32(0.24)
    arch = smooth(curve((-0.06, 0.42), (-0.03, 0.31), (0.06, 0.29), (0.13, 0.37), (0.17, 0.7)), 30)
    wide = 0.055 if scene.truth.find("enlarged mediastinum") is None else 0.12
    aorta = canvas.blur(canvas.lines([arch], [wide], [1.0]), 0.008)
    scene.image += aorta * np.float32(0.075)
    pipe = smooth(curve((-0.02, -0.05), (0.01, 0.15), (0.045, 0.40)))
    trachea = canvas.blur(canvas.lines([pipe], [0.034], [1.0]), 0.004)
    scene.image -= trachea * np.float32(0.13)


def _heart_area(scene: LateralScene, size: float) -> Layer:
    """An egg on the front of the diaphragm, its long axis from above behind to below in front."""
    turn = np.linspace(0, 2 * np.pi, 48, endpoint=False)
    along = 0.180 * size * np.cos(turn)
    across = 0.118 * size * np.sin(turn) * (1 + 0.15 * np.cos(turn))
    tilt = 0.75
    x = -0.135 + 0.06 * (size - 1) - along * np.cos(tilt) + across * np.sin(tilt)
    y = scene.dome - 0.085 - 0.10 * (size - 1) + along * np.sin(tilt) + across * np.cos(tilt)
    return scene.canvas.area(np.stack([x, y], axis=1), 0.014)


def _paint_texture(scene: LateralScene) -> None:
    """Hilum, vessels that fan out from it, and fine clouds."""
    canvas, rng = scene.canvas, scene.rng
    hilum = np.array([0.02, 0.43])
    paths: list[Curve] = []
    widths: list[float] = []
    for angle in rng.uniform(0, 2 * np.pi, 18):
        root = hilum + rng.normal(0, 0.022, 2)
        heading = np.array([np.cos(angle), np.sin(angle)]) * rng.uniform(0.06, 0.22)
        bend = rng.normal(0, 0.022, 2)
        paths.append(smooth(np.array([root, root + 0.5 * heading + bend, root + heading]), 10))
        widths.append(float(rng.uniform(0.004, 0.010)))
    layer = canvas.lines(paths, widths, [0.4] * len(paths))
    layer += canvas.oval(0.03, 0.42, 0.042, 0.055, 0.02) * np.float32(0.55)
    clouds = np.float32(0.012) * canvas.clouds(rng, 36) + np.float32(0.010) * canvas.clouds(rng, 10)
    strength = np.float32(0.14 if scene.truth.find("edema") is None else 0.22)
    scene.image += scene.lung * (canvas.blur(layer, 0.004) * strength + clouds)


def _paint_bones(scene: LateralScene) -> None:
    canvas, build = scene.canvas, scene.truth.person.habitus
    strength = np.float32(0.05 + 0.05 * build.bone)
    bodies: list[Curve] = []
    for y in np.arange(-0.05 + 0.066 * build.scoliosis, 1.25, 0.060 + 0.010 * build.height):
        x = scene.spine_x(float(y))
        bodies.append(curve((x - 0.022, y), (x + 0.022, y + 0.004)))
    rows = np.arange(-0.1, 1.3, 0.05)
    canal = np.stack([[scene.spine_x(float(y)) + 0.02 for y in rows], rows], axis=1)
    column = canvas.lines(
        [canal, *bodies], [0.10] + [0.048] * len(bodies), [0.45] + [1.0] * len(bodies)
    )
    fade = 1.35 - 0.5 * np.clip((canvas.y - 0.1) / 0.7, 0, 1)
    scene.image += canvas.blur(column, 0.004) * strength * np.float32(1.1) * fade
    ribs: list[Curve] = []
    for index in range(9):
        y = scene.apex + 0.05 + 0.072 * (index + 0.9 * build.rib_phase - 0.3)
        slope = 0.06 + 0.16 * build.rib_slope
        ribs.append(
            smooth(
                curve(
                    (scene.spine_x(y) + 0.06, y - 0.05),
                    (0.05, y + 0.3 * slope),
                    (-0.24, y + slope + 0.05),
                ),
                16,
            )
        )
    inside = canvas.ramp(canvas.x - scene.front, 0.01)
    layer = canvas.lines(ribs, [0.013] * 9, [0.55] * 9) * scene.lung
    sternum = canvas.lines([_sternum(scene)], [0.018], [1.0])
    scene.image += (canvas.blur(layer, 0.003) * inside + sternum) * strength


def _sternum(scene: LateralScene) -> Curve:
    rows = np.linspace(scene.apex + 0.10, scene.dome - 0.08, 12)
    x = np.interp(rows, scene.canvas.y[:, 0], scene.front[:, 0]) - 0.012
    return np.stack([x, rows], axis=1)


_DEPTH = {"upper": -0.06, "middle": -0.12, "lower": 0.15}
"""Where a lobe's middle lies from front to back: upper and middle lobes in front, lower behind."""


def _place(scene: LateralScene, finding: TrueFinding) -> tuple[float, float]:
    zone = finding.zone or "lower"
    share = {"upper": 0.25, "middle": 0.55, "lower": 0.80}[zone]
    y = scene.apex + share * (scene.dome - scene.apex) + scene.rng.uniform(-0.02, 0.02)
    return _DEPTH[zone] + scene.rng.uniform(-0.02, 0.02), y


def _fluid(scene: LateralScene, finding: TrueFinding) -> Layer:
    """Fluid fills the posterior sulcus and rises along the back wall."""
    canvas = scene.canvas
    level, rise = {
        "small": (scene.dome + 0.11, 0.14),
        "moderate": (scene.dome - 0.06, 0.16),
        "large": (scene.dome - 0.26, 0.18),
    }[finding.severity or "moderate"]
    behind = np.clip((canvas.x + 0.05) / 0.36, 0, 1)
    fluid = scene.lung * canvas.ramp(canvas.y - (level - rise * behind**1.6), 0.015)
    full = np.clip(2.5 * fluid, 0, 1)
    scene.image += full * (np.float32(0.74) - scene.image) * np.float32(0.9)
    return np.asarray(fluid, np.float32)


def _free_air(scene: LateralScene, finding: TrueFinding) -> Layer:
    """A line parallel to the front wall and apex."""
    canvas = scene.canvas
    width = {"small": 0.03, "moderate": 0.055, "large": 0.09}[finding.severity or "small"]
    inside = np.minimum(canvas.x - scene.front, canvas.y - scene.apex) - width
    rim = scene.lung * canvas.ramp(-inside, 0.004)
    line = scene.lung * np.clip(1 - np.abs(inside) / max(0.004, 0.8 / canvas.unit), 0, 1)
    scene.image += line * np.float32(0.10) - rim * np.float32(0.07)
    return np.asarray(rim, np.float32)


def _blob(scene: LateralScene, finding: TrueFinding) -> Layer:
    """Consolidation or hazy opacity."""
    rng, canvas = scene.rng, scene.canvas
    x, y = _place(scene, finding)
    is_dense = finding.name == "consolidation"
    soft = 0.012 if is_dense else 0.032
    blob = canvas.blob(rng, x, y, rng.uniform(0.09, 0.12), rng.uniform(0.07, 0.095), soft)
    blob *= scene.lung
    patches = np.clip(1 + (0.1 if is_dense else 0.35) * canvas.clouds(rng, 24), 0.2, 1.5)
    scene.image += blob * patches * np.float32(0.27 if is_dense else 0.15)
    return np.asarray(blob, np.float32)


def _nodule(scene: LateralScene, finding: TrueFinding) -> Layer:
    """A round shadow; one that only this view shows lies behind the heart."""
    rng, canvas = scene.rng, scene.canvas
    x, y = _place(scene, finding)
    if finding.lateral_only:
        x, y = 0.075 + rng.uniform(-0.015, 0.015), scene.dome - 0.10 + rng.uniform(-0.03, 0.03)
    radius = rng.uniform(0.027, 0.034) if finding.severity == "small" else rng.uniform(0.05, 0.066)
    disc = canvas.disc(x, y, radius, 0.003)
    scene.image += disc * np.float32(rng.uniform(0.26, 0.31))
    return disc


def _edema(scene: LateralScene, finding: TrueFinding) -> Layer:
    canvas, rng = scene.canvas, scene.rng
    strength = {"small": 0.10, "moderate": 0.16, "large": 0.22}[finding.severity or "moderate"]
    away = ((canvas.x - 0.02) / 0.15) ** 2 + ((canvas.y - 0.46) / 0.17) ** 2
    wing = np.exp(-away) * scene.lung
    patches = np.clip(0.9 + 0.3 * canvas.clouds(rng, 26), 0.3, 1.5)
    scene.image += wing * patches * np.float32(strength)
    return np.asarray(wing, np.float32)


def _atelectasis(scene: LateralScene, finding: TrueFinding) -> Layer:
    canvas, dome = scene.canvas, scene.dome
    if finding.kind == "linear":
        plate = smooth(curve((-0.02, dome - 0.05), (0.08, dome - 0.045), (0.20, dome + 0.0)), 12)
        layer = canvas.blur(canvas.lines([plate], [0.015], [1.0]), 0.002)
        scene.image += layer * np.float32(0.22)
        return canvas.blur(layer, 0.004)
    wedge = curve(
        (0.06, dome - 0.22), (0.10, dome + 0.04), (0.34, dome + 0.12), (0.33, dome - 0.05)
    )
    layer = canvas.area(wedge, 0.006) * scene.lung
    scene.image += layer * np.float32(0.26)
    return np.asarray(layer, np.float32)


def _heart_mask(scene: LateralScene, finding: TrueFinding) -> Layer:
    return _heart_area(scene, _HEART_SIZE[finding.severity])


def _paint_device(scene: LateralScene, finding: TrueFinding) -> Layer:
    """Devices and objects; a lateral film shows each of them with less detail."""
    canvas, rng, dome = scene.canvas, scene.rng, scene.dome
    paths: dict[str, tuple[Curve, float]] = {
        "endotracheal tube": (smooth(curve((-0.03, -0.2), (0.0, 0.1), (0.025, 0.28))), 0.012),
        "central line": (smooth(curve((-0.10, 0.06), (-0.05, 0.2), (-0.02, 0.42))), 0.009),
        "pacemaker": (smooth(curve((-0.24, 0.22), (-0.05, 0.2), (-0.02, 0.45),
                                   (-0.16, dome - 0.04)), 40), 0.008),
        "chest tube": (smooth(curve((0.28, dome - 0.1), (0.16, 0.45), (0.04, 0.18))), 0.015),
        "necklace": (smooth(curve((0.10, -0.02), (-0.06, 0.06), (-0.17, 0.20))), 0.008),
    }  # fmt: skip
    mask = canvas.zeros()
    if finding.kind in paths:
        path, width = paths[finding.kind]
        scene.image += canvas.lines([path], [width], [1.0]) * np.float32(0.24)
        mask = canvas.lines([path], [width + 0.012], [1.0])
    if finding.kind == "pacemaker":
        body = canvas.oval(-0.26, 0.23, 0.016, 0.042)
        scene.image += body * np.clip(np.float32(0.98) - scene.image, 0, None)
        mask = np.maximum(mask, body)
    if finding.name == "foreign object" and finding.kind != "necklace":
        x, y = _place(scene, finding)
        disc = canvas.oval(x - 0.12, y, 0.009, 0.03 + 0.004 * rng.random())
        scene.image += disc * np.clip(np.float32(1.05) - scene.image, 0, None)
        mask = disc
    return mask


_PAINTERS: dict[str, Callable[[LateralScene, TrueFinding], Layer]] = {
    "pleural effusion": _fluid,
    "pneumothorax": _free_air,
    "cardiomegaly": _heart_mask,
    "consolidation": _blob,
    "lung opacity": _blob,
    "nodule": _nodule,
    "edema": _edema,
    "atelectasis": _atelectasis,
}
"""Fractures, apical thickening and a wide mediastinum leave no region on a lateral film."""
