from __future__ import annotations

import dataclasses
import functools
import hashlib
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from families import CONVNEXT, NAVIT, VIT
from torch import Tensor
from transformers_hub import MODELS

import pretrain.backbones
from benchmark import backbones
from benchmark.result import Record

torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def no_scope_is_left_over() -> None:
    """Forget in which package the last Runner of this process looked types up: tests run in any order."""
    if "mmengine.registry" in sys.modules:
        from mmengine.registry import DefaultScope

        DefaultScope._instance_dict.clear()


@pytest.fixture
def change_family(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Change what is known of a family: `change_family("resnet", rename=...)`."""

    def change(name: str, **changes: Any) -> None:
        changed = tuple(
            dataclasses.replace(one, **changes) if one.name == name else one for one in backbones._families()
        )
        monkeypatch.setattr(backbones, "_families", lambda: changed)

    return change


@functools.cache
def _trained_looking(arch: str) -> dict[str, Tensor]:
    """A network with its head whose norm layers vary as a trained network's do."""
    import torchvision

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(len(arch) + int("".join(filter(str.isdigit, arch))))
        state: dict[str, Tensor] = torchvision.models.get_model(arch).state_dict()
        for name, tensor in state.items():
            if name.endswith("num_batches_tracked"):
                tensor.fill_(1000)
            elif tensor.dim() == 1:
                centre = 0.0 if name.endswith(("bias", "running_mean")) else 1.0
                tensor.uniform_(centre - 0.5, centre + 0.5)
    return state


@pytest.fixture(scope="session")
def trained_looking() -> Callable[[str], dict[str, Tensor]]:
    """Make a torchvision state dict of an architecture that looks trained; a fresh copy each time."""
    return lambda arch: {name: tensor.clone() for name, tensor in _trained_looking(arch).items()}


class Networks:
    """Networks that differ in every tensor: their trunks, and with a head."""

    def __init__(self, make: Callable[[str], dict[str, Tensor]]) -> None:
        self.make = make

    def __call__(self, number: int, arch: str = "resnet18") -> dict[str, Tensor]:
        tensors = self.make(arch)
        return {name: one + number / 64 if one.is_floating_point() else one for name, one in tensors.items()}

    def trunk(self, number: int, arch: str = "resnet18") -> dict[str, Tensor]:
        return {name: one for name, one in self(number, arch).items() if not name.startswith("fc.")}


@pytest.fixture
def networks(trained_looking: Callable[[str], dict[str, Tensor]]) -> Networks:
    """Make networks by number: `networks(0)` with its head, `networks.trunk(1)` another one's trunk."""
    return Networks(trained_looking)


def _record(**changes: Any) -> Record:
    """A record of a made-up run; `value` sets its only metric, `protocol` its fingerprint."""
    method = changes.pop("method", "densecl")
    value, metric = changes.pop("value", 50.0), changes.pop("metric", "mIoU")
    better, protocol = changes.pop("better", "higher"), changes.pop("protocol", {"lr": 0.01})
    weights = "random:resnet18:kaiming" if method == "random" else hashlib.sha256(method.encode()).hexdigest()
    fields = {
        "weights": weights,
        "method": method,
        "name": method,
        "arch": "resnet18",
        "checkpoint": "random" if method == "random" else "checkpoint.safetensors",
        "certificate": {"ok": True},
        "task": "voc_seg_fcn_d8_20k",
        "mode": "finetune",
        "fingerprint_dict": protocol,
        "seed": 0,
        "pretrain_seed": None,
        "metrics": {metric: value},
        "directions": {metric: better},
        "headline": metric,
    }
    fields |= changes
    scale = "percent" if better == "higher" else "metres"
    info = {key: {"label": key, "scale": scale} for key in fields["metrics"]}
    return Record(**{"metric_info": info, **fields})


@pytest.fixture(scope="session")
def make_record() -> Callable[..., Record]:
    """Make records of made-up runs, to build tables from."""
    return _record


@torch.no_grad()
def _randomised(network: torch.nn.Module) -> dict[str, Tensor]:
    """Draw every tensor anew, the norms' about 1, the others by their fan-in."""
    generator = torch.Generator().manual_seed(0)
    state: dict[str, Tensor] = network.state_dict()
    for name, tensor in state.items():
        if tensor.squeeze().dim() <= 1 and tensor.is_floating_point():
            centre = 0.0 if name.endswith(("bias", "running_mean", "token")) else 1.0
            tensor.uniform_(centre - 0.5, centre + 0.5, generator=generator)
        elif tensor.is_floating_point():
            tensor.normal_(std=(2 / tensor[0].numel()) ** 0.5, generator=generator)
    return state


@pytest.fixture(scope="session")
def randomised() -> Callable[[torch.nn.Module], dict[str, Tensor]]:
    """Return a network's state dict with every tensor drawn anew."""
    return _randomised


@pytest.fixture(scope="session")
def own(randomised: Callable[[torch.nn.Module], dict[str, Tensor]]) -> dict[str, dict[str, Tensor]]:
    """Networks of our own with every tensor drawn anew, by architecture."""
    return {arch: randomised(pretrain.backbones.build(arch, 0)) for arch in (VIT, CONVNEXT, NAVIT)}


@pytest.fixture(scope="session")
def made(randomised: Callable[[Any], Any]) -> Callable[[str], Any]:
    """Build one of `transformers_hub` with every parameter and running statistic drawn anew."""
    transformers = pytest.importorskip("transformers")

    def make(name: str) -> Any:
        kind, config, values, _, _ = MODELS[name]
        network = getattr(transformers, kind)(getattr(transformers, config)(**values)).eval()
        randomised(network)  # in place
        return network

    return make


@pytest.fixture(scope="session")
def folders(tmp_path_factory: pytest.TempPathFactory, made: Callable[[str], Any]) -> Callable[[str], Path]:
    """Write a network as transformers does, once."""
    whole = tmp_path_factory.mktemp("hub")

    def folder(name: str) -> Path:
        path = whole / name.replace(" ", "_")
        if not path.exists():
            made(name).save_pretrained(path)
        return path

    return folder
