"""Position embeddings: none is lost, and they are interpolated to a task's size."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from families import VIT, State, certified, refused, saved

from benchmark import convert
from benchmark.backbones import vit
from benchmark.quiet import quiet
from pretrain.backbones.vit import resize_positions


def test_position_embeddings_that_are_lost(
    tmp_path: Path, own: dict[str, State], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Missing in the file; not added by the backbone; shifted by one place; another interpolation."""
    path = saved(tmp_path, {name: one for name, one in own[VIT].items() if name != "pos_embed"}, VIT)
    refused(path, "are not in the checkpoint: pos_embed.")
    path = saved(tmp_path, own[VIT], VIT)
    with quiet():
        from mmpretrain.models.backbones import vision_transformer

    plain = vision_transformer.resize_pos_embed
    for wrong in (
        lambda positions, *args, **options: plain(positions, *args, **options) * 0,
        lambda positions, *args, **options: plain(positions, *args, **options).roll(1, 1),
        lambda positions, old, new, **options: plain(positions, old, new, **{**options, "mode": "bilinear"}),
    ):
        monkeypatch.setattr(vision_transformer, "resize_pos_embed", wrong)
        refused(path, "converted one differ: 1/4")


def test_position_embeddings_are_interpolated_once_and_noted(tmp_path: Path, own: dict[str, State]) -> None:
    backbone = certified(saved(tmp_path, own[VIT], VIT))
    at = convert.at_size(backbone, (160, 150))
    assert at.certificate.position_embedding == "14x14 -> 10x10, bicubic, without antialiasing"
    assert at.certificate.digest == backbone.certificate.digest and at.certificate.ok
    expected = resize_positions(own[VIT]["pos_embed"], (14, 14), (10, 10))
    assert torch.equal(at.state["pos_embed"], expected)
    assert convert.at_size(backbone, None) is backbone
    same = convert.at_size(backbone, (224, 224))
    assert same.certificate.position_embedding == "14x14, as they are"


@torch.no_grad()
def test_maps_of_a_vit_cover_the_image_exactly(own: dict[str, State]) -> None:
    """An image that patches do not cover is stretched, not padded: what lies at the border stays there."""
    with quiet():
        from benchmark.trunks.vit import FittedViT
    config = vit.config(VIT, size=(150, 150))
    config.pop("type")
    network = FittedViT(**config)
    network.eval()  # mmpretrain's returns nothing
    state, _ = vit.resized(VIT, {vit.rename(name): one for name, one in own[VIT].items()}, (150, 150))
    network.load_state_dict(state, strict=True)
    images = torch.rand(1, 3, 150, 70)
    maps = network(images)
    assert {tuple(one.shape[2:]) for one in maps} == {(10, 5)}
    stretched = torch.nn.functional.interpolate(images, (160, 80), mode="bilinear")
    torch.testing.assert_close(maps[3], network(stretched)[3])
    with pytest.raises(RuntimeError, match="size mismatch for pos_embed"):
        network.load_state_dict({vit.rename(name): one for name, one in own[VIT].items()}, strict=True)
