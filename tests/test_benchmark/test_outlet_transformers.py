"""What is written for transformers: their own networks load it and compute the same."""

from __future__ import annotations

from pathlib import Path

import pytest
import safetensors.torch
import torch
from exports import by_transformers
from torch import Tensor

from benchmark import backbones as families
from benchmark import certify, convert
from benchmark.export import export
from pretrain import backbones
from pretrain.errors import DensebenchError


@torch.no_grad()
def drawn(arch: str, *, scaled: bool) -> dict[str, Tensor]:
    """Our names of a ViT or ConvNeXt with random numbers, with layer scales or without."""
    generator = torch.Generator().manual_seed(0)
    state = backbones.build(arch, 0).state_dict()
    if not scaled:
        state = {name: tensor for name, tensor in state.items() if not name.endswith("gamma")}
    elif arch.startswith("vit"):
        width = len(state["norm.bias"])
        state |= {f"blocks.{block}.ls{number}.gamma": torch.ones(width) for block in range(12) for number in (1, 2)}
    for name, tensor in state.items():
        if tensor.squeeze().dim() <= 1:
            tensor.uniform_(-0.5, 0.5, generator=generator).add_(0.0 if name.endswith(("bias", "token")) else 1.0)
        else:
            tensor.normal_(std=(2 / tensor[0].numel()) ** 0.5, generator=generator)
    return state


@pytest.mark.parametrize(
    ("arch", "scaled", "kind"),
    [
        ("vit_tiny_patch16", False, "ViTModel"),
        ("vit_tiny_patch14", True, "Dinov2Model"),
        ("convnext_tiny", True, "ConvNextModel"),
        ("convnext_tiny", False, "ConvNextModel"),
    ],
)
@torch.no_grad()
def test_vits_and_convnexts_for_transformers(tmp_path: Path, arch: str, scaled: bool, kind: str) -> None:
    state = drawn(arch, scaled=scaled)
    safetensors.torch.save_file(state, tmp_path / "weights.safetensors", {"format": "pt"})
    trunk = convert.require(convert.convert(tmp_path / "weights.safetensors", to="mmseg"))
    notes = export(tmp_path / "weights.safetensors", "hf-safetensors", tmp_path / "hub").notes
    back = convert.require(convert.convert(tmp_path / "hub", to="mmseg"))
    assert back.certificate.digest == trunk.certificate.digest
    assert (back.arch, back.traits) == (trunk.arch, trunk.traits)

    pooler = {"add_pooling_layer": False} if kind == "ViTModel" else {}
    assert ("add_pooling_layer=False" in notes[0]) == bool(pooler)
    network = by_transformers(tmp_path / "hub", **pooler)
    assert type(network).__name__ == kind
    images = torch.rand(1, 3, 224, 224, generator=torch.Generator().manual_seed(0))
    target = certify._build("mmseg", arch, families.family(arch).config(arch, size=(224, 224), **trunk.traits))
    target.load_state_dict(trunk.state, strict=True, assign=True)
    target.eval()  # mm*'s returns nothing
    found, expected = network(images).last_hidden_state, target(images)[-1]
    if arch.startswith("vit"):
        found = found[:, 1:].transpose(1, 2).unflatten(2, expected.shape[2:])
    else:  # transformers norms the mean, not the map
        found = network.layernorm(found.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5 * expected.abs().max().item())


def test_what_transformers_configuration_cannot_say_is_refused(tmp_path: Path) -> None:
    state = drawn("vit_tiny_patch14", scaled=True) | {"reg_token": torch.ones(1, 4, 192)}
    safetensors.torch.save_file(state, tmp_path / "weights.safetensors", {"format": "pt"})
    with pytest.raises(DensebenchError, match="hf-safetensors has no vit_tiny_patch14 with registers: 4"):
        export(tmp_path / "weights.safetensors", "hf-safetensors", tmp_path / "hub")
    with pytest.raises(DensebenchError, match="timm has no vit_tiny_patch14 with layer_scale: True, registers: 4"):
        export(tmp_path / "weights.safetensors", "timm", tmp_path / "out.safetensors")
