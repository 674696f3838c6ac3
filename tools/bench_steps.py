"""A training step of ours, mmpretrain's and lightly's, and the passes through the backbone that it cannot do without.

Started by bench_pretrain.py. ResNet-18 on random views of 96 pixels, channels_last, SGD, all four in bfloat16 where
the machine has it; heads, queue and temperature are the methods' own, scaled to ResNet-18's channels, and the same in
all three.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from benchmark.quiet import quiet
from pretrain import backbones, methods
from pretrain.engine.precision import autocast, choose
from pretrain.learner import Learner
from pretrain.method import Views
from pretrain.recipe import Recipe, keywords_of
from pretrain.schedule import optimizer

SIZE, CHANNELS = 96, 512
STEPS = 2  # a round's
TEACHERS = {"densecl": 1, "moco_v2": 1, "simclr": 0, "byol": 2}  # views that the teacher sees
STUDENTS = {"densecl": 1, "moco_v2": 1, "simclr": 2, "byol": 2}  # views that the student sees
Step = Callable[[], None]


def run(alternate: Callable[..., None], names: Sequence[str] | None, batch: int, queue: int, rounds: int) -> None:
    """Time each method's step in the three implementations, and its floor."""
    for name in names or TEACHERS:
        torch.manual_seed(0)
        images = [torch.randn(batch, 3, SIZE, SIZE).contiguous(memory_format=torch.channels_last) for _ in range(2)]
        steps = {
            "densebench": ours(name, images, queue),
            "lightly": lightly(name, images, queue),
            "mmpretrain": mmpretrain(name, images, queue),
            "bare backbone passes": floor(name, images),
        }
        print(f"{name}, {batch} images, {queue} keys, {choose('bfloat16')}")
        alternate({key: repeated(step) for key, step in steps.items()}, batch * STEPS, rounds)


def repeated(step: Step) -> Step:
    """Take several steps at once."""

    def several() -> None:
        for _ in range(STEPS):
            step()

    return several


def ours(name: str, images: list[Tensor], queue: int) -> Step:
    """Return a step as `pretrain` takes it."""
    kind = methods.load(name)
    keywords = {"queue_size": queue} if "queue_size" in keywords_of(kind) else {}
    learner = Learner(kind(backbones.build("resnet18", 0), image_size=SIZE, **keywords))
    learner.to(memory_format=torch.channels_last)
    options = optimizer(learner, Recipe("", lr=0.01, precision=choose("bfloat16")))
    wrapper = options.pop("type")(**options)
    none = torch.zeros(len(images[0]))
    views = Views(images, [none[:, None].expand(-1, 4)] * 2, [none.bool()] * 2, none.long())

    def step() -> None:
        learner.method.before_step(0.5)
        learner.train_step(views, wrapper)

    return step


def floor(name: str, images: list[Tensor]) -> Step:
    """Return the passes through the backbone, and nothing else."""
    backbone = backbones.build("resnet18", 0).to(memory_format=torch.channels_last)
    together = {count: torch.cat(images[:count]) for count in (1, 2)}

    def step() -> None:
        with autocast(choose("bfloat16")):
            features = backbone(together[STUDENTS[name]])
            if TEACHERS[name]:
                with torch.no_grad():
                    backbone(together[TEACHERS[name]])
        features.float().mean().backward()

    return step


def trained(network: nn.Module, loss: Callable[[], Tensor]) -> Step:
    """Return a step of SGD on a loss, in our step's precision."""
    parameters = [parameter for parameter in network.parameters() if parameter.requires_grad]
    sgd = torch.optim.SGD(parameters, lr=0.01, momentum=0.9, weight_decay=1e-4, foreach=True)

    def step() -> None:
        with autocast(choose("bfloat16")):
            value = loss()
        sgd.zero_grad()
        value.backward()
        sgd.step()

    return step


def mmpretrain(name: str, images: list[Tensor], queue: int) -> Step:
    """Return a step of mmpretrain's model, configured as in its model zoo."""
    with quiet():
        from mmpretrain.registry import MODELS
        from mmpretrain.utils import register_all_modules

        register_all_modules()
    config: dict[str, Any] = {"backbone": {"type": "ResNet", "depth": 18, "norm_cfg": {"type": "BN"}}}
    contrast = {"type": "ContrastiveHead", "loss": {"type": "CrossEntropyLoss"}}
    widths = {"in_channels": CHANNELS, "hid_channels": CHANNELS, "out_channels": 128}
    if name == "simclr":
        config |= {
            "type": "SimCLR",
            "neck": {"type": "NonLinearNeck", "num_layers": 2, "with_avg_pool": True, **widths},
        }
        config["head"] = {**contrast, "temperature": 0.1}
    elif name == "byol":
        wide = {"type": "NonLinearNeck", "hid_channels": 4096, "out_channels": 256, "num_layers": 2, "with_bias": True}
        wide["with_last_bn"] = False
        config |= {"type": "BYOL", "neck": {**wide, "in_channels": CHANNELS, "with_avg_pool": True}}
        predictor = {**wide, "in_channels": 256, "with_avg_pool": False}
        config["head"] = {"type": "LatentPredictHead", "predictor": predictor, "loss": {"type": "CosineSimilarityLoss"}}
    else:
        neck = {"type": "DenseCLNeck", **widths} if name == "densecl" else {"type": "MoCoV2Neck", **widths}
        config |= {"type": "DenseCL" if name == "densecl" else "MoCo", "neck": neck, "queue_len": queue}
        config["head"] = {**contrast, "temperature": 0.2}
    model = MODELS.build(config).to(memory_format=torch.channels_last)
    return trained(model, lambda: sum(model.loss(images, []).values()))


def lightly(name: str, images: list[Tensor], queue: int) -> Step:
    """Return a step put together from lightly's parts, as in its examples."""
    from lightly.loss import NegativeCosineSimilarity, NTXentLoss
    from lightly.models import utils
    from lightly.models.modules import heads

    backbone = backbones.build("resnet18", 0)
    pool = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())
    negatives = (queue, 128)
    if name == "simclr":
        network = nn.Sequential(backbone, pool, heads.SimCLRProjectionHead(CHANNELS, CHANNELS, 128))
        network.to(memory_format=torch.channels_last)
        criterion = NTXentLoss(0.1)
        return trained(network, lambda: criterion(*map(network, images)))
    if name == "byol":
        network = nn.Sequential(backbone, pool, heads.BYOLProjectionHead(CHANNELS, 4096, 256))
        predictor = heads.BYOLPredictionHead(256, 4096, 256)
        teacher = copy.deepcopy(network)
        cosine = NegativeCosineSimilarity()

        def byol() -> Tensor:
            utils.update_momentum(network, teacher, m=0.996)
            with torch.no_grad():
                targets = [teacher(image) for image in images]
            first, second = (predictor(network(image)) for image in images)
            return 0.5 * (cosine(first, targets[1]) + cosine(second, targets[0]))

        whole = nn.ModuleList([network, predictor])
        for part in (whole, teacher):
            part.to(memory_format=torch.channels_last)
        return trained(whole, byol)
    if name == "moco_v2":
        network = nn.Sequential(backbone, pool, heads.MoCoProjectionHead(CHANNELS, CHANNELS, 128))
        teacher = copy.deepcopy(network)
        utils.deactivate_requires_grad(teacher)
        criterion = NTXentLoss(0.2, memory_bank_size=negatives)
        for part in (network, teacher):
            part.to(memory_format=torch.channels_last)

        def moco() -> Tensor:
            utils.update_momentum(network, teacher, m=0.999)
            with torch.no_grad():
                key = teacher(images[1])
            return criterion(network(images[0]), key)

        return trained(network, moco)
    student = nn.ModuleDict(
        {
            "backbone": backbone,
            "whole": heads.DenseCLProjectionHead(CHANNELS, CHANNELS, 128),
            "dense": heads.DenseCLProjectionHead(CHANNELS, CHANNELS, 128),
        }
    ).to(memory_format=torch.channels_last)
    teacher = copy.deepcopy(student)
    utils.deactivate_requires_grad(teacher)
    whole_criterion, dense_criterion = (NTXentLoss(0.2, memory_bank_size=negatives) for _ in range(2))

    def encode(network: nn.ModuleDict, image: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        features = network["backbone"](image)
        local = features.flatten(2).transpose(1, 2)  # (B, N, C)
        return network["whole"](pool(features)), network["dense"](local), local

    def densecl() -> Tensor:
        utils.update_momentum(student, teacher, m=0.999)
        query, dense_query, query_features = encode(student, images[0])
        with torch.no_grad():
            key, dense_key, key_features = encode(teacher, images[1])
            dense_key = utils.select_most_similar(query_features, key_features, dense_key)
        dense = dense_criterion(dense_query.flatten(0, 1), dense_key.flatten(0, 1))
        return 0.5 * whole_criterion(query, key) + 0.5 * dense

    return trained(student, densecl)
