"""Colours of whole batches on the device: what the workers do view by view, up to whole levels."""

import numpy as np
import pytest
import torch
from PIL import Image

from pretrain import methods
from pretrain.errors import UsageError
from pretrain.method import Sample, Views, stack
from pretrain.views.batched import coloured, recolour, uncoloured
from pretrain.views.colour import Colours
from pretrain.views.normalise import MEAN, STD
from pretrain.views.patches import MaskedPatches
from pretrain.views.regions import RegionViews
from pretrain.views.sample import RandomViews, View, byol_views, dino_views, twice

DRAWS = {
    "nothing": Colours(),
    "brightness": Colours(((0, 1.4), (1, 1.0), (2, 1.0), (3, 0.0))),
    "contrast": Colours(((1, 0.6), (0, 1.0), (2, 1.0), (3, 0.0))),
    "saturation": Colours(((2, 0.3), (0, 1.0), (1, 1.0), (3, 0.0))),
    "hue": Colours(((3, 0.1), (0, 1.0), (1, 1.0), (2, 1.0))),
    "hue the other way": Colours(((3, -0.4), (0, 1.0), (1, 1.0), (2, 1.0))),
    "grey": Colours(grey=True),
    "blur": Colours(sigma=1.3),
    "wide blur": Colours(sigma=3.0),
    "hardly any blur": Colours(sigma=0.1),
    "solarise": Colours(solarise=True),
    "all": Colours(((2, 1.3), (0, 0.8), (3, 0.05), (1, 1.2)), sigma=0.8, solarise=True),
}


def photograph(seed, height=48, width=48):
    grid = np.random.default_rng(seed).integers(0, 256, (6, 8, 3), dtype=np.uint8)
    return np.array(Image.fromarray(grid).resize((width, height), Image.Resampling.BICUBIC))


def levels(images):
    return images.permute(0, 2, 3, 1).numpy() * np.array(STD) + np.array(MEAN)


def batch(colours):
    pixels = [photograph(seed) for seed in range(len(colours))]
    images = torch.from_numpy(np.stack(pixels)).permute(0, 3, 1, 2)
    return pixels, images, torch.from_numpy(np.stack([one.encoded() for one in colours]))


def test_every_change_is_the_workers_up_to_a_level_or_two():
    colours = list(DRAWS.values())
    pixels, images, encoded = batch(colours)
    found = recolour(images, encoded)
    assert found.is_contiguous(memory_format=torch.channels_last)
    for name, order, image, ours in zip(DRAWS, colours, pixels, levels(found), strict=True):
        difference = np.abs(ours - order.apply(image.copy()).astype(float))
        if order.solarise:  # a level at the threshold may fall on either side
            difference = np.minimum(difference, np.abs(255 - ours - order.apply(image.copy()).astype(float)))
        assert difference.mean() < 1.2, name
        assert difference.max() < (10 if order.jitter else 2.1), name  # OpenCV's HSV has whole levels, too
        if name not in ("nothing", "hardly any blur"):
            assert np.abs(ours - image).mean() > 1.5, name


def test_the_order_of_the_adjustments_counts():
    one, other = (Colours(((a, 1.4), (b, 0.5), (2, 1.0), (3, 0.0))) for a, b in ((0, 1), (1, 0)))
    encoded = torch.from_numpy(np.stack([one.encoded(), other.encoded()]))
    images = torch.from_numpy(photograph(3)).permute(2, 0, 1).expand(2, -1, -1, -1)
    first, second = levels(recolour(images, encoded))
    assert np.abs(first - second).mean() > 3
    assert np.abs(first - one.apply(photograph(3)).astype(float)).mean() < 1.2


def test_images_do_not_touch_each_other():
    colours = list(DRAWS.values())
    _, images, encoded = batch(colours)
    together = recolour(images, encoded)
    alone = torch.cat([recolour(images[i : i + 1], encoded[i : i + 1]) for i in range(len(colours))])
    assert torch.allclose(together, alone, atol=1e-4)


@pytest.mark.parametrize(
    "augment", [twice(View(32)), byol_views(48, (0.2, 1.0)), dino_views(48, (0.4, 1), 16, (0.1, 0.4), 2)]
)
def test_whole_augmentations_see_the_same_draws(augment):
    samples = [Sample(photograph(seed, 70, 90), seed) for seed in range(6)]
    views, later = (
        stack([one(sample, np.random.default_rng(sample.index)) for sample in samples])
        for one in (augment, uncoloured(augment))
    )
    assert all(image.dtype == torch.uint8 for image in later.images)
    found = coloured(later)
    assert found.colours is None and len(found.images) == len(views.images)
    assert all(torch.equal(*pair) for pair in zip(found.boxes, views.boxes, strict=True))
    for ours, theirs in zip(found.images, views.images, strict=True):
        assert (ours - theirs).abs().mean() < 0.04  # about two levels of 255
        assert (ours.flip(0) - theirs).abs().mean() > 0.3
    assert coloured(views) is views


def test_regions_and_masked_patches_are_drawn_as_before():
    wrapped = [RegionViews(twice(View(64)), 32, 4), MaskedPatches(RandomViews((View(64),)), 16, 0.75, 0.75)]
    for augment in wrapped:
        sample = Sample(photograph(1, 80, 80), 0)
        expected, found = (one(sample, np.random.default_rng(4)) for one in (augment, uncoloured(augment)))
        assert isinstance(found, Views)
        assert all(torch.equal(*pair) for pair in zip(found.masks, expected.masks, strict=True))
        assert coloured(stack([found])).images[0].shape == (1, *expected.images[0].shape)


@pytest.mark.parametrize("method", ["cpc", "navit"])
def test_views_that_are_cut_into_patches_are_refused(method):
    from pretrain import backbones

    kind = methods.load(method)
    arch = "navit_tiny_patch16" if method == "navit" else "resnet18"
    with pytest.raises(UsageError, match="cut into patches"):
        uncoloured(kind(backbones.build(arch, 0)).views())
