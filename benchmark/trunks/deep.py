"""`DeepResNet`: mmdet's and mmseg's ResNet with depth 200, which they lack."""

from __future__ import annotations

from typing import Any

import mmdet.models.backbones
import mmdet.registry
import mmseg.models.backbones
import mmseg.registry


def deepened(resnet: Any) -> dict[int, Any]:
    """Return the settings of an mm* ResNet's depths with depth 200 among them."""
    return {**resnet.arch_settings, 200: (resnet.arch_settings[152][0], (3, 24, 36, 3))}


for _package in (mmdet, mmseg):
    _plain = _package.models.backbones.ResNet
    _deep = type("DeepResNet", (_plain,), {"arch_settings": deepened(_plain)})
    _package.registry.MODELS.register_module(module=_deep)
