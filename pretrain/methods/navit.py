"""NaViT (Dehghani et al. 2023, arXiv 2307.06304) pretrained by two-view InfoNCE.

# NOTE: NaViT is an encoder and a way to train one on packed sequences; the paper trains it with labels (JFT-4B) or
texts (WebLI). Here it learns from images alone: two views, each at its own resolution and aspect ratio, some patches
dropped, all packed, and SimCLR's projector with batch norm and NT-Xent (arXiv 2002.05709) between the two.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pretrain.backbones import Backbone
from pretrain.backbones.navit import NaViT
from pretrain.errors import UsageError
from pretrain.losses.nt_xent import nt_xent
from pretrain.method import Augment, Collate, Method, Paper, Views
from pretrain.modules.distributed import gather_views, places
from pretrain.modules.heads import perceptron
from pretrain.modules.pooling import AttentionPooling, mean_of_each
from pretrain.modules.positions import xavier
from pretrain.recipe import Recipe, for_scenes
from pretrain.views.pack import NativeViews, PackedViews, pack
from pretrain.views.sample import View


class NaViTContrast(Method):
    """Find each view's other view among those of the batch, whatever their sizes are.

    Args:
        backbone: A NaViT.
        dimension: Width of the projection.
        hidden: Width of the projector's hidden layer.
        temperature: tau.
        sequence_length: L, the patches a sequence has room for.
        image_size: The largest resolution, the root of a view's area, in pixels.
        smallest_size: The smallest.
        biased: Favour small resolutions (Figure 7); else they are uniform.
        token_drop: u, the mean share of the patches that is dropped.
        token_drop_varies: Draw the share for each view from a Beta distribution; else it is constant.
        crop_scale: Bounds of a crop's share of the image's area.
    """

    paper = Paper("Dehghani et al.", 2023, "2307.06304")
    cost = "student 2 views of any size, half of their patches"
    families = ("navit",)
    norms_across_ranks = True
    recipes: ClassVar[Mapping[str, Recipe]] = {"scenes": for_scenes(2000, lr=3e-4, image_size=128, hidden=512)}

    def __init__(
        self,
        backbone: Backbone,
        *,
        dimension: int = 128,
        hidden: int = 2048,
        temperature: float = 0.1,
        sequence_length: int = 256,
        image_size: int = 256,
        smallest_size: int = 64,
        biased: bool = True,
        token_drop: float = 0.5,
        token_drop_varies: bool = True,
        crop_scale: tuple[float, float] = (0.2, 1.0),
    ) -> None:
        super().__init__()
        if not isinstance(backbone, NaViT):
            found = f"navit trains a NaViT; {backbone.layout.arch} is none."
            raise UsageError(found, "Choose an --arch such as navit_small_patch16.")
        most = int((image_size / backbone.patch) ** 2)  # of any aspect ratio
        if most > sequence_length:
            found = f"A view as large as {image_size} x {image_size} pixels can have {most} patches;"
            wanted = f"a sequence has room for {sequence_length}."
            raise UsageError(f"{found} {wanted}", "Set sequence_length higher, or image_size lower.")
        if not 0 <= token_drop < 1 or smallest_size > image_size:
            raise UsageError("token_drop should be from 0 to below 1, and smallest_size at most image_size.")
        width = backbone.layout.channels[-1]
        # NOTE: drawn as MAE and DropPos draw theirs: with timm's deviation of 0.02 the blocks of a narrow network add
        # little to the patches at first, and the loss stays near log(2B - 1), as for an encoder of equal outputs.
        xavier(backbone)
        self.backbone = backbone
        self.pooling = AttentionPooling(width, width // 64)
        self.projector = perceptron(width, hidden, dimension, norm=True)
        self.temperature = temperature
        self.sequence_length = sequence_length
        view = View(image_size, crop_scale, jitter=(0.8, 0.8, 0.8, 0.2))
        self.augment = NativeViews(view, smallest_size, biased, backbone.patch, token_drop, token_drop_varies)

    def views(self) -> Augment:
        """Return two views as patches, each at its own resolution."""
        return self.augment

    def collate(self) -> Collate:
        """Return what packs the samples' views into sequences."""
        return partial(pack, room=self.sequence_length)

    def loss(self, views: Views) -> dict[str, Tensor]:
        """Return NT-Xent over the global batch, and how full the sequences are."""
        assert isinstance(views, PackedViews)
        count = len(views.index)
        tokens = self.backbone.encode(views.images[0], views.owner, views.row, views.column)  # (S, L, D)
        projection = self.projector(self.pooling(tokens, views.owner, 2 * count))
        z = F.normalize(projection.float(), dim=1).view(2, count, -1)
        loss = nt_xent(z, gather_views(z), places(count, z.device), self.temperature)
        return {"loss": loss, "filled": (views.owner >= 0).float().mean()}

    @torch.no_grad()
    def features(self, views: Views) -> Tensor:
        """Return the mean token of every view, (2 B, D)."""
        assert isinstance(views, PackedViews)
        tokens = self.backbone.encode(views.images[0], views.owner, views.row, views.column)
        return mean_of_each(tokens, views.owner, 2 * len(views.index))

    def export(self) -> nn.Module:
        """Return the encoder."""
        return self.backbone
