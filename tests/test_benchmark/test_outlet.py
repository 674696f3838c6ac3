"""The way back out: what is written loads strictly where it belongs, and comes back as it went."""

from __future__ import annotations

import pickle
import typing
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import torch
from torch import Tensor

from benchmark import backbones as families
from benchmark import certify, cli, convert, outlet
from benchmark.certify import TARGETS
from benchmark.export import export
from benchmark.hugging_face import resnet as transformers
from benchmark.intake import detectron2
from benchmark.outlet import detectron2 as to_detectron2
from benchmark.shell import perform
from pretrain import backbones, checkpoint
from pretrain.errors import DensebenchError, UsageError

Make = Callable[[str], dict[str, Tensor]]
OUT = {"timm": "out.safetensors", "torchvision": "out.pth", "detectron2": "out.pkl", "hf-safetensors": "folder"}
MEAN, STD = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)


def ours(folder: Path, make: Make, arch: str = "resnet18", *inputs: Any) -> tuple[Path, dict[str, Tensor]]:
    """One of our own checkpoints."""
    trunk = {name: tensor for name, tensor in make(arch).items() if not name.startswith("fc.")}
    meta = checkpoint.Meta(arch, "densecl", "scenes", "x", 3.0, 5, *(inputs or (MEAN, STD)))
    checkpoint.save(folder / "ours.safetensors", trunk, meta)
    return folder / "ours.safetensors", trunk


def test_the_command_line_names_every_target() -> None:
    assert set(typing.get_args(cli.Target)) == {*TARGETS, *outlet.names()}
    assert set(OUT) == set(outlet.names())


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


def by_transformers(folder: Path, **options: Any) -> Any:
    """What AutoModel makes of a folder; it finds every tensor it has, and no other."""
    import transformers

    network, told = transformers.AutoModel.from_pretrained(
        folder, local_files_only=True, output_loading_info=True, **options
    )
    assert not any(told.values()), told
    return network.eval()


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
    path, _ = ours(tmp_path, trained_looking, "resnet18", (127.5, 127.5, 127.5), (51.0, 51.0, 51.0))
    for to, name in OUT.items():
        notes = export(path, to, tmp_path / name).notes
        assert any("cannot say" in note for note in notes) == (to in ("torchvision", "detectron2"))
    path, _ = ours(tmp_path, trained_looking, "resnet18", MEAN, STD, "BGR")
    assert convert.convert(path).channel_order == "BGR"
    export(path, "timm", tmp_path / "bgr.safetensors")
    assert convert.convert(tmp_path / "bgr.safetensors").channel_order == "BGR"
    with pytest.raises(DensebenchError, match="BGR"):
        export(path, "hf-safetensors", tmp_path / "bgr")


@pytest.mark.parametrize(("to", "name"), [("timm", "a.pth"), ("detectron2", "a.pth"), ("hf-safetensors", "a.pth")])
def test_another_suffix_is_refused_before_anything_is_read(tmp_path: Path, to: str, name: str) -> None:
    with pytest.raises(UsageError, match=r"a\.pth should"):
        export(tmp_path / "not there", to, tmp_path / name)
    with pytest.raises(UsageError, match="no target 'tim'"):
        export(tmp_path / "not there", "tim", tmp_path / name)


def same(folder: Path, kind: str, source: Path) -> Path:
    """Another way to name a checkpoint."""
    if kind == "spelling":
        return source.parent / "." / ".." / source.parent.name / source.name
    link = folder / f"link{source.suffix}"
    if kind == "link":
        link.symlink_to(source)
    else:
        link.hardlink_to(source)
    return link


@pytest.mark.parametrize("kind", ["spelling", "link", "hard link"])
@pytest.mark.parametrize("to", ["mmdet", "mmseg", "timm"])
def test_the_checkpoint_itself_is_not_written_over(
    tmp_path: Path, to: str, kind: str, capsys: pytest.CaptureFixture[str]
) -> None:
    source = tmp_path / "ours.safetensors"
    source.write_bytes(b"not read")
    out = same(tmp_path, kind, source)
    assert perform(cli.app, ["convert", str(source), "--to", to, "--out", str(out)]) == 2
    assert "is the checkpoint that is read" in capsys.readouterr().err
    assert source.read_bytes() == b"not read"


def test_a_folder_of_the_hub_is_not_written_over(tmp_path: Path) -> None:
    (tmp_path / "model.safetensors").write_bytes(b"not read")
    for source in (tmp_path, tmp_path / "model.safetensors"):
        with pytest.raises(UsageError, match="is the checkpoint that is read"):
            export(source, "hf-safetensors", tmp_path)
    with pytest.raises(UsageError, match="is the checkpoint that is read"):
        export(tmp_path, "timm", tmp_path / "model.safetensors")


@pytest.mark.parametrize(
    ("out", "why"),
    [
        ("a.pkl", "should end in .pth or .safetensors"),
        ("none", "should end in .pth"),
        ("folder.pth", "is a folder; a file was expected"),
        ("notes.txt/sub/a.pth", "notes.txt is a file, not a folder"),
    ],
)
@pytest.mark.parametrize("to", ["mmdet", "mmseg", "torchvision"])
def test_what_cannot_be_written_is_refused_at_once(
    tmp_path: Path, to: str, out: str, why: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "folder.pth").mkdir()
    (tmp_path / "notes.txt").write_text("some")
    assert perform(cli.app, ["convert", str(tmp_path / "not there"), "--to", to, "--out", str(tmp_path / out)]) == 2
    assert why.partition(" or ")[0] in capsys.readouterr().err


def test_a_refusal_shows_the_certificate_and_names_the_target(
    tmp_path: Path, trained_looking: Make, capsys: pytest.CaptureFixture[str]
) -> None:
    path, trunk = ours(tmp_path, trained_looking)
    del trunk["bn1.bias"]
    torch.save(trunk, path.with_suffix(".pth"))
    command = ["convert", str(path.with_suffix(".pth")), "--to", "hf-safetensors", "--out", str(tmp_path / "hf")]
    assert perform(cli.app, command) == 1
    shown = capsys.readouterr()
    assert "NOT CERTIFIED: torchvision resnet18" in shown.out and "bn1.bias" in shown.out
    assert "is not certified for hf-safetensors" in shown.err
    assert not (tmp_path / "hf").exists()


def test_a_target_that_exchanges_two_layers_is_found_out(
    tmp_path: Path, trained_looking: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, _ = ours(tmp_path, trained_looking)
    names = {"layer1.0.conv1.weight": "layer1.0.conv2.weight", "layer1.0.conv2.weight": "layer1.0.conv1.weight"}
    straight = outlet.named

    def swapped(trunk: Any, wanted: Any, rename: Callable[[str], str]) -> dict[str, Tensor]:
        return straight(trunk, wanted, lambda name: names.get(rename(name), rename(name)))

    monkeypatch.setattr(outlet.load("timm"), "named", swapped)
    with pytest.raises(DensebenchError, match="read back as another network"):
        export(path, "timm", tmp_path / "out.safetensors")


def test_what_a_target_cannot_compute_is_refused(
    tmp_path: Path, trained_looking: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    import dataclasses

    path, _ = ours(tmp_path, trained_looking)
    padded = dataclasses.replace(convert.convert(path), traits={"padding": "same"})
    monkeypatch.setattr(convert, "convert", lambda *_, **__: padded)
    with pytest.raises(DensebenchError, match="torchvision has no resnet18 with padding: same"):
        export(path, "torchvision", tmp_path / "out.pth")
    assert not (tmp_path / "out.pth").exists()
    other = dataclasses.replace(padded, arch="resnet269", traits={})
    monkeypatch.setattr(convert, "convert", lambda *_, **__: other)
    for to, name in OUT.items():
        with pytest.raises(DensebenchError, match="resnet269"):
            export(path, to, tmp_path / name)
