"""Views: their geometry really maps pixels, and their colours are torchvision's."""

from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch
import torchvision.transforms.functional as peer
from PIL import Image
from torchvision.transforms import InterpolationMode, RandomResizedCrop

from pretrain.method import Sample, stack
from pretrain.views import colour
from pretrain.views.crop import crop, random_box
from pretrain.views.normalise import MEAN, STD, normalise
from pretrain.views.patches import MaskedPatches
from pretrain.views.resize import shrink_little, shrinks_little
from pretrain.views.sample import RandomViews, View, byol_views, dino_views, multi_crop, twice


def photograph(height=90, width=120, seed=0):
    """Smooth colours, as photographs have."""
    grid = np.random.default_rng(seed).integers(0, 256, (6, 8, 3), dtype=np.uint8)
    return np.asarray(Image.fromarray(grid).resize((width, height), Image.Resampling.BICUBIC))


def plain(**changes):
    settings = {"jitter_probability": 0.0, "grey_probability": 0.0, "blur_probability": 0.0}
    return twice(View(**{**settings, **changes}))


@pytest.mark.parametrize("seed", range(12))
def test_box_and_flip_say_where_every_pixel_went(seed):
    height, width = 100, 200
    rows, columns = np.mgrid[0:height, 0:width]
    painted = np.stack([columns, rows, np.zeros_like(rows)], axis=2).astype(np.uint8)  # colour = coordinates
    augment = multi_crop(plain(image_size=64), plain(image_size=40, crop_scale=(0.1, 0.2)).views[0], 2)
    views = augment(Sample(painted, 3), np.random.default_rng(seed))
    assert [image.shape[1] for image in views.images] == [64, 64, 40, 40]
    for image, box, flip in zip(views.images, views.boxes, views.flips, strict=True):
        size = image.shape[1]
        x0, y0, x1, y1 = box.tolist()
        centres = (np.arange(size) + 0.5) / size
        x = x0 + (x1 - x0) * (centres[::-1] if flip else centres) - 0.5
        y = y0 + (y1 - y0) * centres - 0.5
        found = image.permute(1, 2, 0).numpy() * np.array(STD) + np.array(MEAN)
        inner = slice(2, -2)
        assert np.abs(found[inner, inner, 0] - x[None, inner]).max() < 1.1
        assert np.abs(found[inner, inner, 1] - y[inner, None]).max() < 1.1


def test_both_flips_occur():
    flips = [bool(plain()(Sample(photograph(), 0), np.random.default_rng(s)).flips[0]) for s in range(40)]
    assert 8 < sum(flips) < 32


def test_views_can_share_their_mirror():
    sample, view = Sample(photograph(), 0), View(image_size=32)
    shared, own = (RandomViews((view, view), same_flip=same) for same in (True, False))
    flips = [shared(sample, np.random.default_rng(s)).flips for s in range(40)]
    assert all(first == second for first, second in flips)
    assert 8 < sum(bool(first) for first, _ in flips) < 32
    assert any(first != second for first, second in (own(sample, np.random.default_rng(s)).flips for s in range(40)))


def test_boxes_are_distributed_as_torchvisions():
    height, width, scale = 90, 160, (0.2, 1.0)
    generator = np.random.default_rng(0)
    ours = np.array([random_box(height, width, generator, scale) for _ in range(4000)], dtype=float)
    torch.manual_seed(0)
    image = torch.zeros(3, height, width)
    theirs = []
    for _ in range(4000):
        top, left, h, w = RandomResizedCrop.get_params(image, list(scale), [3 / 4, 4 / 3])
        theirs.append((left, top, left + w, top + h))
    theirs = np.array(theirs, dtype=float)
    for measure in (
        lambda b: b[:, 0],
        lambda b: b[:, 1],
        lambda b: b[:, 2] - b[:, 0],
        lambda b: b[:, 3] - b[:, 1],
    ):
        a, b = measure(ours), measure(theirs)
        assert abs(a.mean() - b.mean()) < 4 * np.hypot(a.std(), b.std()) / np.sqrt(4000)
        assert abs(a.std() / b.std() - 1) < 0.1


@pytest.mark.parametrize(("height", "width"), [(10, 400), (400, 10)])
def test_extreme_images_get_the_central_crop_of_torchvision(height, width):
    top, left, h, w = RandomResizedCrop.get_params(torch.zeros(3, height, width), [0.9, 1.0], [3 / 4, 4 / 3])
    assert random_box(height, width, np.random.default_rng(0), (0.9, 1.0)) == (left, top, left + w, top + h)


@pytest.mark.parametrize("size", [32, 112])
def test_crop_is_close_to_torchvisions(size):
    image = photograph()
    box = (10, 5, 100, 85)
    ours = crop(image, box, size, flip=True).astype(int)
    pil = peer.hflip(peer.resized_crop(Image.fromarray(image), 5, 10, 80, 90, [size, size], InterpolationMode.BILINEAR))
    difference = np.abs(ours - np.asarray(pil, dtype=int))
    assert difference.mean() < 1.5
    assert np.abs(ours - np.asarray(peer.hflip(pil), dtype=int)).mean() > 10


@pytest.mark.parametrize("size", [16, 96])
def test_shrinking_is_opencvs_to_the_last_bit(size):
    generator = np.random.default_rng(size)
    image = generator.integers(0, 256, (2 * size + 9, 2 * size + 9, 3), dtype=np.uint8)
    for _ in range(60):
        width, height = generator.integers(size + 1, 2 * size, 2).tolist()
        x, y = generator.integers(0, 9, 2).tolist()
        box = (x, y, x + width, y + height)
        expected = cv2.resize(image[y : y + height, x : x + width], (size, size), interpolation=cv2.INTER_AREA)
        assert np.array_equal(shrink_little(image, box, size), expected)
        assert not np.array_equal(shrink_little(image, (x + 1, y, x + width, y + height), size), expected)


def test_only_a_little_is_shrunk_by_our_own():
    assert shrinks_little((0, 0, 65, 127), 64)
    for box in ((0, 0, 64, 100), (0, 0, 65, 128), (0, 0, 300, 300)):
        assert not shrinks_little(box, 64)


def test_colours_are_drawn_apart_from_the_image_and_applied_in_their_order():
    view = View(32, jitter_probability=1.0, grey_probability=0.5, blur_probability=0.5, solarise_probability=0.5)
    drawn = [view.draw_colours(view.image_size, np.random.default_rng(seed)) for seed in range(200)]
    assert {tuple(kind for kind, _ in one.jitter) for one in drawn} > {(0, 1, 2, 3), (3, 2, 1, 0)}
    for share in (np.mean([one.grey for one in drawn]), np.mean([one.sigma > 0 for one in drawn])):
        assert 0.35 < share < 0.65
    image = photograph(seed=6)
    order = colour.Colours(((0, 1.4), (1, 0.6)), sigma=1.0, solarise=True)
    expected = colour.adjust_contrast(colour.adjust_brightness(image, 1.4), 0.6)
    assert np.array_equal(order.apply(image), colour.solarise(colour.blur(expected, 1.0)))
    turned = colour.Colours(((1, 0.6), (0, 1.4)), sigma=1.0, solarise=True)
    assert not np.array_equal(turned.apply(image), order.apply(image))


@pytest.mark.parametrize(
    ("ours", "theirs", "amounts", "tolerance"),
    [
        (colour.adjust_brightness, peer.adjust_brightness, (0.6, 1.0, 1.4), 1),
        (colour.adjust_contrast, peer.adjust_contrast, (0.6, 1.0, 1.4), 2),
        (colour.adjust_saturation, peer.adjust_saturation, (0.6, 1.0, 1.4), 2),
        # Both quantise the hue to 256 steps, of up to 6 levels each.
        (colour.adjust_hue, peer.adjust_hue, (-0.1, 0.0, 0.1, 0.4), 12),
    ],
)
def test_colours_are_torchvisions(ours, theirs, amounts, tolerance):
    image = photograph(seed=3)
    for amount in amounts:
        expected = np.asarray(theirs(Image.fromarray(image), amount), dtype=int)
        found = ours(image, amount).astype(int)
        assert np.abs(found - expected).max() <= tolerance
        assert np.abs(found - expected).mean() < 1.5


def test_what_has_no_strength_is_not_adjusted():
    generator = np.random.default_rng(0)
    assert colour.draw_jitter((0.0, 0.0, 0.0, 0.0), generator) == ()
    assert sorted(kind for kind, _ in colour.draw_jitter((0.4, 0.0, 0.4, 0.0), generator)) == [0, 2]
    np.testing.assert_array_equal(colour.Colours(((1, 0.5),)).encoded(), [1, -1, -1, -1, 0.5, 0, 0, 0, 0, 0, 0])


def test_greyscale_is_torchvisions():
    image = photograph(seed=4)
    expected = np.asarray(peer.to_grayscale(Image.fromarray(image), 3), dtype=int)
    assert np.abs(colour.greyscale(image).astype(int) - expected).max() <= 1


def test_blur_has_the_gaussians_width():
    point = np.zeros((61, 61, 3), dtype=np.uint8)
    point[30, 30] = 255
    for sigma in (1.0, 2.0):
        blurred = colour.blur(point, sigma)[..., 0].astype(float)
        profile = blurred.sum(axis=0) / blurred.sum()
        deviation = np.sqrt((profile * (np.arange(61) - 30) ** 2).sum())
        assert deviation == pytest.approx(sigma, rel=0.15)


def test_normalise_gives_zero_mean_and_unit_scale():
    image = photograph()
    expected = (torch.tensor(image) - torch.tensor(MEAN)) / torch.tensor(STD)
    torch.testing.assert_close(normalise(image), expected.permute(2, 0, 1))


def test_the_generator_alone_decides():
    sample = Sample(photograph(), 0)
    augment = twice(View(image_size=48))
    np.random.seed(1)
    first = augment(sample, np.random.default_rng([5, 2, 0]))
    np.random.seed(2)
    torch.manual_seed(2)
    second = augment(sample, np.random.default_rng([5, 2, 0]))
    other = augment(sample, np.random.default_rng([5, 3, 0]))
    for a, b, c in zip(first.images, second.images, other.images, strict=True):
        assert torch.equal(a, b)
        assert not torch.equal(a, c)
    assert not torch.equal(first.images[0], first.images[1])


def test_batches_of_views_of_several_sizes_are_stacked_view_by_view():
    augment = multi_crop(byol_views(48, (0.4, 1.0)), View(24, (0.05, 0.4), blur_size=96), 3)
    samples = [augment(Sample(photograph(seed=s), s), np.random.default_rng(s)) for s in range(4)]
    batch = stack(samples)
    assert [tuple(image.shape) for image in batch.images] == [(4, 3, 48, 48)] * 2 + [(4, 3, 24, 24)] * 3
    assert torch.equal(batch.images[4][2], samples[2].images[4])
    shares = [((b[:, 2] - b[:, 0]) * (b[:, 3] - b[:, 1])).mean() / (90 * 120) for b in batch.boxes]
    assert min(shares[:2]) > 0.4 > max(shares[2:])


def test_small_views_are_blurred_in_proportion():
    always = {"blur_probability": 1.0, "blur_sigma": (2.0, 2.0), "crop_scale": (1.0, 1.0), "flip": 0.0}
    edge = np.zeros((224, 224, 3), dtype=np.uint8)
    edge[:, 112:] = 255

    def widest(size):
        view = plain(image_size=size, **always)(Sample(edge, 0), np.random.default_rng(0))
        level = view.images[0][0, size // 2] * STD[0] + MEAN[0]
        return int(((level > 12) & (level < 243)).sum()) / size

    share = widest(224)
    assert widest(112) == pytest.approx(share, abs=0.02)
    always["blur_size"] = 112  # now sigma is 2 pixels of the small view, a share twice as large
    assert widest(112) == pytest.approx(2 * share, abs=0.02)


@pytest.mark.parametrize(("size", "expected"), [(112, 1.0), (224, 2.0), (384, 2.0), (512, 2.0)])
def test_large_views_are_blurred_by_as_many_pixels(size, expected):
    view = View(size, blur_probability=1.0, blur_sigma=(2.0, 2.0))
    assert view.draw_colours(size, np.random.default_rng(0)).sigma == pytest.approx(expected)
    large, _, small = dino_views(size, (0.4, 1.0), size // 2, (0.1, 0.4), 1).views  # all views by as many pixels
    sigmas = {
        replace(one, blur_probability=1.0).draw_colours(one.image_size, np.random.default_rng(0)).sigma
        for one in (large, small)
    }
    assert max(sigmas) == pytest.approx(min(sigmas))


def test_solarisation_is_torchvisions():
    image = photograph(seed=5)
    expected = np.asarray(peer.solarize(Image.fromarray(image), 128))
    assert np.array_equal(colour.solarise(image), expected)


def test_byols_views_differ_in_blur_and_solarisation():
    first, second = byol_views(224, (0.08, 1.0)).views
    assert (first.blur_probability, first.solarise_probability) == (1.0, 0.0)
    assert (second.blur_probability, second.solarise_probability) == (0.1, 0.2)
    for view in (first, second):
        assert (view.jitter, view.jitter_probability, view.grey_probability) == ((0.4, 0.4, 0.2, 0.1), 0.8, 0.2)
    bright = np.full((32, 32, 3), 200, dtype=np.uint8)
    view = View(32, jitter_probability=0, grey_probability=0, blur_probability=0, solarise_probability=0.2)
    seen = [view.draw(bright, np.random.default_rng(seed)).image[0, 0, 0] < 0 for seed in range(400)]
    assert 0.15 < np.mean(seen) < 0.25  # solarised: dark


def test_patches_are_hidden_and_of_the_shown_ones_some_tell_their_position():
    augment = MaskedPatches(plain(image_size=64), patch=8, mask_ratio=0.75, position_mask_ratio=0.75)
    found = [augment(Sample(photograph(), 0), np.random.default_rng(seed)) for seed in range(300)]
    masks = np.stack([views.masks[0].numpy() for views in found])  # (300, 2, 8, 8)
    assert set(masks[:, 0].sum(axis=(1, 2))) == {16}
    assert set(masks[:, 1].sum(axis=(1, 2))) == {4}
    assert not (masks[:, 1] & ~masks[:, 0]).any()
    assert abs(masks[:, 0].mean(axis=0) - 0.25).max() < 0.1  # no place is favoured
    again = augment(Sample(photograph(), 0), np.random.default_rng(7))
    assert np.array_equal(again.masks[0].numpy(), masks[7])
    assert stack(found[:3]).masks[0].shape == (3, 2, 8, 8)
