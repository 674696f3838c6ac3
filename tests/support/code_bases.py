"""Files as the code bases save them: each from networks by number, `conftest.Networks`."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

Tensors = dict[str, Tensor]
Networks = Any  # of conftest.py
FIXTURES = Path(__file__).parents[1] / "fixtures"


def behind(prefix: str, tensors: Tensors) -> Tensors:
    return {prefix + name: tensor for name, tensor in tensors.items()}


def simclr_names() -> dict[str, str]:
    """Torchvision's name -> the converted network's, of a ResNet-50, as published."""
    names: dict[str, str] = json.loads((FIXTURES / "simclr_names.json").read_text())
    return names


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


def resim(n: Networks) -> dict[str, Any]:
    """MoCo's, with a feature pyramid in both encoders (moco/models.py of Tete-Xiao/ReSim)."""
    tree = moco_v2(n)
    for which in "qk":
        for part in ("fpn_lateral5", "fpn_lateral4", "fpn_output4", "fpn_lateral3", "fpn_output3"):
            for kind, shape in (("weight", (4, 4, 1, 1)), ("bias", (4,))):
                tree["state_dict"][f"module.encoder_{which}.{part}.{kind}"] = torch.randn(shape)
    return tree


def slotcon(n: Networks) -> dict[str, Any]:
    """By models/slotcon.py and main_pretrain.py of CVMI-Lab/SlotCon."""
    state = behind("module.encoder_k.", n.trunk(0)) | behind("module.encoder_q.", n.trunk(1))
    for which in "qk":
        state[f"module.projector_{which}.mlp.0.weight"] = torch.randn(4, 4, 1, 1)
        state[f"module.projector_{which}.mlp.1.running_mean"] = torch.randn(4)
        state[f"module.grouping_{which}.slot_embed.weight"] = torch.randn(4, 4)
    state |= {"module.predictor_slot.mlp.0.weight": torch.randn(4, 4), "module.center": torch.zeros(1, 4)}
    return {"args": argparse.Namespace(arch="resnet18"), "model": state, "optimizer": {}, "scheduler": {}, "epoch": 800}


def swav(n: Networks) -> dict[str, Any]:
    """A published file (hubconf.py and src/resnet50.py of facebookresearch/swav): flat, wrapped, with its head."""
    head = {"projection_head.0.weight": torch.randn(4, 4), "projection_head.1.num_batches_tracked": torch.tensor(9)}
    head |= {"projection_head.3.bias": torch.randn(4), "prototypes.weight": torch.randn(4, 4)}
    return behind("module.", n.trunk(0) | head)


def swav_training(n: Networks) -> dict[str, Any]:
    return {"epoch": 100, "state_dict": swav(n), "optimizer": {"state": {}}, "amp": {"loss_scaler0": {"unskipped": 3}}}


def deepcluster_v2(n: Networks) -> dict[str, Any]:
    tree = swav(n)
    tree["module.prototypes.prototypes0.weight"] = tree.pop("module.prototypes.weight")
    return tree


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


def lightly_tutorial(n: Networks) -> dict[str, Any]:
    """By the tutorials (docs.lightly.ai/tutorials): the backbone's own state dict, here in a container."""
    return {"resnet18_parameters": numbered(n.trunk(0))}


def lightly_alone(n: Networks) -> dict[str, Any]:
    return numbered(n.trunk(0))


def lightning(n: Networks) -> dict[str, Any]:
    state = behind("model.online.", n(0)) | behind("model.target.", n(1)) | {"head.weight": torch.randn(4, 4)}
    hyper = {"arch": "resnet18", "lr": 0.3}
    return {"epoch": 9, "pytorch-lightning_version": "2.6.6", "state_dict": state, "hyper_parameters": hyper}


# What makes a file, its format, and the number of the network that each of its trunks is.
FILES: list[tuple[Callable[[Networks], dict[str, Any]], str, dict[str, int]]] = [
    (moco, "moco", {"query": 0, "key": 1}),
    (moco_v2, "moco", {"query": 0, "key": 1}),
    (pixpro, "pixpro", {"online": 0, "momentum": 1}),
    (resim, "resim", {"query": 0, "key": 1}),
    (slotcon, "slotcon", {"teacher": 0, "student": 1}),
    (swav, "swav", {"backbone": 0}),
    (swav_training, "swav", {"backbone": 0}),
    (deepcluster_v2, "swav", {"backbone": 0}),
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
    (lightly_tutorial, "lightly", {"backbone": 0}),
    (lightly_alone, "lightly", {"backbone": 0}),
    (lightning, "lightning", {"state_dict.model.online": 0, "state_dict.model.target": 1}),
    (detectron2, "detectron2", {"backbone": 0}),
    (simclr_v2, "simclr", {"trunk": 0}),
]
