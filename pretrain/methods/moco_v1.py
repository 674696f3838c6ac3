"""MoCo v1: momentum contrast (He, Fan, Wu, Xie, Girshick 2020, arXiv 1911.05722)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from torch import Tensor, nn

from pretrain.backbones import Backbone
from pretrain.errors import unknown
from pretrain.losses.info_nce import info_nce, info_nce_within
from pretrain.method import Augment, Labels, Method, Paper, Views
from pretrain.modules.distributed import gather_with_gradient, in_groups, places, shuffled
from pretrain.modules.heads import GlobalHead
from pretrain.modules.memory_bank import MemoryBank
from pretrain.modules.momentum_contrast import MomentumContrast, UnitEncoder
from pretrain.recipe import Recipe, for_scenes
from pretrain.views.sample import RandomViews, moco_views

MECHANISMS = ("momentum", "end-to-end", "memory-bank")


class MoCoV1(Method):
    """Contrast two views of an image: a query, and a key by a slowly following teacher.

    Args:
        backbone: The query encoder's backbone.
        dimension: Width of the projection.
        mechanism: Where keys come from (Figure 2): "momentum" is MoCo; "end-to-end" has the batch's own, and trains the
            encoder by them, too; "memory-bank" takes what the images looked like when they were last seen.
        queue_size: Negative keys, K; end-to-end training has those of the batch.
        images: How many there are, each with a place in the memory bank; taken from the data.
        bank_momentum: How much of an image's vector in the bank stays when it is seen again.
        temperature: tau.
        ema_momentum: The teacher's momentum m.
        batch_norm_groups: See `MomentumContrast`.
        image_size: Side of the views in pixels.
        crop_scale: Bounds of a crop's share of the image's area.

    Raises:
        UsageError: There is no such mechanism.
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
        images: int,
        dimension: int = 128,
        mechanism: str = "momentum",
        queue_size: int = 65536,
        bank_momentum: float = 0.5,
        temperature: float = 0.07,
        ema_momentum: float = 0.999,
        batch_norm_groups: int = 1,
        image_size: int = 224,
        crop_scale: tuple[float, float] = (0.2, 1.0),
    ) -> None:
        super().__init__()
        if mechanism not in MECHANISMS:
            raise unknown("mechanism", mechanism, MECHANISMS)
        channels = backbone.layout.channels[-1]
        encoder = UnitEncoder(backbone, GlobalHead(channels, dimension))  # one linear layer
        self.mechanism = mechanism
        if mechanism == "momentum":
            self.contrast = MomentumContrast(encoder, dimension, queue_size, ema_momentum, batch_norm_groups)
        else:
            self.encoder = encoder
        if mechanism == "memory-bank":
            self.bank = MemoryBank(images, dimension, bank_momentum)
        self.negatives = queue_size
        self.batch_norm_groups = batch_norm_groups
        self.temperature = temperature
        views = moco_views(image_size, crop_scale)
        self.augment = RandomViews(views.views[:1]) if mechanism == "memory-bank" else views

    @classmethod
    def data_keywords(cls, images: int, labels: Labels | None) -> dict[str, Any]:
        """Return the number of images, as many as the memory bank holds."""
        return {"images": images}

    def views(self) -> Augment:
        """Return two views by crop, mirror, jitter and greyscale; one for the memory bank."""
        return self.augment

    def before_step(self, progress: float) -> None:
        """Let the teacher follow (Eq. 2)."""
        if self.mechanism == "momentum":
            self.contrast.follow()

    def loss(self, views: Views) -> dict[str, Tensor]:
        """Return InfoNCE of the queries against their keys and the mechanism's negatives (Eq. 1)."""
        if self.mechanism == "momentum":
            (query,), (key,), negatives = self.contrast(*views.images)
            return {"loss": info_nce(query, key, negatives, self.temperature)}
        (query,) = in_groups(self.encoder, views.images[0], self.batch_norm_groups)
        if self.mechanism == "end-to-end":
            (key,) = shuffled(self.encoder, views.images[1], self.batch_norm_groups)
            own = places(len(query), query.device)
            return {"loss": info_nce_within(query, gather_with_gradient(key), own, self.temperature)}
        loss = info_nce(query, self.bank.vectors[views.index], self.bank.drawn(self.negatives), self.temperature)
        self.bank.update(views.index, query)
        return {"loss": loss}

    def export(self) -> nn.Module:
        """Return the query encoder's backbone."""
        encoder = self.contrast.encoder if self.mechanism == "momentum" else self.encoder
        return encoder.get_submodule("backbone")
