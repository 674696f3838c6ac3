"""Networks of transformers: class, configuration, the architecture and the traits that are found."""

from __future__ import annotations

from typing import Any

TINY = {"hidden_size": 192, "num_attention_heads": 3, "num_hidden_layers": 12}
VIT = {**TINY, "intermediate_size": 768, "image_size": 96}
DINOV2 = {**TINY, "image_size": 112, "patch_size": 14}
BASIC = {"depths": [2, 2, 2, 2], "hidden_sizes": [64, 128, 256, 512], "layer_type": "basic"}
MODELS: dict[str, tuple[str, str, dict[str, Any], str, dict[str, Any]]] = {  # class, configuration, what is found
    "resnet": ("ResNetModel", "ResNetConfig", {}, "resnet50", {}),
    "resnet with a classifier": ("ResNetForImageClassification", "ResNetConfig", BASIC, "resnet18", {}),
    "ViT with a pooler": ("ViTModel", "ViTConfig", VIT, "vit_tiny_patch16", {"eps": 1e-12}),
    "ViT with a classifier": (
        "ViTForImageClassification",
        "ViTConfig",
        {**VIT, "layer_norm_eps": 1e-6},
        "vit_tiny_patch16",
        {},
    ),
    "SimMIM": ("ViTForMaskedImageModeling", "ViTConfig", VIT, "vit_tiny_patch16", {"eps": 1e-12}),
    "MAE's encoder": ("ViTMAEModel", "ViTMAEConfig", VIT, "vit_tiny_patch16", {"eps": 1e-12}),
    "MAE": (
        "ViTMAEForPreTraining",
        "ViTMAEConfig",
        {**VIT, "decoder_num_hidden_layers": 1},
        "vit_tiny_patch16",
        {"eps": 1e-12},
    ),
    "DINOv2": ("Dinov2Model", "Dinov2Config", DINOV2, "vit_tiny_patch14", {"layer_scale": True}),
    "DINOv2 with a classifier": (
        "Dinov2ForImageClassification",
        "Dinov2Config",
        DINOV2,
        "vit_tiny_patch14",
        {"layer_scale": True},
    ),
    "DINOv2 with registers": (
        "Dinov2WithRegistersModel",
        "Dinov2WithRegistersConfig",
        DINOV2,
        "vit_tiny_patch14",
        {"layer_scale": True, "registers": 4},
    ),
    "ConvNeXt": ("ConvNextModel", "ConvNextConfig", {}, "convnext_tiny", {"final_eps": 1e-12}),
    "ConvNeXt with a classifier": (
        "ConvNextForImageClassification",
        "ConvNextConfig",
        {},
        "convnext_tiny",
        {"final_eps": 1e-12},
    ),
}
