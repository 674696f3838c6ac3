"""Solid shapes as signed distances in metres, with the coordinates that a material is wrapped in.

Local coordinates: y is up, the shape stands on y = 0 and around the vertical axis.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from pretrain.data.scenes.noise import Array, turned

Generator = np.random.Generator


@dataclass(frozen=True)
class Shape:
    """A solid.

    Args:
        distance: Signed distance of points (3, N), negative inside: (N,).
        wrap: Surface coordinates (u, v) in metres and `cap` in [0, 1] (1 on end faces), each (N,), of
            points (3, N) with unit normals (3, N).
        low: Lower corner of the bounding box, (3,).
        high: Upper corner of the bounding box, (3,).
    """

    distance: Callable[[Array], Array]
    wrap: Callable[[Array, Array], tuple[Array, Array, Array]]
    low: Array
    high: Array


def cuboid(width: float, height: float, depth: float) -> Shape:
    """A box with edges rounded by 2 cm."""
    rounding = 0.02
    half = np.array([[width], [height], [depth]], np.float32) / 2
    middle = np.array([[0], [height / 2], [0]], np.float32)
    inner = half - rounding

    def distance(p: Array) -> Array:
        x, y, z = np.abs(p - middle) - inner
        a, b, c = np.maximum(x, 0), np.maximum(y, 0), np.maximum(z, 0)
        outside = np.sqrt(a * a + b * b + c * c)
        return np.asarray(outside + np.minimum(np.maximum(np.maximum(x, y), z), 0) - rounding)

    return Shape(distance, _box_wrap, *_bounds(width / 2, height, depth / 2))


def cylinder(radius: float, height: float, ribs: int = 0, bulge: float = 0.0) -> Shape:
    """An upright cylinder; ribs run around it, `bulge` widens (or narrows) its waist."""

    def distance(p: Array) -> Array:
        x, y, z = p
        level = np.clip(y / height, 0, 1)
        profile = radius * (1 + 4 * bulge * level * (1 - level))
        if ribs:
            profile = profile + 0.035 * radius * (np.cos(y * (2 * np.pi * (ribs + 1) / height)) > 0.8)
        side = np.sqrt(x * x + z * z) - profile
        return np.asarray(np.maximum(side, np.abs(y - height / 2) - height / 2))

    reach = radius * (1.04 + max(bulge, 0))
    return Shape(distance, lambda p, n: _round_wrap(p, n, radius), *_bounds(reach, height, reach))


def revolved(heights: list[float], radii: list[float]) -> Shape:
    """A turned shape: radius interpolated linearly over height."""
    knots, values = np.array(heights, np.float32), np.array(radii, np.float32)
    top, reach = float(knots[-1]), float(values.max())
    steepest = float(np.abs(np.diff(values) / np.diff(knots)).max())
    slack = np.float32(1 / np.sqrt(1 + steepest**2))

    def distance(p: Array) -> Array:
        x, y, z = p
        side = (np.sqrt(x * x + z * z) - np.interp(y, knots, values).astype(np.float32)) * slack
        return np.asarray(np.maximum(side, np.abs(y - top / 2) - top / 2))

    return Shape(distance, lambda p, n: _round_wrap(p, n, reach), *_bounds(reach, top, reach))


def joined(first: Shape, second: Shape) -> Shape:
    """The union of two shapes, wrapped as the first."""
    return Shape(
        lambda p: np.minimum(first.distance(p), second.distance(p)),
        first.wrap,
        np.minimum(first.low, second.low),
        np.maximum(first.high, second.high),
    )


def torus(radius: float, tube: float, width: float) -> Shape:
    """A ring that lies flat; its section is a rounded rectangle, 2 * tube by width."""
    rounding = 0.45 * min(tube, width / 2)

    def distance(p: Array) -> Array:
        x, y, z = p
        a = np.abs(np.sqrt(x * x + z * z) - radius) - (tube - rounding)
        b = np.abs(y - width / 2) - (width / 2 - rounding)
        outside = np.hypot(np.maximum(a, 0), np.maximum(b, 0))
        return np.asarray(outside + np.minimum(np.maximum(a, b), 0) - rounding)

    def wrap(p: Array, n: Array) -> tuple[Array, Array, Array]:
        x, y, z = p
        out = np.sqrt(x * x + z * z)
        return np.arctan2(x, z) * np.float32(radius), y - out, np.abs(n[1])

    return Shape(distance, wrap, *_bounds(radius + tube, width, radius + tube))


def lump(rng: Generator, width: float, height: float, depth: float, rough: float, cuts: int) -> Shape:
    """An irregular ellipsoid, roughened by waves and flattened by planes; it sits slightly in the ground."""
    radii = np.array([[width / 2], [height / 2], [depth / 2]], np.float32)
    middle = np.array([[0], [0.42 * height], [0]], np.float32)
    smallest = np.float32(radii.min())
    waves = rng.normal(0, 1, (3, 3)).astype(np.float32) * np.array([[3.5], [6], [11]], np.float32)
    phases = rng.uniform(0, 2 * np.pi, (3, 1)).astype(np.float32)
    normals = rng.normal(0, 1, (cuts, 3)).astype(np.float32)
    normals[:, 1] = np.abs(normals[:, 1]) * 0.6
    normals /= np.linalg.norm(normals, axis=1, keepdims=True) + 1e-6
    offsets = rng.uniform(0.68, 0.95, (cuts, 1)).astype(np.float32)

    def distance(p: Array) -> Array:
        q = (p - middle) / radii
        r = np.sqrt(np.einsum("kn,kn->n", q, q))
        swell = np.sin(turned(waves, q) + phases)
        r = r - rough * (swell[0] + 0.5 * swell[1] + 0.3 * swell[2])
        if cuts:
            r = np.maximum(r, (turned(normals, q) - offsets).max(axis=0) + 1)
        return np.asarray((r - 1) * smallest * np.float32(0.8))

    reach = 1 + 1.3 * rough
    low, high = _bounds(reach * width / 2, 0.42 * height + reach * height / 2, reach * depth / 2)
    return Shape(distance, _solid_wrap, low, high)


def bush(rng: Generator, width: float, height: float) -> Shape:
    """A handful of leafy balls that grow into one another, ragged at the outline."""
    count = int(rng.integers(4, 7))
    angle = rng.uniform(0, 2 * np.pi, count)
    away = rng.uniform(0.12, 0.3, count) * width
    radii = rng.uniform(0.2, 0.34, count).astype(np.float32) * min(width, height)
    rise = radii * 0.8 + rng.uniform(0, 1, count) * (height - 1.8 * radii)
    centres = np.stack([away * np.cos(angle), rise, away * np.sin(angle)]).astype(np.float32)
    squares = np.einsum("kc,kc->c", centres, centres)[:, None]
    wave = np.float32(2 * np.pi / 0.14)

    def distance(p: Array) -> Array:
        apart = np.einsum("kn,kn->n", p, p) - 2 * (turned(centres.T, p)) + squares
        d = (np.sqrt(np.maximum(apart, 0)) - radii[:, None]).min(axis=0)
        x, y, z = p * wave
        return np.asarray(d + 0.035 * np.sin(x + np.sin(z)) * np.sin(y + np.sin(x)) * np.sin(z + 0.7 * y))

    reach = float((away + radii).max()) + 0.03
    return Shape(distance, _solid_wrap, *_bounds(reach, float((rise + radii).max()) + 0.03, reach))


def prism(width: float, height: float, length: float, hang: float) -> Shape:
    """A triangular prism along x, its slopes hanging by `hang`."""
    slope = np.hypot(width / 2, height)
    across, up = np.float32(height / slope), np.float32(width / 2 / slope)

    def distance(p: Array) -> Array:
        x, y, z = p
        sag = hang * np.sin(np.clip(y / height, 0, 1) * np.pi)
        roof = np.abs(z) * across + (y - height) * up + sag
        solid = np.maximum(np.maximum(roof, np.abs(x) - length / 2), np.abs(y - height / 2) - height / 2)
        return np.asarray(solid * np.float32(0.9))

    def wrap(p: Array, n: Array) -> tuple[Array, Array, Array]:
        cap = np.clip(3 * np.abs(n[0]) - 1.5, 0, 1)
        return p[0] + cap * p[2], p[1] * np.float32(slope / height), cap

    return Shape(distance, wrap, *_bounds(length / 2, height, width / 2))


def lying(shape: Shape) -> Shape:
    """The shape tipped over: its axis along x, resting on the ground."""
    drop = np.float32(shape.high[2])
    middle = np.float32((shape.low[1] + shape.high[1]) / 2)

    def tip(p: Array) -> Array:
        return np.stack([p[1] - drop, p[0] + middle, p[2]])

    half = float(shape.high[1] - shape.low[1]) / 2
    return Shape(
        lambda p: shape.distance(tip(p)),
        lambda p, n: shape.wrap(tip(p), n[[1, 0, 2]]),
        *_bounds(half, float(drop + shape.high[0]), float(shape.high[2])),
    )


def _bounds(x: float, y: float, z: float) -> tuple[Array, Array]:
    return np.array([-x, 0, -z], np.float32), np.array([x, y, z], np.float32)


def _box_wrap(p: Array, n: Array) -> tuple[Array, Array, Array]:
    side, top = np.abs(n[0]) > 0.7, np.abs(n[1]) > 0.7
    u = np.where(side, p[2], p[0])
    v = np.where(top, p[2], p[1])
    return u, v, top.astype(np.float32)


def _round_wrap(p: Array, n: Array, radius: float) -> tuple[Array, Array, Array]:
    x, y, z = p
    cap = np.clip(4 * np.abs(n[1]) - 2.5, 0, 1)
    around = np.arctan2(x, z) * np.float32(radius)
    return around + cap * (np.sqrt(x * x + z * z) * 2 - around), y, cap


def _solid_wrap(p: Array, n: Array) -> tuple[Array, Array, Array]:
    x, y, z = p
    return x + 0.62 * z, y + 0.55 * z - 0.35 * x, np.zeros_like(x)
