"""Colours of whole batches on the training device, for machines whose processors cannot keep its accelerator busy.

The workers then only decode, crop and mirror; what `pretrain.views.colour` does to one image after the other is done
here to a batch, in float32 and not in whole levels: views differ from the workers' by about a level of 255.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import is_dataclass, replace
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from pretrain.errors import UsageError
from pretrain.method import Augment, Views
from pretrain.views.normalise import MEAN, STD
from pretrain.views.patch_grid import PatchViews
from pretrain.views.sample import RandomViews

_LUMA = (0.299, 0.587, 0.114)
_LARGEST = 255.0


def uncoloured(augment: Augment) -> Augment:
    """Return an augmentation whose views are neither recoloured nor normalised yet, but say how they shall be.

    Raises:
        UsageError: Its views are cut into patches, which must be coloured before.
    """
    if isinstance(augment, RandomViews):
        return replace(augment, colours_later=True)
    inner = getattr(augment, "views", None)
    if isinstance(augment, PatchViews) or not is_dataclass(augment) or not isinstance(inner, RandomViews):
        raise UsageError(
            "The views of this method are cut into patches and cannot be coloured on the device.",
            "Leave device_colours=False.",
        )
    changed: Any = replace(augment, views=uncoloured(inner))  # type: ignore[type-var]
    return changed  # type: ignore[no-any-return]


def coloured(views: Views) -> Views:
    """Recolour and normalise a batch of views on the device where it lies; one that is coloured stays as it is."""
    if views.colours is None:
        return views
    images = [recolour(*pair) for pair in zip(views.images, views.colours, strict=True)]
    return replace(views, images=images, colours=None)


@torch.no_grad()
def recolour(images: Tensor, colours: Tensor) -> Tensor:
    """Recolour and normalise images, each in its own way.

    Args:
        images: uint8, (B, 3, H, W).
        colours: What `Colours.encoded` returns, (B, 11).

    Returns:
        (B, 3, H, W), float32, channels last.
    """
    with torch.autocast(images.device.type, enabled=False):
        levels = images.float()
        for place in range(4):
            for kind, adjust in enumerate(_ADJUSTMENTS):
                levels = _where(colours[:, place] == kind, levels, colours[:, 4 + place], adjust)
        levels = _where(colours[:, 8] > 0, levels, colours[:, 8], lambda some, _: _grey(some).expand_as(some))
        levels = _where(colours[:, 9] > 0, levels, colours[:, 9], _blur)
        levels = _where(colours[:, 10] > 0, levels, colours[:, 10], _solarise)
        mean, std = (levels.new_tensor(values).view(1, 3, 1, 1) for values in (MEAN, STD))
        return ((levels - mean) / std).contiguous(memory_format=torch.channels_last)


def _where(chosen: Tensor, levels: Tensor, amounts: Tensor, change: Callable[[Tensor, Tensor], Tensor]) -> Tensor:
    """Change the chosen images (B,) by their amounts."""
    rows = chosen.nonzero().flatten()
    if len(rows) == 0:
        return levels
    return levels.index_copy(0, rows, change(levels[rows], amounts[rows].view(-1, 1, 1, 1)))


def _grey(levels: Tensor) -> Tensor:
    """Return the luma, (B, 1, H, W)."""
    return torch.einsum("bchw,c->bhw", levels, levels.new_tensor(_LUMA)).unsqueeze(1)


def _brightness(levels: Tensor, factor: Tensor) -> Tensor:
    return (levels * factor).clamp_(0, _LARGEST)


def _contrast(levels: Tensor, factor: Tensor) -> Tensor:
    return _blend(levels, _grey(levels).mean(dim=(2, 3), keepdim=True), factor)


def _saturation(levels: Tensor, factor: Tensor) -> Tensor:
    return _blend(levels, _grey(levels), factor)


def _blend(levels: Tensor, other: Tensor, factor: Tensor) -> Tensor:
    return (levels * factor + other * (1 - factor)).clamp_(0, _LARGEST)


def _hue(levels: Tensor, shift: Tensor) -> Tensor:
    """Turn the hue in HSV: a colour is value x (1 - saturation x how far the hue is from a channel's sector)."""
    value, brightest = levels.max(dim=1, keepdim=True)
    chroma = value - levels.min(dim=1, keepdim=True).values
    red, green, blue = levels.chunk(3, dim=1)
    sectors = torch.cat([green - blue, blue - red, red - green], dim=1) / chroma.clamp(min=1e-6)  # (B, 3, H, W)
    hue = sectors.gather(1, brightest) + 2 * brightest + 6 * shift  # in sixths of the circle
    place = (levels.new_tensor((5, 3, 1)).view(1, 3, 1, 1) + hue) % 6
    return value - chroma * torch.minimum(place, 4 - place).clamp(0, 1)


_ADJUSTMENTS = (_brightness, _contrast, _saturation, _hue)


def _blur(levels: Tensor, sigma: Tensor) -> Tensor:
    """Blur with Gaussians that are cut off at three standard deviations, as OpenCV's are for uint8."""
    count, channels, height, width = levels.shape
    radius = min(math.ceil(3 * sigma.max().item()), height - 1, width - 1)
    distance = torch.arange(-radius, radius + 1, device=levels.device, dtype=levels.dtype).abs()
    sigma = sigma.view(-1, 1)
    kernels = torch.exp(-0.5 * (distance / sigma) ** 2) * (distance <= torch.round(3 * sigma).clamp(min=1))
    kernels = (kernels / kernels.sum(dim=1, keepdim=True)).repeat_interleave(channels, dim=0)  # (B C, 2 r + 1)
    flat = F.pad(levels.reshape(1, count * channels, height, width), (radius,) * 4, mode="reflect")
    flat = F.conv2d(flat, kernels[:, None, :, None], groups=count * channels)
    flat = F.conv2d(flat, kernels[:, None, None, :], groups=count * channels)
    return flat.view_as(levels)


def _solarise(levels: Tensor, _: Tensor) -> Tensor:
    return torch.where(levels < 128, levels, _LARGEST - levels)
