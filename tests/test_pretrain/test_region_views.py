"""Regions go with their views: cropped, mirrored and put on the map's grid."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from pretrain.masks.grid import grid
from pretrain.method import Sample
from pretrain.views.regions import WHOLE, RegionViews, crop_planes, majority
from pretrain.views.sample import View, twice

IMAGE = np.zeros((20, 30, 3), dtype=np.uint8)


def naive_majority(planes, cells):
    side = planes.shape[1] // cells
    blocks = planes.reshape(len(planes), cells, side, cells, side).swapaxes(2, 3).reshape(len(planes), cells, cells, -1)
    return np.apply_along_axis(lambda ids: np.bincount(ids).argmax(), 3, blocks)


@settings(max_examples=40, deadline=None)
@given(arrays.arrays(np.uint16, (2, 6, 6), elements=st.integers(0, 3)))
def test_a_cell_belongs_to_the_region_of_most_of_its_pixels(planes):
    assert np.array_equal(majority(planes, 2), naive_majority(planes, 2))
    assert np.array_equal(majority(planes, 6), planes)


@pytest.mark.parametrize("seed", range(6))
def test_regions_go_through_the_crop_and_the_mirror_of_their_view(seed):
    """An image painted with its regions' colours: most of what a view shows in a region's cells has its colour."""
    ids = grid(np.zeros((120, 160, 3), np.uint8), 4)
    painted = np.repeat((ids[0] * 15).astype(np.uint8)[:, :, None], 3, axis=2)
    plain = View(128, (0.3, 1.0), jitter_probability=0, grey_probability=0, blur_probability=0)
    augment = RegionViews(twice(plain), stride=8, count=16)
    views = augment(Sample(painted, 0, masks=ids), np.random.default_rng(seed))
    for image, masks, regions in zip(views.images, views.masks, views.regions, strict=True):
        assert masks.shape == (16, 16, 16) and regions.shape == (16,)
        level = image[0].numpy() * 58.395 + 123.675
        right = []
        for mask, region in zip(masks.numpy(), regions.tolist(), strict=True):
            inside = level[mask.repeat(8, axis=0).repeat(8, axis=1)]
            right.extend(np.abs(inside - 15 * region) < 2)
        assert np.mean(right) > 0.75
        assert len(set(regions.tolist())) > 2


def test_an_image_without_regions_is_one_region():
    augment = RegionViews(twice(View(64)), count=4)
    for masks in (None, np.zeros((1, 20, 30), np.uint16)):
        views = augment(Sample(IMAGE, 0, masks=masks), np.random.default_rng(0))
        assert all(bool(mask.all()) for mask in views.masks)
        assert views.regions[0].tolist() == [WHOLE] * 4


def test_crops_of_planes_take_the_nearest_pixel():
    planes = np.arange(12, dtype=np.uint16).reshape(1, 3, 4)
    assert np.array_equal(crop_planes(planes, (0, 0, 4, 3), 12, False)[0, ::4, ::3], planes[0])
    assert np.array_equal(crop_planes(planes, (1, 0, 3, 2), 2, True)[0], [[2, 1], [6, 5]])
