"""What is wrong in the knowledge of a family is found out: names exchanged, numbers counted otherwise."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from families import CONVNEXT, NAVIT, VIT, State, certified, refused, saved

from benchmark.backbones import convnext, navit, vit

VIT_SWAPS = [
    ("layers.3.ffn.layers.1.bias", "layers.3.attn.proj.bias"),
    ("layers.1.attn.qkv.weight", "layers.2.attn.qkv.weight"),
    ("layers.5.ln1.weight", "layers.5.ln2.weight"),
]
CONVNEXT_SWAPS = [
    ("stages.0.0.depthwise_conv.weight", "stages.0.1.depthwise_conv.weight"),
    ("stages.1.0.gamma", "stages.1.0.norm.weight"),
]
NAVIT_SWAPS = [
    ("encoder.pos_row", "encoder.pos_column"),
    ("encoder.blocks.4.norm1.weight", "encoder.blocks.4.norm2.weight"),
    ("encoder.blocks.11.norm2.weight", "encoder.norm.weight"),
]
SWAPS = [(vit, VIT, VIT_SWAPS), (convnext, CONVNEXT, CONVNEXT_SWAPS), (navit, NAVIT, NAVIT_SWAPS)]


@pytest.mark.parametrize("family, arch, swap", [(family, arch, one) for family, arch, all in SWAPS for one in all])
def test_rename_tables_that_swap_two_layers_of_one_shape(
    tmp_path: Path,
    own: dict[str, State],
    family: Any,
    arch: str,
    swap: tuple[str, str],
    change_family: Callable[..., None],
) -> None:
    plain, (one, other) = family.rename, swap
    table = {one: other, other: one}
    change_family(family.FAMILY.name, rename=lambda name: table.get(plain(name), plain(name)))
    refused(saved(tmp_path, own[arch], arch), "converted one differ")


def test_silent_branches_of_a_convnext_hide_no_swap(
    tmp_path: Path, own: dict[str, State], change_family: Callable[..., None]
) -> None:
    silent = {name: one * 0 if name.endswith("gamma") else one for name, one in own[CONVNEXT].items()}
    path, plain = saved(tmp_path, silent, CONVNEXT), convnext.rename
    certified(path)
    pair = ("stages.2.0.pointwise_conv1.weight", "stages.2.1.pointwise_conv1.weight")
    table = dict((pair, pair[::-1]))
    change_family("convnext", rename=lambda name: table.get(plain(name), plain(name)))
    refused(path, "differ with random norm layers")


def test_queries_and_keys_in_another_order(
    tmp_path: Path, own: dict[str, State], monkeypatch: pytest.MonkeyPatch
) -> None:
    from benchmark import certify

    plain = certify._rename

    def reordered(tensors: State, family: Any) -> Any:
        state, collisions = plain(tensors, family)
        query, key, value = state["layers.0.attn.qkv.weight"].chunk(3)
        return {**state, "layers.0.attn.qkv.weight": torch.cat([value, query, key])}, collisions

    monkeypatch.setattr(certify, "_rename", reordered)
    refused(saved(tmp_path, own[VIT], VIT), "converted one differ: 1/4")


def test_a_wrong_eps_of_the_norms(tmp_path: Path, own: dict[str, State], change_family: Callable[..., None]) -> None:
    faint = {name: one * 1e-3 if name.startswith(("patch", "pos", "cls")) else one for name, one in own[VIT].items()}
    path, plain = saved(tmp_path, faint, VIT), vit.config
    certified(path)
    wrong = {"type": "LN", "eps": 1e-5}  # mmseg's
    change_family("vit", config=lambda arch, **options: {**plain(arch, **options), "norm_cfg": wrong})
    refused(path, "converted one differ: 1/4")


def test_rows_and_columns_of_a_navit_that_are_counted_otherwise(
    tmp_path: Path, own: dict[str, State], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Scaled to the image, exchanged, and patches read column by column; the dense maps show each."""
    path = saved(tmp_path, own[NAVIT], NAVIT)
    from pretrain.backbones.navit import NaViT

    plain = NaViT.quarters
    for wrong in (
        lambda self, patches, owner, row, column: plain(self, patches, owner, row * 2, column),
        lambda self, patches, owner, row, column: plain(self, patches, owner, column, row),
        lambda self, patches, owner, row, column: plain(self, patches.flip(3), owner, row, column),
    ):
        monkeypatch.setattr(NaViT, "quarters", wrong)
        refused(path, "converted one differ: 1/4")
    monkeypatch.setattr(NaViT, "quarters", plain)
    certified(path)
    refused(saved(tmp_path, {name: one for name, one in own[NAVIT].items() if name != "pos_column"}, NAVIT), "pos_col")
