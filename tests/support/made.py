"""Small methods, batches and plain equations that several tests share."""

import math

import numpy as np
import torch
import torch.nn.functional as F

from pretrain import backbones, methods
from pretrain.method import Sample


def build(name, arch="resnet18", image_size=64, **keywords):
    backbone = backbones.build(arch, seed=0)
    torch.manual_seed(0)
    return methods.load(name)(backbone, image_size=image_size, **keywords)


def batch(method, size=4):
    """A batch of noise; each image has four regions, its quarters."""
    image = np.random.default_rng(0).integers(0, 256, (size, 80, 80, 3), dtype=np.uint8)
    masks = np.arange(1, 5, dtype=np.uint16).reshape(1, 2, 2).repeat(40, 1).repeat(40, 2)
    augment = method.views()
    samples = [Sample(image[i], i, masks=masks) for i in range(size)]
    return method.collate()([augment(sample, np.random.default_rng(sample.index)) for sample in samples])


def unit(*shape, seed):
    return F.normalize(torch.randn(*shape, generator=torch.Generator().manual_seed(seed)), dim=-1)


def dot(a, b):
    return sum(float(x) * float(y) for x, y in zip(a, b, strict=True))


def naive_softmax(values, temperature):
    exponentials = [math.exp(float(v) / temperature) for v in values]
    return [e / sum(exponentials) for e in exponentials]


def naive_detection(prediction, own_targets, other_targets, ids, other_ids, temperature):
    """DetCon, Eq. 3, region by region."""
    total, count = 0.0, 0
    for b, regions in enumerate(prediction):
        for m, q in enumerate(regions):
            count += 1
            mine = int(ids[b, m])
            denominator = 0.0
            for image in range(len(prediction)):
                for n in range(ids.shape[1]):
                    denominator += math.exp(dot(q, other_targets[image, n]) / temperature)
                    if image != b or int(ids[b, n]) != mine:
                        denominator += math.exp(dot(q, own_targets[image, n]) / temperature)
            positives = [n for n in range(ids.shape[1]) if int(other_ids[b, n]) == mine]
            if positives:
                logs = [dot(q, other_targets[b, n]) / temperature - math.log(denominator) for n in positives]
                times = sum(int(one) == mine for one in ids[b])
                total -= sum(logs) / len(positives) / times
    return total / count
