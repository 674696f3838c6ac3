"""Colour jitter, greyscale, blur and solarisation on uint8 RGB images, with torchvision's semantics."""

from __future__ import annotations

import cv2
import numpy as np

LEVELS = np.arange(256, dtype=np.float32)


def adjust_brightness(image: np.ndarray, factor: float) -> np.ndarray:
    """Multiply by `factor`: 0 is black, 1 the image itself."""
    return _look_up(image, LEVELS * factor)


def adjust_contrast(image: np.ndarray, factor: float) -> np.ndarray:
    """Blend with the mean grey level: 0 is that grey, 1 the image itself."""
    mean = round(float(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY).mean()))
    return _look_up(image, LEVELS * factor + mean * (1 - factor))


def adjust_saturation(image: np.ndarray, factor: float) -> np.ndarray:
    """Blend with the greyscale image: 0 is greyscale, 1 the image itself."""
    return cv2.addWeighted(image, factor, greyscale(image), 1 - factor, 0.0)


def adjust_hue(image: np.ndarray, shift: float) -> np.ndarray:
    """Turn the hue by `shift` of a full circle, -0.5 to 0.5."""
    hsv: np.ndarray = np.asarray(cv2.cvtColor(image, cv2.COLOR_RGB2HSV_FULL), dtype=np.uint8)
    hsv[..., 0] += np.array(int(shift * 255) % 256, dtype=np.uint8)  # wraps around
    return cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB_FULL)


def greyscale(image: np.ndarray) -> np.ndarray:
    """Return the luma 0.299 R + 0.587 G + 0.114 B in all three channels."""
    return cv2.cvtColor(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)


def blur(image: np.ndarray, sigma: float) -> np.ndarray:
    """Blur with a Gaussian of standard deviation `sigma` in pixels."""
    return cv2.GaussianBlur(image, (0, 0), sigma)


def solarise(image: np.ndarray) -> np.ndarray:
    """Invert the levels from 128 up."""
    return _look_up(image, np.where(LEVELS < 128, LEVELS, 255 - LEVELS))


def colour_jitter(
    image: np.ndarray, strength: tuple[float, float, float, float], generator: np.random.Generator
) -> np.ndarray:
    """Jitter brightness, contrast, saturation and hue in random order, as torchvision's `ColorJitter` does.

    Args:
        image: uint8, (H, W, 3).
        strength: b, c, s, h: the first three factors are uniform in [max(0, 1 - x), 1 + x], the hue's shift
            in [-h, h].
        generator: All randomness.
    """
    adjustments = (adjust_brightness, adjust_contrast, adjust_saturation, adjust_hue)
    for kind in generator.permutation(4):
        amount = strength[kind]
        low, high = (-amount, amount) if kind == 3 else (max(0.0, 1 - amount), 1 + amount)
        image = adjustments[kind](image, generator.uniform(low, high))
    return image


def _look_up(image: np.ndarray, table: np.ndarray) -> np.ndarray:
    return cv2.LUT(image, np.clip(table, 0, 255).astype(np.uint8))
