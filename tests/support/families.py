"""Checkpoints of our own of several families, and what converting them says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from torch import Tensor

from benchmark import convert
from pretrain import checkpoint

State = dict[str, Tensor]
VIT, CONVNEXT, NAVIT = "vit_tiny_patch16", "convnext_tiny", "navit_tiny_patch16"


def saved(folder: Path, state: State, arch: str) -> Path:
    path = folder / "checkpoint.safetensors"
    checkpoint.save(path, state, checkpoint.Meta(arch, "dino", "r", "d", 1.0, 0, (1.0, 2.0, 3.0), (4.0, 5.0, 6.0)))
    return path


def certified(path: Path, to: Any = "mmseg") -> convert.Backbone:
    return convert.require(convert.convert(path, to=to))


def refused(path: Path, words: str) -> None:
    certificate = convert.convert(path, to="mmseg").certificate
    assert not certificate.ok and any(words in reason for reason in certificate.reasons), certificate.reasons
