"""Views of any resolution and aspect ratio, patches dropped, packed into sequences (NaViT, arXiv 2307.06304)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import cv2
import numpy as np
import torch
from torch import Tensor

from pretrain.method import Sample, Views
from pretrain.views.crop import random_box
from pretrain.views.normalise import normalise
from pretrain.views.sample import View


@dataclass
class PackedViews(Views):
    """All views of a batch of B samples in S sequences of L patches.

    Attributes:
        images: One tensor, (S, 3, p, L p): a sequence is an image of one row of patches.
        owner: View v of sample b is number v B + b, (S, L); padding is -1.
        row: Each patch's row in its view, (S, L).
        column: Its column, (S, L).
    """

    owner: Tensor = field(default_factory=lambda: torch.empty(0))
    row: Tensor = field(default_factory=lambda: torch.empty(0))
    column: Tensor = field(default_factory=lambda: torch.empty(0))


@dataclass(frozen=True)
class NativeViews:
    """Two views of an image as patches, each at its own resolution, with its crop's aspect ratio.

    The resolution r is the root of a view's area. It is uniform between its bounds, or biased to small ones: a normal
    cut to [-1, 1] and mapped to the bounds (Section 2.2). Of the patches a share is dropped, constant or of a Beta
    distribution with mean u and variance 0.3 u (1 - u) (Section 2.2).

    # NOTE: the normal's mean of -1/2 and deviation of 1 are this project's choice. So is the crop's aspect ratio: the
    image's own, or up to a third more or less.

    Attributes:
        view: Crop and colours; its `image_size` is the largest r in pixels.
        smallest_size: The smallest r.
        biased: Favour small resolutions.
        patch: p.
        token_drop: u, the mean share of the patches that is dropped.
        token_drop_varies: Draw the share anew for each view.
    """

    view: View
    smallest_size: int
    biased: bool
    patch: int
    token_drop: float
    token_drop_varies: bool

    def __call__(self, sample: Sample, generator: np.random.Generator) -> Views:
        """Draw the views of `sample`: images are kept patches (n, 3, p, p), masks (h, w) say which they are."""
        found = Views([], [], [], torch.tensor(sample.index), masks=[])
        assert found.masks is not None
        height, width = sample.image.shape[:2]
        for _ in range(2):
            ratio = (width / height * 3 / 4, width / height * 4 / 3)
            box = random_box(height, width, generator, self.view.crop_scale, ratio)
            flip = bool(generator.random() < self.view.flip)
            rows, columns, size = self._size(box[3] - box[1], box[2] - box[0], generator)
            image = cv2.resize(
                sample.image[box[1] : box[3], box[0] : box[2]],
                (columns * self.patch, rows * self.patch),
                interpolation=cv2.INTER_AREA if box[3] - box[1] > rows * self.patch else cv2.INTER_LINEAR,
            )
            colours = self.view.draw_colours(size, generator)
            pixels = normalise(colours.apply(cv2.flip(image, 1) if flip else image))
            kept = self._kept(rows * columns, generator)
            patches = pixels.reshape(3, rows, self.patch, columns, self.patch)
            found.images.append(patches.permute(1, 3, 0, 2, 4).flatten(0, 1)[kept])
            found.masks.append(kept.view(rows, columns))
            found.boxes.append(torch.tensor(box, dtype=torch.float32))
            found.flips.append(torch.tensor(flip))
        return found

    def _size(self, height: int, width: int, generator: np.random.Generator) -> tuple[int, int, float]:
        """Return rows and columns of patches, at most as many as the largest r has, and the r they were drawn at."""
        place = generator.uniform(-1, 1)
        if self.biased:
            place = generator.normal(-0.5, 1)
            while abs(place) > 1:
                place = generator.normal(-0.5, 1)
        size = self.smallest_size + (place + 1) / 2 * (self.view.image_size - self.smallest_size)
        stretch = math.sqrt(height / width)
        most = max(1, int((self.view.image_size / self.patch) ** 2))
        rows = min(max(1, round(size * stretch / self.patch)), most)
        columns = min(max(1, round(size / stretch / self.patch)), most // rows)
        return rows, columns, size

    def _kept(self, count: int, generator: np.random.Generator) -> Tensor:
        share = self.token_drop
        if self.token_drop_varies and 0 < share < 1:
            total = 1 / 0.3 - 1  # a + b of the Beta distribution
            share = generator.beta(share * total, (1 - share) * total)
        kept = torch.zeros(count, dtype=torch.bool)
        kept[generator.permutation(count)[: max(1, round(count * (1 - share)))]] = True
        return kept


def first_fit(lengths: Sequence[int], room: int) -> list[tuple[int, int]]:
    """Place each piece in the first sequence that has room for it; return (sequence, offset) of each.

    Args:
        lengths: The pieces' lengths; none is above `room`.
        room: L.
    """
    filled: list[int] = []
    places = []
    for length in lengths:
        number = next((number for number, used in enumerate(filled) if used + length <= room), len(filled))
        if number == len(filled):
            filled.append(0)
        places.append((number, filled[number]))
        filled[number] += length
    return places


def pack(views: Sequence[Views], room: int) -> PackedViews:
    """Pack the samples' views into as few sequences of `room` patches as first-fit finds."""
    pieces = [one.images[view] for view in range(2) for one in views]  # (n, 3, p, p) each
    masks = [one.masks[view] for view in range(2) for one in views if one.masks is not None]
    places = first_fit([len(piece) for piece in pieces], room)
    sequences = 1 + max(number for number, _ in places)
    images = torch.zeros(sequences, room, *pieces[0].shape[1:])  # (S, L, 3, p, p)
    owner = torch.full((sequences, room), -1)
    row, column = torch.zeros_like(owner), torch.zeros_like(owner)
    for name, (piece, mask, (number, begin)) in enumerate(zip(pieces, masks, places, strict=True)):
        span = slice(begin, begin + len(piece))
        images[number, span], owner[number, span] = piece, name
        row[number, span], column[number, span] = mask.nonzero().unbind(dim=1)
    return PackedViews(
        images=[images.permute(0, 2, 3, 1, 4).flatten(3)],
        index=torch.stack([one.index for one in views]),
        owner=owner,
        row=row,
        column=column,
        boxes=[torch.stack([one.boxes[view] for one in views]) for view in range(2)],
        flips=[torch.stack([one.flips[view] for one in views]) for view in range(2)],
    )
