"""One scene, drawn: a photograph with the truth about every pixel."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from pretrain.data.scenes.arrange import Arrangement, Item, Light, arrange
from pretrain.data.scenes.materials import Surface
from pretrain.data.scenes.noise import Array, bank
from pretrain.data.scenes.photograph import photograph
from pretrain.data.scenes.spec import GENERATOR_VERSION, POOLS
from pretrain.data.scenes.surroundings import surround
from pretrain.data.scenes.trace import Hits, shade_ground, trace

CLUTTER = 255
"""In `Scene.instance`: something without a class."""

TINY = 254
"""In `Scene.instance`: an object of a class, of which too little is visible to label it."""


@dataclass(frozen=True)
class Thing:
    """A labelled object of a rendered scene.

    Args:
        label: Index of its class.
        crowd: Whether it belongs to the scene's group.
        shown: Share of its part inside the image that nothing hides, in (0, 1].
    """

    label: int
    crowd: bool
    shown: float


@dataclass(frozen=True)
class Scene:
    """A rendered scene.

    Args:
        image: RGB, uint8, (H, W, 3).
        instance: 0 where nothing stands, k for `things[k - 1]`, else `TINY` or `CLUTTER`; uint8, (H, W).
        ground: Whether the surroundings show the ground there, (H, W).
        depth: Metres along the optical axis, infinite in the sky, (H, W).
        things: The labelled objects with at least `min_pixels(size)` visible pixels.
    """

    image: NDArray[np.uint8]
    instance: NDArray[np.uint8]
    ground: NDArray[np.bool_]
    depth: Array
    things: list[Thing]


def min_pixels(size: int) -> int:
    """Visible pixels below which an object goes unlabelled: 30 at 160 pixels."""
    return max(12, round(30 * (size / 160) ** 2))


def render(seed: int, pool: str, index: int, size: int) -> Scene:
    """Scene `index` of a pool: the same whatever else is rendered, and in which process.

    Draws anew, from the same generator, until at least three labelled objects are visible.
    """
    rng = np.random.default_rng([GENERATOR_VERSION, seed, POOLS.index(pool), index])
    while True:
        scene = _draw(rng, arrange(rng, bank(seed), size), seed)
        if len(scene.things) >= 3:
            return scene


def _draw(rng: np.random.Generator, scene: Arrangement, seed: int) -> Scene:
    camera, light, size = scene.camera, scene.light, scene.camera.size
    rays = camera.rays()
    around = surround(rng, bank(seed), scene, rays)
    received = _ground_light(scene, rays, around.reach)
    lit = around.albedo * received
    colour = (around.distant + (lit - around.distant) * around.ground).reshape(3, -1)
    reach = around.reach.ravel().copy()
    owner = np.zeros(size * size, np.uint8)
    full: list[int] = []
    far_first = sorted(scene.items, key=lambda item: -float(np.linalg.norm(item.position - camera.position)))
    for number, item in enumerate(far_first, 1):
        hits = trace(item, camera, rays)
        full.append(0 if hits is None else int((hits.cover > 0.5).sum()))
        if hits is None:
            continue
        shaded = _shade(item, light, hits, camera.position, camera.pixel_angle)
        front = hits.reach < reach[hits.index]
        index, cover = hits.index[front], hits.cover[front]
        colour[:, index] += (shaded[:, front] - colour[:, index]) * cover
        solid = cover > 0.5
        owner[index[solid]] = number
        reach[index[solid]] = hits.reach[front][solid]
    instance, things = _name(owner, far_first, full, min_pixels(size))
    depth = reach * np.einsum("k,kn->n", camera.turn[2], rays.reshape(3, -1))
    image = photograph(rng, bank(seed), np.ascontiguousarray(colour.T).reshape(size, size, 3))
    return Scene(image, instance.reshape(size, size), around.ground > 0.5, depth.reshape(size, size), things)


def _ground_light(scene: Arrangement, rays: Array, reach: Array) -> Array:
    """Light that arrives on the ground, (3, H, W); shadows are found on every second pixel."""
    camera, light, size = scene.camera, scene.light, scene.camera.size
    t = np.minimum(reach[::2, ::2], 60)
    points = camera.position[:, None, None] + t * rays[:, ::2, ::2]
    lit = np.ones((2, *t.shape), np.float32)
    for item in scene.items:
        shade_ground(item, camera, light, points, lit)
    sun, sky = (cv2.resize(part, (size, size), interpolation=cv2.INTER_LINEAR) for part in lit)
    direct = (light.sun * light.direction[1])[:, None, None] * sun
    return np.asarray(direct + light.sky[:, None, None] * sky)


def _shade(item: Item, light: Light, hits: Hits, eye: Array, pixel_angle: float) -> Array:
    """Light that an item sends to the camera, (3, N)."""
    shape, material = item.model.shape, item.model.material
    to_sun = item.to_local(light.direction)
    u, v, cap = shape.wrap(hits.point, hits.normal)
    height = float(shape.high[1])
    footprint = 1.3 * float(hits.reach.mean()) * pixel_angle
    surface = Surface(u, v, cap, footprint, (float(to_sun[0] + to_sun[2]) * 0.7, float(to_sun[1])), height)
    albedo = material.albedo(surface)
    facing = np.clip(np.einsum("k,kn->n", to_sun, hits.normal), 0, 1)
    up = 0.5 + 0.5 * hits.normal[1]
    foot = 0.45 + 0.55 * np.clip(hits.point[1] / np.float32(0.35 * height), 0, 1)
    soft = (light.sky[:, None] * up + light.bounce[:, None] * (1 - up)) * foot
    view = item.to_local(eye - item.position)[:, None] - hits.point
    half = view / np.linalg.norm(view, axis=0) + to_sun[:, None]
    half /= np.linalg.norm(half, axis=0)
    shine = np.clip(np.einsum("kn,kn->n", half, hits.normal), 0, 1) ** np.float32(material.sharpness)
    glare = material.gloss * shine * (facing > 0)
    return np.asarray(albedo * (soft + light.sun[:, None] * facing) + light.sun[:, None] * glare)


def _name(
    owner: NDArray[np.uint8], items: list[Item], full: list[int], smallest: int
) -> tuple[NDArray[np.uint8], list[Thing]]:
    """Number the labelled objects that are visible enough; all else that stands there is tiny or clutter."""
    names = np.full(256, CLUTTER, np.uint8)
    names[0] = 0
    things: list[Thing] = []
    visible = np.bincount(owner, minlength=len(items) + 1)
    for number, item in enumerate(items, 1):
        if item.label < 0:
            continue
        names[number] = TINY
        if visible[number] >= smallest:
            things.append(Thing(item.label, item.crowd, float(visible[number] / full[number - 1])))
            names[number] = len(things)
    return names[owner], things
