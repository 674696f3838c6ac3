"""MoCo v2: momentum contrast with a projection MLP, stronger augmentation and a cosine schedule.

Chen, Fan, Girshick, He 2020, arXiv 2003.04297; MoCo: arXiv 1911.05722.
"""

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
from pretrain.views.sample import View, moco_views, twice


class MoCoV2(Method):
    """Contrast two views of an image: a query, and a key by a slowly following teacher.

    Args:
        backbone: The query encoder's backbone.
        dimension: Width of the projection.
        mlp_head: Project by two layers; else by one, as in MoCo v1 (the tables' "MLP").
        strong_augmentation: Jitter and blur as "aug+" does; else take MoCo v1's views.
        hidden: Width of the projection's hidden layer; None takes the backbone's channels (2048 for
            ResNet-50, as in the paper).
        queue_size: Negative keys, K.
        temperature: tau.
        ema_momentum: The teacher's momentum m.
        batch_norm_groups: See `MomentumContrast`.
        image_size: Side of the views in pixels.
        crop_scale: Bounds of a crop's share of the image's area.
    """

    paper = Paper("Chen et al.", 2020, "2003.04297")
    cost = "student 1 view, teacher 1"
    recipes: ClassVar[Mapping[str, Recipe]] = {
        "imagenet-200e": Recipe(
            source="facebookresearch/moco: --lr 0.03 --batch-size 256 --mlp --moco-t 0.2 --aug-plus --cos",
            epochs=200,
            batch_size=256,
            lr=0.03,
        ),
        "coco-800e": Recipe(
            # NOTE: the rate of DenseCL's own MoCo v2 run on COCO is not published; this is its DenseCL run's.
            source="MoCo v2 CC of DenseCL, arXiv 2011.09157; WXinlong/DenseCL densecl_coco_800ep.py",
            epochs=800,
            batch_size=256,
            lr=0.3,
        ),
        # A short queue and half the rate: keys of an older teacher differ by its drift, and a short run learns it.
        "scenes": for_scenes(540, lr=3e-4, queue_size=512, ema_momentum=0.99),
    }

    def __init__(
        self,
        backbone: Backbone,
        *,
        dimension: int = 128,
        mlp_head: bool = True,
        strong_augmentation: bool = True,
        hidden: int | None = None,
        queue_size: int = 65536,
        temperature: float = 0.2,
        ema_momentum: float = 0.999,
        batch_norm_groups: int = 1,
        image_size: int = 224,
        crop_scale: tuple[float, float] = (0.2, 1.0),
    ) -> None:
        super().__init__()
        channels = backbone.layout.channels[-1]
        hiddens = (hidden or channels,) if mlp_head else ()
        encoder = UnitEncoder(backbone, GlobalHead(channels, *hiddens, dimension))
        self.contrast = MomentumContrast(encoder, dimension, queue_size, ema_momentum, batch_norm_groups)
        self.temperature = temperature
        views = twice(View(image_size, crop_scale))
        self.augment = views if strong_augmentation else moco_views(image_size, crop_scale)

    def views(self) -> Augment:
        """Return two views, by "aug+" where wished."""
        return self.augment

    def before_step(self, progress: float) -> None:
        """Let the teacher follow (Eq. 2 of MoCo)."""
        self.contrast.follow()

    def loss(self, views: Views) -> dict[str, Tensor]:
        """Return InfoNCE of the queries against their keys and the queue (Eq. 1 of MoCo)."""
        (query,), (key,), negatives = self.contrast(*views.images)
        return {"loss": info_nce(query, key, negatives, self.temperature)}

    def export(self) -> nn.Module:
        """Return the query encoder's backbone."""
        return self.contrast.export()
