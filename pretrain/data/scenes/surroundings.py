"""The two stuff regions: a textured ground plane, and a wall, hedge or hills with sky behind it."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from pretrain.data.scenes.arrange import Arrangement, Light
from pretrain.data.scenes.colours import draw_colour, fade, near_colour
from pretrain.data.scenes.noise import Array, Bank
from pretrain.data.scenes.spec import CLASSES

GROUNDS = {  # map: (smallest, largest tile in metres, relief, contrast)
    "cloud": (1.2, 3.0, 3.5, 1.6),
    "grain": (0.8, 1.6, 3.0, 1.5),
    "cobble": (1.5, 2.6, 1.6, 1.2),
    "pebble": (0.9, 2.0, 1.5, 1.1),
    "leaf": (0.8, 1.6, 1.5, 1.1),
    "straw": (0.8, 1.5, 2.0, 1.5),
    "tile": (2.0, 4.0, 0.8, 1.0),
    "brick": (1.6, 2.6, 1.0, 1.0),
    "board": (1.2, 2.2, 0.8, 1.0),
    "weave": (1.5, 3.0, 1.0, 1.0),
}
USUAL_GROUNDS = {
    "boulder": "pebble", "crate": "board", "drum": "tile", "log": "leaf", "cone": "grain",
    "tyre": "brick", "urn": "weave", "bale": "straw", "shrub": "cloud", "tent": "cobble",
}  # fmt: skip
"""What the scenes of a class stand on in half of the cases: context goes with content, as in photographs."""
WALLS = ("brick", "board", "tile", "cloud", "cobble", "leaf", "grain", "ridge")


@dataclass(frozen=True)
class Surroundings:
    """What the camera sees where no object stands.

    Args:
        albedo: Reflectance of the ground, (3, H, W).
        distant: Light from the backdrop, (3, H, W).
        reach: Distance along each ray to ground or backdrop in metres, infinite in the sky, (H, W).
        ground: Share of a pixel that shows the ground, (H, W).
    """

    albedo: Array
    distant: Array
    reach: Array
    ground: Array


def surround(rng: np.random.Generator, bank: Bank, scene: Arrangement, rays: Array) -> Surroundings:
    """Draw ground and backdrop along the rays (3, H, W)."""
    camera, light = scene.camera, scene.light
    x, y, z = rays
    height = float(camera.position[1])
    to_ground = np.where(y < -1e-4, -height / np.minimum(y, -1e-4), np.inf).astype(np.float32)
    distance, yaw = scene.wall
    cos, sin = math.cos(yaw), math.sin(yaw)
    facing = sin * x + cos * z
    to_wall = np.where(facing > 1e-3, distance / np.maximum(facing, 1e-3), np.inf).astype(np.float32)
    wall_t = np.minimum(to_wall, 60)
    v = height + wall_t * y
    footprint = distance * camera.pixel_angle
    share = np.clip(0.5 - v / footprint, 0, 1)
    low = int(np.argmax((share > 0).any(axis=1)))  # rows from here on show ground,
    high = camera.size - int(np.argmax((share < 1).any(axis=1)[::-1]))  # and rows before this one backdrop
    albedo, distant = np.zeros_like(rays), np.zeros_like(rays)
    near = np.minimum(to_ground[low:], 60)
    albedo[:, low:] = _ground(rng, bank, scene, near * x[low:], near * z[low:], near * camera.pixel_angle)
    u = wall_t[:high] * (cos * x[:high] - sin * z[:high])
    wall, over = _wall(rng, bank, light, u, v[:high], footprint)
    beyond = np.clip(over / footprint + 0.5, 0, 1)
    distant[:, :high] = wall + (_sky(rng, bank, light, rays[:, :high]) - wall) * beyond
    reach = np.minimum(to_ground, to_wall)
    reach[:high][(over > 0) & (share[:high] < 1)] = np.inf
    return Surroundings(albedo, distant, reach, share)


def _ground(rng: np.random.Generator, bank: Bank, scene: Arrangement, x: Array, z: Array, footprint: Array) -> Array:
    names, light = list(GROUNDS), scene.light
    name = USUAL_GROUNDS[CLASSES[scene.theme[0]]] if rng.random() < 0.5 else names[rng.integers(len(names))]
    low, high, relief, contrast = GROUNDS[name]
    tile = np.float32(rng.uniform(low, high))
    turn = rng.uniform(0, 2 * np.pi)
    cos, sin = np.float32(np.cos(turn) / tile), np.float32(np.sin(turn) / tile)
    u, v = cos * x - sin * z + rng.random(dtype=np.float32), sin * x + cos * z
    lx, _, lz = light.direction * np.float32(0.012 * tile)
    here = bank.spread(name, u, v, 1.6 * footprint / tile)
    lit = bank.spread(name, u + cos * lx - sin * lz, v + sin * lx + cos * lz, 1.6 * footprint / tile)
    patches = bank.look("blotch", u * np.float32(0.17), v * np.float32(0.17), 1 / 64)
    base = fade(draw_colour(rng), 0.35)
    second = near_colour(rng, base, 0.35) if rng.random() < 0.6 else fade(draw_colour(rng), 0.5)
    weight = np.clip(4 * patches - 1.5, 0, 1)
    tone = np.clip(1 + contrast * (here - 0.5) + relief * (here - lit), 0.2, 2.0)
    return (base[:, None, None] + (second - base)[:, None, None] * weight) * tone


def _wall(
    rng: np.random.Generator, bank: Bank, light: Light, u: Array, v: Array, footprint: float
) -> tuple[Array, Array]:
    """Light from a wall at coordinates u, v in metres, and the height above its top."""
    name = WALLS[rng.integers(len(WALLS))]
    natural = name in ("leaf", "cobble", "ridge", "grain")
    tile = rng.uniform(1.2, 3.0)
    top = rng.uniform(1.0, 3.0) if rng.random() < 0.65 else 50.0
    edge = rng.uniform(0.2, 0.9) * (bank.look("blotch", u / 9, 0 * u, 1 / 128) - 0.5) * 2 if natural else 0.0
    base = fade(draw_colour(rng), 0.35)
    other = near_colour(rng, base, 0.3) if rng.random() < 0.7 else fade(draw_colour(rng), 0.5)
    here = bank.look(name, u / tile, v / tile, footprint / tile)
    stain = bank.look("cloud", u / 6, v / 6, footprint / 6)
    weight = np.clip(3 * stain - 1.1, 0, 0.7)
    fresh = (base[:, None, None] + (other - base)[:, None, None] * weight) * (0.35 + 1.1 * here)
    if rng.random() < 0.5:  # panels, doors, openings: large plain structure
        panel = rng.uniform(0.9, 2.2)
        place = (u / np.float32(panel) + rng.random()) % 1
        low = rng.uniform(0.0, 1.6)
        inside = (place > 0.3) & (place < 0.75) & (v > low) & (v < low + rng.uniform(0.5, 2.0))
        fresh = np.where(inside, fade(draw_colour(rng), 0.3)[:, None, None] * (0.3 + 0.7 * stain), fresh)
    facing = max(0.0, -float(light.direction[2]))
    fall = np.clip(0.55 + 0.35 * v, 0.5, 1.0)  # darker towards its foot
    received = (light.sky * 0.6 + light.bounce + light.sun * facing * 0.9)[:, None, None]
    return fresh * received * fall, v - (top + edge)


def _sky(rng: np.random.Generator, bank: Bank, light: Light, rays: Array) -> Array:
    x, y, z = rays
    rise = np.clip(y * 2.2, 0, 1)
    plane = np.float32(0.12) / np.maximum(y + 0.25, 0.1)
    cloud = bank.look("cloud", x * plane + rng.random(dtype=np.float32), z * plane, 1 / 200)
    blue = np.array([0.28, 0.45, 0.85], np.float32) * np.float32(rng.uniform(0.5, 1.1))
    pale = np.array([0.85, 0.88, 0.92], np.float32) * np.float32(rng.uniform(0.6, 1.1))
    cover = np.clip(2.5 * (cloud - rng.uniform(0.3, 0.75)), 0, 1)
    clear = pale[:, None, None] + (blue - pale)[:, None, None] * rise
    cloudy = clear + (pale[:, None, None] - clear) * cover
    return np.asarray(cloudy * (light.sky + 0.3 * light.sun)[:, None, None])
