"""ReSim: contrast whole images and the regions that both views show (Xiao et al. 2021, arXiv 2103.12902)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pretrain.backbones import Backbone
from pretrain.errors import UsageError
from pretrain.losses.info_nce import info_nce
from pretrain.losses.region_similarity import region_info_nce
from pretrain.method import Augment, Method, Paper, Views
from pretrain.modules.distributed import gather, world
from pretrain.modules.heads import GlobalHead, Headed
from pretrain.modules.momentum_contrast import MomentumContrast
from pretrain.modules.pyramid import Pyramid, Straight
from pretrain.modules.regions import window_pooling
from pretrain.recipe import Recipe, for_scenes
from pretrain.views.geometry import carry_windows, sliding_windows
from pretrain.views.sample import RandomViews, View

IMAGENET = Recipe(
    source="arXiv 2103.12902; Tete-Xiao/ReSim README.md, main_moco.py", epochs=200, batch_size=256, lr=0.03
)


class ReSim(Method):
    """Slide windows over the overlap of two views, and contrast each with its region in the other view.

    Args:
        backbone: The query encoder's backbone.
        levels: The maps on which regions are contrasted: "c4" and "c3" are ReSim-FPN, ("c4",) alone with
            pyramid=False is ReSim-C4.
        pyramid: Take the maps from a feature pyramid; else each straight from the backbone.
        c4_window: Side and stride of the windows on C4, in pixels of a view of 224; others scale with their size.
        c3_window: Likewise on C3.
        gathered: The levels whose negatives come from the batches of all processes; others' come from this one's alone,
            or from the images of a batch norm group, which stands for a process.
        region_weight: Weight of each level's loss beside that of the whole images.
        region_dimension: Width of the regions' features.
        dimension: Width of the whole images' projection.
        hidden: Width of its hidden layer; None takes the backbone's channels.
        queue_size: Negative keys of whole images, K.
        temperature: tau.
        ema_momentum: The teacher's momentum m.
        batch_norm_groups: See `MomentumContrast`.
        image_size: Side of the views in pixels.
        crop_scale: Bounds of a crop's share of the image's area.
    """

    paper = Paper("Xiao et al.", 2021, "2103.12902")
    cost = "student 1 view, teacher 1"
    families = ("resnet", "regnet", "convnext")  # C3 and C4 are maps of two strides
    recipes: ClassVar[Mapping[str, Recipe]] = {
        "imagenet-200e": IMAGENET,
        "imagenet-400e": replace(IMAGENET, epochs=400),
        "imagenet-c4-200e": replace(IMAGENET, method={"levels": ("c4",), "pyramid": False}),
        # Few batches in the queue and half the rate, as in MoCo v2.
        "scenes": for_scenes(220, lr=3e-4, image_size=96, queue_size=512, ema_momentum=0.99),
    }

    def __init__(
        self,
        backbone: Backbone,
        *,
        levels: tuple[str, ...] = ("c4", "c3"),
        pyramid: bool = True,
        c4_window: tuple[int, int] = (48, 32),
        c3_window: tuple[int, int] = (32, 24),
        gathered: tuple[str, ...] = ("c4",),
        region_weight: float = 1.0,
        region_dimension: int = 256,
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
        windows = {"c4": sliding_windows(*c4_window), "c3": sliding_windows(*c3_window)}
        if not levels or not set(levels) <= set(windows):
            raise UsageError(f"levels={levels} should be a choice of 'c4' and 'c3', such as ('c4', 'c3').")
        self.levels = levels
        self.windows = {level: windows[level] for level in levels}
        self.gathered = gathered
        channels = backbone.layout.channels
        head = GlobalHead(channels[-1], hidden or channels[-1], dimension)
        path = Pyramid if pyramid else Straight
        encoder = _Encoder(backbone, head, path(channels, region_dimension, levels))
        self.contrast = MomentumContrast(encoder, dimension, queue_size, ema_momentum, batch_norm_groups)
        self.region_weight = region_weight
        self.temperature = temperature
        # NOTE: the released code blurs before it jitters and turns grey; here, as in MoCo v2, blur comes last.
        view = View(image_size, crop_scale)
        self.augment = RandomViews((view, view), same_flip=True)

    def views(self) -> Augment:
        """Return MoCo v2's two views, both mirrored or none."""
        return self.augment

    def before_step(self, progress: float) -> None:
        """Let the teacher follow (Eq. 2 of MoCo)."""
        self.contrast.follow()

    def loss(self, views: Views) -> dict[str, Tensor]:
        """Return the whole images' InfoNCE plus the regions' at every level, and the terms."""
        (query, *query_maps), (key, *key_maps), negatives = self.contrast(*views.images)
        whole = info_nce(query, key, negatives, self.temperature)
        terms = {
            level: self._contrast(level, query_map, key_map, views)
            for level, query_map, key_map in zip(self.levels, query_maps, key_maps, strict=True)
        }
        loss = whole + self.region_weight * torch.stack(list(terms.values())).sum()
        logged = {"loss_global": whole.detach(), **{f"loss_{level}": term.detach() for level, term in terms.items()}}
        return {"loss": loss, **logged}

    def export(self) -> nn.Module:
        """Return the query encoder's backbone."""
        return self.contrast.export()

    def _contrast(self, level: str, query_map: Tensor, key_map: Tensor, views: Views) -> Tensor:
        """Contrast the windows of one level; the maps are (B, D, h, w)."""
        box, other_box = views.boxes
        windows = self.windows[level].to(box)
        there = carry_windows(windows, box, views.flips[0], other_box, views.flips[1])  # (B, K, 4)
        overlaps = ((there > -1e-6) & (there < 1 + 1e-6)).all(dim=2).flatten()
        query = window_pooling(query_map, windows.expand(len(box), -1, -1)).flatten(0, 1)  # (B K, D)
        key = window_pooling(key_map, there.clamp(0, 1)).flatten(0, 1)
        # NOTE: as the released code's: negatives are the 3 x 3 neighbourhoods of the teacher's maps, and those of C3
        # come from this process (there a GPU of eight) alone.
        places = F.avg_pool2d(key_map.float(), kernel_size=min(3, *key_map.shape[2:]), stride=1)
        negatives = F.normalize(places.permute(0, 2, 3, 1).flatten(0, 2), dim=1)
        # The mean over the global batch's windows, when the processes' losses are averaged.
        count = gather(overlaps.sum()[None].float()).sum().clamp_min(1) / world()[1]
        parts = 1 if level in self.gathered else self.contrast.batch_norm_groups
        negatives = gather(negatives) if level in self.gathered else negatives
        columns = F.normalize(query, dim=1), F.normalize(key, dim=1), overlaps, negatives
        grouped = zip(*(column.chunk(parts) for column in columns), strict=True)
        losses = [region_info_nce(q, k, inside, others, self.temperature, count) for q, k, inside, others in grouped]
        return torch.stack(losses).sum()


class _Encoder(Headed):
    """Backbone, global head and the regions' maps; student and teacher are one each."""

    def __init__(self, backbone: Backbone, head: GlobalHead, path: nn.Module) -> None:
        super().__init__(backbone, head)
        self.path = path

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """Return the L2-normalised projection (B, D), and one map a level, not normalised."""
        stages = self.backbone.stages(images)
        return F.normalize(self.head(stages[-1]).float(), dim=1), *self.path(stages)
