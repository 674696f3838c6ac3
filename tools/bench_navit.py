"""A training step of NaViT on packed sequences, and on the same views in batches that are padded to the longest.

Started by bench_pretrain.py. Network, method, optimizer and views are the same; what differs is how many patches a row
of the batch has room for. Views are drawn as the method draws them, of images in the two shapes that photographs mostly
have, and no two rounds in a row have the same. In a padded batch, too, no view attends to padding.
"""

from __future__ import annotations

import copy
import dataclasses
import itertools
from collections.abc import Callable

import numpy as np
import torch
from torch.nn.utils.rnn import pad_sequence

from pretrain import backbones, methods
from pretrain.engine.precision import choose
from pretrain.learner import Learner
from pretrain.method import Method, Sample
from pretrain.recipe import Recipe
from pretrain.schedule import optimizer
from pretrain.views.pack import PackedViews

SHAPES = ((375, 500), (500, 375))  # height and width in pixels, as most photographs of PASCAL VOC have them
BATCHES = 4
DROPS = {"half of the patches dropped, as by default": 0.5, "no patches dropped": 0.0}
Step = Callable[[], None]


def run(alternate: Callable[..., None], arch: str, batch: int, rounds: int) -> None:
    """Time both ways to train, with patches dropped and without."""
    precision = choose("bfloat16")
    for what, drop in DROPS.items():
        method = methods.load("navit")(backbones.build(arch, seed=0), token_drop=drop)
        packed = [drawn(method, batch, seed) for seed in range(BATCHES)]
        unpacked = [padded(views) for views in packed]
        agree(method, packed[0], unpacked[0])
        print(f"{arch}, {batch} images, {precision}, {what}: packed {room(packed)}, padded {room(unpacked)}")
        steps = {
            "packed": step(copy.deepcopy(method), packed, precision),
            "padded to the longest": step(method, unpacked, precision),
        }
        alternate(steps, batch, rounds)


def drawn(method: Method, batch: int, seed: int) -> PackedViews:
    """Draw the views of a batch, packed."""
    generator, augment = np.random.default_rng(seed), method.views()
    images = [np.zeros((*SHAPES[index % 2], 3), np.uint8) for index in range(batch)]
    views = method.collate()([augment(Sample(image, index), generator) for index, image in enumerate(images)])
    assert isinstance(views, PackedViews)
    noise = torch.randn(views.images[0].shape, generator=torch.Generator().manual_seed(seed))
    return dataclasses.replace(views, images=[noise])


def padded(views: PackedViews) -> PackedViews:
    """Give every view a row of its own, as long as the longest view."""
    side = views.images[0].shape[2]
    patches = torch.stack(torch.split(views.images[0], side, dim=3), dim=1)  # (S, L, 3, p, p)
    places = [views.owner == name for name in range(2 * len(views.index))]
    rows = pad_sequence([patches[place] for place in places], batch_first=True)  # (2 B, L', 3, p, p)
    owner, row, column = (
        pad_sequence([each[place] for place in places], batch_first=True, padding_value=value)
        for each, value in ((views.owner, -1), (views.row, 0), (views.column, 0))
    )
    images = [rows.permute(0, 2, 3, 1, 4).flatten(3)]
    return dataclasses.replace(views, images=images, owner=owner, row=row, column=column)


@torch.no_grad()
def agree(method: Method, packed: PackedViews, unpacked: PackedViews) -> None:
    """Hold the two batches' losses against each other, in float32."""
    torch.testing.assert_close(method.loss(packed)["loss"], method.loss(unpacked)["loss"], rtol=1e-5, atol=1e-5)


def room(batches: list[PackedViews]) -> str:
    """Say how many rows the first batch has, how long they are, and how full the batches are on average."""
    filled = np.mean([float((views.owner >= 0).float().mean()) for views in batches])
    return f"{' x '.join(map(str, batches[0].owner.shape))} ({filled:.0%} full)"


def step(method: Method, batches: list[PackedViews], precision: str) -> Step:
    """Return a step as `pretrain` takes it, on the next of the batches."""
    learner, turn = Learner(method), itertools.cycle(batches)
    options = optimizer(learner, Recipe("", optimizer="adamw", lr=1e-4, precision=precision))
    wrapper = options.pop("type")(**options)

    def forward_and_backward() -> None:
        learner.method.before_step(0.5)
        learner.train_step(next(turn), wrapper)

    return forward_and_backward
