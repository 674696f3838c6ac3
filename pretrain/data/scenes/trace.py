"""Sphere tracing of one item: where the rays meet it, how squarely, and the shadow that it throws."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pretrain.data.scenes.arrange import Item, Light
from pretrain.data.scenes.camera import Camera
from pretrain.data.scenes.noise import Array, turned

STEPS = 14
STRIDE = 1.2
"""Steps are longer than the distance allows; a ray that lands inside takes one step back at the end."""
SHADOW_STEPS = 6


@dataclass(frozen=True)
class Hits:
    """The pixels that an item covers, wholly or at its outline.

    Args:
        index: Flat pixel index, (N,).
        reach: Distance along the ray in metres, (N,).
        cover: Share of the pixel that is covered, in (0, 1], (N,).
        point: Surface point in the model's axes, (3, N).
        normal: Unit normal in the model's axes, (3, N).
    """

    index: NDArray[np.intp]
    reach: Array
    cover: Array
    point: Array
    normal: Array


def trace(item: Item, camera: Camera, rays: Array) -> Hits | None:
    """Follow the rays (3, H, W) to an item; None where it is out of sight."""
    window = _window(camera, item.corners())
    if window is None:
        return None
    top, bottom, left, right = window
    shape, pixel = item.model.shape, np.float32(camera.pixel_angle)
    direction = item.to_local(rays[:, top:bottom, left:right].reshape(3, -1))
    origin = item.to_local(camera.position - item.position)[:, None]
    pad = np.float32(1.5 * pixel * np.linalg.norm(origin))
    with np.errstate(divide="ignore", over="ignore"):
        inverse = 1 / direction
        first = (shape.low[:, None] - pad - origin) * inverse
        last = (shape.high[:, None] + pad - origin) * inverse
    enter, leave = np.minimum(first, last).max(axis=0), np.maximum(first, last).min(axis=0)
    chosen = np.flatnonzero((enter < leave) & (leave > 0))
    if not chosen.size:
        return None
    direction, leave = direction[:, chosen], leave[chosen]
    t = np.maximum(enter[chosen], np.float32(0.05))
    gap = np.full(t.shape, np.inf, np.float32)
    nearest = t.copy()
    running = np.arange(t.size)
    for step in range(STEPS):
        distance = shape.distance(origin + t * direction)
        relative = distance / t
        closer = relative < gap[running]
        gap[running[closer]] = relative[closer]
        nearest[running[closer]] = t[closer]
        t = t + np.maximum(np.float32(STRIDE) * distance, 0.25 * pixel * t)
        if step % 2:
            on = np.flatnonzero((relative > 0.2 * pixel) & (t < leave))
            if not on.size:
                break
            running, t, leave, direction = running[on], t[on], leave[on], direction[:, on]
    cover = np.clip(1.2 - gap / pixel, 0, 1)
    kept = np.flatnonzero(cover > 0.02)
    if not kept.size:
        return None
    rows, columns = np.divmod(chosen[kept], right - left)
    index = (rows + top) * camera.size + columns + left
    reach = nearest[kept] * (1 + gap[kept])
    point = origin + reach * item.to_local(rays.reshape(3, -1)[:, index])
    step_size = max(0.6 * camera.pixel_angle * float(reach.mean()), 0.004)
    normal = _normal(shape.distance, point, np.float32(step_size))
    return Hits(index, reach, cover[kept], point, normal)


def shade_ground(item: Item, camera: Camera, light: Light, points: Array, lit: Array) -> None:
    """Darken the ground where an item keeps the sun off it, and where it stands.

    Args:
        item: What throws the shadow.
        camera: The camera.
        light: The light.
        points: World points of the ground on a grid of the image, (3, h, w).
        lit: Share of the sun and of the sky that arrives there, (2, h, w); multiplied in place.
    """
    corners = item.corners()
    thrown = corners - light.direction[:, None] * (corners[1] / light.direction[1])
    around = corners.copy()
    around[1] = 0
    reach = 0.3 * float(item.model.shape.high[1]) + 0.03
    around = item.position[:, None] + (1 + 2.5 * reach / item.radius) * (around - item.position[:, None])
    window = _window(camera, np.concatenate([around, thrown], axis=1))
    if window is None:
        return
    stride = camera.size / points.shape[1]
    top, bottom, left, right = (round(edge / stride) for edge in window)
    view = points[:, top:bottom, left:right]
    if not view.size:
        return
    start = item.to_local(view.reshape(3, -1) - item.position[:, None])
    start[1] = np.maximum(start[1], 0) + 0.015
    distance_to = item.model.shape.distance
    toward = item.to_local(light.direction[:, None])
    first = distance_to(start)
    t = np.full(first.shape, 0.02, np.float32)
    sun = np.ones_like(first)
    distance = first
    for _ in range(SHADOW_STEPS):
        t = t + np.clip(distance, 0.04, 0.8)
        distance = distance_to(start + t * toward)
        sun = np.minimum(sun, 0.5 + 0.5 * distance / (np.float32(light.blur) * t))
    sky = 1 - 0.75 * np.exp(-np.maximum(first, 0) / np.float32(0.5 * reach))
    shape = view.shape[1:]
    lit[0, top:bottom, left:right] *= np.clip(sun, 0, 1).reshape(shape)
    lit[1, top:bottom, left:right] *= sky.reshape(shape)


def _normal(distance: Callable[[Array], Array], point: Array, step: np.float32) -> Array:
    """Normals from four distances at the corners of a tetrahedron."""
    signs = np.array([[1, -1, -1, 1], [-1, -1, 1, 1], [-1, 1, -1, 1]], np.float32)
    around = point[:, None, :] + step * signs[:, :, None]  # (3, 4, N)
    slopes = turned(signs, distance(around.reshape(3, -1)).reshape(4, -1))
    return np.asarray(slopes / (np.linalg.norm(slopes, axis=0) + 1e-9), np.float32)


def _window(camera: Camera, points: Array) -> tuple[int, int, int, int] | None:
    """Rows and columns (top, bottom, left, right) around points; None when they are out of sight."""
    x, y, z = camera.project(points)
    if (z < 0.3).any():
        x, y = x[z >= 0.3], y[z >= 0.3]
        if not x.size:
            return None
        return 0, camera.size, 0, camera.size
    left, right = max(int(x.min()) - 2, 0), min(int(x.max()) + 3, camera.size)
    top, bottom = max(int(y.min()) - 2, 0), min(int(y.max()) + 3, camera.size)
    return (top, bottom, left, right) if top < bottom and left < right else None
