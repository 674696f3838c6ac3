"""A training step of ours, mmpretrain's and lightly's, and the passes through the backbone that it cannot do without.

Started by bench_pretrain.py. A ResNet on random views, channels_last, SGD, all four in bfloat16 where the machine has
it, on its GPU if there is one; heads, queue and temperature are the methods' own, scaled to the ResNet's channels, and
the same in all three.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass
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

STEPS = 2  # a round's
TEACHERS = {"densecl": 1, "moco_v2": 1, "simclr": 0, "byol": 2}  # views that the teacher sees
STUDENTS = {"densecl": 1, "moco_v2": 1, "simclr": 2, "byol": 2}  # views that the student sees
Step = Callable[[], None]


@dataclass(frozen=True)
class Bench:
    """What is timed.

    Attributes:
        name: The method.
        arch: "resnet18" or "resnet50".
        images: Two batches of views.
        queue: Keys in a queue.
    """

    name: str
    arch: str
    images: list[Tensor]
    queue: int

    @property
    def device(self) -> torch.device:
        """Where the step is taken."""
        return self.images[0].device

    @property
    def channels(self) -> int:
        """Of the ResNet's last stage."""
        return 512 if self.arch == "resnet18" else 2048

    def placed(self, network: nn.Module) -> nn.Module:
        """Lay out a network as the images are, on their device."""
        network.to(self.device)
        network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        return network


def run(
    alternate: Callable[..., None],
    names: Sequence[str] | None,
    arch: str,
    size: int,
    batch: int,
    queue: int,
    rounds: int,
) -> None:
    """Time each method's step in the three implementations, and its floor."""
    device = "cuda" if torch.cuda.is_available() else "cpu"
    for name in names or TEACHERS:
        torch.manual_seed(0)
        images = [torch.randn(batch, 3, size, size, device=device) for _ in range(2)]
        bench = Bench(name, arch, [image.contiguous(memory_format=torch.channels_last) for image in images], queue)
        steps = {
            "densebench": ours(bench),
            "lightly": lightly(bench),
            "mmpretrain": mmpretrain(bench),
            "bare backbone passes": floor(bench),
        }
        print(f"{name}, {arch}, {batch} images of {size} px, {queue} keys, {choose('bfloat16')}, {device}")
        alternate({key: repeated(step) for key, step in steps.items()}, batch * STEPS, rounds)


def repeated(step: Step) -> Step:
    """Take several steps at once."""

    def several() -> None:
        for _ in range(STEPS):
            step()

    return several


def ours(bench: Bench) -> Step:
    """Return a step as `pretrain` takes it."""
    kind, images = methods.load(bench.name), bench.images
    keywords = {"queue_size": bench.queue} if "queue_size" in keywords_of(kind) else {}
    learner = Learner(kind(backbones.build(bench.arch, 0), image_size=images[0].shape[-1], **keywords))
    bench.placed(learner)
    options = optimizer(learner, Recipe("", lr=0.01, precision=choose("bfloat16")))
    wrapper = options.pop("type")(**options)
    none = torch.zeros(len(images[0]), device=bench.device)
    views = Views(images, [none[:, None].expand(-1, 4)] * 2, [none.bool()] * 2, none.long())

    def step() -> None:
        learner.method.before_step(0.5)
        learner.train_step(views, wrapper)

    return step


def floor(bench: Bench) -> Step:
    """Return the passes through the backbone, and nothing else."""
    name, backbone = bench.name, bench.placed(backbones.build(bench.arch, 0))
    together = {count: torch.cat(bench.images[:count]) for count in (1, 2)}

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
        value.backward()  # type: ignore[no-untyped-call]
        sgd.step()

    return step


def mmpretrain(bench: Bench) -> Step:
    """Return a step of mmpretrain's model, configured as in its model zoo."""
    with quiet():
        from mmengine.logging import MessageHub
        from mmpretrain.registry import MODELS
        from mmpretrain.utils import register_all_modules

        register_all_modules()
    MessageHub.get_current_instance().update_info("max_iters", 1_000_000)  # BYOL's teacher asks for it
    name, channels = bench.name, bench.channels
    depth = int(bench.arch.removeprefix("resnet"))
    config: dict[str, Any] = {"backbone": {"type": "ResNet", "depth": depth, "norm_cfg": {"type": "BN"}}}
    contrast = {"type": "ContrastiveHead", "loss": {"type": "CrossEntropyLoss"}}
    widths = {"in_channels": channels, "hid_channels": channels, "out_channels": 128}
    if name == "simclr":
        config |= {
            "type": "SimCLR",
            "neck": {"type": "NonLinearNeck", "num_layers": 2, "with_avg_pool": True, **widths},
        }
        config["head"] = {**contrast, "temperature": 0.1}
    elif name == "byol":
        wide = {"type": "NonLinearNeck", "hid_channels": 4096, "out_channels": 256, "num_layers": 2, "with_bias": True}
        wide["with_last_bn"] = False
        config |= {"type": "BYOL", "neck": {**wide, "in_channels": channels, "with_avg_pool": True}}
        predictor = {**wide, "in_channels": 256, "with_avg_pool": False}
        config["head"] = {"type": "LatentPredictHead", "predictor": predictor, "loss": {"type": "CosineSimilarityLoss"}}
    else:
        neck = {"type": "DenseCLNeck", **widths} if name == "densecl" else {"type": "MoCoV2Neck", **widths}
        config |= {"type": "DenseCL" if name == "densecl" else "MoCo", "neck": neck, "queue_len": bench.queue}
        config["head"] = {**contrast, "temperature": 0.2}
    model: Any = bench.placed(MODELS.build(config))

    def loss() -> Tensor:
        return torch.stack(list(model.loss(bench.images, []).values())).sum()

    return trained(model, loss)


def lightly(bench: Bench) -> Step:
    """Return a step put together from lightly's parts, as in its examples."""
    from lightly.loss import NegativeCosineSimilarity, NTXentLoss
    from lightly.models import utils
    from lightly.models.modules import heads

    name, images, channels = bench.name, bench.images, bench.channels
    backbone = backbones.build(bench.arch, 0)
    pool = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())
    negatives = (bench.queue, 128)
    if name == "simclr":
        network = bench.placed(nn.Sequential(backbone, pool, heads.SimCLRProjectionHead(channels, channels, 128)))
        criterion = NTXentLoss(0.1)
        return trained(network, lambda: criterion(*map(network, images)))
    if name == "byol":
        network = nn.Sequential(backbone, pool, heads.BYOLProjectionHead(channels, 4096, 256))
        predictor = heads.BYOLPredictionHead(256, 4096, 256)
        teacher = copy.deepcopy(network)
        cosine = NegativeCosineSimilarity()

        def byol() -> Tensor:
            utils.update_momentum(network, teacher, m=0.996)
            with torch.no_grad():
                targets = [teacher(image) for image in images]
            first, second = (predictor(network(image)) for image in images)
            loss: Tensor = 0.5 * (cosine(first, targets[1]) + cosine(second, targets[0]))
            return loss

        whole = nn.ModuleList([network, predictor])
        bench.placed(nn.ModuleList([whole, teacher]))
        return trained(whole, byol)
    if name == "moco_v2":
        network = nn.Sequential(backbone, pool, heads.MoCoProjectionHead(channels, channels, 128))
        teacher = copy.deepcopy(network)
        utils.deactivate_requires_grad(teacher)
        criterion = NTXentLoss(0.2, memory_bank_size=negatives)
        bench.placed(nn.ModuleList([network, teacher, criterion]))

        def moco() -> Tensor:
            utils.update_momentum(network, teacher, m=0.999)
            with torch.no_grad():
                key = teacher(images[1])
            loss: Tensor = criterion(network(images[0]), key)
            return loss

        return trained(network, moco)
    student = nn.ModuleDict(
        {
            "backbone": backbone,
            "whole": heads.DenseCLProjectionHead(channels, channels, 128),
            "dense": heads.DenseCLProjectionHead(channels, channels, 128),
        }
    )
    follower = copy.deepcopy(student)
    utils.deactivate_requires_grad(follower)
    whole_criterion, dense_criterion = (NTXentLoss(0.2, memory_bank_size=negatives) for _ in range(2))
    bench.placed(nn.ModuleList([student, follower, whole_criterion, dense_criterion]))

    def encode(network: nn.ModuleDict, image: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        features = network["backbone"](image)
        local = features.flatten(2).transpose(1, 2)  # (B, N, C)
        return network["whole"](pool(features)), network["dense"](local), local

    def densecl() -> Tensor:
        utils.update_momentum(student, follower, m=0.999)
        query, dense_query, query_features = encode(student, images[0])
        with torch.no_grad():
            key, dense_key, key_features = encode(follower, images[1])
            dense_key = utils.select_most_similar(query_features, key_features, dense_key)
        dense = dense_criterion(dense_query.flatten(0, 1), dense_key.flatten(0, 1))
        loss: Tensor = 0.5 * whole_criterion(query, key) + 0.5 * dense
        return loss

    return trained(student, densecl)
