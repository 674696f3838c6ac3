"""The way back out: what is written loads strictly where it belongs, and comes back as it went."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from exports import MEAN, OUT, STD, Make, by_transformers, ours
from torch import Tensor

from benchmark import backbones as families
from benchmark import convert, outlet
from benchmark.export import export
from benchmark.hugging_face import resnet as transformers
from benchmark.intake import detectron2
from benchmark.outlet import detectron2 as to_detectron2
from pretrain import backbones, checkpoint
from pretrain.errors import DensebenchError


@pytest.mark.parametrize(
    ("to", "arch"),
    [("timm", "resnet18"), ("torchvision", "resnet34"), ("detectron2", "resnet50"), ("hf-safetensors", "resnet50")],
)
def test_a_round_trip_gives_identical_tensors(tmp_path: Path, trained_looking: Make, to: str, arch: str) -> None:
    path, trunk = ours(tmp_path, trained_looking, arch)
    found = export(path, to, tmp_path / OUT[to])
    assert found.certificate.ok and found.certificate.format == outlet.load(to).FORMAT
    out = tmp_path / OUT[to]
    back = convert.require(convert.convert(out / "model.safetensors" if out.is_dir() else out, to="mmseg"))
    assert back.arch == arch and back.certificate.digest == checkpoint.digest(trunk)
    assert not any("cannot say" in note for note in found.notes)


TRANSFORMERS_AND_CONVNEXTS = [
    ("timm", "vit_tiny_patch16"),
    ("timm", "convnext_tiny"),
    ("torchvision", "vit_base_patch16"),
    ("torchvision", "convnext_tiny"),
]


@pytest.mark.parametrize(("to", "arch"), TRANSFORMERS_AND_CONVNEXTS)
def test_vits_and_convnexts_go_there_and_back(tmp_path: Path, to: str, arch: str) -> None:
    """The tensors come back bit by bit, and a user's network computes with them what ours computes."""
    network = backbones.build(arch, 3)
    with torch.no_grad():
        for tensor in network.state_dict().values():
            tensor += 0.02 * torch.randn(tensor.shape, generator=torch.Generator().manual_seed(tensor.numel()))
    path, out = tmp_path / "ours.safetensors", tmp_path / OUT[to]
    checkpoint.save(path, network.state_dict(), checkpoint.Meta(arch, "dino", "scenes", "x", 3.0, 5, MEAN, STD))
    exported = export(path, to, out)
    back, straight = (convert.require(convert.convert(one, to="mmseg")) for one in (out, path))
    assert back.certificate.digest == straight.certificate.digest == exported.certificate.digest
    assert back.state.keys() == straight.state.keys()
    assert all(torch.equal(tensor, straight.state[name]) for name, tensor in back.state.items())
    side = 224 if arch.startswith("vit") else 64
    images = torch.rand(1, 3, side, side, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        torch.testing.assert_close(as_told(to, arch, out, exported.notes[0])(images), network.eval().stages(images)[-1])


def as_told(to: str, arch: str, out: Path, note: str) -> Callable[[Tensor], Tensor]:
    """The last map of the network that a user gets who does what the note says."""
    import timm
    import torchvision

    if to == "timm":
        network = eval(note.removeprefix("Load it by ").removesuffix("."), {"timm": timm}).eval()
        if arch.startswith("convnext"):
            return lambda images: network.head.norm(network.forward_features(images))
        return lambda images: network.forward_features(images)[:, 1:].transpose(1, 2).unflatten(2, (14, 14))
    told = note.removeprefix("Load it into ").partition(";")[0]
    network = eval(told, {"torchvision": torchvision}).eval()
    heads = {name: one for name, one in network.state_dict().items() if name.startswith(families.family(arch).heads)}
    assert len(heads) == 2
    network.load_state_dict({**torch.load(out, weights_only=True), **heads}, strict=True)
    if arch.startswith("convnext"):
        return lambda images: network.classifier[0](network.features(images))
    maps: list[Tensor] = []
    network.encoder.ln.register_forward_hook(lambda _module, _inputs, tokens: maps.append(tokens))

    def run(images: Tensor) -> Tensor:
        network(images)
        return maps.pop()[:, 1:].transpose(1, 2).unflatten(2, (14, 14))

    return run


@pytest.mark.parametrize("to", OUT)
def test_it_loads_strictly_where_it_belongs_and_computes_the_same(
    tmp_path: Path, trained_looking: Make, to: str
) -> None:
    path, trunk = ours(tmp_path, trained_looking)
    out = tmp_path / OUT[to]
    export(path, to, out)
    images = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        torch.testing.assert_close(loaded(to, out)(images), torchvision_map(trunk)(images))


def torchvision_map(trunk: dict[str, Tensor]) -> Callable[[Tensor], Tensor]:
    import torchvision

    model = torchvision.models.resnet18()
    model.fc = model.avgpool = torch.nn.Identity()
    model.load_state_dict(trunk, strict=True)
    model.eval()
    return lambda images: model(images).reshape(1, 512, 2, 2)


def loaded(to: str, out: Path) -> Callable[[Tensor], Tensor]:
    """The C5 map of the network that a user of the target would load."""
    if to == "timm":
        import timm

        network = timm.create_model("resnet18", num_classes=0, checkpoint_path=str(out)).eval()
        return lambda images: network.forward_features(images)
    if to == "torchvision":
        return torchvision_map(torch.load(out, weights_only=True))
    if to == "detectron2":
        content = pickle.loads(out.read_bytes())
        assert content["matching_heuristics"] is True and content["__author__"]
        assert {type(array) for array in content["model"].values()} == {np.ndarray}
        model = {name: torch.from_numpy(np.asarray(array)) for name, array in content["model"].items()}
        return by_names(model)
    network = by_transformers(out)
    return lambda images: network(images).last_hidden_state


def by_names(model: dict[str, Tensor]) -> Callable[[Tensor], Tensor]:
    """A ResNet-18 after detectron2's names: a convolution owns its norm."""
    used: set[str] = set()

    def take(name: str) -> Tensor:
        used.add(name)
        return model[name]

    def conv(x: Tensor, name: str, stride: int) -> Tensor:
        kernel = take(f"{name}.weight")
        x = torch.nn.functional.conv2d(x, kernel, stride=stride, padding=kernel.shape[-1] // 2)
        parts = ("running_mean", "running_var", "weight", "bias")
        return torch.nn.functional.batch_norm(x, *(take(f"{name}.norm.{part}") for part in parts))

    def run(images: Tensor) -> Tensor:
        x = torch.nn.functional.max_pool2d(conv(images, "stem.conv1", 2).relu(), 3, 2, 1)
        for stage in range(2, 6):
            for number in (0, 1):
                name, stride = f"res{stage}.{number}", 1 if stage == 2 or number else 2
                inner = conv(conv(x, f"{name}.conv1", stride).relu(), f"{name}.conv2", 1)
                projected = any(key.startswith(f"{name}.shortcut.") for key in model)
                x = (inner + (conv(x, f"{name}.shortcut", stride) if projected else x)).relu()
        assert {name for name in model if "num_batches" not in name} == used
        return x

    return run


def test_names_there_and_back(trained_looking: Make) -> None:
    names = list(trained_looking("resnet50"))[:-2]
    for there, back in ((to_detectron2._name, detectron2.rename), (transformers.name_of, transformers.rename)):
        assert [back(there(name)) for name in names] == names
        assert len({there(name) for name in names}) == len(names) == 318


def test_detectron2s_pickle_is_read_by_old_numpy(tmp_path: Path, trained_looking: Make) -> None:
    path, _ = ours(tmp_path, trained_looking)
    notes = export(path, "detectron2", tmp_path / "out.pkl").notes
    assert b"numpy._core" not in (tmp_path / "out.pkl").read_bytes()
    assert "STRIDE_IN_1X1 False" in notes[0] and "RES2_OUT_CHANNELS 64" in notes[0] and "FORMAT RGB" in notes[0]
    assert "[123.675, 116.28, 103.53]" in notes[0]


def test_the_normalisation_travels_or_is_said(tmp_path: Path, trained_looking: Make) -> None:
    path, _ = ours(tmp_path, trained_looking, mean=(127.5, 127.5, 127.5), std=(51.0, 51.0, 51.0))
    for to, name in OUT.items():
        notes = export(path, to, tmp_path / name).notes
        assert any("cannot say" in note for note in notes) == (to in ("torchvision", "detectron2"))
    path, _ = ours(tmp_path, trained_looking, channel_order="BGR")
    assert convert.convert(path).channel_order == "BGR"
    export(path, "timm", tmp_path / "bgr.safetensors")
    assert convert.convert(tmp_path / "bgr.safetensors").channel_order == "BGR"
    with pytest.raises(DensebenchError, match="BGR"):
        export(path, "hf-safetensors", tmp_path / "bgr")
