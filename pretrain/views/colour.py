"""Colour jitter, greyscale, blur and solarisation on uint8 RGB images, with torchvision's semantics."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numba
import numpy as np


def adjust_brightness(image: np.ndarray, factor: float) -> np.ndarray:
    """Multiply by `factor`: 0 is black, 1 the image itself."""
    return _affine(image.reshape(-1), np.float32(factor), np.float32(0)).reshape(image.shape)


def adjust_contrast(image: np.ndarray, factor: float) -> np.ndarray:
    """Blend with the mean grey level: 0 is that grey, 1 the image itself."""
    mean = round(cv2.mean(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY))[0])
    return _affine(image.reshape(-1), np.float32(factor), np.float32(mean * (1 - factor))).reshape(image.shape)


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
    return np.where(image < 128, image, ~image)


ADJUSTMENTS = (adjust_brightness, adjust_contrast, adjust_saturation, adjust_hue)


@dataclass(frozen=True)
class Colours:
    """How one view is recoloured, as it was drawn.

    Attributes:
        jitter: The adjustments in their order: numbers in `ADJUSTMENTS` and amounts; empty for none.
        grey: Turn it grey.
        sigma: The blur's standard deviation in pixels; 0 for none.
        solarise: Solarise it.
    """

    jitter: tuple[tuple[int, float], ...] = ()
    grey: bool = False
    sigma: float = 0.0
    solarise: bool = False

    def apply(self, image: np.ndarray) -> np.ndarray:
        """Recolour an image, uint8, (H, W, 3)."""
        for kind, amount in self.jitter:
            image = ADJUSTMENTS[kind](image, amount)
        if self.grey:
            image = greyscale(image)
        if self.sigma:
            image = blur(image, self.sigma)
        return solarise(image) if self.solarise else image

    def encoded(self) -> np.ndarray:
        """Return it as numbers for `pretrain.views.batched`, float32, (11,).

        They are the kinds of the adjustments in order (-1 for none), their amounts, then grey, sigma and solarise.
        """
        kinds, amounts = zip(*self.jitter, *[(-1, 0.0)] * (4 - len(self.jitter)), strict=True)
        return np.array([*kinds, *amounts, self.grey, self.sigma, self.solarise], dtype=np.float32)


def draw_jitter(
    strength: tuple[float, float, float, float], generator: np.random.Generator
) -> tuple[tuple[int, float], ...]:
    """Draw changes of brightness, contrast, saturation and hue in random order, as torchvision's `ColorJitter` does.

    What has a strength of 0 stays as it is.

    Args:
        strength: b, c, s, h: the first three factors are uniform in [max(0, 1 - x), 1 + x], the hue's shift
            in [-h, h].
        generator: All randomness.
    """
    drawn = []
    for kind in generator.permutation(4).tolist():
        amount = strength[kind]
        low, high = (-amount, amount) if kind == 3 else (max(0.0, 1 - amount), 1 + amount)
        change = generator.uniform(low, high)
        if amount:
            drawn.append((kind, change))
    return tuple(drawn)


@numba.njit(cache=True)
def _affine(levels: np.ndarray, factor: np.float32, offset: np.float32) -> np.ndarray:
    """Return factor x level + offset, cut off to whole levels in 0..255."""
    found = np.empty(len(levels), dtype=np.uint8)
    for i in range(len(levels)):
        value = np.float32(levels[i]) * factor + offset
        found[i] = np.uint8(np.int32(min(max(value, np.float32(0)), np.float32(255))))
    return found
