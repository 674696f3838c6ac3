"""Whole augmentations: from a sample to its views."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from pretrain.method import Sample, Views
from pretrain.views.colour import blur, colour_jitter, greyscale
from pretrain.views.crop import Box, crop, random_box
from pretrain.views.normalise import normalise


@dataclass(frozen=True)
class RandomViews:
    """Views of one image, each drawn on its own: crop, mirror, jitter, greyscale, blur, normalise.

    The defaults are MoCo v2's "aug+" (arXiv 2003.04297), which DenseCL uses as well. The image is cropped and
    resized first, so that all else works on few pixels.

    # NOTE: the released code jitters before it mirrors; the two commute.

    Attributes:
        count: Number of views.
        image_size: Side of the square views in pixels.
        crop_scale: Bounds of the crop's share of the image's area.
        flip: Probability of the mirror.
        jitter: Strength of brightness, contrast, saturation and hue; none when all are 0.
        jitter_probability: Probability of the jitter.
        grey_probability: Probability of greyscale.
        blur_probability: Probability of the blur.
        blur_sigma: Bounds of its standard deviation, in pixels of a view of 224; smaller views are blurred in
            proportion.
    """

    count: int = 2
    image_size: int = 224
    crop_scale: tuple[float, float] = (0.2, 1.0)
    flip: float = 0.5
    jitter: tuple[float, float, float, float] = (0.4, 0.4, 0.4, 0.1)
    jitter_probability: float = 0.8
    grey_probability: float = 0.2
    blur_probability: float = 0.5
    blur_sigma: tuple[float, float] = (0.1, 2.0)

    def __call__(self, sample: Sample, generator: np.random.Generator) -> Views:
        """Draw the views of `sample`."""
        images, boxes, flips = [], [], []
        for _ in range(self.count):
            height, width = sample.image.shape[:2]
            box = random_box(height, width, generator, self.crop_scale)
            flip = bool(generator.random() < self.flip)
            square = crop(sample.image, box, self.image_size, flip)
            images.append(normalise(self._recolour(square, generator)))
            boxes.append(_box(box))
            flips.append(torch.tensor(flip))
        return Views(images, boxes, flips, torch.tensor(sample.index), label=_label(sample))

    def _recolour(self, image: np.ndarray, generator: np.random.Generator) -> np.ndarray:
        jitters, greys, blurs = generator.random(3) < (
            self.jitter_probability,
            self.grey_probability,
            self.blur_probability,
        )
        if jitters:
            image = colour_jitter(image, self.jitter, generator)
        if greys:
            image = greyscale(image)
        if blurs:
            image = blur(image, generator.uniform(*self.blur_sigma) * self.image_size / 224)
        return image


def _box(box: Box) -> Tensor:
    return torch.tensor(box, dtype=torch.float32)


def _label(sample: Sample) -> Tensor | None:
    return None if sample.label is None else torch.as_tensor(sample.label)
