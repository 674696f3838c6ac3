"""Files as code bases save them, and where each keeps the tensors of the network that its authors evaluate."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random
from typing import Any

import torch
from torch import Tensor

from .networks import OWN_SIDE, SIDES, is_vit, network

State = dict[str, Tensor]
Tree = dict[str, Any]
Way = tuple[str, ...]  # keys that lead to a tensor


@dataclass(frozen=True)
class Place:
    """Where a file has a network: `ways` lead from torchvision's or timm's names to its tensors."""

    arch: str
    ways: dict[str, Way]


@dataclass
class File:
    """A file as a code base saves it.

    Attributes:
        kind: Whose file it is.
        container: "zip", "legacy", "safetensors", "pickle", "folder" or "ours".
        tree: What is in it.
        places: The networks that may be certified: the one that its authors evaluate, in every format it holds.
        original: That network's tensors, before any damage.
        options: For `convert`.
    """

    kind: str
    container: str
    tree: Tree
    places: list[Place]
    original: State
    options: dict[str, Any] = field(default_factory=dict)

    @property
    def arch(self) -> str:
        """The architecture."""
        return self.places[0].arch

    def state(self) -> tuple[Tree, list[str]]:
        """Return the dictionary that holds the network's tensors, and their names there."""
        ways = list(self.places[0].ways.values())
        state = self.tree
        for key in ways[0][:-1]:
            state = state[key]
        return state, [way[-1] for way in ways]


@dataclass(frozen=True)
class Layout:
    """How a code base lays a network out: behind `keys` and a prefix, in one of some containers."""

    tree: Tree
    keys: Way = ()
    prefix: str = ""
    containers: tuple[str, ...] = ("zip", "legacy")
    rename: Callable[[str], str] = str


def behind(prefix: str, state: State) -> Tree:
    """Put a prefix before every name."""
    return {prefix + name: tensor for name, tensor in state.items()}


def head(prefix: str) -> Tree:
    """Return a layer that belongs to no network."""
    return {f"{prefix}.weight": torch.ones(4, 4), f"{prefix}.bias": torch.ones(4)}


def _plain(arch: str, a: State, b: State, random: Random) -> Layout:
    """A state dict that users of torchvision, of timm or of DINO's released backbones save."""
    width = next(reversed(a.values())).shape[0] if is_vit(arch) else a["layer4.1.bn2.bias"].shape[0]
    width = 4 * width if "layer1.0.conv3.weight" in a else width
    name = "head" if is_vit(arch) else "fc"
    classifier = random.choice(({}, {f"{name}.weight": torch.ones(9, width), f"{name}.bias": torch.ones(9)}))
    wrapper, keys = random.choice(("", "module.")), random.choice(((), ("state_dict",), ("model",)))
    tree: Tree = behind(wrapper, {**a, **classifier})
    for key in keys:
        tree = {key: tree, "epoch": 3}
    return Layout(tree, keys, wrapper)


def _timm(arch: str, a: State, b: State, random: Random) -> Layout:
    return Layout(dict(a), containers=("safetensors", "folder"))


def _timm_trainer(arch: str, a: State, b: State, random: Random) -> Layout:
    tree = {"state_dict": dict(b), "state_dict_ema": dict(a), "version": 2, "arch": arch, "epoch": 3}
    return Layout(tree, ("state_dict_ema",))


def _densebench(arch: str, a: State, b: State, random: Random) -> Layout:
    return Layout(dict(a), containers=("ours",))


def _dino(arch: str, a: State, b: State, random: Random) -> Layout:
    """The whole checkpoint: the student is wrapped, a ViT's teacher is not."""
    wrapper = "" if is_vit(arch) else "module."
    student = behind("module.backbone.", b) | head("module.head.mlp.0")
    teacher = behind(f"{wrapper}backbone.", a) | head(f"{wrapper}head.mlp.0")
    tree = {"student": student, "teacher": teacher, "epoch": 9, "dino_loss": {"center": torch.ones(3)}}
    return Layout(tree, ("teacher",), f"{wrapper}backbone.")


def _dino_teacher(arch: str, a: State, b: State, random: Random) -> Layout:
    wrapper = random.choice(("", "module."))
    tree = {"teacher": behind(f"{wrapper}backbone.", a) | head(f"{wrapper}head.mlp.0")}
    return Layout(tree, ("teacher",), f"{wrapper}backbone.")


def _lightning(arch: str, a: State, b: State, random: Random) -> Layout:
    prefix, other = random.choice((("model.", ""), ("student.backbone.", "momentum.backbone."), ("net.", "ema.net.")))
    state = behind(prefix, a) | (behind(other, b) if other else {}) | head("criterion.layer")
    tree = {"pytorch-lightning_version": "2.1", "state_dict": state, "hyper_parameters": {"lr": 0.3}, "epoch": 3}
    return Layout(tree, ("state_dict",), prefix)


def _general(arch: str, a: State, b: State, random: Random) -> Layout:
    state = behind("net.online.", a) | behind("net.target.", b) | head("net.projector.0")
    return Layout({"weights": state, "step": 5}, ("weights",), "net.online.")


def _moco(arch: str, a: State, b: State, random: Random) -> Layout:
    state = behind("module.encoder_q.", a) | behind("module.encoder_k.", b) | head("module.encoder_q.fc.0")
    state |= head("module.encoder_k.fc.0") | {"module.queue": torch.ones(8, 4)}
    tree = {"epoch": 1, "state_dict": state, "optimizer": {"state": {0: {"momentum": torch.ones(2)}}}}
    return Layout(tree, ("state_dict",), "module.encoder_q.")


def _pixpro(arch: str, a: State, b: State, random: Random) -> Layout:
    state = behind("module.encoder.", a) | behind("module.encoder_k.", b) | head("module.projector")
    return Layout({"opt": {"lr": 1.0}, "model": state}, ("model",), "module.encoder.")


def _vicreg(arch: str, a: State, b: State, random: Random) -> Layout:
    state = behind("module.backbone.", a) | head("module.projector.0")
    return Layout({"model": state, "epoch": 1}, ("model",), "module.backbone.")


def _vissl(arch: str, a: State, b: State, random: Random) -> Layout:
    model = {"trunk": behind("_feature_blocks.", a), "heads": head("0.clf.0")}
    tree = {"classy_state_dict": {"base_model": {"model": model}}, "iteration": 3}
    return Layout(tree, ("classy_state_dict", "base_model", "model", "trunk"), "_feature_blocks.")


def _solo_learn(arch: str, a: State, b: State, random: Random) -> Layout:
    state = behind("backbone.", a) | behind("momentum_backbone.", b) | head("projector.0") | head("classifier")
    tree = {"pytorch-lightning_version": "2.1", "state_dict": state, "hyper_parameters": {"lr": 0.3}}
    return Layout(tree, ("state_dict",), "backbone.")


def _mmselfsup(arch: str, a: State, b: State, random: Random) -> Layout:
    state = behind("backbone.", a) | behind("encoder_q.0.", a) | behind("encoder_k.0.", b) | head("neck.mlp.0")
    return Layout({"meta": {}, "state_dict": state}, ("state_dict",), "backbone.")


def _detectron2(arch: str, a: State, b: State, random: Random) -> Layout:
    model = {detectron2_name(name): tensor.numpy() for name, tensor in a.items() if "tracked" not in name}
    tree = {"model": model, "__author__": "MOCO", "matching_heuristics": True}
    return Layout(tree, ("model",), containers=("pickle",), rename=detectron2_name)


def _mae(arch: str, a: State, b: State, random: Random) -> Layout:
    state = {**a, **head("decoder_embed"), "mask_token": torch.ones(1, 1, 4), "decoder_pos_embed": torch.ones(1, 2, 4)}
    return Layout({"model": state, "epoch": 799, "optimizer": {"state": {}}}, ("model",))


def _droppos(arch: str, a: State, b: State, random: Random) -> Layout:
    more = head("decoder_embed") | {"mask_token": torch.ones(1, 1, 4), "mask_pos_token": torch.ones(1, 1, 4)}
    return Layout({"state_dict": behind("module.", a | more), "model": "mae_vit"}, ("state_dict",), "module.")


def detectron2_name(name: str) -> str:
    """Rename by the rule of MoCo's conversion script."""
    name = name if "layer" in name else f"stem.{name}"
    for number in (4, 3, 2, 1):
        name = name.replace(f"layer{number}", f"res{number + 1}")
    for number in (1, 2, 3):
        name = name.replace(f"bn{number}", f"conv{number}.norm")
    return name.replace("downsample.0", "shortcut").replace("downsample.1", "shortcut.norm")


_BOTH = (_plain, _timm, _timm_trainer, _densebench, _dino, _dino_teacher, _lightning, _general)
_RESNETS = (*_BOTH, _moco, _pixpro, _vicreg, _vissl, _solo_learn, _mmselfsup, _detectron2)
_VITS = (*_BOTH, _mae, _droppos)


def kinds(arch: str) -> list[str]:
    """Return whose files of an architecture can be built."""
    return [builder.__name__[1:] for builder in (_VITS if is_vit(arch) else _RESNETS)]


def build(arch: str, random: Random, kind: str | None = None) -> File:
    """Build a file of some kind, whose authors evaluate one of a few networks; another one stands beside it."""
    kind = kind or random.choice(kinds(arch))
    side = OWN_SIDE if kind == "densebench" else SIDES.get(arch, 0)
    a, b = (network(arch, number, side) for number in random.sample(range(4), 2))
    layout = globals()[f"_{kind}"](arch, a, b, random)
    original = {name: one for name, one in a.items() if kind != "detectron2" or "tracked" not in name}
    ways = {name: (*layout.keys, layout.prefix + layout.rename(name)) for name in original}
    return File(kind, random.choice(layout.containers), layout.tree, [Place(arch, ways)], original)
