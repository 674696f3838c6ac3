"""VICRegL against plain loops written from the paper, and against lightly."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from lightly.loss import VICRegLLoss
from torch import nn

from pretrain import backbones, methods
from pretrain.errors import UsageError
from pretrain.losses.matching import nearest, pick
from pretrain.losses.vicreg import covariance, variance
from pretrain.method import Sample, Views
from pretrain.views.geometry import cell_centres
from pretrain.views.normalise import MEAN, STD
from pretrain.views.sample import RandomViews


def random(*shape, seed):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def build(**keywords):
    torch.manual_seed(0)
    return methods.load("vicregl")(backbones.build("resnet18", seed=0), **keywords)


def on_given_maps(**keywords):
    """The method whose backbone and heads hand on what they get: its views' images are the features."""
    method = build(dimension=8, local_dimension=8, **keywords)
    method.backbone = method.expander = method.local_projector = nn.Identity()
    return method


def some_views(small=0, batch=5, channels=6):
    sizes = [4, 4] + [3] * small
    images = [0.3 * random(batch, channels, size, size, seed=10 + n) for n, size in enumerate(sizes)]
    boxes = []
    for n in range(len(sizes)):
        corner, extent = (random(batch, 2, seed=s + n).abs() * 40 for s in (30, 50))
        boxes.append(torch.cat([corner, corner + extent + 20], dim=1))
    flips = [random(batch, seed=70 + n) > 0 for n in range(len(sizes))]
    return Views(images, boxes, flips, torch.arange(batch))


def naive_nearest(query, candidates, count):
    """For one image: the pairs (query, nearest candidate) of the `count` shortest distances, by query."""
    found = []
    for p, a in enumerate(query):
        distances = [math.dist(a.tolist(), b.tolist()) for b in candidates]
        found.append((min(distances), p, distances.index(min(distances))))
    return sorted((p, q) for _, p, q in sorted(found)[:count])


def naive_centres(box, flip, side):
    """Section 3: the absolute positions of the cells in the image, of a mirrored view from the right."""
    x0, y0, x1, y1 = box.tolist()
    places = []
    for row in range(side):
        for column in range(side):
            x = (side - 1 - column if flip else column) + 0.5
            places.append((x0 + x * (x1 - x0) / side, y0 + (row + 0.5) * (y1 - y0) / side))
    return torch.tensor(places, dtype=torch.float64)


def naive_terms(first, second):
    """The three terms of VICReg on (B, D), entry by entry; the two branches' are added."""
    count, width = first.shape

    def regularise(z):
        mean = [sum(float(row[j]) for row in z) / count for j in range(width)]

        def covary(i, j):
            return sum((float(row[i]) - mean[i]) * (float(row[j]) - mean[j]) for row in z) / (count - 1)

        spread = sum(max(0.0, 1 - math.sqrt(covary(j, j) + 1e-4)) for j in range(width)) / width
        return spread, sum(covary(i, j) ** 2 for i in range(width) for j in range(width) if i != j) / width

    apart = sum((float(x) - float(y)) ** 2 for x, y in zip(first.flatten(), second.flatten(), strict=True))
    (v, c), (w, d) = regularise(first), regularise(second)
    return np.array([apart / count / width, v + w, c + d])


WEIGHTS = np.array([25.0, 25.0, 1.0])


def naive_direction(maps, places, query, other, count, by_location):
    """The criterion on the pairs that view `query` finds in view `other`, averaged over the pairs."""
    rows = [one.flatten(2).transpose(1, 2) for one in maps]  # (B, N, D)
    by = places if by_location else rows
    pairs = [naive_nearest(by[query][b], by[other][b], count) for b in range(len(maps[0]))]
    total = np.zeros(3)
    for k in range(len(pairs[0])):
        mine = torch.stack([rows[query][b, pairs[b][k][0]] for b in range(len(pairs))])
        its = torch.stack([rows[other][b, pairs[b][k][1]] for b in range(len(pairs))])
        total += naive_terms(mine, its)
    return total / len(pairs[0])


def naive_local(views, gamma, as_released=False):
    maps, sides = views.images, [one.shape[2] for one in views.images]
    flips = [torch.zeros_like(flip) if as_released else flip for flip in views.flips]
    places = [
        torch.stack([naive_centres(b, f, side) for b, f in zip(box, flip, strict=True)])
        for box, flip, side in zip(views.boxes, flips, sides, strict=True)
    ]
    total, pairs = np.zeros(3), 0
    for large in (0, 1):
        for other in range(len(maps)):
            if other == large:
                continue
            pairs += 1
            for by_location in (True, False):
                first, second = gamma[0], gamma[0] if other < 2 else gamma[1]
                if as_released:
                    first, second = gamma if by_location else (99, 99)
                there = naive_direction(maps, places, large, other, first, by_location)
                back = naive_direction(maps, places, other, large, second, by_location)
                total += (there + back) / 2
    return total / pairs


def naive_global(views):
    pooled = [one.mean(dim=(2, 3)) for one in views.images]
    pairs = [(i, j) for i in (0, 1) for j in range(len(pooled)) if j != i]
    invariance = np.mean([naive_terms(pooled[i], pooled[j])[0] for i, j in pairs])
    both = [naive_terms(one, one)[1:] for one in pooled]  # twice a branch's
    return np.array([invariance, *np.mean(both, axis=0)])


@pytest.mark.parametrize("small", [0, 2])
def test_the_loss_is_the_papers_equation(small):
    views = some_views(small)
    method = on_given_maps(num_matches=(7, 4), small_views=small)
    expected = [float(WEIGHTS @ terms) for terms in (naive_global(views), naive_local(views, (7, 4)))]
    found = method.loss(views)
    assert float(found["loss_global"]) == pytest.approx(expected[0], rel=1e-6)
    assert float(found["loss_local"]) == pytest.approx(expected[1], rel=1e-6)
    assert float(found["loss"]) == pytest.approx(0.75 * expected[0] + 0.25 * expected[1], rel=1e-6)
    views.flips = [~flip for flip in views.flips[:1]] + views.flips[1:]
    assert abs(float(method.loss(views)["loss_local"]) - expected[1]) > 1e-3  # a flip that is ignored shows


def test_the_released_codes_variant_is_what_it_says():
    views = some_views(small=1)
    halves = WEIGHTS / np.array([1, 2, 2])
    found = on_given_maps(num_matches=(7, 4), small_views=1, as_released=True).loss(views)
    expected = float(halves @ naive_local(views, (7, 4), as_released=True))
    assert float(found["loss_local"]) == pytest.approx(expected, rel=1e-6)
    assert float(found["loss_global"]) == pytest.approx(float(halves @ naive_global(views)), rel=1e-6)


def test_one_matching_alone():
    views = some_views()
    parts = [float(on_given_maps(matchings=(one,)).loss(views)["loss_local"]) for one in ("location", "feature")]
    assert sum(parts) == pytest.approx(float(on_given_maps().loss(views)["loss_local"]), rel=1e-6)
    assert parts[0] != parts[1]
    with pytest.raises(UsageError, match="Did you mean 'location'"):
        build(matchings=("locations",))
    with pytest.raises(UsageError, match="head_norm"):
        build(head_norm="group")


def test_the_loss_is_lightlys():
    """Lightly sorts an image's pairs by their distance, where ours keep the places' order: so distances rise here.

    It averages the two branches' variances and covariances as the released code does; hence its doubled weights. It
    keeps num_matches[1] in the second direction of every pair; hence two equal numbers.
    """
    rising = torch.arange(16).double().view(1, 16, 1)
    features = random(5, 16, 6, seed=0)
    other = features + 1e-3 * (rising + 1)
    corner = torch.tensor([[0.0, 0.0, 80.0, 80.0]]).double().expand(5, 4)
    near = torch.tensor([[0.001, 0.002, 80.08, 80.32]]).double().expand(5, 4)  # cells drift apart along the rows
    views = Views(
        [one.transpose(1, 2).reshape(5, 6, 4, 4) for one in (features, other)],
        [corner, near],
        [torch.zeros(5, dtype=torch.bool)] * 2,
        torch.arange(5),
    )
    maps = [one.permute(0, 2, 3, 1) for one in views.images]
    pooled = [one.mean(dim=(2, 3)) for one in views.images]
    grids = [cell_centres(box, flip, 4, 4).view(5, 4, 4, 2) for box, flip in zip(views.boxes, views.flips, strict=True)]
    peer = VICRegLLoss(mu_param=50, nu_param=2, num_matches=(9, 9))
    expected = peer(list(zip(pooled, maps, strict=True)), grids)
    found = on_given_maps(num_matches=(9, 9)).loss(views)["loss"]
    assert float(found) == pytest.approx(float(expected), rel=1e-6)


def test_constant_features_have_the_known_value():
    """No variance: each branch falls short by 1 - sqrt(1e-4), globally once and locally for two matchings."""
    views = some_views(small=1)
    views.images = [torch.full_like(one, 0.7) for one in views.images]
    found = on_given_maps(small_views=1).loss(views)
    assert float(found["loss_global"]) == pytest.approx(25 * 2 * 0.99, rel=1e-6)
    assert float(found["loss_local"]) == pytest.approx(2 * 25 * 2 * 0.99, rel=1e-6)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 999), st.integers(1, 9), st.integers(1, 9), st.integers(1, 12))
def test_nearest_is_the_plain_search(seed, queries, candidates, count):
    query, others = random(2, queries, 2, seed=seed), random(2, candidates, 2, seed=seed + 1)
    kept, partner = nearest(query, others, count)
    for b in range(2):
        assert list(zip(kept[b].tolist(), partner[b].tolist(), strict=True)) == naive_nearest(
            query[b], others[b], count
        )
    picked = pick(others, partner)
    assert torch.equal(picked[1, 0], others[1, partner[1, 0]])


def test_positions_far_from_the_origin_are_told_apart():
    places = torch.stack([torch.full((30,), 4000.0), 3000 + 0.03 * torch.arange(30)], dim=1)[None]
    kept, partner = nearest(places + 0.004, places, None)
    assert torch.equal(kept, partner)


def test_covariance_averages_over_the_places_whichever_product_is_smaller():
    for shape in ((7, 3, 4), (3, 5, 9)):
        z = random(*shape, seed=1)
        expected = [naive_terms(z[:, k], z[:, k])[1:] / 2 for k in range(shape[1])]
        found = [float(variance(z)), float(covariance(z))]
        np.testing.assert_allclose(found, np.mean(expected, axis=0), rtol=1e-6)
        assert float(covariance(z[:, 0])) == pytest.approx(expected[0][1], rel=1e-6)


def test_cells_lie_where_their_pixels_came_from():
    rows, columns = np.mgrid[0:120, 0:200]
    painted = np.stack([columns, rows, np.zeros_like(rows)], axis=2).astype(np.uint8)  # colour = coordinates
    still = {"jitter_probability": 0.0, "grey_probability": 0.0, "blur_probability": 0.0, "solarise_probability": 0.0}
    drawn = build(dimension=8, image_size=64, small_views=2, small_size=32, small_scale=(0.1, 0.3)).views().views
    plain = RandomViews(tuple(replace(view, **still) for view in drawn))
    for seed in range(8):
        views = plain(Sample(painted, 0), np.random.default_rng(seed))
        for image, box, flip in zip(views.images, views.boxes, views.flips, strict=True):
            cells = image.unfold(1, 8, 8).unfold(2, 8, 8).mean(dim=(3, 4)).flatten(1).T.numpy()
            colours = (cells * np.array(STD) + np.array(MEAN))[:, :2]
            centres = cell_centres(box[None], flip[None], image.shape[1] // 8, image.shape[2] // 8)[0]
            assert np.abs(colours + 0.5 - centres.numpy()).max() < 1.0  # a pixel's centre is at its number + 0.5


def test_small_views_and_layer_norm_train_the_whole_network():
    keywords = methods.load("vicregl").recipes["imagenet-convnext-small-100e"].method
    method = build(**{**keywords, "small_views": 2, "image_size": 96, "small_size": 64}, dimension=32)
    image = np.random.default_rng(0).integers(0, 256, (4, 100, 100, 3), dtype=np.uint8)
    augment = method.views()
    views = method.collate()([augment(Sample(image[i], i), np.random.default_rng(i)) for i in range(4)])
    assert [one.shape[2] for one in views.images] == [96, 96, 64, 64]
    assert [view.blur_probability for view in augment.views] == [1.0, 0.1, 1.0, 0.1]
    losses = method.loss(views)
    losses["loss"].backward()
    assert all(parameter.grad is not None and parameter.grad.isfinite().all() for parameter in method.parameters())
    heads = (*method.expander, *method.local_projector)
    assert sum(isinstance(layer, nn.LayerNorm) for layer in heads) == 4
    assert not any(isinstance(layer, nn.BatchNorm1d) for layer in heads)


def test_a_convnext_drops_paths_in_training_and_a_resnet_has_none():
    kind = methods.load("vicregl")
    convnext, resnet = backbones.build("convnext_tiny"), backbones.build("resnet18")
    kind(convnext, dimension=8, local_dimension=8)
    kind(resnet, dimension=8, local_dimension=8)
    found = [block.drop_path.drop_prob for stage in convnext._stages() for block in stage.blocks]
    np.testing.assert_allclose(found, np.linspace(0, 0.1, 18))
    assert not any(
        "drop_path" in name and module.__class__.__name__ == "DropPath" for name, module in resnet.named_modules()
    )
    kind(convnext, dimension=8, local_dimension=8, drop_path=0.3)
    assert convnext._stages()[3].blocks[-1].drop_path.drop_prob == pytest.approx(0.3)


def test_keywords_have_the_papers_defaults():
    method = methods.load("vicregl")(backbones.build("resnet18"))
    shapes = [tuple(layer.weight.shape) for layer in (*method.expander[::3], *method.local_projector[::3])]
    assert shapes == [(8192, 512), (8192, 8192), (8192, 8192), (512, 512), (512, 512), (512, 512)]
    assert method.expander[6].bias is None
    assert (method.alpha, method.weights) == (0.75, (25, 50, 2))
    assert dict(method.searches) == {
        (matching, query, other, 20): 2 for matching in ("location", "feature") for query, other in ((0, 1), (1, 0))
    }
    assert [(view.image_size, view.crop_scale) for view in method.augment.views] == [(224, (0.08, 1.0))] * 2
    convnext = methods.load("vicregl").recipes["imagenet-convnext-small-100e"].method
    views = build(dimension=8, **convnext).augment.views
    assert [view.image_size for view in views] == [224] * 2 + [96] * 6
    assert [view.crop_scale for view in views] == [(0.4, 1.0)] * 2 + [(0.08, 0.4)] * 6
