"""Files as the code bases save them: the trunk that is taken, the others, and the traps of each naming."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from benchmark import convert, intake
from benchmark.inspection import inspect
from benchmark.intake import simclr
from pretrain import checkpoint
from pretrain.errors import DensebenchError, UsageError

Tensors = dict[str, Tensor]
FIXTURES = Path(__file__).parents[1] / "fixtures"


def behind(prefix: str, tensors: Tensors) -> Tensors:
    return {prefix + name: tensor for name, tensor in tensors.items()}


def simclr_names() -> dict[str, str]:
    """Torchvision's name -> the converted network's, of a ResNet-50, as published."""
    names: dict[str, str] = json.loads((FIXTURES / "simclr_names.json").read_text())
    return names


class Networks:
    """Networks that differ in every tensor: their trunks, and with a head."""

    def __init__(self, make: Callable[[str], Tensors]) -> None:
        self.make = make

    def __call__(self, number: int, arch: str = "resnet18") -> Tensors:
        tensors = self.make(arch)
        return {name: one + number / 64 if one.is_floating_point() else one for name, one in tensors.items()}

    def trunk(self, number: int, arch: str = "resnet18") -> Tensors:
        return {name: one for name, one in self(number, arch).items() if not name.startswith("fc.")}


@pytest.fixture
def networks(trained_looking: Callable[[str], Tensors]) -> Networks:
    return Networks(trained_looking)


def moco(n: Networks) -> dict[str, Any]:
    state = behind("module.encoder_q.", n(0)) | behind("module.encoder_k.", n(1))
    state |= {"module.queue": torch.randn(128, 16), "module.queue_ptr": torch.zeros(1, dtype=torch.long)}
    return {"epoch": 200, "arch": "resnet18", "state_dict": state, "optimizer": {"state": {}, "param_groups": []}}


def moco_v2(n: Networks) -> dict[str, Any]:
    tree = moco(n)
    for name in list(tree["state_dict"]):
        if ".fc." in name:  # an MLP: fc.0 and fc.2
            tree["state_dict"][name.replace(".fc.", ".fc.0.")] = tree["state_dict"][name]
            tree["state_dict"][name.replace(".fc.", ".fc.2.")] = tree["state_dict"].pop(name)
    return tree


def pixpro(n: Networks) -> dict[str, Any]:
    state = behind("module.encoder.", n.trunk(0)) | behind("module.encoder_k.", n.trunk(1))
    for head in ("projector", "projector_k", "value_transform"):
        state[f"module.{head}.linear1.weight"] = torch.randn(4, 4)
    return {"opt": {"lr": 1.0}, "model": state, "epoch": 100}


def vicreg(n: Networks) -> dict[str, Any]:
    state = behind("module.backbone.", n.trunk(0)) | {"module.projector.0.weight": torch.randn(4, 4)}
    return {"epoch": 1000, "model": state, "optimizer": {}}


def vissl(n: Networks) -> dict[str, Any]:
    trunk = behind("_feature_blocks.", n.trunk(0))
    model = {"trunk": trunk, "heads": {"0.clf.0.weight": torch.randn(4, 4)}}
    return {"classy_state_dict": {"base_model": {"model": model, "meters": {}}, "optim": {}}, "iteration": 3}


def solo_learn(n: Networks) -> dict[str, Any]:
    state = behind("backbone.", n.trunk(0)) | behind("momentum_backbone.", n.trunk(1))
    state |= {"projector.0.weight": torch.randn(4, 4), "classifier.weight": torch.randn(4, 4)}
    return {"epoch": 9, "pytorch-lightning_version": "2.1.2", "state_dict": state, "hyper_parameters": {"lr": 0.3}}


def solo_learn_of_old(n: Networks) -> dict[str, Any]:
    state = behind("encoder.", n.trunk(0)) | {"classifier.weight": torch.randn(4, 4)}
    return {"pytorch-lightning_version": "1.2.0", "state_dict": state}


def dino(n: Networks) -> dict[str, Any]:
    student = behind("module.backbone.", n.trunk(1)) | {"module.head.mlp.0.weight": torch.randn(4, 4)}
    teacher = behind("module.backbone.", n.trunk(0)) | {"module.head.mlp.0.weight": torch.randn(4, 4)}
    return {"student": student, "teacher": teacher, "optimizer": {}, "epoch": 9, "dino_loss": {"center": torch.ones(3)}}


def openselfsup(n: Networks) -> dict[str, Any]:
    state = behind("backbone.", n.trunk(0)) | behind("encoder_q.0.", n.trunk(0)) | behind("encoder_k.0.", n.trunk(1))
    state |= {"encoder_q.1.mlp.0.weight": torch.randn(4, 4), "encoder_k.1.mlp.0.weight": torch.randn(4, 4)}
    state |= {"queue": torch.randn(4, 4), "queue2": torch.randn(4, 4), "queue_ptr": torch.zeros(1)}
    return {"meta": {"epoch": 200}, "state_dict": state}


def openselfsup_byol(n: Networks) -> dict[str, Any]:
    state = behind("backbone.", n.trunk(0)) | behind("online_net.0.", n.trunk(0)) | behind("target_net.0.", n.trunk(1))
    state |= {"online_net.1.fc0.weight": torch.randn(4, 4), "head.predictor.fc0.weight": torch.randn(4, 4)}
    return {"meta": {"epoch": 200}, "state_dict": state}


def simclr_v2(n: Networks) -> dict[str, Any]:
    trunk = n.trunk(0, "resnet50")
    return {"resnet": {new: trunk[old] for old, new in simclr_names().items()} | {"fc.weight": torch.randn(4, 4)}}


def detectron2(n: Networks) -> dict[str, Any]:
    """By the rule of MoCo's script; counters are torch's own and are not written."""
    arrays = {}
    for name, tensor in n.trunk(0).items():
        if "num_batches" in name:
            continue
        name = name if "layer" in name else f"stem.{name}"
        for number in (4, 3, 2, 1):
            name = name.replace(f"layer{number}", f"res{number + 1}")
        for number in (1, 2, 3):
            name = name.replace(f"bn{number}", f"conv{number}.norm")
        name = name.replace("downsample.0", "shortcut").replace("downsample.1", "shortcut.norm")
        arrays[name] = tensor.numpy()
    return {"model": arrays, "__author__": "MOCO", "matching_heuristics": True}


def hugging_face(tensors: Tensors) -> Tensors:
    """The names of transformers' ResNetModel; verified there by loading them strictly and comparing maps."""
    renamed = {}
    for name, tensor in tensors.items():
        place, _, kind = name.rpartition(".")
        parts = place.split(".")
        last = parts[-1]
        if len(parts) == 1:
            new = f"embedder.embedder.{'convolution' if last == 'conv1' else 'normalization'}"
        else:
            new = f"encoder.stages.{int(parts[0][-1]) - 1}.layers.{parts[1]}."
            if "downsample" in parts:
                new += f"shortcut.{'convolution' if last == '0' else 'normalization'}"
            else:
                new += f"layer.{int(last[-1]) - 1}.{'convolution' if last.startswith('conv') else 'normalization'}"
        renamed[f"{new}.{kind}"] = tensor
    return renamed


def transformers(n: Networks) -> dict[str, Any]:
    return {**hugging_face(n.trunk(0))}


def transformers_classifier(n: Networks) -> dict[str, Any]:
    return behind("resnet.", hugging_face(n.trunk(0))) | {"classifier.1.weight": torch.randn(4, 4)}


def numbered(tensors: Tensors) -> Tensors:
    """The names that `nn.Sequential(*list(resnet.children())[:-1])` gives."""
    import torchvision

    children = [name for name, _ in torchvision.models.resnet18().named_children()]
    parts = {name: name.partition(".") for name in tensors}
    return {f"{children.index(first)}.{rest}": tensors[name] for name, (first, _, rest) in parts.items()}


def lightly(n: Networks) -> dict[str, Any]:
    """By the example of MoCo (docs.lightly.ai/examples/moco.html)."""
    state = behind("backbone.", numbered(n.trunk(0))) | behind("backbone_momentum.", numbered(n.trunk(1)))
    state |= {f"projection_head{end}.layers.0.weight": torch.randn(4, 4) for end in ("", "_momentum")}
    return {"pytorch-lightning_version": "2.6.6", "state_dict": state, "epoch": 9, "hyper_parameters": {}}


def lightly_dino(n: Networks) -> dict[str, Any]:
    """By the example of DINO: a student and a teacher, in a plain state dict."""
    state = behind("student_backbone.", numbered(n.trunk(1))) | behind("teacher_backbone.", numbered(n.trunk(0)))
    return state | {"student_head.layers.0.weight": torch.randn(4, 4), "criterion.center.center": torch.randn(4)}


def lightning(n: Networks) -> dict[str, Any]:
    state = behind("model.online.", n(0)) | behind("model.target.", n(1)) | {"head.weight": torch.randn(4, 4)}
    hyper = {"arch": "resnet18", "lr": 0.3}
    return {"epoch": 9, "pytorch-lightning_version": "2.6.6", "state_dict": state, "hyper_parameters": hyper}


FILES: list[tuple[Callable[[Networks], dict[str, Any]], str, dict[str, int]]] = [
    (moco, "moco", {"query": 0, "key": 1}),
    (moco_v2, "moco", {"query": 0, "key": 1}),
    (pixpro, "pixpro", {"online": 0, "momentum": 1}),
    (vicreg, "vicreg", {"backbone": 0}),
    (vissl, "vissl", {"trunk": 0}),
    (solo_learn, "solo_learn", {"backbone": 0, "momentum": 1}),
    (solo_learn_of_old, "solo_learn", {"encoder": 0}),
    (dino, "dino", {"teacher": 0, "student": 1}),
    (openselfsup, "mmselfsup", {"backbone": 0, "key": 1}),
    (openselfsup_byol, "mmselfsup", {"backbone": 0, "target": 1}),
    (transformers, "transformers", {"backbone": 0}),
    (transformers_classifier, "transformers", {"backbone": 0}),
    (lightly, "lightly", {"backbone": 0, "momentum": 1}),
    (lightly_dino, "lightly", {"teacher": 0, "student": 1}),
    (lightning, "lightning", {"state_dict.model.online": 0, "state_dict.model.target": 1}),
    (detectron2, "detectron2", {"backbone": 0}),
    (simclr_v2, "simclr", {"trunk": 0}),
]
STRICT = [case for case in FILES if case[1] not in ("lightly", "lightning", "detectron2", "simclr")]
IDS = [make.__name__ for make, _, _ in FILES]


@pytest.mark.parametrize(("make", "name", "trunks"), FILES, ids=IDS)
def test_every_trunk_is_certified_and_the_authors_is_taken(
    tmp_path: Path, networks: Networks, make: Callable[[Networks], dict[str, Any]], name: str, trunks: dict[str, int]
) -> None:
    path = tmp_path / "file.pth"
    if name == "detectron2":
        path.write_bytes(pickle.dumps(make(networks)))
    else:
        torch.save(make(networks), path)
    arch = "resnet50" if name == "simclr" else "resnet18"
    expected = {number: checkpoint.digest(networks.trunk(number, arch)) for number in (0, 1)}
    if name in ("simclr", "detectron2"):  # these files have no counters
        counted = {key: one * 0 if "tracked" in key else one for key, one in networks.trunk(0, arch).items()}
        expected[0] = checkpoint.digest(counted)
    taken = convert.require(convert.convert(path)).certificate
    assert (taken.format, taken.arch, taken.digest) == (name, arch, expected[0])
    for trunk, number in trunks.items():
        found = convert.require(convert.convert(path, to="mmseg", trunk=trunk)).certificate
        assert found.digest == expected[number]
    if len(trunks) > 1:
        assert "--trunk" in " ".join(taken.notes)
    with pytest.raises(UsageError, match="no trunk 'studnet'"):
        convert.convert(path, trunk="studnet")
    seen = inspect(path)
    assert (seen.format, seen.arch, seen.problem) == (name, arch, "")


@pytest.mark.parametrize(("make", "name", "trunks"), STRICT, ids=[make.__name__ for make, _, _ in STRICT])
def test_a_lost_or_unknown_tensor_is_never_certified(
    tmp_path: Path, networks: Networks, make: Callable[[Networks], dict[str, Any]], name: str, trunks: dict[str, int]
) -> None:
    for change in ("lose", "add"):
        tree = make(networks)
        module = intake.load(name)
        trunk = module.NAMING.found(tree)[0]
        state = tree
        for key in trunk.container:
            state = state[key]
        if change == "lose":
            renamed = hugging_face({"layer3.1.bn2.running_var": torch.ones(1)}) if name == "transformers" else {}
            del state[trunk.prefix + next(iter(renamed), "layer3.1.bn2.running_var")]
        else:
            state["somebody.elses.weight"] = torch.ones(3)
        certificate = module_certificate(tmp_path, tree)
        assert not certificate.ok
        assert (certificate.missing == ["layer3.1.bn2.running_var"]) == (change == "lose")
        assert (certificate.leftover == ["somebody.elses.weight"]) == (change == "add")


def module_certificate(folder: Path, tree: dict[str, Any]) -> Any:
    torch.save(tree, folder / "changed.pth")
    return convert.convert(folder / "changed.pth").certificate


def test_pixpros_two_encoders_differ_by_the_dot(networks: Networks) -> None:
    """`module.encoder` without its dot begins the momentum encoder's names as well."""
    tree = pixpro(networks)
    source = intake.detect(Path("a.pth"), tree, {}).read(Path("a.pth"), tree, {})
    assert torch.equal(source.tensors["conv1.weight"], networks(0)["conv1.weight"])
    assert not any("encoder_k" in name or name.startswith("_k") for name in source.tensors)


def test_aliases_that_differ_contradict_each_other(networks: Networks) -> None:
    tree = openselfsup(networks)
    tree["state_dict"]["encoder_q.0.conv1.weight"] = tree["state_dict"]["encoder_q.0.conv1.weight"] + 1
    module = intake.detect(Path("a.pth"), tree, {})
    with pytest.raises(DensebenchError, match=r"'encoder_q\.0\.conv1\.weight' and 'backbone\.conv1\.weight'"):
        module.read(Path("a.pth"), tree, {})


def test_simclrs_names_are_the_published_ones() -> None:
    names = simclr_names()
    assert len(names) == 265
    assert {simclr.rename(new.removeprefix("net.")) for new in names.values()} == set(names)
    for old, new in names.items():
        assert simclr.rename(new.removeprefix("net.")) == old


@pytest.mark.parametrize(
    ("first", "second", "taken"),
    [
        ("model.online.net.", "model.target.net.", 0),
        ("net.key_encoder.", "net.query_encoder.", 1),
        ("student.trunk.", "teacher.trunk.", 1),
        ("backbone.", "backbone_ema.", 0),
        ("f_k.", "f_q.", 1),
        ("left.", "right.", None),
        ("query_a.", "query_b.", None),
    ],
)
def test_the_fields_words_choose_in_files_never_seen(networks: Networks, first: str, second: str, taken: Any) -> None:
    path = Path("a.pth")
    state = behind(first, networks(0)) | behind(second, networks(1)) | {"temperature": torch.ones(1)}
    tree = {"epoch": 3, "weights": {"all": state}}
    module = intake.detect(path, tree, {})
    assert module is intake.load("general")
    if taken is None:
        with pytest.raises(UsageError, match=f"weights.all.{first[:-1]}, weights.all.{second[:-1]}"):
            module.read(path, tree, {})
        taken = 1
        source = module.read(path, tree, {}, f"weights.all.{second[:-1]}")
    else:
        source = module.read(path, tree, {})
    assert torch.equal(source.tensors["conv1.weight"], networks(taken)["conv1.weight"])
    assert "temperature" in source.dropped and "epoch" in source.dropped
    source.network()  # strictly loaded


def test_an_unknown_tensor_inside_the_trunk_is_not_let_through(tmp_path: Path, networks: Networks) -> None:
    tree = {"weights": behind("f.", networks(0)) | {"f.layer2.1.gate.weight": torch.ones(3)}}
    torch.save(tree, tmp_path / "file.pth")
    certificate = convert.convert(tmp_path / "file.pth").certificate
    assert not certificate.ok
    assert certificate.leftover == ["layer2.1.gate.weight"]


@pytest.mark.parametrize("kind", ["MoCo", "BYOL", "SimCLR", "DenseCL"])
def test_mmpretrains_own_models_are_read(tmp_path: Path, kind: str) -> None:
    """The names come from mmpretrain itself."""
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


@pytest.mark.parametrize("make", [transformers, transformers_classifier])
def test_a_folder_of_the_hub_tells_its_normalisation(tmp_path: Path, networks: Networks, make: Any) -> None:
    from safetensors.torch import save_file

    save_file(make(networks), tmp_path / "model.safetensors", {"format": "pt"})
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "resnet", "hidden_act": "relu"}))
    inputs = {"image_mean": [0.485, 0.456, 0.406], "image_std": [0.5, 0.25, 0.2]}
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(inputs))
    found = convert.require(convert.convert(tmp_path / "model.safetensors"))
    assert (found.mean, found.std) == ((123.675, 116.28, 103.53), (127.5, 63.75, 51.0))
    (tmp_path / "preprocessor_config.json").write_text("[]")
    assert convert.convert(tmp_path / "model.safetensors").std == (58.395, 57.12, 57.375)


@pytest.mark.parametrize("config", [{"downsample_in_bottleneck": True}, {"hidden_act": "gelu"}])
def test_transformers_variants_with_the_same_tensors_are_refused(
    tmp_path: Path, networks: Networks, config: dict[str, Any]
) -> None:
    (tmp_path / "config.json").write_text(json.dumps(config))
    torch.save(transformers(networks), tmp_path / "pytorch_model.bin")
    with pytest.raises(DensebenchError, match="its configuration"):
        convert.convert(tmp_path / "pytorch_model.bin")


def test_numbered_children_in_another_order_are_not_certified(tmp_path: Path, networks: Networks) -> None:
    """A sequence without the max pooling (as for small images) numbers its stages from 3."""
    tree = lightly_dino(networks)
    shifted = {}
    for name, tensor in tree.items():
        prefix, *parts = name.split(".")
        if parts[0] in "4567":
            parts[0] = str(int(parts[0]) - 1)
        shifted[".".join((prefix, *parts))] = tensor
    torch.save(shifted, tmp_path / "file.pth")
    try:
        ok = convert.convert(tmp_path / "file.pth").certificate.ok
    except DensebenchError:
        ok = False
    assert not ok
