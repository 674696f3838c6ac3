"""A bank of tileable textures: band-limited noise, cells, fibres, masonry; each with its mipmaps."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from pretrain.data.scenes.spec import GENERATOR_VERSION

Array = NDArray[Any]
"""float32 throughout; numpy's types cannot say that float32 times a Python float stays float32."""

SIDE = 256
LEVELS = 7


def turned(matrix: Array, vectors: Array) -> Array:
    """A matrix (M, K) times vectors (K, ...), summed in one order whatever the number of threads."""
    return np.asarray(np.einsum("mk,k...->m...", matrix, vectors))


class Bank:
    """Tileable maps with values in [0, 1], mean near 0.5, and unbiased sensor noise.

    Args:
        seed: The data root's seed; every scene of the root draws from the same bank.
    """

    def __init__(self, seed: int) -> None:
        rng = np.random.default_rng([GENERATOR_VERSION, seed, 0x7E97])
        coarse, fine = _cells(rng, 70), _cells(rng, 420)
        maps = {
            "cloud": _spectral(rng, 1.7),
            "blotch": _spectral(rng, 2.4),
            "grain": _spectral(rng, 0.8),
            "ridge": np.abs(2 * _spectral(rng, 1.4) - 1) * 1.6,
            "fibre": _spectral(rng, 0.9, stretch=14),
            "wood": _spectral(rng, 1.3, stretch=9),
            "straw": np.maximum(_spectral(rng, 0.6, stretch=8), _spectral(rng, 0.6, stretch=8).T),
            "cobble": coarse[0] * (0.45 + 0.55 * coarse[1]),
            "pebble": fine[0] * (0.3 + 0.7 * fine[1]),
            "leaf": (1 - fine[0]) * (0.2 + 0.8 * fine[1]) * (0.5 + 0.5 * coarse[1]) * 1.7,
            "weave": _weave(rng),
            "brick": _courses(rng, rows=16, columns=8, shift=0.5, joint=0.16),
            "board": _courses(rng, rows=8, columns=2, shift=0.37, joint=0.06),
            "tile": _courses(rng, rows=8, columns=8, shift=0.0, joint=0.05),
        }
        self.levels = {name: _mipmaps(np.clip(values, 0, 1)) for name, values in maps.items()}
        self._rng_key = [GENERATOR_VERSION, seed, 0x5E50]
        self._sensor: Array | None = None

    def look(self, name: str, u: Array, v: Array, footprint: float) -> Array:
        """Sample a map bilinearly.

        Args:
            name: The map.
            u: First coordinate in tiles (one tile is one period), any shape.
            v: Second coordinate in tiles, same shape.
            footprint: Size of a pixel in tiles; chooses the mipmap.
        """
        level = int(np.clip(np.floor(np.log2(max(footprint * SIDE, 1e-6))), 0, LEVELS - 1))
        texture = self.levels[name][level]
        shape, count = u.shape, u.size
        assert u.dtype == v.dtype == np.float32
        if u.ndim != 2:  # cv2.remap takes maps below 32768 in each direction
            rows = -(-count // 1024)
            u, v = (np.resize(x.ravel(), (rows, -(-count // rows))) for x in (u, v))
        x, y = (np.multiply(w - np.floor(w), np.float32(texture.shape[0])) for w in (u, v))
        values: Array = cv2.remap(texture, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_WRAP)
        return values if values.shape == shape else values.ravel()[:count].reshape(shape)

    def spread(self, name: str, u: Array, v: Array, footprint: Array) -> Array:
        """Sample a map over a plane that recedes: the mipmap is chosen pixel by pixel. All (H, W)."""
        blur = np.clip(np.log2(np.maximum(footprint * SIDE, 1.0)), 0, LEVELS - 1)
        first = int(blur.min())
        last = int(min(np.ceil(blur.max()), first + 4))
        values = self.look(name, u, v, 2.0**first / SIDE)
        if last > first:
            half = max(1, round((last - first) / 2))
            for level in range(first + half, last + half, half):
                weight = np.clip((blur - (level - half)) / half, 0, 1)
                values = values + weight * (self.look(name, u, v, 2.0**level / SIDE) - values)
        return values

    def sensor(self, size: int, rng: np.random.Generator) -> Array:
        """A window of standard normal noise: (size, size, 3)."""
        side = size + 128
        if self._sensor is None or self._sensor.shape[0] != side:
            draw = np.random.default_rng([*self._rng_key, side])
            self._sensor = draw.standard_normal((side, side, 3), dtype=np.float32)
        top, left = rng.integers(0, 128, 2)
        return self._sensor[top : top + size, left : left + size]


@lru_cache(maxsize=2)
def bank(seed: int) -> Bank:
    """The bank of a seed, made once in a process (about 0.2 s)."""
    return Bank(seed)


def _spectral(rng: np.random.Generator, slope: float, stretch: float = 1.0) -> Array:
    """Noise whose amplitude falls with frequency as f^-slope; `stretch` > 1 makes fibres along u."""
    frequency = np.fft.fftfreq(SIDE) * SIDE
    radius = np.hypot(frequency[:, None], stretch * frequency[None, :])
    radius[0, 0] = np.inf
    spectrum = np.fft.fft2(rng.standard_normal((SIDE, SIDE))) * radius**-slope
    values = np.fft.ifft2(spectrum).real
    return np.asarray(0.5 + 0.2 * (values - values.mean()) / values.std(), np.float32)


def _cells(rng: np.random.Generator, count: int) -> tuple[Array, Array]:
    """Rounded cells that tile: the height over each cell's border and a tone per cell."""
    points = rng.integers(0, SIDE, (count, 2))
    canvas = np.full((3 * SIDE, 3 * SIDE), 255, np.uint8)
    for dy in range(3):
        for dx in range(3):
            canvas[points[:, 0] + dy * SIDE, points[:, 1] + dx * SIDE] = 0
    distance, labels = cv2.distanceTransformWithLabels(
        canvas, cv2.DIST_L2, cv2.DIST_MASK_5, labelType=cv2.DIST_LABEL_PIXEL
    )
    tones = np.zeros(labels.max() + 1, np.float32)
    seeds_y, seeds_x = np.nonzero(canvas == 0)
    key = (seeds_y % SIDE) * SIDE + seeds_x % SIDE
    tones[labels[seeds_y, seeds_x]] = rng.random(SIDE * SIDE, np.float32)[key]
    window = slice(SIDE, 2 * SIDE)
    radius = 0.75 * SIDE / np.sqrt(count)
    return np.clip(1 - (distance[window, window] / radius) ** 2, 0, 1), tones[labels[window, window]]


def _weave(rng: np.random.Generator) -> Array:
    """Threads over and under, with an uneven hand."""
    y, x = np.mgrid[0:SIDE, 0:SIDE].astype(np.float32) * (2 * np.pi * 32 / SIDE)
    over = np.where(np.sin(x / 2) * np.sin(y / 2) > 0, np.abs(np.sin(x / 2)), np.abs(np.sin(y / 2)))
    return np.asarray(0.15 + 0.6 * over + 0.4 * (_spectral(rng, 1.2) - 0.5), np.float32)


def _courses(rng: np.random.Generator, rows: int, columns: int, shift: float, joint: float) -> Array:
    """Courses of bricks, boards or tiles: dark joints and a tone per piece."""
    v, u = np.mgrid[0:SIDE, 0:SIDE].astype(np.float32) / SIDE
    row = np.floor(v * rows).astype(int)
    across = u * columns + shift * row
    column = np.floor(across).astype(int) % columns
    tone = 0.45 + 0.5 * rng.random((rows, columns), np.float32)
    inside_v, inside_u = (v * rows) % 1, across % 1
    aspect = rows / columns
    near = np.minimum(np.minimum(inside_v, 1 - inside_v), np.minimum(inside_u, 1 - inside_u) * aspect)
    body = np.clip(near / joint, 0, 1)
    values = body * (tone[row, column] + 0.35 * (_spectral(rng, 1.0) - 0.5)) + 0.08 * (1 - body)
    return np.asarray(values, np.float32)


def _mipmaps(values: Array) -> list[Array]:
    """The map and its halved copies."""
    levels: list[Array] = [np.ascontiguousarray(values, np.float32)]
    while len(levels) < LEVELS:
        levels.append(cv2.resize(levels[-1], None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA))
    return levels
