"""The traps of published checkpoints: each of these fails when it is stepped into."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

import pretrain.backbones
from benchmark import convert, intake
from benchmark.cli import app
from benchmark.inspection import inspect
from benchmark.shell import perform
from pretrain import tensor_file
from pretrain.errors import DensebenchError, UsageError

Tensors = dict[str, Tensor]
ROOT = Path(__file__).parents[2]


@pytest.fixture
def networks(trained_looking: Callable[[str], Tensors]) -> tuple[Tensors, Tensors]:
    """Two trunks that differ in every tensor."""
    trunk = {name: one for name, one in trained_looking("resnet18").items() if not name.startswith("fc.")}
    other = {name: one + 1 / 64 if one.is_floating_point() else one for name, one in trunk.items()}
    return trunk, other


def behind(prefix: str, tensors: Tensors) -> Tensors:
    return {prefix + name: tensor for name, tensor in tensors.items()}


def read(tree: dict[str, Any], wanted: str | None = None) -> Any:
    return intake.read(Path("a.pth"), tree, {}, trunk=wanted)


PAIRS: dict[str, Callable[[Tensors, Tensors], dict[str, Any]]] = {
    "moco": lambda a, b: {"state_dict": behind("module.encoder_q.", a) | behind("module.encoder_k.", b)},
    "pixpro": lambda a, b: {"model": behind("module.encoder.", a) | behind("module.encoder_k.", b)},
    "dino": lambda a, b: {"teacher": behind("module.backbone.", a), "student": behind("module.backbone.", b)},
    "mmselfsup": lambda a, b: {"state_dict": behind("backbone.", a) | behind("encoder_k.0.", b)},
    "solo_learn": lambda a, b: {
        "state_dict": behind("backbone.", a) | behind("momentum_backbone.", b),
        "pytorch-lightning_version": "2.0",
    },
    "general": lambda a, b: {"net": behind("online.", a) | behind("target.", b)},
}


@pytest.mark.parametrize("format", PAIRS)
@pytest.mark.parametrize("lost", ["conv1.weight", "layer3.0.conv1.weight"])
def test_a_damaged_network_is_not_replaced_by_the_other_one(
    networks: tuple[Tensors, Tensors], format: str, lost: str
) -> None:
    """The momentum encoder beside it is whole, but it is not what the authors evaluate."""
    whole = PAIRS[format](*networks)
    assert torch.equal(read(whole).tensors["bn1.bias"], networks[0]["bn1.bias"])
    broken = PAIRS[format]({name: one for name, one in networks[0].items() if name != lost}, networks[1])
    try:
        source = read(broken)
    except UsageError as error:
        assert "is not whole" in error.message and "--trunk" in error.mend
    except DensebenchError:
        pass
    else:
        assert lost not in source.tensors  # so that it is never certified
        assert torch.equal(source.tensors["bn1.bias"], networks[0]["bn1.bias"])


@pytest.mark.parametrize("wrap", ["dino", "general", "lightning"])
@pytest.mark.parametrize(
    ("arch", "lost"), [("vit_tiny_patch16", "patch_embed.proj.weight"), ("convnext_tiny", "stem.0.weight")]
)
def test_a_damaged_vit_or_convnext_is_not_replaced_by_the_other_one(arch: str, lost: str, wrap: str) -> None:
    wholes = [pretrain.backbones.build(arch, seed).state_dict() for seed in (1, 2)]
    wraps: dict[str, Callable[[Tensors, Tensors], dict[str, Any]]] = {
        "dino": lambda a, b: {"teacher": behind("backbone.", a), "student": behind("module.backbone.", b)},
        "general": PAIRS["general"],
        "lightning": lambda a, b: {
            "state_dict": behind("student.", a) | behind("momentum.", b),
            "pytorch-lightning_version": "2.1",
        },
    }
    assert torch.equal(read(wraps[wrap](*wholes)).tensors[lost], wholes[0][lost])
    broken = wraps[wrap]({name: one for name, one in wholes[0].items() if name != lost}, wholes[1])
    with pytest.raises(UsageError, match="is not whole"):
        read(broken)


def test_a_decoders_blocks_are_no_torn_network(tmp_path: Path) -> None:
    encoder = pretrain.backbones.build("vit_tiny_patch16", 1).state_dict()
    decoder = {name: one for name, one in encoder.items() if name.startswith("blocks.")}
    tree = {"net": behind("encoder.", encoder) | behind("decoder.", decoder) | behind("predictor_", decoder)}
    source = read(tree)
    assert (source.format, source.trunk) == ("general", "net.encoder")
    assert source.tensors.keys() >= encoder.keys()


def test_dinos_bare_teacher_beside_its_wrapped_student(tmp_path: Path, networks: tuple[Tensors, Tensors]) -> None:
    """A network without batch norm leaves its teacher unwrapped; a ResNet of such names must not yield the student."""
    tree = {
        "student": behind("module.backbone.", networks[1]) | {"module.head.weight": torch.ones(2)},
        "teacher": behind("backbone.", networks[0]) | {"head.weight": torch.ones(2)},
        "epoch": 3,
    }
    torch.save(tree, tmp_path / "dino.pth")
    try:
        found = convert.convert(tmp_path / "dino.pth")
    except UsageError as error:
        assert "teacher" in str(error)
    else:
        assert torch.equal(found.state["conv1.weight"], networks[0]["conv1.weight"])


def test_a_released_momentum_encoder_is_taken_where_it_stands_alone(networks: tuple[Tensors, Tensors]) -> None:
    tree = {"state_dict": behind("module.encoder_k.", networks[1]) | {"module.queue": torch.ones(2)}}
    source = read(tree)
    assert (source.format, source.trunk, source.candidates) == ("moco", "key", ["key"])
    assert torch.equal(source.tensors["conv1.weight"], networks[1]["conv1.weight"])
    source = read({"momentum_encoder": behind("net.", networks[1]), "epoch": 3})
    assert (source.format, source.trunk) == ("general", "momentum_encoder.net")


def test_dropposs_string_in_model(networks: tuple[Tensors, Tensors]) -> None:
    source = read({"model": "mae_vit_base", "state_dict": behind("module.", networks[0]), "epoch": 3})
    assert torch.equal(source.tensors["conv1.weight"], networks[0]["conv1.weight"])
    assert "model" in source.dropped


@pytest.mark.parametrize(
    ("tree", "reader", "named"),
    [
        (lambda a, b: {"model": "vit_tiny", "state_dict": a, "state_dict_ema": b}, "droppos", "state_dict_ema"),
        (lambda a, b: {"state_dict": behind("backbone.", a), "state_dict_ema": b, "meta": {}}, "mmselfsup", ""),
        (lambda a, b: {"model": a, "model_ema": b, "epoch": 3}, "timm", "model_ema"),
        (lambda a, b: {"encoder": behind("x.", a), "state_dict_ema": b}, "general", "encoder.x"),
    ],
)
def test_averaged_weights_are_not_passed_over_unasked(tree: Any, reader: str, named: str) -> None:
    plain, averaged = (pretrain.backbones.build("vit_tiny_patch16", seed).state_dict() for seed in (1, 2))
    file = tree(plain, averaged)
    with pytest.raises(UsageError, match=f"{reader} passes over") as refused:
        intake.read(Path("a.pth"), file, {}, format=reader)
    assert named in refused.value.mend
    for place in intake.load("general").places(file):
        source = intake.read(Path("a.pth"), file, {}, format="general", trunk=place)
        wanted = averaged if place.endswith("_ema") else plain
        assert torch.equal(source.tensors["cls_token"], wanted["cls_token"])


def test_an_averaging_that_was_off_is_no_averaged_weights(networks: tuple[Tensors, Tensors]) -> None:
    assert read({"model": networks[0], "model_ema": None}).trunk == ""
    assert read({"model": networks[0], "model_ema": {}}).trunk == ""


def exclude_bias_and_norm(tensor: Tensor) -> bool:
    """As VICRegL's training script has it, whose optimizer pickles it."""
    return tensor.ndim == 1


def test_a_full_vicregl_checkpoint_with_pickled_functions(tmp_path: Path, networks: tuple[Tensors, Tensors]) -> None:
    model = behind("module.backbone.", networks[0])
    model |= {"module.maps_projector.0.weight": torch.ones(2), "module.projector.0.weight": torch.ones(2)}
    group = {"lr": 0.3, "params": [0], "weight_decay_filter": exclude_bias_and_norm}
    tree = {"epoch": 300, "model": model, "optimizer": {"state": {0: {"mu": torch.ones(3)}}, "param_groups": [group]}}
    torch.save(tree, tmp_path / "fullckpt.pth")
    with pytest.raises(Exception, match="exclude_bias_and_norm"):
        torch.load(tmp_path / "fullckpt.pth")
    found = convert.require(convert.convert(tmp_path / "fullckpt.pth"))
    assert found.certificate.format == "vicreg"
    assert torch.equal(found.state["conv1.weight"], networks[0]["conv1.weight"])
    note = next(note for note in found.certificate.notes if "was not run" in note)
    assert "exclude_bias_and_norm" in note
    assert inspect(tmp_path / "fullckpt.pth").inert == list(tensor_file.read(tmp_path / "fullckpt.pth").inert) != []


def test_an_unknown_code_base_with_vicregs_names_is_sent_to_the_general_reader(
    tmp_path: Path, networks: tuple[Tensors, Tensors], capsys: pytest.CaptureFixture[str]
) -> None:
    path, out = tmp_path / "ours.pth", str(tmp_path / "out.pth")
    torch.save({"model": behind("module.backbone.", networks[0]) | {"module.neck.weight": torch.ones(2)}}, path)
    assert perform(app, ["convert", str(path), "--to", "mmdet", "--out", out]) == 1
    assert "--format general takes the network alone" in capsys.readouterr().err
    assert perform(app, ["convert", str(path), "--to", "mmdet", "--out", out, "--format", "general"]) == 0


def test_timms_damaged_average_is_not_replaced_by_the_plain_weights(networks: tuple[Tensors, Tensors]) -> None:
    tree: dict[str, Any] = {"state_dict": networks[0], "state_dict_ema": dict(networks[1]), "version": 2, "arch": "a"}
    assert torch.equal(read(tree).tensors["conv1.weight"], networks[1]["conv1.weight"])
    del tree["state_dict_ema"]["conv1.weight"]
    with pytest.raises(DensebenchError):
        source = read(tree)
        assert torch.equal(source.tensors["bn1.bias"], networks[1]["bn1.bias"])


def test_no_weights_are_ever_loaded_leniently() -> None:
    """Torch loads strictly unless it is told otherwise, and mmengine's own readers load leniently."""
    calls = 0
    for folder in ("benchmark", "pretrain", "tools", "transfer_configs"):
        for path in (ROOT / folder).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.Call) and ast.unparse(node.func).endswith(".load_state_dict"):
                    calls += 1
                    strict = [one.value for one in node.keywords if one.arg == "strict"]
                    plain = all(one.arg is not None for one in node.keywords) and len(node.args) == 1
                    assert plain and all(ast.unparse(one) == "True" for one in strict), f"{path}: {ast.unparse(node)}"
            for line in path.read_text().splitlines():
                assert not re.search(r"strict.{0,4}[=:]\s*False", line) or "zip(" in line, f"{path}: {line}"
                lenient = re.search(r"\bload_(checkpoint|from)\b", line) or '"type": "Pretrained"' in line
                assert not lenient, f"{path}: {line}"
    assert calls > 6
