"""Run under torchrun, or alone: train a few steps on one fixed global batch and write down what came out."""

import json
import sys
from pathlib import Path

import numpy as np
import torch
import torch.distributed
from PIL import Image
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from pretrain import backbones, methods
from pretrain.engine import launch
from pretrain.method import Sample
from pretrain.methods import detcon_s, dino
from pretrain.modules import distributed
from pretrain.recipe import keywords_of
from pretrain.train import pretrain

SIZE = 8
SINKHORN = {"normalisation": "sinkhorn"}
KEYWORDS = {
    "moco_v1": {"queue_size": 20, "ema_momentum": 0.9},
    "moco_v1 end-to-end": {"mechanism": "end-to-end"},
    "moco_v1 memory-bank": {"mechanism": "memory-bank", "queue_size": 20},
    "moco_v2": {"queue_size": 20, "ema_momentum": 0.9, "hidden": 32},
    "densecl": {"queue_size": 20, "ema_momentum": 0.9, "hidden": 32},
    "simclr": {"hidden": 32},
    "byol": {"hidden": 32, "dimension": 16, "variance_weight": 1.0, "covariance_weight": 0.1},
    "detcon_b": {"hidden": 32, "dimension": 16, "regions": 4, "image_size": 64},
    "detcon_s": {"hidden": 32, "dimension": 16, "regions": 4, "image_size": 64},
    "vicreg": {"dimension": 32, "other_arch": "resnet18"},
    "vicregl": {"dimension": 32, "local_dimension": 16, "small_views": 1, "small_size": 64},
    "droppos": {"decoder_width": 32, "decoder_heads": 4, "mask_ratio": 0.0},
    "navit": {"dimension": 16, "hidden": 32, "smallest_size": 16},
    "selfpatch": {"dimension": 32, "patch_dimension": 16, "hidden": 32, "local_size": 32, "local_views": 2} | SINKHORN,
    "dino": {"dimension": 32, "hidden": 32, "local_size": 32, "local_views": 2, "ema_momentum": 0.9},
    "resim": {"queue_size": 20, "ema_momentum": 0.9, "hidden": 32, "region_dimension": 16, "gathered": ("c4", "c3")},
    "cpc": {"dimension": 16, "scale": 1.0, "directions": ("down", "left")},
}


def without_batch_norm(module):
    for name, child in module.named_children():
        if isinstance(child, nn.BatchNorm2d | nn.BatchNorm1d):
            setattr(module, name, nn.Identity())
        without_batch_norm(child)


class Loss(nn.Module):
    def __init__(self, method):
        super().__init__()
        self.method = method

    def forward(self, views):
        return self.method.loss(views)["loss"]


def build(name, groups):
    kind = methods.load(name.split()[0])
    backbone = backbones.build(
        {"resnet": "resnet18", "vit": "vit_tiny_patch16", "navit": "navit_tiny_patch16"}[kind.families[0]], seed=0
    )
    torch.manual_seed(0)
    grouped = {} if groups is None else {"batch_norm_groups": groups}
    without = {"drop_path": 0.0} if "drop_path" in keywords_of(kind) else {}
    method = kind(
        backbone, **{"image_size": 32, **KEYWORDS[name]}, **kind.data_keywords(SIZE, None), **grouped, **without
    )
    if groups is None:
        without_batch_norm(method)
    return method


def share_of_batch(method, rank, ranks):
    image = np.random.default_rng(0).integers(0, 256, (SIZE, 40, 40, 3), dtype=np.uint8)
    quarters = np.arange(1, 5, dtype=np.uint16).reshape(1, 2, 2).repeat(20, 1).repeat(20, 2)
    mine = range(rank * SIZE // ranks, (rank + 1) * SIZE // ranks)
    augment = method.views()
    return method.collate()([augment(Sample(image[i], i, masks=quarters), np.random.default_rng(i)) for i in mine])


def train(name, rank, ranks, groups=None):
    """Three steps; the global batch's losses, the queue, the weights' norms. No groups: no batch norm."""
    method = build(name, groups)
    views = share_of_batch(method, rank, ranks)
    if groups is not None:  # statistics of few values are too sensitive for float32
        method.double()
        views.images = [image.double() for image in views.images]
    model = Loss(method) if ranks == 1 else DistributedDataParallel(Loss(method), broadcast_buffers=False)
    optimizer = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=0.01)
    losses = []
    for step in range(3):
        torch.manual_seed(100 * rank + step)
        method.before_step(step / 3)
        loss = model(views)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(distributed.gather(loss.detach()[None]).mean()))
    norms = [float(parameter.detach().double().norm()) for parameter in method.parameters()]
    keys = [buffer.flatten().tolist() for name, buffer in method.named_buffers() if name.endswith("queue.keys")]
    return {"losses": losses, "queue": keys[:1], "norms": norms}


def shuffling(rank, ranks):
    """Whether unshuffle undoes shuffle, and which samples this rank encodes meanwhile."""
    mine = torch.arange(4) + 4.0 * rank
    torch.manual_seed(rank)
    order = distributed.shared_order(4 * ranks, mine.device)
    there = distributed.shuffle(mine, order)
    back = distributed.unshuffle(there, order)
    return {"restored": bool(torch.equal(back, mine)), "encoded": distributed.gather(there).tolist()}


def whole_run(folder):
    """The command itself, a few steps long."""
    images = folder.with_name("images")
    images.mkdir(exist_ok=True)
    for number in range(5):
        Image.new("RGB", (40, 40), (50 * number, 10, 10)).save(images / f"{number}.{distributed.world()[0]}.png")
    torch.distributed.barrier()
    tiny = {"iterations": "3", "batch_size": "4", "image_size": "32", "queue_size": "8"}
    tiny["batch_norm_groups"] = "1"
    return pretrain("moco_v2", "resnet18", images, "scenes", folder, overrides=tiny, workers=0)


def frozen_layer(folder):
    """Whether the layers of DINO's head were moved while the last one is frozen, under mmengine's wrapper."""
    seen, before_step = [], dino.DINO.before_step

    def watched(self, progress):
        seen.append({name: p.detach().clone() for name, p in self.student.head.named_parameters()})
        before_step(self, progress)

    dino.DINO.before_step = watched
    tiny = {"iterations": "2", "batch_size": "4", "image_size": "32", "warmup_epochs": "0", "lr": "0.01"}
    small = {"local_views": "1", "local_size": "32", "dimension": "16", "hidden": "16", "freeze_last_layer": "1.0"}
    images = folder.with_name("images")
    pretrain("dino", "vit_tiny_patch16", images, "scenes", folder, overrides={**tiny, **small}, workers=0)
    return {name: not torch.equal(value, seen[0][name]) for name, value in seen[1].items()}


def main(out):
    torch.set_num_threads(1)
    launch.join_process_group()
    rank, ranks = distributed.world()
    found = {name: train(name, rank, ranks) for name in KEYWORDS}
    for name in ("moco_v2", "densecl"):
        found[f"{name} with batch norm"] = train(name, rank, ranks, groups=2 // ranks)
    found["shuffling"] = shuffling(rank, ranks)
    if ranks > 1:
        unshuffle = distributed.unshuffle
        distributed.unshuffle = lambda keys, order: keys
        found["not unshuffled"] = train("moco_v2", rank, ranks)
        distributed.unshuffle = unshuffle
        distributed.gather_with_gradient = detcon_s.gather_with_gradient = distributed.gather
        found["gathered without gradient"] = {name: train(name, rank, ranks) for name in ("simclr", "detcon_s")}
        found["checkpoint"] = str(whole_run(Path(out).with_suffix("")))
        found["moved"] = frozen_layer(Path(out).with_suffix(".dino"))
    if rank == 0:
        Path(out).write_text(json.dumps(found))


if __name__ == "__main__":
    main(sys.argv[1])
