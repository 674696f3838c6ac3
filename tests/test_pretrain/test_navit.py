"""NaViT: packed sequences give what single images give; packing, sizes and dropped patches are as they should be."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn.functional import cosine_similarity

from pretrain import backbones, methods
from pretrain.errors import DensebenchError, UsageError
from pretrain.method import Sample, Views
from pretrain.modules.pooling import AttentionPooling, mean_of_each
from pretrain.views.crop import random_box
from pretrain.views.pack import NativeViews, first_fit, pack
from pretrain.views.sample import View


def small():
    """A NaViT of four blocks, so that tests are fast."""
    network = backbones.build("navit_tiny_patch16", seed=0)
    network.blocks = network.blocks[:4]
    return network


def photograph(height=90, width=120, seed=0):
    noise = np.random.default_rng(seed).integers(0, 256, (height // 6, width // 6, 3), dtype=np.uint8)
    return noise.repeat(6, 0).repeat(6, 1)


def native(**changes):
    wanted = {"smallest_size": 32, "biased": False, "patch": 16, "token_drop": 0.0, "token_drop_varies": False}
    return NativeViews(View(96), **{**wanted, **changes})


def drawn(augment, count):
    return [augment(Sample(photograph(seed=s), s), np.random.default_rng(s)) for s in range(count)]


def whole(views, view):
    """The image that a view's patches make up; none may have been dropped."""
    rows, columns = views.masks[view].shape
    patches = views.images[view].unflatten(0, (rows, columns))  # (h, w, 3, p, p)
    return patches.permute(2, 0, 3, 1, 4).flatten(1, 2).flatten(2, 3)[None]


def test_packed_images_are_encoded_as_if_they_were_alone():
    network, samples = small().eval(), drawn(native(), 3)
    packed = pack(samples, 36)
    with torch.no_grad():
        tokens = network.encode(packed.images[0], packed.owner, packed.row, packed.column)
        assert len({image.shape for sample in samples for image in sample.images}) > 1
        assert len(packed.owner) < 6  # some share a sequence
        for view in range(2):
            for number, sample in enumerate(samples):
                alone = network(whole(sample, view))[0].flatten(1).T  # (N, D)
                mine = tokens[packed.owner == view * 3 + number]
                torch.testing.assert_close(mine, alone, rtol=1e-4, atol=1e-5)
        seen = torch.zeros_like(packed.owner)  # as if all in a sequence were one image
        mixed = network.encode(packed.images[0], seen, packed.row, packed.column)
    assert not torch.allclose(mixed[packed.owner >= 0], tokens[packed.owner >= 0], atol=1e-3)


def test_the_network_has_four_maps_and_no_biases():
    network = backbones.build("navit_tiny_patch16", seed=0)
    maps = network.stages(torch.zeros(2, 3, 48, 80))
    assert [tuple(one.shape) for one in maps] == [(2, 192, 3, 5)] * 4
    assert not [name for name, _ in network.named_parameters() if name.endswith("bias")]
    with pytest.raises(DensebenchError, match="50 x 80 pixels cannot be read"):
        network(torch.zeros(1, 3, 50, 80))


@given(st.lists(st.integers(1, 20), min_size=1, max_size=30))
@settings(max_examples=50, deadline=None)
def test_first_fit_overfills_no_sequence_and_leaves_no_early_gap(lengths):
    places = first_fit(lengths, 20)
    taken = {}
    for length, (number, begin) in zip(lengths, places, strict=True):
        span = set(range(begin, begin + length))
        assert begin + length <= 20
        assert not span & taken.setdefault(number, set())
        assert all(len(taken[earlier]) + length > 20 for earlier in range(number))  # none before had room
        taken[number] |= span
    assert set(taken) == set(range(len(taken)))


def test_views_keep_their_crops_shape_at_sizes_between_the_bounds():
    view = native(biased=False)
    sizes, shapes = [], []
    for seed in range(200):
        rows, columns, size = view._size(120, 60, np.random.default_rng(seed))
        sizes.append(size)
        shapes.append((rows, columns))
        assert (rows, columns) == (round(size * math.sqrt(2) / 16), max(1, round(size / math.sqrt(2) / 16)))
    assert 32 <= min(sizes) < 36 and 92 < max(sizes) <= 96
    assert np.mean(sizes) == pytest.approx(64, abs=4)
    biased = [native(biased=True)._size(60, 60, np.random.default_rng(seed))[2] for seed in range(200)]
    assert np.mean(biased) == pytest.approx(59.4, abs=3)  # the mean of a normal(-1/2, 1) cut to [-1, 1] is -.144
    assert min(biased) >= 32 and max(biased) <= 96


def test_a_panorama_is_seen_as_wide_as_it_is():
    view = replace(native(), view=View(96, crop_scale=(1.0, 1.0)))
    panorama = Sample(photograph(60, 360), 0)
    for seed in range(10):
        views = view(panorama, np.random.default_rng(seed))
        x0, y0, x1, y1 = views.boxes[0].tolist()
        assert x1 - x0 > 340 and y1 - y0 > 55
        rows, columns = views.masks[0].shape
        assert columns / rows == pytest.approx(6, rel=0.5) and columns >= 4


def test_no_view_has_more_patches_than_its_area_has_room_for():
    for largest in (17, 31, 90, 250):
        view, counts = replace(native(smallest_size=largest - 1), view=View(largest)), []
        for seed in range(300):
            generator = np.random.default_rng(seed)
            x0, y0, x1, y1 = random_box(*generator.integers(1, 200, 2).tolist(), generator)
            rows, columns, _ = view._size(y1 - y0, x1 - x0, generator)
            counts.append(rows * columns)
        assert max(counts) <= int((largest / 16) ** 2)
    assert max(counts) > (250 // 16) ** 2


@pytest.mark.parametrize("varies", [False, True])
def test_a_share_of_the_patches_is_dropped(varies):
    view = native(token_drop=0.5, token_drop_varies=varies)
    shares = [float(view._kept(100, np.random.default_rng(s)).float().mean()) for s in range(300)]
    assert np.mean(shares) == pytest.approx(0.5, abs=0.05)
    assert np.var(shares) == pytest.approx(0.3 * 0.25 if varies else 0.0, abs=0.015)
    sample = drawn(view, 1)[0]
    assert [int(mask.sum()) for mask in sample.masks] == [len(image) for image in sample.images]


def test_pooling_stays_inside_each_image():
    torch.manual_seed(0)
    pooling, tokens = AttentionPooling(128, heads=2).double(), torch.randn(2, 5, 128).double()
    owner = torch.tensor([[0, 0, 2, 2, -1], [1, 1, 1, 1, -1]])
    found = pooling(tokens, owner, 3)
    for image in range(3):
        mine, heads = tokens[owner == image], []
        for head in (slice(0, 64), slice(64, 128)):
            score = (pooling.key(mine)[:, head] @ pooling.query[0 if head.start == 0 else 1]) / 8
            heads.append(score.softmax(dim=0) @ pooling.value(mine)[:, head])
        torch.testing.assert_close(found[image], pooling.project(torch.cat(heads)), rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(mean_of_each(tokens, owner, 3)[image], mine.mean(dim=0))


def test_the_method_contrasts_the_views_of_an_image():
    torch.manual_seed(0)
    method = methods.load("navit")(small(), dimension=16, hidden=32, image_size=96, smallest_size=32)
    samples = [method.views()(Sample(photograph(seed=s), s), np.random.default_rng(s)) for s in range(3)]
    views = method.collate()(samples)
    found = method.loss(views)
    tokens = method.backbone.encode(views.images[0], views.owner, views.row, views.column)
    z = method.projector(method.pooling(tokens, views.owner, 6))
    terms = []
    for i in range(6):
        similar = [math.exp(float(cosine_similarity(z[i], z[j], dim=0)) / 0.1) for j in range(6)]
        terms.append(-math.log(similar[(i + 3) % 6] / (sum(similar) - similar[i])))
    assert float(found["loss"]) == pytest.approx(sum(terms) / 6, rel=1e-4)
    assert 0 < float(found["filled"]) <= 1
    assert method.features(views).shape == (6, 192)
    assert isinstance(views.to(torch.device("cpu")), type(views)) and isinstance(views, Views)


def test_wrong_sizes_are_refused():
    kind = methods.load("navit")
    with pytest.raises(UsageError, match="navit trains a NaViT; resnet18 is none"):
        kind(backbones.build("resnet18"))
    for size, room in ((256, 64), (250, 243)):  # 15 x 15 are fewer than 243, but 15 x 16 are not always
        with pytest.raises(UsageError, match=f"can have .* patches; a sequence has room for {room}"):
            kind(small(), image_size=size, sequence_length=room)
    kind(small(), image_size=250, sequence_length=244)
    with pytest.raises(UsageError, match="token_drop"):
        kind(small(), token_drop=1.0)
