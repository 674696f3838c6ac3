"""Whole augmentations: from a sample to its views."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from pretrain.method import Sample, Views
from pretrain.views.colour import Colours, draw_jitter
from pretrain.views.crop import Box, crop, random_box, random_square
from pretrain.views.normalise import normalise


@dataclass(frozen=True)
class View:
    """How one view is drawn: crop, mirror, jitter, greyscale, blur, solarise, normalise.

    The defaults are MoCo v2's "aug+" (arXiv 2003.04297), which DenseCL uses as well. The image is cropped and
    resized first, so that all else works on few pixels.

    # NOTE: the released MoCo v2 and DenseCL jitter before they mirror; the two commute.

    Attributes:
        image_size: Side of the square view in pixels.
        crop_scale: Bounds of the crop's share of the image's area.
        flip: Probability of the mirror.
        jitter: Strength of brightness, contrast, saturation and hue; none when all are 0.
        jitter_probability: Probability of the jitter.
        grey_probability: Probability of greyscale.
        blur_probability: Probability of the blur.
        blur_sigma: Bounds of its standard deviation, in pixels of a view of `blur_size`.
        blur_size: Side of the view that `blur_sigma` was published for. Smaller ones are blurred in proportion, larger
            ones by as many pixels.
            # NOTE: the released codes blur by as many pixels whatever the size (DetCon at 384 and 512, say: its kernel
            alone grows); small views, which this project's recipes for a CPU have, would lose too much.
        solarise_probability: Probability of the solarisation.
        square: Cut out a square, whose area is a share of the largest one's in the image; else a box of a random aspect
            ratio, which becomes a square by distortion.
    """

    image_size: int = 224
    crop_scale: tuple[float, float] = (0.2, 1.0)
    flip: float = 0.5
    jitter: tuple[float, float, float, float] = (0.4, 0.4, 0.4, 0.1)
    jitter_probability: float = 0.8
    grey_probability: float = 0.2
    blur_probability: float = 0.5
    blur_sigma: tuple[float, float] = (0.1, 2.0)
    blur_size: int = 224
    solarise_probability: float = 0.0
    square: bool = False

    def draw(self, image: np.ndarray, generator: np.random.Generator) -> Drawn:
        """Draw a view: cut out and mirrored, and how it is to be coloured."""
        height, width = image.shape[:2]
        box = (random_square if self.square else random_box)(height, width, generator, self.crop_scale)
        flip = bool(generator.random() < self.flip)
        colours = self.draw_colours(self.image_size, generator)
        return Drawn(crop(image, box, self.image_size, flip), colours, box, flip)

    def draw_colours(self, size: float, generator: np.random.Generator) -> Colours:
        """Draw how a view whose side (or root of its area) is `size` pixels is recoloured."""
        jitters, greys, blurs = generator.random(3) < (
            self.jitter_probability,
            self.grey_probability,
            self.blur_probability,
        )
        jitter = draw_jitter(self.jitter, generator) if jitters else ()
        sigma = generator.uniform(*self.blur_sigma) * min(size, self.blur_size) / self.blur_size if blurs else 0.0
        solarises = self.solarise_probability and generator.random() < self.solarise_probability
        return Colours(jitter, bool(greys), sigma, bool(solarises))


class Drawn(NamedTuple):
    """A view before its colours are changed.

    Attributes:
        pixels: uint8, (S, S, 3).
        colours: How they are changed.
        box: The crop's box in the image's pixels.
        flip: Whether it was mirrored.
    """

    pixels: np.ndarray
    colours: Colours
    box: Box
    flip: bool

    @property
    def image(self) -> Tensor:
        """The view as a network reads it, (3, S, S)."""
        return normalise(self.colours.apply(self.pixels))


@dataclass(frozen=True)
class RandomViews:
    """Views of one image, each drawn on its own and as large as its `View` says.

    Attributes:
        views: How each of them is drawn, in order.
        same_flip: Mirror all of them or none.
        colours_later: Leave colours to `pretrain.views.batched`: images are uint8, and `colours` says what to do.
    """

    views: tuple[View, ...]
    same_flip: bool = False
    colours_later: bool = False

    def __call__(self, sample: Sample, generator: np.random.Generator) -> Views:
        """Draw the views of `sample`."""
        views = self.views
        if self.same_flip:
            flip = float(generator.random() < views[0].flip)
            views = tuple(replace(view, flip=flip) for view in views)
        drawn = [view.draw(sample.image, generator) for view in views]
        later = self.colours_later
        return Views(
            images=[torch.from_numpy(one.pixels).permute(2, 0, 1) if later else one.image for one in drawn],
            boxes=[torch.tensor(one.box, dtype=torch.float32) for one in drawn],
            flips=[torch.tensor(one.flip) for one in drawn],
            index=torch.tensor(sample.index),
            label=None if sample.label is None else torch.as_tensor(sample.label),
            colours=[torch.from_numpy(one.colours.encoded()) for one in drawn] if later else None,
        )


def twice(view: View) -> RandomViews:
    """Return an augmentation of two views that are drawn alike."""
    return RandomViews((view, view))


def colourless(image_size: int, crop_scale: tuple[float, float]) -> View:
    """Return a view that is cropped and mirrored only."""
    return View(image_size, crop_scale, jitter_probability=0.0, grey_probability=0.0, blur_probability=0.0)


def moco_views(image_size: int, crop_scale: tuple[float, float]) -> RandomViews:
    """Return MoCo v1's two views, without blur (arXiv 1911.05722, Section 3.3).

    # NOTE: the released code turns images grey before it jitters them; grey images keep their grey.
    """
    return twice(
        View(image_size, crop_scale, jitter=(0.4, 0.4, 0.4, 0.4), jitter_probability=1.0, blur_probability=0.0)
    )


def multi_crop(large: RandomViews, small: View, count: int) -> RandomViews:
    """Return the large views, then `count` small ones (SwAV, arXiv 2006.09882, Section 3.3)."""
    return RandomViews((*large.views, *[small] * count))


def simclr_views(image_size: int, crop_scale: tuple[float, float], strength: float) -> RandomViews:
    """Return SimCLR's two views, with colour distortion of a strength s (arXiv 2002.05709, Appendix A)."""
    amount = 0.8 * strength
    return twice(View(image_size, crop_scale, jitter=(amount, amount, amount, 0.2 * strength)))


def byol_views(image_size: int, crop_scale: tuple[float, float], blur_size: int = 224) -> RandomViews:
    """Return BYOL's two views, which differ in blur and solarisation (arXiv 2006.07733, Appendix B, Table 6).

    # NOTE: the released BYOL and DetCon jitter as TensorFlow does: brightness is shifted by up to 0.4 of the full range
    (here multiplied by 0.6 to 1.4), contrast is scaled about each channel's own mean (here about the mean grey), and
    saturation is scaled in HSV (here by a blend with the grey image). DINO and VICReg jitter as here.
    """
    first = View(image_size, crop_scale, jitter=(0.4, 0.4, 0.2, 0.1), blur_probability=1.0, blur_size=blur_size)
    return RandomViews((first, replace(first, blur_probability=0.1, solarise_probability=0.2)))


def dino_views(
    image_size: int,
    crop_scale: tuple[float, float],
    local_size: int,
    local_scale: tuple[float, float],
    local_views: int,
) -> RandomViews:
    """Return DINO's two global views, which are BYOL's, and its local ones (arXiv 2104.14294, Section 3.2).

    The blur is as many pixels wide in local views as in global ones, as in the released code.
    """
    large = byol_views(image_size, crop_scale)
    small = replace(large.views[0], image_size=local_size, crop_scale=local_scale, blur_probability=0.5)
    return multi_crop(large, replace(small, blur_size=round(224 * local_size / image_size)), local_views)
