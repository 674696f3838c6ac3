"""The networks that plain names belong to, as their libraries build them: what a conversion is held against.

Each is loaded strictly with every tensor that a file has for it, its classifier's among them, and runs to four maps.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, cast

import torch
from torch import Tensor, nn

from benchmark import backbones
from benchmark.backbones.vit import shape_of
from benchmark.intake.torchvision import NAMES
from benchmark.maps import outputs_of, own_maps
from benchmark.networks import filled
from pretrain.backbones import build
from pretrain.backbones.vit import quarters, resize_positions

STAGES = ("layer1", "layer2", "layer3", "layer4")


def network(library: str, arch: str, tensors: Mapping[str, Tensor]) -> nn.Module:
    """Build a library's network in eval mode with these tensors.

    Args:
        library: One of the family's `LANDMARKS`; a ResNet that torchvision lacks is taken from timm or is our own.
        arch: A name of `benchmark.backbones.names()`.
        tensors: The network's, its classifier's among them, under the library's names without prefix.

    Raises:
        RuntimeError: A tensor is missing, left over, or of another shape.
    """
    make, _ = _NETWORKS[backbones.family(arch).name, library]
    return filled(lambda: make(arch, tensors), tensors)


def stage_maps(library: str, arch: str, network: nn.Module, images: Tensor) -> list[Tensor]:
    """Run a library's network on images (B, 3, H, W) and return the four stages' maps, finest first."""
    _, run = _NETWORKS[backbones.family(arch).name, library]
    return run(network, images)


def _classes(tensors: Mapping[str, Tensor], name: str) -> int:
    return tensors[name].shape[0] if name in tensors else 0


def _timm_resnet(arch: str, tensors: Mapping[str, Tensor]) -> nn.Module:
    import timm

    classes = _classes(tensors, "fc.weight")
    if "x" in arch:  # wide as SimCLR's and BYOL's are: no library has them
        wide: nn.Module = build(arch, seed=0)
        if classes:
            wide.fc = nn.Linear(tensors["fc.weight"].shape[1], classes)
        return wide
    model: nn.Module = timm.create_model(arch, pretrained=False, num_classes=classes)
    return model


def _torchvision_resnet(arch: str, tensors: Mapping[str, Tensor]) -> nn.Module:
    import torchvision

    if arch not in torchvision.models.list_models():
        return _timm_resnet(arch, tensors)
    model: nn.Module = torchvision.models.get_model(arch, weights=None)
    head = tensors.get("fc.weight")
    model.fc = nn.Identity() if head is None else nn.Linear(head.shape[-1], head.shape[0])
    return model


def _vit_arguments(arch: str, positions: Tensor) -> dict[str, int]:
    width, depth, heads, patch = shape_of(arch)
    side = math.isqrt(positions.shape[1] - 1)
    return {"width": width, "depth": depth, "heads": heads, "patch": patch, "image": side * patch}


def _timm_vit(arch: str, tensors: Mapping[str, Tensor]) -> nn.Module:
    from timm.models.vision_transformer import VisionTransformer

    has = _vit_arguments(arch, tensors["pos_embed"])
    model: nn.Module = VisionTransformer(
        img_size=has["image"],
        patch_size=has["patch"],
        embed_dim=has["width"],
        depth=has["depth"],
        num_heads=has["heads"],
        num_classes=_classes(tensors, "head.weight"),
        init_values=1.0 if "blocks.0.ls1.gamma" in tensors else None,
    )
    if "reg_token" in tensors:  # timm's own registers want other position embeddings than DINOv2's files have
        model.reg_token = nn.Parameter(torch.zeros_like(tensors["reg_token"]))
    return model


def _timm_vit_maps(network: Any, images: Tensor) -> list[Tensor]:
    """Run timm's modules; the position embeddings are interpolated by our method (timm's own smooths)."""
    x = network.patch_embed.proj(images)  # (B, D, h, w)
    grid = x.shape[-2:]
    positions = resize_positions(network.pos_embed, network.patch_embed.grid_size, tuple(grid))
    x = torch.cat([network.cls_token.expand(len(x), -1, -1), x.flatten(2).transpose(1, 2)], dim=1) + positions
    if network.reg_token is not None:
        x = torch.cat([x, network.reg_token.expand(len(x), -1, -1)], dim=1)
    return quarters(x, network.blocks, network.norm, grid)


def _torchvision_vit(arch: str, tensors: Mapping[str, Tensor]) -> nn.Module:
    from torchvision.models import VisionTransformer

    has = _vit_arguments(arch, tensors["encoder.pos_embedding"])
    model: nn.Module = VisionTransformer(
        image_size=has["image"],
        patch_size=has["patch"],
        num_layers=has["depth"],
        num_heads=has["heads"],
        hidden_dim=has["width"],
        mlp_dim=4 * has["width"],
        num_classes=_classes(tensors, "heads.head.weight") or 1000,
    )
    if "heads.head.weight" not in tensors:
        model.heads = nn.Identity()
    return model


def _torchvision_vit_maps(network: Any, images: Tensor) -> list[Tensor]:
    """Run torchvision's modules; the position embeddings are interpolated by our method (torchvision has none)."""
    x = network.conv_proj(images)  # (B, D, h, w)
    grid = x.shape[-2:]
    side = network.image_size // network.patch_size
    positions = resize_positions(network.encoder.pos_embedding, (side, side), tuple(grid))
    x = torch.cat([network.class_token.expand(len(x), -1, -1), x.flatten(2).transpose(1, 2)], dim=1)
    return quarters(x + positions, network.encoder.layers, network.encoder.ln, grid)


def _timm_convnext(arch: str, tensors: Mapping[str, Tensor]) -> nn.Module:
    import timm

    scaled = any(name.endswith(".gamma") for name in tensors)
    build_convnext: Any = timm.model_entrypoint(arch)  # `create_model` would leave a None out
    classes = _classes(tensors, "head.fc.weight")
    model: nn.Module = build_convnext(num_classes=classes, ls_init_value=1.0 if scaled else None)
    return model


def _timm_convnext_maps(network: Any, images: Tensor) -> list[Tensor]:
    *maps, last = outputs_of("stages.0", "stages.1", "stages.2", "stages.3")(network, images)
    return [*maps, network.head.norm(last)]


def _torchvision_convnext(arch: str, tensors: Mapping[str, Tensor]) -> nn.Module:
    import torchvision

    classes = _classes(tensors, "classifier.2.weight")
    model: Any = torchvision.models.get_model(arch, weights=None, num_classes=classes or 1000)
    if not classes:
        model.classifier = model.classifier[:1]
    return cast(nn.Module, model)


def _torchvision_convnext_maps(network: Any, images: Tensor) -> list[Tensor]:
    *maps, last = outputs_of("features.1", "features.3", "features.5", "features.7")(network, images)
    return [*maps, network.classifier[0](last)]


def _timm_regnet(arch: str, tensors: Mapping[str, Tensor]) -> nn.Module:
    import timm

    model: nn.Module = timm.create_model(arch, pretrained=False, num_classes=_classes(tensors, "head.fc.weight"))
    return model


def _torchvision_regnet(arch: str, tensors: Mapping[str, Tensor]) -> nn.Module:
    import torchvision

    if arch not in NAMES:
        raise RuntimeError(f"torchvision has no {arch} of its own.")
    classes = _classes(tensors, "fc.weight")
    model: nn.Module = torchvision.models.get_model(NAMES[arch], weights=None, num_classes=classes or 1)
    if not classes:
        model.fc = nn.Identity()
    return model


def _vissl_regnet(arch: str, tensors: Mapping[str, Tensor]) -> nn.Module:
    from benchmark.classy_network import ClassyRegNet

    try:
        return ClassyRegNet(tensors)
    except KeyError as error:  # names of two libraries, mixed
        raise RuntimeError(f"a block under VISSL's names lacks {error}.") from error


def _own(arch: str, tensors: Mapping[str, Tensor]) -> nn.Module:
    return build(arch, seed=0)


_Make = Callable[[str, Mapping[str, Tensor]], nn.Module]
_Run = Callable[[nn.Module, Tensor], list[Tensor]]
_NETWORKS: dict[tuple[str, str], tuple[_Make, _Run]] = {  # by family and library
    ("resnet", "timm"): (_timm_resnet, outputs_of(*STAGES)),
    ("resnet", "torchvision"): (_torchvision_resnet, outputs_of(*STAGES)),
    ("vit", "timm"): (_timm_vit, _timm_vit_maps),
    ("vit", "torchvision"): (_torchvision_vit, _torchvision_vit_maps),
    ("convnext", "timm"): (_timm_convnext, _timm_convnext_maps),
    ("convnext", "torchvision"): (_torchvision_convnext, _torchvision_convnext_maps),
    ("regnet", "timm"): (_timm_regnet, outputs_of("s1", "s2", "s3", "s4")),
    ("regnet", "torchvision"): (_torchvision_regnet, outputs_of(*(f"trunk_output.block{one}" for one in range(1, 5)))),
    ("regnet", "vissl"): (_vissl_regnet, outputs_of("res2", "res3", "res4", "res5")),
    ("navit", "densebench"): (_own, own_maps),
}
