"""Ribs, clavicles, scapulae and spine of the frontal chest, and the broken rib."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from sources.replicas.phantom_canvas import Curve, Layer, curve, smooth
from sources.replicas.truth import TrueFinding

if TYPE_CHECKING:
    from sources.replicas.phantom_frontal import FrontalScene

RIBS = 9
FRACTURE_HEIGHT = {"upper": 0.20, "middle": 0.46, "lower": 0.72}
"""Where a fracture of each zone lies, as a share of the way from the lung's apex to its base."""

_BREAK = 15
"""The point of a rib's 24 where it breaks: lateral, where ribs do."""

_STEP = 0.030
"""How far the outer fragment sinks: one rib's thickness, so that 112 px still show it."""


def paint_bones(scene: FrontalScene) -> None:
    """Add the skeleton to the image, and the mask of a fracture to the masks."""
    canvas, build = scene.canvas, scene.truth.person.habitus
    strength = np.float32(0.045 + 0.05 * build.bone)
    found = [(i, f) for i, f in enumerate(scene.truth.findings) if f.name == "rib fracture"]
    _paint_spine(scene, strength)
    fracture = found[0][1] if found else None
    bodies, edges = _ribs(scene, fracture)
    thickness = 0.020 + 0.008 * build.bone
    filled = canvas.blur(
        canvas.lines(bodies, [thickness] * len(bodies), [1.0] * len(bodies)), 0.003
    )
    cortex = canvas.lines(edges, [0.003] * len(edges), [1.0] * len(edges))
    bone = filled + np.float32(0.6) * canvas.blur(cortex, 0.002)
    scene.image += (
        bone * strength * (np.float32(0.35) + np.float32(0.65) * scene.aerated * scene.keep)
    )
    _paint_shoulders(scene, strength)
    for index, finding in found:
        mask = _paint_break(scene, finding)
        scene.masks.append((index, finding.side, mask))


def posterior_rib(scene: FrontalScene, sign: int, index: int) -> Curve:
    """Centre line [24, 2] of a posterior rib from the spine to the lateral wall."""
    shape, build = scene.shape, scene.truth.person.habitus
    spacing = (shape.base - shape.apex) / (RIBS - 0.8 + 0.9 * build.clavicle)
    start = shape.apex - 0.02 + spacing * (index + 0.9 * build.rib_phase - 0.3)
    slope = 0.03 + 0.13 * build.rib_slope + 0.006 * index
    out = shape.half_at(min(start + slope, shape.base)) + 0.008
    across = np.linspace(0.045, out, 24)
    share = across / out
    y = start - 0.022 * np.sin(np.pi * share) + slope * share**2.2
    return np.stack([sign * across, y], axis=1)


def fractured_rib(scene: FrontalScene, sign: int, fracture: TrueFinding) -> int:
    """Index of the rib that passes nearest to the middle of the fracture's zone."""
    wanted = scene.shape.height_at(FRACTURE_HEIGHT[fracture.zone or "middle"])
    heights = [posterior_rib(scene, sign, index)[_BREAK, 1] for index in range(RIBS)]
    return int(np.argmin(np.abs(np.array(heights) - wanted)))


def _ribs(scene: FrontalScene, fracture: TrueFinding | None) -> tuple[list[Curve], list[Curve]]:
    """Bodies and cortical edges of all ribs."""
    bodies: list[Curve] = []
    edges: list[Curve] = []
    offset = np.array([0.0, 0.5 * (0.020 + 0.008 * scene.truth.person.habitus.bone)])
    for sign in (-1, 1):
        broken = fractured_rib(scene, sign, fracture) if fracture is not None else -1
        for index in range(RIBS):
            rib = posterior_rib(scene, sign, index)
            is_broken = (
                fracture is not None and (fracture.side == "left") == (sign > 0) and index == broken
            )
            parts = _broken(rib) if is_broken else [rib]
            bodies += parts
            edges += [part - offset for part in parts] + [part + offset for part in parts]
            if 1 <= index < RIBS - 2:
                edges += _anterior_edges(scene, sign, rib[-1])
    return bodies, edges


def _broken(rib: Curve) -> list[Curve]:
    """Two fragments: the outer one sinks by ``_STEP`` and leaves a gap."""
    return [rib[:_BREAK], rib[_BREAK + 1 :] + np.array([0.0, _STEP])]


def _anterior_edges(scene: FrontalScene, sign: int, end: Curve) -> list[Curve]:
    """Both edges of an anterior rib, which runs forward and down from the lateral wall."""
    x, y = float(end[0]), float(end[1])
    inner = sign * 0.30 * scene.shape.width
    line = smooth(curve((x, y), (0.75 * x + 0.25 * inner, y + 0.055), (inner, y + 0.085)), 12)
    half = np.array([0.0, 0.014])
    return [line - half, line + half]


def _paint_spine(scene: FrontalScene, strength: np.float32) -> None:
    """Vertebral bodies behind the mediastinum, with discs between them."""
    canvas, build = scene.canvas, scene.truth.person.habitus
    bodies = []
    for y in np.arange(-0.06, 1.25, 0.056):
        x = 0.02 * (build.scoliosis - 0.5) * np.sin(y * 5)
        bodies.append(curve((x, y), (x, y + 0.030)))
    column = canvas.lines(bodies, [0.052] * len(bodies), [1.0] * len(bodies))
    scene.image += canvas.blur(column, 0.004) * (strength * np.float32(0.55))


def _paint_shoulders(scene: FrontalScene, strength: np.float32) -> None:
    """Clavicles, scapular borders and humeral heads."""
    canvas, shape, rng = scene.canvas, scene.shape, scene.rng
    lift = 0.03 + 0.06 * scene.truth.person.habitus.clavicle
    turn = rng.normal(0, 0.012)
    bones: list[Curve] = []
    for sign in (-1, 1):
        inner = shape.apex + 0.075 + 0.4 * sign * turn
        start = sign * 0.035 + turn
        clavicle = smooth(
            curve(
                (start, inner), (start + sign * 0.12, inner - 0.012 - 0.2 * lift),
                (start + sign * 0.24, inner - 0.5 * lift), (sign * 0.46, inner - lift),
            )
        )  # fmt: skip
        bones.append(clavicle)
    layer = canvas.lines(bones, [0.024, 0.024], [1.0, 1.0])
    blades = [
        smooth(curve((s * 0.43, shape.apex + 0.05), (s * (shape.width * 0.86), shape.apex + 0.14),
                     (s * (shape.width * 1.02), shape.apex + 0.33)))
        for s in (-1, 1)
    ]  # fmt: skip
    layer = layer + np.float32(0.5) * canvas.lines(blades, [0.012, 0.012], [1.0, 1.0])
    scene.image += canvas.blur(layer, 0.003) * (strength * np.float32(1.5))
    for sign in (-1, 1):
        head = canvas.disc(sign * 0.51, shape.apex + 0.04, 0.055, 0.006)
        scene.image += head * (strength * np.float32(1.6))


def _paint_break(scene: FrontalScene, finding: TrueFinding) -> Layer:
    """The gap and the dense ends of the fragments; returns the fracture's mask."""
    sign = 1 if finding.side == "left" else -1
    rib = posterior_rib(scene, sign, fractured_rib(scene, sign, finding))
    x, y = float(rib[_BREAK, 0]), float(rib[_BREAK, 1]) + _STEP / 2
    canvas = scene.canvas
    ends = [rib[_BREAK - 4 : _BREAK], rib[_BREAK + 1 : _BREAK + 5] + np.array([0.0, _STEP])]
    callus = canvas.blur(canvas.lines(ends, [0.028, 0.028], [1.0, 1.0]), 0.003)
    scene.image += callus * np.float32(0.24)
    gap = canvas.lines([curve((x, y - 0.03), (x, y + 0.03))], [0.009], [1.0])
    scene.image -= canvas.blur(gap, 0.002) * np.float32(0.14)
    return canvas.oval(x, y, 0.045, 0.04)
