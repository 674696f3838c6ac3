"""CPC against plain loops written from the paper; its patches, its masked context and its directions."""

import copy
import math

import numpy as np
import pytest
import torch

from pretrain import backbones, methods
from pretrain.errors import UsageError
from pretrain.losses.cpc import predict_rows
from pretrain.method import Sample
from pretrain.modules.context import RowContext
from pretrain.views.normalise import MEAN, STD
from pretrain.views.patch_grid import PatchViews, patches_of
from pretrain.views.sample import RandomViews, View


def random(*shape, seed):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def build(**keywords):
    torch.manual_seed(0)
    return methods.load("cpc")(backbones.build("resnet18", seed=0), **{"image_size": 64, **keywords})


def batch(method, size=3):
    image = np.random.default_rng(0).integers(0, 256, (size, 80, 80, 3), dtype=np.uint8)
    augment = method.views()
    return method.collate()([augment(Sample(image[i], i), np.random.default_rng(i)) for i in range(size)])


def naive_rows(prediction, targets, first, offset):
    """Eq. 4: each place's prediction against the features of all places of all images."""
    _, _, height, width = targets.shape
    places = [(n, y, x) for n in range(len(targets)) for y in range(height) for x in range(width)]
    terms = []
    for b in range(len(prediction)):
        for y in range(height - offset):
            for x in range(width):
                scores = {place: float(prediction[b, :, y, x] @ targets[place[0], :, *place[1:]]) for place in places}
                whole = sum(math.exp(score) for score in scores.values())
                terms.append(-math.log(math.exp(scores[first + b, y + offset, x]) / whole))
    return sum(terms) / len(terms)


@pytest.mark.parametrize("offset", [1, 2, 3])
def test_the_loss_is_the_papers_equation(offset):
    prediction, targets = random(2, 5, 4, 3, seed=0), random(4, 5, 4, 3, seed=1)
    for first in (0, 2):
        expected = naive_rows(prediction, targets, first, offset)
        own = torch.arange(2) + first
        assert float(predict_rows(prediction, targets, own, offset)) == pytest.approx(expected, rel=1e-6)
    assert abs(float(predict_rows(prediction, targets, torch.arange(2), offset)) - expected) > 1e-3


def test_a_constant_encoder_has_the_known_value():
    same = random(1, 5, 1, 1, seed=0).expand(3, 5, 4, 4)
    assert float(predict_rows(same, same, torch.arange(3), 2)) == pytest.approx(math.log(3 * 4 * 4), rel=1e-6)


def test_a_context_sees_its_row_and_those_above_and_nothing_else():
    context = RowContext(4, hidden=8, blocks=5).double()
    with torch.no_grad():
        for parameter in context.parameters():
            parameter.copy_(parameter.abs() + 0.01)  # no ReLU closes
    grid = random(1, 4, 7, 7, seed=0).abs().requires_grad_()
    context(grid)[0, :, 4, 3].sum().backward()
    seen = grid.grad.abs().sum(dim=(0, 1)) > 0
    assert not seen[5:].any()
    assert seen[4].any() and seen[0].any() and bool(seen[4, 3])
    reach = torch.arange(7)
    assert torch.equal(seen[3], (reach - 3).abs() <= 5)


def test_patches_overlap_by_half_and_keep_their_colours():
    rows, columns = np.mgrid[0:256, 0:256]
    painted = np.stack([columns, rows, np.zeros_like(rows)], axis=2).astype(np.uint8)  # colour = coordinates
    view = View(256, (1.0, 1.0), flip=0, jitter_probability=0, grey_probability=0, blur_probability=0)
    found = PatchViews(RandomViews((view,)))(Sample(painted, 0), np.random.default_rng(0))
    (mosaic,) = found.images
    assert mosaic.shape == (3, 448, 448)
    patches = patches_of(mosaic[None], 7)
    assert patches.shape == (49, 3, 64, 64)
    colours = patches * torch.tensor(STD).view(3, 1, 1) + torch.tensor(MEAN).view(3, 1, 1)
    x0, y0 = found.boxes[0][:2].tolist()
    shifts = set()
    for number, patch in enumerate(colours):
        row, column = divmod(number, 7)
        inner = patch[:, 2:62, 2:62]
        left, top = float(inner[0, 0, 0]), float(inner[1, 0, 0])
        assert -0.01 < left - x0 - 32 * column < 4.01 and -0.01 < top - y0 - 32 * row < 4.01
        assert float(inner[0, 0, -1]) == pytest.approx(left + 59, abs=0.01)
        assert float(inner[1, -1, 0]) == pytest.approx(top + 59, abs=0.01)
        shifts.add((round(left - x0 - 32 * column), round(top - y0 - 32 * row)))
    assert len(shifts) > 10  # every patch is shifted on its own
    assert bool((patches[:, :, :2] == 0).all()) and bool((patches[:, :, :, 62:] == 0).all())


def test_views_are_grey_and_seldom_alike():
    augment = build(image_size=256).views()
    image = np.random.default_rng(0).integers(0, 256, (150, 200, 3), dtype=np.uint8)
    first, second = (augment(Sample(image, 0), np.random.default_rng(seed)).images[0] for seed in (0, 1))
    colours = patches_of(first[None], 7)[:, :, 2:62, 2:62] * torch.tensor(STD).view(3, 1, 1)
    colours = colours + torch.tensor(MEAN).view(3, 1, 1)
    torch.testing.assert_close(colours[:, 0], colours[:, 2], atol=1e-3, rtol=0)
    assert not torch.equal(first, second)


def test_the_crop_is_an_undistorted_square_of_256_of_300_pixels():
    for height, width in ((300, 300), (300, 540), (540, 300)):
        image = np.zeros((height, width, 3), dtype=np.uint8)
        augment = build(image_size=256).views()
        boxes = torch.stack([augment(Sample(image, 0), np.random.default_rng(seed)).boxes[0] for seed in range(100)])
        assert bool((boxes[:, 2:] - boxes[:, :2] == 256).all())
        for start, free in ((boxes[:, 0], width - 256), (boxes[:, 1], height - 256)):
            assert 0 <= start.min() < 0.1 * free and 0.9 * free < start.max() <= free


@pytest.mark.parametrize("directions", [("down",), ("down", "up", "right", "left")])
def test_cpc_is_the_papers_loss_step_by_step(directions):
    method = build(grid=4, first_offset=2, last_offset=3, directions=directions, dimension=6)
    views = batch(method)
    copied = copy.deepcopy(method)
    found = method.loss(views)["loss"]
    latents = copied.backbone(patches_of(views.images[0], 4)).mean(dim=(2, 3)).view(3, 4, 4, -1)
    terms = []
    for direction in directions:
        # lines: the rows from the top for "down", the columns from the left for "right", and so on
        lines = latents if direction in ("down", "up") else latents.transpose(1, 2)
        lines = lines if direction in ("down", "right") else lines.flip(1)
        # along a line the network reads as the turned picture lies
        lines = lines.flip(2) if direction in ("up", "right") else lines
        grid = lines.permute(0, 3, 1, 2)
        context = copied.contexts[direction](grid)
        targets = copied.target(grid).double()
        for place, offset in enumerate((2, 3)):
            weight = copied.predictors[direction].weight[6 * place : 6 * (place + 1), :, 0, 0]  # W_k
            prediction = copied.scale * torch.einsum("dc,bchw->bdhw", weight, context).double()
            terms.append(naive_rows(prediction.detach(), targets.detach(), 0, offset))
    assert float(found.detach()) == pytest.approx(sum(terms) / len(terms), rel=1e-4)


def test_a_direction_predicts_where_it_says():
    """The context of the first line reaches the last one, and only the latter's features are the right answers."""
    for direction, line in (("down", (0, None)), ("up", (-1, None)), ("right", (None, 0)), ("left", (None, -1))):
        method = build(grid=4, first_offset=3, last_offset=3, directions=(direction,), dimension=6)
        latents = random(2, 512, 4, 4, seed=0).float()
        method.backbone = _Given(latents)
        heard = []
        method.predictors[direction].register_forward_pre_hook(lambda module, inputs, heard=heard: heard.append(inputs))
        views = batch(method, size=2)
        method.loss(views)
        (context,) = heard[0]
        row, column = line
        changed = latents.clone()
        if row is not None:
            changed[:, :, [y for y in range(4) if y != row % 4]] += 1
        else:
            changed[:, :, :, [x for x in range(4) if x != column % 4]] += 1
        method.backbone = _Given(changed)
        method.loss(views)
        torch.testing.assert_close(heard[1][0][:, :, 0], context[:, :, 0])  # the first line's contexts alone are kept
        assert not torch.allclose(heard[1][0][:, :, 1], context[:, :, 1])


class _Given(torch.nn.Module):
    """A backbone that hands out these features, patch by patch."""

    def __init__(self, latents):
        super().__init__()
        self.latents = latents.permute(0, 2, 3, 1).flatten(0, 2)[:, :, None, None]

    def forward(self, patches):
        assert len(patches) == len(self.latents)
        return self.latents


def test_switches_and_defaults():
    method = build()
    assert (method.grid, list(method.offsets), list(method.contexts)) == (7, [1, 2, 3, 4, 5], ["down"])
    assert isinstance(method.target, torch.nn.Identity)
    view = methods.load("cpc")(backbones.build("resnet18")).augment.views.views[0]
    assert view.image_size == 256 and view.grey_probability == 1
    assert view.crop_scale[0] == pytest.approx((256 / 300) ** 2, abs=1e-3)
    with pytest.raises(UsageError, match="Did you mean 'right'"):
        build(directions=("rights",))
    with pytest.raises(UsageError, match="cannot be predicted"):
        build(last_offset=7)
    with pytest.raises(UsageError, match="too small"):
        build(image_size=15)
