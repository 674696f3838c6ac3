"""From light to a photograph: exposure, white balance, lens, sensor."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from pretrain.data.scenes.noise import Array, Bank


def photograph(rng: np.random.Generator, bank: Bank, light: Array) -> NDArray[np.uint8]:
    """Turn linear light (H, W, 3) into an RGB image, uint8, (H, W, 3).

    The exposure aims at the scene's own mean and misses by up to a stop; highlights roll off.
    """
    size = light.shape[0]
    exposure = 0.30 / (float(light.mean()) + 1e-3) * 2 ** rng.normal(0, 0.35)
    balance = np.exp(rng.normal(0, 0.06, 3)).astype(np.float32)
    exposed = light * (balance * np.float32(exposure))
    values = np.sqrt(exposed / (1 + 0.45 * exposed)) * np.float32(255)
    axis = np.linspace(-1, 1, size, dtype=np.float32) ** 2
    values *= (1 - rng.uniform(0, 0.13) * (axis[:, None] + axis[None, :]))[..., None]
    sigma = abs(rng.normal(0, 0.38)) * size / 160
    if sigma > 0.25:
        values = cv2.GaussianBlur(values, (0, 0), sigma)
    values += bank.sensor(size, rng) * np.float32(np.exp(rng.uniform(0, 1.7)))
    return np.asarray(np.clip(values, 0, 255), np.uint8)
