"""Checkpoints to export, and where to."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from torch import Tensor

from pretrain import checkpoint

Make = Callable[[str], dict[str, Tensor]]
OUT = {"timm": "out.safetensors", "torchvision": "out.pth", "detectron2": "out.pkl", "hf-safetensors": "folder"}
MEAN, STD = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)


def ours(folder: Path, make: Make, arch: str = "resnet18", **inputs: Any) -> tuple[Path, dict[str, Tensor]]:
    """One of our own checkpoints; `inputs` is its mean, std and channel_order."""
    trunk = {name: tensor for name, tensor in make(arch).items() if not name.startswith("fc.")}
    meta = checkpoint.Meta(arch, "densecl", "scenes", "x", 3.0, 5, **{"mean": MEAN, "std": STD, **inputs})
    checkpoint.save(folder / "ours.safetensors", trunk, meta)
    return folder / "ours.safetensors", trunk


def by_transformers(folder: Path, **options: Any) -> Any:
    """What AutoModel makes of a folder; it finds every tensor it has, and no other."""
    import transformers

    network, told = transformers.AutoModel.from_pretrained(
        folder, local_files_only=True, output_loading_info=True, **options
    )
    assert not any(told.values()), told
    return network.eval()
