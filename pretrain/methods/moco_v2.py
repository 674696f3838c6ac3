"""MoCo v2: momentum contrast with a projection MLP, stronger augmentation and a cosine schedule.

Chen, Fan, Girshick, He 2020, arXiv 2003.04297; MoCo: arXiv 1911.05722.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pretrain.backbones import Backbone
from pretrain.losses.info_nce import info_nce
from pretrain.method import Augment, Method, Views
from pretrain.modules.distributed import gather, in_groups, shuffled
from pretrain.modules.heads import GlobalHead
from pretrain.modules.queue import Queue
from pretrain.modules.teacher import follow, teacher_of
from pretrain.recipe import Recipe
from pretrain.views.sample import RandomViews


class MoCoV2(Method):
    """Contrast two views of an image: a query, and a key by a slowly following teacher.

    Args:
        backbone: The query encoder's backbone.
        dimension: Width of the projection.
        hidden: Width of the projection's hidden layer; None takes the backbone's channels (2048 for
            ResNet-50, as in the paper).
        queue_size: Negative keys, K.
        temperature: tau.
        ema_momentum: The teacher's momentum m.
        batch_norm_groups: Groups of a process's batch that are normalised apart, so that ShuffleBN protects a
            single process as well; the papers' 256 images on 8 devices are 8 groups.
        image_size: Side of the views in pixels.
        crop_scale: Bounds of a crop's share of the image's area.
    """

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
        "scenes": Recipe(
            source="this project, for a CPU",
            iterations=1500,
            batch_size=32,
            optimizer="adamw",
            lr=6e-4,
            warmup_epochs=1,
            # A queue of few batches: keys of an older teacher differ by its drift alone, and a short run learns that.
            method={"image_size": 128, "crop_scale": (0.4, 1.0), "queue_size": 512, "ema_momentum": 0.99},
        ),
    }

    def __init__(
        self,
        backbone: Backbone,
        *,
        dimension: int = 128,
        hidden: int | None = None,
        queue_size: int = 65536,
        temperature: float = 0.2,
        ema_momentum: float = 0.999,
        batch_norm_groups: int = 1,
        image_size: int = 224,
        crop_scale: tuple[float, float] = (0.2, 1.0),
    ) -> None:
        super().__init__()
        self.encoder = _Encoder(backbone, hidden or backbone.layout.channels[-1], dimension)
        self.teacher = teacher_of(self.encoder)
        self.queue = Queue(queue_size, dimension)
        self.temperature = temperature
        self.ema_momentum = ema_momentum
        self.batch_norm_groups = batch_norm_groups
        self.augment = RandomViews(image_size=image_size, crop_scale=crop_scale)

    def views(self) -> Augment:
        """Return the "aug+" augmentation: two views."""
        return self.augment

    def before_step(self, progress: float) -> None:
        """Let the teacher follow (Eq. 2 of MoCo)."""
        follow(self.teacher, self.encoder, self.ema_momentum)

    def loss(self, views: Views) -> dict[str, Tensor]:
        """Return InfoNCE of the queries against their keys and the queue (Eq. 1 of MoCo)."""
        query_image, key_image = views.images  # (B, 3, H, W) each
        groups = self.batch_norm_groups
        (query,) = in_groups(self.encoder, query_image, groups)  # (B, D)
        with torch.no_grad():
            (key,) = shuffled(self.teacher, key_image, groups)
        loss = info_nce(query, key, self.queue.keys.clone(), self.temperature)
        self.queue.push(gather(key))
        return {"loss": loss}

    def export(self) -> nn.Module:
        """Return the query encoder's backbone."""
        return self.encoder.backbone


class _Encoder(nn.Module):
    """Backbone and head; student and teacher are one each."""

    def __init__(self, backbone: Backbone, hidden: int, dimension: int) -> None:
        super().__init__()
        self.backbone = backbone
        self.head = GlobalHead(backbone.layout.channels[-1], hidden, dimension)

    def forward(self, images: Tensor) -> tuple[Tensor]:
        """Return the L2-normalised projection, (B, D)."""
        return (F.normalize(self.head(self.backbone(images)).float(), dim=1),)
