"""Dense correspondences: features that tell the place match, and a wrong geometry is noticed."""

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from benchmark import correspond
from benchmark.correspond import View
from benchmark.report import correspondence
from pretrain import backbones, checkpoint
from pretrain.checkpoint import Meta


def test_points_go_to_the_image_and_back():
    points = np.random.default_rng(0).random((20, 2))
    for flipped in (False, True):
        view = View(np.zeros((4, 4, 3)), (10.0, 20.0, 50.0, 60.0), flipped)
        np.testing.assert_allclose(view.from_image(view.to_image(points)), points)
    corner = np.array([[0.0, 0.0]])
    assert View(np.zeros((1, 1, 3)), (10, 20, 50, 60), False).to_image(corner).tolist() == [[10, 20]]
    assert View(np.zeros((1, 1, 3)), (10, 20, 50, 60), True).to_image(corner).tolist() == [[50, 20]]


class Pooling(nn.Module):
    """Features that are the colours themselves: at stride 32, as waves of several lengths."""

    def forward(self, x):
        small = nn.functional.avg_pool2d(x, 32)
        return torch.cat([wave(k * small) for k in (1, 2, 4) for wave in (torch.sin, torch.cos)], dim=1)


@pytest.fixture
def map_images():
    """Images in which the colour tells the place: red grows to the right, green downwards."""
    y, x = np.mgrid[:160, :160] / 160 * 255
    return [Image.fromarray(np.stack([x, y, np.full_like(x, 128)], axis=2).astype(np.uint8))] * 6


def pairs_of(images):
    rng = np.random.default_rng(0)
    return [tuple(correspond._view(image, rng, flip) for flip in (False, True)) for image in images]


def share_correct(matches):
    return np.concatenate([match.correct for match in matches]).mean()


def test_features_that_tell_the_place_match_correctly(map_images):
    pairs = pairs_of(map_images)
    found = correspond._matched(Pooling(), correspond._normalised(pairs, (127.5,) * 3, (127.5,) * 3), pairs)
    assert share_correct(found) > 0.8
    assert min(len(match.correct) for match in found) >= 10


def test_a_wrong_geometry_is_noticed(map_images):
    """The same matches judged as if the second view had not been mirrored are mostly wrong."""
    pairs = pairs_of(map_images)
    lied = [(first, View(second.pixels, second.box, False)) for first, second in pairs]
    images = correspond._normalised(pairs, (127.5,) * 3, (127.5,) * 3)
    assert share_correct(correspond._matched(Pooling(), images, lied)) < 0.4


def test_a_checkpoint_beside_random(map_images, tmp_path):
    files = []
    for index, image in enumerate(map_images[:2]):
        files.append(tmp_path / f"image {index}.png")
        image.save(files[-1])
    meta = Meta(
        arch="resnet18",
        method="densecl",
        recipe="scenes",
        data="none",
        epochs=0.0,
        seed=3,
        mean=(123.675, 116.28, 103.53),
        std=(58.395, 57.12, 57.375),
    )
    path = tmp_path / "checkpoint.safetensors"
    checkpoint.save(path, backbones.build("resnet18", 3).state_dict(), meta)
    found = correspond.correspondences(path, files)
    assert list(found) == ["random", "densecl"]
    assert [len(matches) for matches in found.values()] == [2, 2]
    points = found["densecl"][0].points
    assert points.min() > 0
    assert points.max() < 1
    picture = tmp_path / "pictures" / "correspondences.png"
    correspondence.draw(found, picture)
    with Image.open(picture) as drawn:
        assert drawn.format == "PNG"
        assert min(drawn.size) > 300
