"""What surfaces are made of: each function draws one specimen of a material."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from pretrain.data.scenes.colours import draw_colour, mix, near_colour
from pretrain.data.scenes.noise import Array, Bank

Generator = np.random.Generator


@dataclass(frozen=True)
class Surface:
    """Where on an object a material is asked for.

    Args:
        u: First surface coordinate in metres, (N,).
        v: Second surface coordinate in metres, upwards, (N,).
        cap: How much a point belongs to an end face, in [0, 1], (N,).
        footprint: Size of a pixel in metres.
        slant: Direction of the light along (u, v), about unit length.
        height: The object's height in metres.
    """

    u: Array
    v: Array
    cap: Array
    footprint: float
    slant: tuple[float, float]
    height: float


@dataclass(frozen=True)
class Material:
    """A specimen.

    Args:
        albedo: Reflectance in linear light of a surface: (3, N).
        gloss: Strength of the highlight.
        sharpness: Exponent of the highlight.
    """

    albedo: Callable[[Surface], Array]
    gloss: float = 0.05
    sharpness: float = 8.0


def _look(bank: Bank, name: str, s: Surface, tile: float) -> Array:
    """Sample a map whose period is `tile` metres."""
    u, v = s.u * np.float32(1 / tile), s.v * np.float32(1 / tile)
    return bank.look(name, u, v, s.footprint / tile)


def _relief(bank: Bank, name: str, s: Surface, tile: float, depth: float) -> tuple[Array, Array]:
    """A map's values and the light and shade that it has as a height field, around 1."""
    here = _look(bank, name, s, tile)
    step = max(1.2 * s.footprint, 0.012 * tile)
    u = (s.u + np.float32(step * s.slant[0])) * np.float32(1 / tile)
    v = (s.v + np.float32(step * s.slant[1])) * np.float32(1 / tile)
    return here, np.clip(1 + depth * (here - bank.look(name, u, v, s.footprint / tile)), 0.25, 1.8)


def _waves(along: Array, period: float, footprint: float) -> Array:
    """A sine of a period in metres that fades before the pixels are too large to show it."""
    seen = np.clip(1.5 - 4 * footprint / period, 0, 1)
    return np.asarray(np.sin(along * np.float32(2 * np.pi / period)) * np.float32(seen))


def rock(rng: Generator, bank: Bank) -> Material:
    """Mottled stone: blotches, speckle and a rough relief."""
    base = draw_colour(rng, (0.09, 0.15, 0.6))
    other, tile = near_colour(rng, base, 0.4), rng.uniform(0.7, 1.3)

    def albedo(s: Surface) -> Array:
        height, shade = _relief(bank, "cloud", s, tile, 2.2)
        speckle = _look(bank, "grain", s, 0.35 * tile)
        return mix(base, other, 2.2 * height - 0.6) * (shade * (0.55 + 0.9 * speckle))

    return Material(albedo, 0.05, 6)


def planks(rng: Generator, bank: Bank) -> Material:
    """Boards with grain and dark gaps."""
    base = draw_colour(rng, (0.09, 0.45, 0.65))
    dark, tile = base * 0.45, rng.uniform(0.8, 1.3)
    upright, offset = rng.random() < 0.5, rng.random()

    def albedo(s: Surface) -> Array:
        u, v = (s.v, s.u) if upright else (s.u, s.v)
        u, v = u / np.float32(tile) + np.float32(offset), v / np.float32(tile) + np.float32(offset)
        board = bank.look("board", u, v, s.footprint / tile)
        grain = bank.look("wood", u * 2, v * 2, 2 * s.footprint / tile)
        return mix(dark, base, 1.5 * board - 0.1) * (0.5 + grain)

    return Material(albedo, 0.08, 10)


def painted_metal(rng: Generator, bank: Bank) -> Material:
    """Paint with rust breaking through, and a band."""
    paint = draw_colour(rng)
    rust = np.array([0.20, 0.08, 0.035], np.float32) * np.float32(rng.uniform(0.6, 1.6))
    band, at, worn = draw_colour(rng), rng.uniform(0.25, 0.75), rng.uniform(0.55, 0.75)
    banded = rng.random() < 0.5

    def albedo(s: Surface) -> Array:
        decay = _look(bank, "cloud", s, 0.9)
        streak = _look(bank, "fibre", Surface(s.v, s.u, s.cap, s.footprint, s.slant, s.height), 0.8)
        colour = mix(paint, rust, 9 * (decay + 0.3 * streak - worn))
        if banded:
            inside = (np.abs(s.v / s.height - at) < 0.12).astype(np.float32)
            colour += (band[:, None] - colour) * (inside * 0.85)
        return colour * (0.75 + 0.5 * streak)

    return Material(albedo, 0.5, 22)


def bark(rng: Generator, bank: Bank) -> Material:
    """Furrowed bark along the axis; rings of growth on the cut faces."""
    base = draw_colour(rng, (0.07, 0.35, 0.4))
    deep, heart = base * 0.3, near_colour(rng, np.maximum(base * 1.5, 0.2), 0.2)
    tile = rng.uniform(0.45, 0.8)

    def albedo(s: Surface) -> Array:
        turned = Surface(s.v, 2 * s.u, s.cap, s.footprint, (s.slant[1], s.slant[0]), s.height)
        furrow, shade = _relief(bank, "wood", turned, tile, 3.5)
        rings = 0.75 + 0.3 * _waves(s.u, 0.17, s.footprint)
        body = mix(deep, base, 2.6 * furrow - 0.75) * shade
        return np.asarray(body + (heart[:, None] * rings - body) * s.cap)

    return Material(albedo, 0.03, 6)


def plastic(rng: Generator, bank: Bank) -> Material:
    """Smooth moulded plastic with one to three bright hoops, scuffed."""
    base, hoop = draw_colour(rng), draw_colour(rng)
    if np.abs(base - hoop).sum() < 0.5:
        hoop = np.array([0.75, 0.75, 0.72], np.float32) if base.mean() < 0.35 else base * 0.15
    count, phase = int(rng.integers(1, 4)), rng.uniform(0.2, 0.5)

    def albedo(s: Surface) -> Array:
        level = s.v / np.float32(s.height)
        inside = (((level * count * 1.25 + phase) % 1) < 0.42) & (level > 0.18)
        scuff = _look(bank, "cloud", s, 0.6)
        return mix(base, hoop, inside.astype(np.float32)) * (0.85 + 0.3 * scuff)

    return Material(albedo, 0.65, 30)


def rubber(rng: Generator, bank: Bank) -> Material:
    """Ribbed rubber with lugs across the tread, dusty."""
    base = draw_colour(rng, (0.1, 0.1, 0.35)) * 0.55
    dust, lugs = near_colour(rng, draw_colour(rng), 0.2), rng.uniform(0.07, 0.12)

    def albedo(s: Surface) -> Array:
        pattern = np.sin(s.u * np.float32(2 * np.pi / lugs) + 14 * np.abs(s.v % 0.2 - 0.1)) > -0.2
        flank = 0.8 + 0.25 * _waves(s.v, 0.08, s.footprint)
        groove = np.where(s.cap > 0.6, flank, 0.35 + 0.65 * pattern)
        powder = _look(bank, "cloud", s, 0.7)
        return np.asarray(mix(base, dust, 1.6 * powder - 0.65) * groove)

    return Material(albedo, 0.12, 9)


def ceramic(rng: Generator, bank: Bank) -> Material:
    """A glaze with painted rings and a repeated motif."""
    base, ink = draw_colour(rng), draw_colour(rng)
    if np.abs(base - ink).sum() < 0.4:
        ink = base * 0.2
    bands, motif = rng.uniform(2.5, 5), rng.uniform(0.09, 0.16)
    zigzag = rng.random() < 0.5

    def albedo(s: Surface) -> Array:
        level = (s.v / np.float32(s.height)) * np.float32(bands)
        place = level % 1
        across = (s.u / np.float32(motif)) % 1
        wave = 0.3 + 0.4 * np.abs(2 * across - 1)
        drawn = np.abs(place - wave) < 0.11 if zigzag else np.hypot(across - 0.5, place - 0.5) < 0.27
        ringed = (place < 0.1) | (np.floor(level) % 2 == 0) & drawn
        craze = _look(bank, "grain", s, 0.6)
        return mix(base, ink, ringed.astype(np.float32)) * (0.85 + 0.3 * craze)

    return Material(albedo, 0.8, 40)


def straw(rng: Generator, bank: Bank) -> Material:
    """Pressed stalks, tied with twine."""
    base = draw_colour(rng, (0.13, 0.5, 0.75))
    dark, tile = base * 0.35, rng.uniform(0.5, 0.8)
    twine, gap = draw_colour(rng), rng.uniform(0.2, 0.35)

    def albedo(s: Surface) -> Array:
        stalks, shade = _relief(bank, "straw", s, tile, 3.0)
        colour = mix(dark, base * 1.25, 2.8 * stalks - 1.0) * shade
        tied = ((s.v / np.float32(gap)) % 1 < 0.09).astype(np.float32) * (1 - s.cap)
        spiral = 1 - 0.45 * s.cap * (np.sin(s.u * np.float32(2 * np.pi / 0.16)) > 0.3)
        return np.asarray((colour + (twine[:, None] - colour) * tied) * spiral)

    return Material(albedo, 0.02, 4)


def leaves(rng: Generator, bank: Bank) -> Material:
    """Foliage: bright leaf by dark gap."""
    base = draw_colour(rng, (0.29, 0.5, 0.5))
    other, tile = near_colour(rng, base, 0.35), rng.uniform(0.5, 0.9)

    def albedo(s: Surface) -> Array:
        leaf, shade = _relief(bank, "leaf", s, tile, 2.5)
        clump = _look(bank, "cloud", s, 0.8)
        return mix(base, other, 2 * clump - 0.5) * ((0.2 + 2.0 * leaf) * shade)

    return Material(albedo, 0.08, 6)


def fabric(rng: Generator, bank: Bank) -> Material:
    """Woven cloth, striped or chequered, with soft folds."""
    base, stripe = draw_colour(rng), draw_colour(rng)
    period, share = rng.uniform(0.12, 0.4), rng.uniform(0.25, 0.6)
    chequered = rng.random() < 0.5

    def albedo(s: Surface) -> Array:
        first = ((s.u / np.float32(period)) % 1 < share).astype(np.float32)
        if chequered:
            first = 0.5 * first + 0.5 * ((s.v / np.float32(period)) % 1 < share)
        _, fold = _relief(bank, "blotch", s, 1.1, 5.0)
        thread = _look(bank, "weave", s, 0.5)
        return mix(base, stripe, first) * (fold * (0.6 + 0.7 * thread))

    return Material(albedo, 0.04, 5)
