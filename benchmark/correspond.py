"""Which locations of two views a backbone takes for the same: DenseCL's Figure 4."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageOps
from torch import Tensor, nn

from benchmark.source import IMAGENET_MEAN, IMAGENET_STD
from pretrain import backbones, checkpoint

SIDE = 224
"""Side of a view in pixels: a 7 x 7 map at stride 32, as in the paper."""
SHARE = (0.6, 0.85)
"""Bounds of a crop's side, as a share of the image's shorter side."""
Array = NDArray[Any]


@dataclass(frozen=True)
class View:
    """A crop of an image, resized to a square.

    Attributes:
        pixels: (SIDE, SIDE, 3) uint8 RGB.
        box: x0, y0, x1, y1 of the crop in the image.
        flipped: It was mirrored after cropping.
    """

    pixels: Array
    box: tuple[float, float, float, float]
    flipped: bool

    def to_image(self, points: Array) -> Array:
        """Take points (N, 2) of the view, in 0..1, to the image."""
        x = 1 - points[:, 0] if self.flipped else points[:, 0]
        x0, y0, x1, y1 = self.box
        return np.stack([x0 + x * (x1 - x0), y0 + points[:, 1] * (y1 - y0)], axis=1)

    def from_image(self, points: Array) -> Array:
        """Take points (N, 2) of the image to the view, where the view is 0..1."""
        x0, y0, x1, y1 = self.box
        x, y = (points[:, 0] - x0) / (x1 - x0), (points[:, 1] - y0) / (y1 - y0)
        return np.stack([1 - x if self.flipped else x, y], axis=1)


@dataclass(frozen=True)
class Matches:
    """Mutual best matches between two views of one image.

    Attributes:
        first: The first view's pixels.
        second: The second view's.
        points: (N, 4), x and y in the first and in the second view, in 0..1.
        correct: (N,) bool, the true place lies within one cell of the map.
    """

    first: Array
    second: Array
    points: Array
    correct: Array


def correspondences(path: Path, images: Sequence[Path], seed: int = 0) -> dict[str, list[Matches]]:
    """Match two views of each image with a checkpoint of ours, and with a random init.

    The random network's norm statistics are set on these very views, so that it is a fair control.

    Args:
        path: A checkpoint written by `pretrain`.
        images: Image files.
        seed: Seed of the crops and of the random init.

    Returns:
        Matches of every image, for the checkpoint's method and for "random".
    """
    rng = np.random.default_rng(seed)
    pairs = [tuple(_view(Image.open(image).convert("RGB"), rng, flip) for flip in (False, True)) for image in images]
    loaded = checkpoint.load(path)
    meta = loaded.meta
    trained = backbones.build(meta.arch)
    trained.load_state_dict(loaded.tensors)
    trained_input = _normalised(pairs, meta.mean, meta.std)
    random_input = _normalised(pairs, IMAGENET_MEAN, IMAGENET_STD)
    drawn = _calibrated(backbones.build(meta.arch, seed), random_input)
    return {
        "random": _matched(drawn, random_input, pairs),
        meta.method: _matched(trained.eval(), trained_input, pairs),
    }


def _view(image: Image.Image, rng: np.random.Generator, flipped: bool) -> View:
    side = rng.uniform(*SHARE) * min(image.size)
    x0, y0 = (rng.uniform(0, length - side) for length in image.size)
    box = (x0, y0, x0 + side, y0 + side)
    view = image.resize((SIDE, SIDE), Image.Resampling.BICUBIC, box=box)
    return View(np.asarray(ImageOps.mirror(view) if flipped else view), box, flipped)


def _normalised(pairs: Sequence[tuple[View, ...]], mean: Sequence[float], std: Sequence[float]) -> Tensor:
    """Stack the views, first and second in turn, to (2 images, 3, SIDE, SIDE)."""
    pixels = torch.from_numpy(np.stack([view.pixels for pair in pairs for view in pair])).float()
    return ((pixels - torch.tensor(mean)) / torch.tensor(std)).permute(0, 3, 1, 2)


def _calibrated(network: nn.Module, images: Tensor) -> nn.Module:
    """Set the norm statistics of a network that never saw an image."""
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = 1.0
    with torch.no_grad():
        network.train()(images)
    return network.eval()


def _matched(network: nn.Module, images: Tensor, pairs: Sequence[tuple[View, ...]]) -> list[Matches]:
    with torch.no_grad():
        maps = nn.functional.normalize(network(images), dim=1)  # (2 images, C, H, W)
    rows, columns = maps.shape[2:]
    y, x = np.mgrid[:rows, :columns]
    centres = np.stack([(x.ravel() + 0.5) / columns, (y.ravel() + 0.5) / rows], axis=1)  # (HW, 2)
    flat = maps.flatten(2)  # (2 images, C, HW)
    return [
        _mutual(pair, (first.T @ second).numpy(), centres, 1 / min(rows, columns))
        for pair, first, second in zip(pairs, flat[::2], flat[1::2], strict=True)
    ]


def _mutual(pair: tuple[View, ...], similarity: Array, centres: Array, cell: float) -> Matches:
    """Keep the pairs of locations that are each other's best match; `similarity` is (HW, HW)."""
    forth, back = similarity.argmax(axis=1), similarity.argmax(axis=0)
    kept = np.flatnonzero(back[forth] == np.arange(len(forth)))
    first, second = pair
    true = second.from_image(first.to_image(centres[kept]))
    found = centres[forth[kept]]
    correct = np.linalg.norm(true - found, axis=1) <= cell
    return Matches(first.pixels, second.pixels, np.concatenate([centres[kept], found], axis=1), correct)
