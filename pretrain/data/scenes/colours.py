"""Colours that every class, the ground and the backdrop share, so that none is known by its colour."""

from __future__ import annotations

import colorsys

import numpy as np

from pretrain.data.scenes.noise import Array


def draw_colour(rng: np.random.Generator, usual: tuple[float, float, float] | None = None) -> Array:
    """A reflectance in linear light, (3,): mostly earthy, sometimes grey, sometimes bright paint.

    Args:
        rng: Source of randomness.
        usual: Hue, saturation and value around which 6 of 10 draws fall: straw is often yellow.
    """
    kind = rng.random()
    value = rng.uniform(0.28, 0.88)
    if usual and rng.random() < 0.6:
        hue = usual[0] + rng.normal(0, 0.03)
        saturation, value = (float(np.clip(x + rng.normal(0, 0.12), 0.05, 0.9)) for x in usual[1:])
    elif kind < 0.45:
        hue, saturation = rng.uniform(0.02, 0.16), rng.uniform(0.12, 0.55)
    elif kind < 0.7:
        hue, saturation = rng.random(), rng.uniform(0.0, 0.14)
    elif kind < 0.84:
        hue, saturation = rng.uniform(0.2, 0.4), rng.uniform(0.15, 0.5)
    else:
        hue, saturation = rng.random(), rng.uniform(0.3, 0.75)
    return np.array(colorsys.hsv_to_rgb(hue % 1, saturation, value), np.float32) ** np.float32(2.2)


def fade(colour: Array, share: float) -> Array:
    """Move a colour towards grey of the same mean."""
    return np.asarray(colour + np.float32(share) * (colour.mean() - colour))


def near_colour(rng: np.random.Generator, colour: Array, spread: float = 0.25) -> Array:
    """A relative of a colour: lighter or darker, slightly turned."""
    factor = np.exp(rng.normal(0, spread) + rng.normal(0, spread / 3, 3))
    return np.clip(colour * factor.astype(np.float32), 0.01, 0.9)


def mix(first: Array, second: Array, weight: Array) -> Array:
    """Blend two colours (3,) by a weight (N,) for the second: (3, N)."""
    return np.asarray(first[:, None] + (second - first)[:, None] * np.clip(weight, 0, 1))
