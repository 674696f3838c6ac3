"""MoCo v1: momentum contrast (He, Fan, Wu, Xie, Girshick 2020, arXiv 1911.05722)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from torch import Tensor, nn

from pretrain.backbones import Backbone
from pretrain.losses.info_nce import info_nce
from pretrain.method import Augment, Method, Paper, Views
from pretrain.modules.heads import GlobalHead
from pretrain.modules.momentum_contrast import MomentumContrast, UnitEncoder
from pretrain.recipe import Recipe, for_scenes
from pretrain.views.sample import moco_views


class MoCoV1(Method):
    """Contrast two views of an image: a query, and a key by a slowly following teacher.

    Args:
        backbone: The query encoder's backbone.
        dimension: Width of the projection.
        queue_size: Negative keys, K.
        temperature: tau.
        ema_momentum: The teacher's momentum m.
        batch_norm_groups: See `MomentumContrast`.
        image_size: Side of the views in pixels.
        crop_scale: Bounds of a crop's share of the image's area.
    """

    paper = Paper("He et al.", 2020, "1911.05722")
    cost = "student 1 view, teacher 1"
    recipes: ClassVar[Mapping[str, Recipe]] = {
        "imagenet-200e": Recipe(
            source="arXiv 1911.05722, Section 4; facebookresearch/moco: --lr 0.03 --batch-size 256",
            epochs=200,
            batch_size=256,
            lr=0.03,
            schedule="step",
            milestones=(120, 160),
        ),
        # A short queue and half the rate: keys of an older teacher differ by its drift, and a short run learns it.
        "scenes": for_scenes(540, lr=3e-4, queue_size=512, ema_momentum=0.99, temperature=0.2),
    }

    def __init__(
        self,
        backbone: Backbone,
        *,
        dimension: int = 128,
        queue_size: int = 65536,
        temperature: float = 0.07,
        ema_momentum: float = 0.999,
        batch_norm_groups: int = 1,
        image_size: int = 224,
        crop_scale: tuple[float, float] = (0.2, 1.0),
    ) -> None:
        super().__init__()
        channels = backbone.layout.channels[-1]
        encoder = UnitEncoder(backbone, GlobalHead(channels, dimension))  # one linear layer
        self.contrast = MomentumContrast(encoder, dimension, queue_size, ema_momentum, batch_norm_groups)
        self.temperature = temperature
        self.augment = moco_views(image_size, crop_scale)

    def views(self) -> Augment:
        """Return two views by crop, mirror, jitter and greyscale."""
        return self.augment

    def before_step(self, progress: float) -> None:
        """Let the teacher follow (Eq. 2)."""
        self.contrast.follow()

    def loss(self, views: Views) -> dict[str, Tensor]:
        """Return InfoNCE of the queries against their keys and the queue (Eq. 1)."""
        (query,), (key,), negatives = self.contrast(*views.images)
        return {"loss": info_nce(query, key, negatives, self.temperature)}

    def export(self) -> nn.Module:
        """Return the query encoder's backbone."""
        return self.contrast.export()
