"""Networks on views of several sizes (SwAV, arXiv 2006.09882, Section 3.3; DINO, arXiv 2104.14294)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import groupby

import torch
from torch import Tensor

from pretrain.backbones import Backbone
from pretrain.backbones.vit import ViT
from pretrain.errors import UsageError
from pretrain.modules.heads import Headed, PrototypeHead


def each_size(encode: Callable[[Tensor], Tensor], images: Sequence[Tensor]) -> list[Tensor]:
    """Encode views one after the other, neighbours of one size together.

    Args:
        encode: Maps a tensor to one with the same first dimension.
        images: One tensor a view: images (B, 3, H, W), or what was made of them.

    Returns:
        The views' outputs, in their order.
    """
    found: list[Tensor] = []
    for _, neighbours in groupby(images, key=lambda image: image.shape):
        views = list(neighbours)
        found += encode(torch.cat(views)).chunk(len(views))
    return found


def transformer(backbone: Backbone, method: str) -> ViT:
    """Return the backbone, which must be a ViT.

    Raises:
        UsageError: It is none.
    """
    if not isinstance(backbone, ViT):
        found = f"{method} works on the tokens of a ViT; {backbone.layout.arch} has none."
        raise UsageError(found, "Choose an --arch such as vit_small_patch16.")
    return backbone


def embed(backbone: Backbone, images: Tensor) -> Tensor:
    """Return one vector an image, (B, C): a ViT's class token, or the mean of the last map."""
    if isinstance(backbone, ViT):
        return backbone.tokens(images)[:, 0]
    features: Tensor = backbone(images)
    return features.mean(dim=(2, 3))


class MultiCropEncoder(Headed):
    """A backbone and the head on its vectors, for views of several sizes."""

    head: PrototypeHead

    def forward(self, images: Sequence[Tensor]) -> list[Tensor]:
        """Return the head's output for every view, (B, K) each."""
        embedding = torch.cat(each_size(lambda views: embed(self.backbone, views), images))
        return list(self.head(embedding).chunk(len(images)))
