"""Small methods, batches and plain equations that several tests share."""

import math

import numpy as np
import torch
import torch.nn.functional as F

from pretrain import backbones, methods
from pretrain.method import Sample


def build(name, arch="resnet18", image_size=64, images=4, labels=None, **keywords):
    backbone = backbones.build(arch, seed=0)
    torch.manual_seed(0)
    kind = methods.load(name)
    return kind(backbone, image_size=image_size, **kind.data_keywords(images, labels), **keywords)


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


def naive_detection(
    prediction, own_targets, other_targets, ids, other_ids, temperature, one_view=False, local=True, images=None
):
    """DetCon, Eq. 3, region by region, and its ablations."""
    total, count = 0.0, 0
    batch, drawn = ids.shape
    for b in range(batch):
        for m in range(drawn):
            count += 1
            mine = int(ids[b, m])
            denominator, positives = 0.0, []
            for image in [(b + step) % batch for step in range(images or batch)]:
                for targets, theirs, here in ((own_targets, ids, True), (other_targets, other_ids, False)):
                    for n in range(drawn):
                        similarity = dot(prediction[b, m], targets[image, n]) / temperature
                        same = image == b and int(theirs[b, n]) == mine
                        if same and here == one_view:
                            positives.append(similarity)
                        elif same or (image == b and not local):
                            continue
                        denominator += math.exp(similarity)
            if positives:
                times = sum(int(one) == mine for one in ids[b])
                total -= sum(one - math.log(denominator) for one in positives) / len(positives) / times
    return total / count
