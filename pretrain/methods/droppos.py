"""DropPos: find the dropped positions of visible patches again (Wang et al. 2023, arXiv 2309.03576)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from pretrain.backbones import Backbone
from pretrain.errors import UsageError, unknown
from pretrain.losses.positions import affinity, position_loss, smoothed, smoothed_as_released
from pretrain.method import Augment, Method, Paper, Views
from pretrain.modules.distributed import gather
from pretrain.modules.multi_crop import transformer
from pretrain.modules.positions import PositionDecoder, fix_positions, xavier
from pretrain.recipe import Recipe, adamw, for_scenes
from pretrain.views.patches import MaskedPatches
from pretrain.views.sample import RandomViews, colourless

SOURCE = "arXiv 2309.03576; Haochen-Wang409/DropPos PRETRAIN.md, main_pretrain.py"
COMMON: dict[str, Any] = {"betas": (0.9, 0.95), "clip_grad": 5.0, "clip_each": True}
TOKENS = ("learned", "zeros", "wrong")


class DropPos(Method):
    """Classify where each visible patch lies whose position embedding was dropped.

    Args:
        backbone: A ViT; its position embeddings become fixed sines and cosines.
        mask_ratio: gamma, the share of the patches that is hidden.
        position_mask_ratio: gamma_pos, the share of the visible patches whose position is dropped.
        position_token: What stands for a dropped position: one "learned" vector, "zeros", or the "wrong" position of
            a dropped patch drawn at random, in all images alike; it can be the true one.
        sigma: Width of the position smoothing in patches, at the first step; 0 for none.
        sigma_decay: Let sigma fall to 0 along the steps.
        smoothing_as_released: Smooth on the released code's grid, which is not that of the patches.
        attentive: Weigh patches by their similarity with the class token; else alike.
        attention_temperature: tau of these weights.
        decoder_width: The decoder's width.
        decoder_depth: Its blocks.
        decoder_heads: Its attention heads.
        image_size: Side of the view in pixels.
        crop_scale: Bounds of the crop's share of the image's area.
    """

    paper = Paper("Wang et al.", 2023, "2309.03576")
    cost = "student 1 view, a quarter of its patches, and all of them forward alone"
    families = ("vit",)
    recipes: ClassVar[Mapping[str, Recipe]] = {
        "imagenet-200e": adamw(f"{SOURCE}: ViT-B", 200, 2048, 1.5e-4, 0.05, **COMMON),
        "imagenet-800e": adamw(f"{SOURCE}: ViT-B", 800, 2048, 1.5e-4, 0.05, **COMMON),
        "imagenet-800e-large": adamw(f"{SOURCE}: ViT-L", 800, 2048, 1.5e-4, 0.05, **COMMON, warmup_epochs=40),
        "scenes": for_scenes(2000, image_size=128, decoder_width=256, decoder_heads=8),
    }

    def __init__(
        self,
        backbone: Backbone,
        *,
        mask_ratio: float = 0.75,
        position_mask_ratio: float = 0.75,
        position_token: str = "learned",
        sigma: float = 1.0,
        sigma_decay: bool = True,
        smoothing_as_released: bool = False,
        attentive: bool = True,
        attention_temperature: float = 0.1,
        decoder_width: int = 512,
        decoder_depth: int = 2,
        decoder_heads: int = 16,
        image_size: int = 224,
        crop_scale: tuple[float, float] = (0.2, 1.0),
    ) -> None:
        super().__init__()
        if position_token not in TOKENS:
            raise unknown("position_token", position_token, TOKENS)
        self.backbone = transformer(backbone, "droppos")
        patch, width = self.backbone.patch, backbone.layout.channels[-1]
        self.side = image_size // patch
        if int(self.side**2 * (1 - mask_ratio)) < 2 or not 0 < position_mask_ratio <= 1:
            raise UsageError("mask_ratio should leave 2 patches or more, and position_mask_ratio be in (0, 1].")
        if smoothing_as_released and self.side > patch:
            found = f"a view of {image_size} pixels has {self.side} x {self.side}."
            raise UsageError(
                f"The released code's smoothing has room for {patch} x {patch} patches; {found}",
                "Leave smoothing_as_released=False.",
            )
        self.decoder = PositionDecoder(width, decoder_width, decoder_depth, decoder_heads, self.side**2)
        xavier(self)
        fix_positions(self.backbone)
        nn.init.normal_(self.backbone.cls_token, std=0.02)
        self.token = nn.Parameter(0.02 * torch.randn(1, 1, width)) if position_token == "learned" else None
        self.position_token = position_token
        self.sigma = self.first_sigma = sigma
        self.sigma_decay = sigma_decay
        self.smoothing_as_released = smoothing_as_released
        self.attentive = attentive
        self.attention_temperature = attention_temperature
        views = RandomViews((colourless(image_size, crop_scale),))
        self.augment = MaskedPatches(views, patch, mask_ratio, position_mask_ratio)

    def views(self) -> Augment:
        """Return one view, cropped and mirrored, with its masks."""
        return self.augment

    def before_step(self, progress: float) -> None:
        """Let sigma decay.

        # NOTE: the released code does so once an epoch.
        """
        if self.sigma_decay:
            self.sigma = self.first_sigma * (1 - progress)

    def loss(self, views: Views) -> dict[str, Tensor]:
        """Return the weighted, smoothed cross-entropy of the dropped positions, and the share that was found."""
        assert views.masks is not None
        (images,), (masks,) = views.images, views.masks
        shown, told = masks.flatten(2).unbind(dim=1)  # (B, N) each
        index = shown.nonzero()[:, 1].view(len(images), -1)  # (B, V)
        dropped = ~told.gather(1, index)  # (B, V)
        logits = self.decoder(self._encode(images, index, dropped))  # (B, V, N)
        targets = self._targets().to(images.device)[index]
        weights = dropped.float()
        if self.attentive:
            with torch.no_grad():
                share = affinity(self.backbone.tokens(images), self.attention_temperature).gather(1, index)
            weights = weights * share / share.sum(dim=1, keepdim=True)
        loss = position_loss(logits, targets, weights)
        # over the weights of the global batch, so that ranks do together what one process does
        loss = loss * weights.sum() / gather(weights.sum()[None]).mean()
        found = (logits.argmax(dim=2) == index)[dropped].float().mean()
        return {"loss": loss, "accuracy": found}

    def export(self) -> nn.Module:
        """Return the encoder."""
        return self.backbone

    def _encode(self, images: Tensor, index: Tensor, dropped: Tensor) -> Tensor:
        """Encode the visible patches, (B, 1 + V, D) with the class token first."""
        patches = self.backbone.patches(images)  # (B, N, D)
        positions = self.backbone.positions(self.side, self.side)  # (1, 1 + N, D)
        at = index[:, :, None].expand(-1, -1, patches.shape[2])
        visible, true = patches.gather(1, at), positions[:, 1:].expand(len(images), -1, -1).gather(1, at)
        instead: Tensor
        if self.token is not None:
            instead = self.token
        elif self.position_token == "zeros":
            instead = torch.zeros_like(true)
        else:
            who = dropped.nonzero()[:, 1].view(len(images), -1)[:, :, None].expand(-1, -1, true.shape[2])
            other = torch.randperm(who.shape[1], device=who.device)
            instead = true.scatter(1, who, true.gather(1, who[:, other]))
        first = (self.backbone.cls_token + positions[:, :1]).expand(len(images), -1, -1)
        return self.backbone.encode(
            torch.cat([first, visible + torch.where(dropped[:, :, None], instead, true)], dim=1)
        )

    def _targets(self) -> Tensor:
        if self.smoothing_as_released:
            return smoothed_as_released(self.side**2, self.backbone.patch, self.sigma)
        return smoothed(self.side, self.side, self.sigma)
