"""CPC: predict the features of an image's lower rows of patches from those above.

van den Oord, Li, Vinyals 2018, arXiv 1807.03748, Section 3.2; more directions: Henaff et al. 2020, arXiv 1905.09272.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import ClassVar

import torch
from torch import Tensor, nn

from pretrain.backbones import Backbone
from pretrain.errors import UsageError, unknown
from pretrain.losses.cpc import predict_rows
from pretrain.method import Augment, Method, Paper, Views
from pretrain.modules.context import RowContext
from pretrain.modules.distributed import gather_with_gradient, places
from pretrain.recipe import Recipe, for_scenes
from pretrain.views.patch_grid import PatchViews, patches_of
from pretrain.views.sample import RandomViews, View

TURNS = {"down": 0, "left": 1, "up": 2, "right": 3}
"""Quarter turns, counterclockwise, after which a direction points down."""


class CPC(Method):
    """Predict, from the patches above, the patches of the rows below among those of all images.

    # NOTE: the paper's encoder ends with the third of a ResNet v2's four stages and has no batch norm. Here the
    whole backbone is trained, its last map averaged, with its own norms: a checkpoint has all stages, and
    detectors read it. The second version warns that batch norm lets patches know of one another.
    # NOTE: predictions are scaled as in the second version's pseudocode (`emb_scale`); unscaled, features of batch
    norm's size start far above chance and the loss diverges.
    # NOTE: the paper cuts 256 x 256 pixels out of an image of 300 x 300, and does not say how that is made; here the
    crop is a square of 256 / 300 of the image's shorter side, anywhere in the image.

    Args:
        backbone: The encoder of the patches.
        grid: Patches in a row and in a column.
        first_offset: k, the nearest row that is predicted. Row 1 shares half of its pixels with the context.
        last_offset: The farthest row.
        directions: Where is predicted to; "down" alone is the first version, all of "down", "up", "right" and "left"
            the second, each with its own context network and predictions.
        dimension: Width of a linear projection of the features that are predicted, as in the second version; None
            predicts the features themselves.
        scale: Factor of the predictions.
        context_width: Width inside the context network's blocks.
        context_blocks: How many these are.
        image_size: Side of the crop in pixels that is cut into patches.
        crop_scale: Bounds of the crop's share of the area of the largest square in the image.
    """

    paper = Paper("van den Oord et al.", 2018, "1807.03748")
    cost = "student 1 view, cut into 49 overlapping patches"
    families = ("resnet", "regnet", "vit")  # a ConvNeXt's stride leaves too little of a patch
    recipes: ClassVar[Mapping[str, Recipe]] = {
        # NOTE: the paper does not say how long; 200 epochs are this project's choice. Adam: it has no weight decay.
        "imagenet-200e": Recipe(
            source="arXiv 1807.03748, Section 3.2: Adam, 2e-4, 32 GPUs x 16 images",
            epochs=200,
            batch_size=512,
            optimizer="adamw",
            lr=2e-4,
            weight_decay=0.0,
            schedule="constant",
        ),
        "scenes": for_scenes(170, image_size=80, grid=4, dimension=64, last_offset=3),
    }

    def __init__(
        self,
        backbone: Backbone,
        *,
        grid: int = 7,
        first_offset: int = 1,
        last_offset: int = 5,
        directions: tuple[str, ...] = ("down",),
        dimension: int | None = None,
        scale: float = 0.1,
        context_width: int = 256,
        context_blocks: int = 5,
        image_size: int = 256,
        crop_scale: tuple[float, float] = (0.728, 0.728),
    ) -> None:
        super().__init__()
        for direction in directions:
            if direction not in TURNS:
                raise unknown("direction", direction, TURNS)
        if not 0 < first_offset <= last_offset < grid:
            raise UsageError(
                f"Rows {first_offset} to {last_offset} below cannot be predicted in a grid of {grid}.",
                "Set 0 < first_offset <= last_offset < grid.",
            )
        if image_size < 2 * (grid + 1):
            raise UsageError(f"A view of {image_size} pixels is too small for a grid of {grid}.", "Raise image_size.")
        channels = backbone.layout.channels[-1]
        width = dimension or channels
        self.backbone = backbone
        self.target = nn.Conv2d(channels, width, kernel_size=1) if dimension else nn.Identity()
        self.contexts = nn.ModuleDict(
            {name: RowContext(channels, context_width, context_blocks) for name in directions}
        )
        self.offsets = range(first_offset, last_offset + 1)
        # W_k of all offsets at once.
        self.predictors = nn.ModuleDict(
            {
                direction: nn.Conv2d(channels, width * len(self.offsets), kernel_size=1, bias=False)
                for direction in directions
            }
        )
        self.grid, self.scale = grid, scale
        # A crop of 256 of an image of 300, mirrored, in grey.
        plain = View(image_size, crop_scale, jitter_probability=0.0, grey_probability=1.0, blur_probability=0.0)
        self.augment = PatchViews(RandomViews((replace(plain, square=True),)), grid)

    def views(self) -> Augment:
        """Return one view, cut into patches."""
        return self.augment

    def loss(self, views: Views) -> dict[str, Tensor]:
        """Return InfoNCE (Eq. 4), averaged over directions and offsets."""
        mosaic = views.images[0]
        images = len(mosaic)
        features = self.backbone(patches_of(mosaic, self.grid)).mean(dim=(2, 3))  # (B grid grid, C)
        latents = features.view(images, self.grid, self.grid, -1).permute(0, 3, 1, 2)  # (B, C, grid, grid)
        own = places(images, mosaic.device)
        terms = []
        for direction, context in self.contexts.items():
            turned = torch.rot90(latents, TURNS[direction], dims=(2, 3))
            predictions = (self.scale * self.predictors[direction](context(turned))).chunk(len(self.offsets), dim=1)
            targets = gather_with_gradient(self.target(turned))  # (N, D, grid, grid)
            for offset, prediction in zip(self.offsets, predictions, strict=True):
                terms.append(predict_rows(prediction, targets, own, offset))
        return {"loss": torch.stack(terms).mean()}

    def export(self) -> nn.Module:
        """Return the backbone."""
        return self.backbone
