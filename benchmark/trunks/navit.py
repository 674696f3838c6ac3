"""A NaViT as an mm* backbone: a dense batch is packed, a whole image a sequence, as pretraining packs its views."""

from __future__ import annotations

from collections.abc import Sequence

import mmengine.registry
import torch
from mmengine.model import BaseModule
from torch import Tensor

from benchmark.trunks.stretch import stretched
from pretrain.backbones.navit import NaViT


@mmengine.registry.MODELS.register_module()
class PackedNaViT(BaseModule):
    """The encoder that pretraining trains, on images of any size; those that patches do not cover are stretched.

    Args:
        arch: One of `benchmark.backbones.navit.ARCHS`.
        out_indices: Which of the four maps.
    """

    def __init__(self, arch: str, out_indices: Sequence[int]) -> None:
        super().__init__()
        self.encoder = NaViT(arch)
        self.out_indices = tuple(out_indices)

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """Return maps (B, D, h, w) that cover the (B, 3, H, W) images exactly.

        Raises:
            DensebenchError: A side is longer than there are position embeddings for.
        """
        patch = self.encoder.patch
        images = stretched(images, patch)
        height, width = self.encoder.grid(images)
        patches = images.reshape(len(images), 3, height, patch, width, patch)
        row = torch.arange(height, device=images.device).repeat_interleave(width)
        column = torch.arange(width, device=images.device).repeat(height)
        quarters = self.encoder.quarters(patches.transpose(2, 3).flatten(3), None, row[None], column[None])
        maps = [tokens.transpose(1, 2).reshape(len(images), -1, height, width) for tokens in quarters]
        return tuple(maps[index] for index in self.out_indices)
