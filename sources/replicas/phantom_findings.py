"""Painters of findings in the pleura and the lungs of a frontal chest.

Each takes the scene, the finding and the side's sign, changes ``scene.image`` (attenuation) and
``scene.keep`` (where vessels stay visible), and returns the finding's soft mask [H, W].
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from sources.replicas.phantom_canvas import Curve, Layer, curve, smooth
from sources.replicas.truth import TrueFinding

if TYPE_CHECKING:
    from sources.replicas.phantom_frontal import FrontalScene

Painter = Callable[["FrontalScene", TrueFinding, int], Layer]

FLUID = np.float32(0.74)
"""Attenuation of fluid and collapsed lung: as bright as the abdomen."""


def _fluid(scene: FrontalScene, finding: TrueFinding, sign: int) -> Layer:
    """Fluid with a meniscus: blunted angle, lower third, or more than half the hemithorax."""
    canvas, shape = scene.canvas, scene.shape
    lung_height = shape.dome[sign] - shape.apex
    medial_level, rise = {
        "small": (shape.dome[sign] + 0.05, 0.085),
        "moderate": (shape.dome[sign] - 0.22 * lung_height, 0.13),
        "large": (shape.dome[sign] - 0.58 * lung_height, 0.16),
    }[finding.severity or "moderate"]
    inner = shape.medial[sign]
    across = np.clip((sign * canvas.x - inner) / np.maximum(shape.half - inner, 0.02), 0, 1)
    level = medial_level + scene.rng.uniform(-0.015, 0.015) - rise * across**2.0
    fluid = scene.lungs[sign] * canvas.ramp(canvas.y - level, 0.018)
    full = np.clip(2.5 * fluid, 0, 1)  # no dark seam where the lung's own edge is soft
    scene.image += full * (FLUID - scene.image) * np.float32(0.96)
    scene.keep *= 1 - full
    return np.asarray(fluid, np.float32)


def _free_air(scene: FrontalScene, finding: TrueFinding, sign: int) -> Layer:
    """Air outside a visible pleural line: no vessels, darker; a large one collapses the lung."""
    canvas, shape = scene.canvas, scene.shape
    apical, lateral = {"small": (0.085, 0.014), "moderate": (0.10, 0.062), "large": (0.13, 0.135)}[
        finding.severity or "small"
    ]
    play = scene.rng.uniform(0.9, 1.15)
    retreat = play * (
        lateral
        + (apical - 0.3 * lateral) * np.exp(-np.clip(canvas.y - shape.apex - 0.07, 0, None) / 0.09)
    )
    inside = shape.half - sign * canvas.x - retreat
    rim = scene.lungs[sign] * canvas.ramp(-inside, 0.004)
    lung = scene.lungs[sign] - rim
    line = scene.lungs[sign] * np.clip(1 - np.abs(inside) / max(0.004, 0.8 / canvas.unit), 0, 1)
    scene.image -= rim * np.float32(0.11)
    density = {"small": 0.015, "moderate": 0.05, "large": 0.14}[finding.severity or "small"]
    scene.image += lung * np.float32(density) + line * np.float32(0.16)
    scene.keep *= 1 - np.float32(0.9) * rim
    return np.asarray(rim, np.float32)


def _thickening(scene: FrontalScene, _: TrueFinding, sign: int) -> Layer:
    """A dense cap that lines the apex and upper lateral wall."""
    canvas, shape = scene.canvas, scene.shape
    depth = 0.042 + 0.008 * canvas.clouds(scene.rng, 18)
    from_wall = np.minimum(shape.half - sign * canvas.x, canvas.y - shape.apex + 0.01)
    upper = canvas.ramp(shape.height_at(0.33) - canvas.y, 0.05)
    cap = scene.lungs[sign] * canvas.ramp(depth - from_wall, 0.008) * upper
    scene.image += cap * np.float32(0.32)
    scene.keep *= 1 - cap
    return np.asarray(cap, np.float32)


def _heart(scene: FrontalScene, _: TrueFinding, __: int) -> Layer:
    """The heart's shadow; the shape has it already."""
    canvas, shape = scene.canvas, scene.shape
    inside = canvas.ramp(canvas.x + shape.medial[-1], 0) * canvas.ramp(
        shape.medial[1] - canvas.x, 0
    )
    high = canvas.y > shape.heart_top + 0.02
    return np.asarray(inside * high * (canvas.y < shape.dome[1] + 0.02), np.float32)


def _mediastinum(scene: FrontalScene, _: TrueFinding, __: int) -> Layer:
    """The widened upper mediastinum; the shape has it already."""
    canvas, shape = scene.canvas, scene.shape
    inside = canvas.ramp(canvas.x + shape.medial[-1], 0) * canvas.ramp(
        shape.medial[1] - canvas.x, 0
    )
    high = (canvas.y > shape.apex + 0.08) & (canvas.y < shape.heart_top)
    return np.asarray(inside * high, np.float32)


def _consolidation(scene: FrontalScene, finding: TrueFinding, sign: int) -> Layer:
    """Dense, fairly sharp, with dark air bronchograms."""
    rng, canvas = scene.rng, scene.canvas
    x, y = scene.zone_centre(finding, sign)
    blob = canvas.blob(rng, x, y, rng.uniform(0.085, 0.115), rng.uniform(0.07, 0.095), 0.012)
    blob *= scene.lungs[sign]
    tubes: list[Curve] = []
    for _ in range(4):
        aim = rng.uniform(-0.8, 0.8)
        start = np.array([x - sign * 0.07, y - 0.01])
        tubes.append(np.array([start, start + 0.13 * np.array([sign * np.cos(aim), np.sin(aim)])]))
    bronchi = canvas.blur(canvas.lines(tubes, [0.007] * 4, [1.0] * 4), 0.002)
    texture = 1 + np.float32(0.10) * canvas.clouds(rng, 30)
    scene.image += blob * texture * np.float32(rng.uniform(0.30, 0.36)) * (1 - 0.4 * bronchi)
    return np.asarray(blob, np.float32)


def _opacity(scene: FrontalScene, finding: TrueFinding, sign: int) -> Layer:
    """Hazy and patchy, without clear borders; vessels stay visible."""
    rng, canvas = scene.rng, scene.canvas
    x, y = scene.zone_centre(finding, sign)
    blob = canvas.blob(rng, x, y, rng.uniform(0.10, 0.13), rng.uniform(0.09, 0.11), 0.03)
    blob *= scene.lungs[sign]
    patches = np.clip(0.85 + 0.35 * canvas.clouds(rng, 22), 0.2, 1.5)
    scene.image += blob * patches * np.float32(rng.uniform(0.16, 0.20))
    return np.asarray(blob, np.float32)


def _nodule(scene: FrontalScene, finding: TrueFinding, sign: int) -> Layer:
    """A round shadow: a nodule, or a mass where large."""
    rng, canvas = scene.rng, scene.canvas
    x, y = scene.zone_centre(finding, sign)
    small = finding.severity == "small"
    radius = rng.uniform(0.024, 0.031) if small else rng.uniform(0.05, 0.068)
    disc = (
        canvas.blob(rng, x, y, radius, radius, 0.003)
        if not small
        else canvas.disc(x, y, radius, 0.003)
    )
    scene.image += disc * np.float32(rng.uniform(0.27, 0.33))
    return disc


def _edema(scene: FrontalScene, finding: TrueFinding, sign: int) -> Layer:
    """Perihilar haze on both sides, with septal lines at the bases."""
    rng, canvas, shape = scene.rng, scene.canvas, scene.shape
    strength = {"small": 0.13, "moderate": 0.20, "large": 0.28}[finding.severity or "moderate"]
    x = sign * 0.14 + shape.shift
    y = shape.heart_top + 0.04
    away = ((canvas.x - x) / 0.13) ** 2 + ((canvas.y - y) / 0.17) ** 2
    wing = np.exp(-away) * scene.lungs[sign]
    patches = np.clip(0.9 + 0.3 * canvas.clouds(rng, 26), 0.3, 1.5)
    scene.image += wing * patches * np.float32(strength)
    lines: list[Curve] = []
    for row in np.linspace(0.66, 0.86, 7):
        level = shape.height_at(float(row))
        out = sign * (shape.half_at(level) - 0.01)
        lines.append(curve((out, level), (out - sign * 0.05, level + rng.uniform(-0.006, 0.006))))
    septa = canvas.lines(lines, [0.004] * 7, [1.0] * 7) * scene.lungs[sign]
    scene.image += septa * np.float32(0.5 * strength)
    return np.asarray(wing, np.float32)


def _atelectasis(scene: FrontalScene, finding: TrueFinding, sign: int) -> Layer:
    """Plate-like streaks above the diaphragm, or a collapsed lower lobe beside the spine."""
    return (_plates if finding.kind == "linear" else _collapsed_lobe)(scene, sign)


def _plates(scene: FrontalScene, sign: int) -> Layer:
    rng, canvas, shape = scene.rng, scene.canvas, scene.shape
    plates: list[Curve] = []
    for offset in (0.035, 0.075)[: int(rng.integers(1, 3))]:
        y = shape.dome[sign] - offset + rng.uniform(-0.01, 0.01)
        start, end = rng.uniform(0.38, 0.46) * shape.width, rng.uniform(0.8, 0.92) * shape.width
        plates.append(
            smooth(
                curve(
                    (sign * start, y + 0.008),
                    (sign * (start + end) / 2, y - 0.012),
                    (sign * end, y + 0.004),
                ),
                12,
            )
        )
    layer = canvas.lines(plates, [0.015] * len(plates), [1.0] * len(plates))
    layer = canvas.blur(layer, 0.002)
    scene.image += layer * (np.float32(0.06) + np.float32(0.22) * scene.lungs[sign])
    return canvas.blur(layer, 0.004)


def _collapsed_lobe(scene: FrontalScene, sign: int) -> Layer:
    canvas, shape = scene.canvas, scene.shape
    row = int(np.argmin(np.abs(canvas.y[:, 0] - shape.dome[sign])))
    inner = float(shape.medial[sign][row, 0])
    wedge = curve(
        (sign * 0.03, shape.heart_top + 0.03),
        (sign * (inner + 0.05), shape.heart_top + 0.14),
        (sign * (inner + 0.15), shape.dome[sign] + 0.03),
        (sign * 0.03, shape.dome[sign] + 0.05),
    )
    layer = canvas.area(wedge, 0.006) * canvas.ramp(sign * canvas.x - 0.03, 0.01)
    scene.image += layer * scene.lungs[sign] * np.float32(0.34)
    scene.image += layer * (1 - scene.lungs[sign]) * np.float32(0.10)
    return np.asarray(layer, np.float32)


AIR_PAINTERS: dict[str, Painter] = {
    "pleural effusion": _fluid,
    "pneumothorax": _free_air,
    "pleural thickening": _thickening,
    "cardiomegaly": _heart,
    "enlarged mediastinum": _mediastinum,
}
"""Painted before the lung's texture, which they hide."""

LUNG_PAINTERS: dict[str, Painter] = {
    "consolidation": _consolidation,
    "lung opacity": _opacity,
    "nodule": _nodule,
    "edema": _edema,
    "atelectasis": _atelectasis,
}
"""Painted over the lung's texture."""
