"""MMPreTrain's own models, saved as it saves them, are read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from benchmark import convert
from benchmark.quiet import quiet


@pytest.mark.parametrize("kind", ["MoCo", "BYOL", "SimCLR", "DenseCL"])
def test_mmpretrains_own_models_are_read(tmp_path: Path, kind: str) -> None:
    """The names come from mmpretrain itself."""
    with quiet():
        from mmpretrain.models import build_backbone  # noqa: F401 (registers)
        from mmpretrain.registry import MODELS

    backbone = {"type": "ResNet", "depth": 18, "norm_cfg": {"type": "BN"}}
    neck: dict[str, Any] = {"type": "MoCoV2Neck", "in_channels": 512, "hid_channels": 8, "out_channels": 8}
    head: dict[str, Any] = {"type": "ContrastiveHead", "loss": {"type": "CrossEntropyLoss"}}
    extra: dict[str, Any] = {"queue_len": 16, "feat_dim": 8} if kind == "MoCo" else {}
    if kind == "DenseCL":
        neck = {"type": "DenseCLNeck", "in_channels": 512, "hid_channels": 8, "out_channels": 8, "num_grid": None}
        extra = {"queue_len": 16, "feat_dim": 8}
    if kind == "BYOL":
        linear = {"type": "NonLinearNeck", "in_channels": 512, "hid_channels": 8, "out_channels": 8, "num_layers": 2}
        predictor = {**linear, "in_channels": 8, "with_avg_pool": False}
        neck = {**linear, "with_avg_pool": True}
        head = {"type": "LatentPredictHead", "loss": {"type": "CosineSimilarityLoss"}, "predictor": predictor}
    parts = {"backbone": backbone, "neck": neck, "head": head, **extra}
    model = MODELS.build({"type": kind, **parts, "_scope_": "mmpretrain"})
    for name, tensor in model.state_dict().items():
        if tensor.is_floating_point() and tensor.dim() == 1:
            tensor.uniform_(0.5, 1.5)
        elif "module." in name and tensor.dim() == 4:
            tensor.mul_(1.1)
    torch.save({"meta": {"epoch": 1}, "state_dict": model.state_dict()}, tmp_path / "epoch_1.pth")
    found = convert.require(convert.convert(tmp_path / "epoch_1.pth"))
    assert found.certificate.format == "mmselfsup"
    name = "layer4.1.conv2.weight"
    assert torch.equal(found.state[name], model.state_dict()[f"backbone.{name}"])
    if kind != "SimCLR":
        teacher, prefix = ("target", "target_net") if kind == "BYOL" else ("key", "encoder_k")
        found = convert.require(convert.convert(tmp_path / "epoch_1.pth", trunk=teacher))
        assert torch.equal(found.state[name], model.state_dict()[f"{prefix}.module.0.{name}"])
