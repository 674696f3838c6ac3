"""Random resized crop and mirror, with the geometry they leave behind."""

from __future__ import annotations

import math

import cv2
import numpy as np

from pretrain.views.resize import shrink_little, shrinks_little

Box = tuple[int, int, int, int]


def random_box(
    height: int,
    width: int,
    generator: np.random.Generator,
    scale: tuple[float, float] = (0.2, 1.0),
    ratio: tuple[float, float] = (3 / 4, 4 / 3),
) -> Box:
    """Draw a crop as torchvision's `RandomResizedCrop.get_params` does.

    Ten attempts at a box of uniform area and log-uniform aspect ratio inside the image; then the largest
    central box with a ratio inside the bounds.

    Args:
        height: The image's height in pixels.
        width: The image's width in pixels.
        generator: All randomness.
        scale: Bounds of the box's share of the image's area.
        ratio: Bounds of its width divided by its height.

    Returns:
        x0, y0, x1, y1 in pixels; x1 and y1 lie outside.
    """
    for _ in range(10):
        area = height * width * generator.uniform(*scale)
        aspect = math.exp(generator.uniform(math.log(ratio[0]), math.log(ratio[1])))
        w, h = round(math.sqrt(area * aspect)), round(math.sqrt(area / aspect))
        if 0 < w <= width and 0 < h <= height:
            y0 = int(generator.integers(0, height - h + 1))
            x0 = int(generator.integers(0, width - w + 1))
            return x0, y0, x0 + w, y0 + h
    w, h = width, height
    if width / height < ratio[0]:
        h = round(w / ratio[0])
    elif width / height > ratio[1]:
        w = round(h * ratio[1])
    x0, y0 = (width - w) // 2, (height - h) // 2
    return x0, y0, x0 + w, y0 + h


def random_square(
    height: int, width: int, generator: np.random.Generator, scale: tuple[float, float] = (0.2, 1.0)
) -> Box:
    """Draw a square anywhere in the image.

    Args:
        height: The image's height in pixels.
        width: The image's width in pixels.
        generator: All randomness.
        scale: Bounds of its share of the area of the largest square in the image, at most 1.

    Returns:
        x0, y0, x1, y1 in pixels; x1 and y1 lie outside.
    """
    side = max(1, round(math.sqrt(generator.uniform(*scale)) * min(height, width)))
    y0 = int(generator.integers(0, height - side + 1))
    x0 = int(generator.integers(0, width - side + 1))
    return x0, y0, x0 + side, y0 + side


def crop(image: np.ndarray, box: Box, size: int, flip: bool) -> np.ndarray:
    """Cut `box` out, resize it to a square and mirror it horizontally if asked.

    # NOTE: shrinking averages over pixel areas (OpenCV's INTER_AREA) where torchvision filters with an
    antialiased triangle; enlarging is bilinear in both. The tests bound the difference.

    # NOTE: MoCo, DenseCL and ReSim resize as torchvision does by default. The released SimCLR, BYOL, DetCon, VICReg,
    VICRegL, DINO, SelfPatch and DropPos resize bicubically.

    Args:
        image: uint8, (H, W, 3).
        box: x0, y0, x1, y1.
        size: The square's side in pixels.
        flip: Mirror after the crop.
    """
    x0, y0, x1, y1 = box
    if shrinks_little(box, size):
        square = shrink_little(image, box, size)
    else:
        interpolation = cv2.INTER_AREA if min(x1 - x0, y1 - y0) > size else cv2.INTER_LINEAR
        square = cv2.resize(image[y0:y1, x0:x1], (size, size), interpolation=interpolation)
    return cv2.flip(square, 1) if flip else square
