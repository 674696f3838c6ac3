"""Views of which some patches are shown, and of those some tell their position (DropPos, arXiv 2309.03576)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from pretrain.method import Sample, Views
from pretrain.views.sample import RandomViews


@dataclass(frozen=True)
class MaskedPatches:
    """Views, and two masks of the patches of each: which are shown, and which of those tell their position.

    As many patches are shown in every image, and as many tell their position.

    Attributes:
        views: How the views are drawn.
        patch: The patch's side in pixels.
        mask_ratio: Share of the patches that is hidden.
        position_mask_ratio: Share of the shown patches whose position is hidden.
    """

    views: RandomViews
    patch: int
    mask_ratio: float
    position_mask_ratio: float

    def __call__(self, sample: Sample, generator: np.random.Generator) -> Views:
        """Draw the views of `sample`; `masks` are bool, (2, h, w) a view: shown, and telling its position."""
        found = self.views(sample, generator)
        found.masks = []
        for view in found.images:
            height, width = (side // self.patch for side in view.shape[1:])
            order = generator.permutation(height * width)
            shown = int(len(order) * (1 - self.mask_ratio))
            masks = np.zeros((2, height * width), dtype=bool)
            masks[0, order[:shown]] = True
            masks[1, order[: int(shown * (1 - self.position_mask_ratio))]] = True
            found.masks.append(torch.from_numpy(masks.reshape(2, height, width)))
        return found
