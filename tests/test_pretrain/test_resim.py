"""ReSim against plain loops written from the paper; its windows' geometry, its pyramid and its switches."""

import copy
import math
from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torchvision.ops import FeaturePyramidNetwork

from pretrain import backbones, methods
from pretrain.errors import UsageError
from pretrain.losses.info_nce import info_nce
from pretrain.losses.region_similarity import region_info_nce
from pretrain.method import Sample, stack
from pretrain.modules.pyramid import Pyramid
from pretrain.modules.regions import window_pooling
from pretrain.views.geometry import carry_windows, sliding_windows, to_image, to_view


def unit(*shape, seed):
    numbers = torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return F.normalize(numbers, dim=-1)


def build(**keywords):
    torch.manual_seed(0)
    return methods.load("resim")(backbones.build("resnet18", seed=0), queue_size=32, **keywords)


def batch(method, size=4):
    image = np.random.default_rng(0).integers(0, 256, (size, 80, 80, 3), dtype=np.uint8)
    augment = method.views()
    return method.collate()([augment(Sample(image[i], i), np.random.default_rng(i)) for i in range(size)])


def dot(a, b):
    return sum(float(x) * float(y) for x, y in zip(a, b, strict=True))


def test_the_regions_loss_is_the_papers_equation():
    query, key, negatives = unit(5, 6, seed=0), unit(5, 6, seed=1), unit(9, 6, seed=2)
    overlaps = torch.tensor([True, False, True, True, False])
    terms = []
    for q, k, inside in zip(query, key, overlaps, strict=True):
        if inside:
            positive = math.exp(dot(q, k) / 0.2)
            terms.append(-math.log(positive / (positive + sum(math.exp(dot(q, n) / 0.2) for n in negatives))))
    found = region_info_nce(query, key, overlaps, negatives, 0.2, overlaps.sum())
    assert float(found) == pytest.approx(sum(terms) / 3, rel=1e-6)
    everywhere = region_info_nce(query, key, torch.ones(5, dtype=torch.bool), negatives, 0.2, torch.tensor(5))
    assert float(everywhere) == pytest.approx(float(info_nce(query, key, negatives, 0.2)), rel=1e-6)
    assert abs(float(everywhere - found)) > 1e-3


def test_without_an_overlap_the_loss_is_zero_and_finite():
    query = unit(5, 6, seed=0).requires_grad_()
    none = torch.zeros(5, dtype=torch.bool)
    loss = region_info_nce(query, unit(5, 6, seed=1), none, unit(9, 6, seed=2), 0.2, torch.tensor(1))
    loss.backward()
    assert float(loss.detach()) == 0 and bool((query.grad == 0).all())


def test_a_constant_encoder_has_the_known_value():
    same = unit(1, 6, seed=0)
    found = region_info_nce(
        same.expand(4, 6), same.expand(4, 6), torch.ones(4, dtype=torch.bool), same.expand(11, 6), 0.2, torch.tensor(4)
    )
    assert float(found) == pytest.approx(math.log(12), rel=1e-6)


def test_windows_are_the_published_grids():
    for side, stride, grid in ((48, 32, 6), (32, 24, 8)):
        windows = sliding_windows(side, stride) * 224
        starts = [(x * stride, y * stride) for y in range(grid) for x in range(grid)]
        expected = torch.tensor([[x, y, x + side, y + side] for x, y in starts], dtype=torch.float32)
        torch.testing.assert_close(windows, expected)


numbers = st.floats(0, 1, allow_nan=False, width=32)


@settings(max_examples=50, deadline=None)
@given(st.tuples(*[numbers] * 10), st.booleans(), st.booleans())
def test_windows_cover_the_same_pixels_of_the_image_in_both_views(drawn, flip, other_flip):
    def box(x, y, w, h):
        return torch.tensor([[100 * x, 100 * y, 100 * x + 20 + 80 * w, 100 * y + 20 + 80 * h]], dtype=torch.float64)

    first, second = box(*drawn[:4]), box(*drawn[4:8])
    flips = torch.tensor([flip]), torch.tensor([other_flip])
    x, y = sorted([drawn[8], 0.9])[0], sorted([drawn[9], 0.9])[0]
    window = torch.tensor([[x, y, x + 0.1, y + 0.1]], dtype=torch.float64)
    there = carry_windows(window, first, flips[0], second, flips[1])
    assert bool((there[..., 2:] > there[..., :2]).all())

    def pixels(corners, box, flip):
        places = to_image(corners.view(1, 2, 2), box, flip)
        return torch.cat([places.amin(dim=1), places.amax(dim=1)], dim=1)

    torch.testing.assert_close(pixels(window, first, flips[0]), pixels(there, second, flips[1]))
    points = to_view(to_image(there.view(1, 2, 2), second, flips[1]), second, flips[1])
    torch.testing.assert_close(points, there.view(1, 2, 2))


def test_a_window_and_its_carried_twin_pool_the_same_pixels():
    rows, columns = np.mgrid[0:120, 0:200]
    painted = np.stack([columns, rows, np.zeros_like(rows)], axis=2).astype(np.uint8)  # colour = coordinates
    still = {"jitter_probability": 0.0, "grey_probability": 0.0, "blur_probability": 0.0}
    drawn = build(image_size=112).augment
    augment = replace(drawn, views=tuple(replace(view, **still) for view in drawn.views))
    seen = 0
    for seed in range(10):
        drawn = stack([augment(Sample(painted, 0), np.random.default_rng(seed))])
        windows = sliding_windows(48, 32)
        there = carry_windows(windows, drawn.boxes[0], drawn.flips[0], drawn.boxes[1], drawn.flips[1])
        inside = ((there >= 0) & (there <= 1)).all(dim=2)
        mine = window_pooling(drawn.images[0], windows[None])[inside]
        its = window_pooling(drawn.images[1], there.clamp(0, 1))[inside]
        assert float((mine - its).abs().max() if len(mine) else 0) < 1.5 / 57  # 1.5 pixels
        seen += len(mine)
    assert seen > 30


def test_pooling_averages_whole_cells():
    features = torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    windows = torch.tensor([[0.25, 0.5, 0.75, 1.0], [0.0, 0.0, 1.0, 1.0]]).expand(2, -1, -1)
    found = window_pooling(features, windows)
    torch.testing.assert_close(found[:, 0], features[:, :, 4:8, 2:6].mean(dim=(2, 3)))
    torch.testing.assert_close(found[:, 1], features.mean(dim=(2, 3)))


def test_the_pyramid_is_torchvisions():
    channels = (8, 16, 32, 64)
    pyramid = Pyramid(channels, 12, ("c4", "c3"))
    peer = FeaturePyramidNetwork(list(channels[1:]), 12)
    for place, name in enumerate(("c3", "c4", "c5")):
        peer.inner_blocks[place][0].load_state_dict(pyramid.laterals[name].state_dict())
        if name != "c5":
            peer.layer_blocks[place][0].load_state_dict(pyramid.outputs[name].state_dict())
    stages = [torch.randn(2, width, 16 // 2**n, 16 // 2**n) for n, width in enumerate(channels)]
    expected = peer(dict(zip(("c3", "c4", "c5"), stages[1:], strict=True)))
    c4, c3 = pyramid(stages)
    torch.testing.assert_close(c3, expected["c3"])
    torch.testing.assert_close(c4, expected["c4"])


@pytest.mark.parametrize("groups", [1, 2])
def test_resim_is_the_papers_loss_step_by_step(groups):
    """In eval mode, groups of the batch norm have their own negatives on C3, and nothing else of their own."""
    method = build(image_size=96, temperature=0.3, region_weight=0.7, hidden=32, batch_norm_groups=groups)
    method.train(groups == 1)
    views = batch(method)
    student, teacher = copy.deepcopy(method.contrast.encoder), copy.deepcopy(method.contrast.teacher)
    queue = method.contrast.queue.keys.clone()
    found = method.loss(views)
    (q, *mine), (k, *its) = student(views.images[0]), teacher(views.images[1])
    whole = info_nce(q, k, queue, 0.3)
    total = 0.0
    for level, side, stride, grid, query_map, key_map in zip(
        ("c4", "c3"), (48, 32), (32, 24), (6, 8), mine, its, strict=True
    ):
        places = F.avg_pool2d(key_map, 3, stride=1)
        negatives = F.normalize(places.permute(0, 2, 3, 1).reshape(-1, 256), dim=1)
        terms = []
        parts = groups if level == "c3" else 1
        for b in range(4):
            own = negatives.chunk(parts)[b * parts // 4]
            (ax, ay, bx, by), (cx, cy, dx, dy) = views.boxes[0][b].tolist(), views.boxes[1][b].tolist()
            flip = bool(views.flips[0][b])
            for y in range(grid):
                for x in range(grid):
                    x0, x1 = x * stride / 224, (x * stride + side) / 224
                    y0, y1 = y * stride / 224, (y * stride + side) / 224
                    if flip:  # of both views
                        x0, x1 = 1 - x1, 1 - x0
                    u0, u1 = ((ax + e * (bx - ax) - cx) / (dx - cx) for e in (x0, x1))
                    v0, v1 = ((ay + e * (by - ay) - cy) / (dy - cy) for e in (y0, y1))
                    if min(u0, v0) < 0 or max(u1, v1) > 1:
                        continue
                    if flip:
                        x0, x1, u0, u1 = 1 - x1, 1 - x0, 1 - u1, 1 - u0
                    a = F.normalize(window_pooling(query_map[b : b + 1], torch.tensor([[[x0, y0, x1, y1]]]))[0], dim=1)
                    p = F.normalize(window_pooling(key_map[b : b + 1], torch.tensor([[[u0, v0, u1, v1]]]))[0], dim=1)
                    terms.append(info_nce(a, p, own, 0.3))
        assert 10 < len(terms) < 4 * grid * grid
        expected = torch.stack(terms).mean()
        torch.testing.assert_close(found[f"loss_{level}"], expected.detach(), rtol=1e-4, atol=1e-5)
        total = total + 0.7 * expected
    torch.testing.assert_close(found["loss"], whole + total, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(method.contrast.queue.keys[:4], k)


def test_switches_change_what_they_name():
    c4 = build(levels=("c4",), pyramid=False, image_size=64)
    losses = c4.loss(batch(c4))
    assert set(losses) == {"loss", "loss_global", "loss_c4"}
    losses["loss"].backward()
    assert all(p.grad is not None for name, p in c4.named_parameters() if "teacher" not in name)
    assert [tuple(layer.weight.shape) for layer in c4.contrast.encoder.path.layers.values()] == [(256, 256, 3, 3)]
    alone = build(image_size=64, region_weight=0.0)
    terms = alone.loss(batch(alone))
    torch.testing.assert_close(terms["loss"], terms["loss_global"])
    with pytest.raises(UsageError, match="levels="):
        build(levels=("c5",))


def test_keywords_have_the_published_defaults():
    kind = methods.load("resim")
    method = kind(backbones.build("resnet50"), queue_size=4)
    assert (method.temperature, method.contrast.ema_momentum, method.levels) == (0.2, 0.999, ("c4", "c3"))
    assert method.windows["c4"].shape == (36, 4) and method.windows["c3"].shape == (64, 4)
    assert [tuple(layer.weight.shape) for layer in method.contrast.encoder.head.layers[::2]] == [
        (2048, 2048),
        (128, 2048),
    ]
    assert method.augment.same_flip and method.augment.views[0].crop_scale == (0.2, 1.0)
