"""What every method keeps to, whatever it does; a new method's file is tested here by being there."""

import copy
import pickle

import numpy as np
import pytest
import torch

from benchmark import convert
from pretrain import backbones, checkpoint, methods
from pretrain.method import Labels, Sample
from pretrain.recipe import keywords_of

NAMES = [name for name in methods.names() if name != "random"]
ARCHS = {"resnet": "resnet18", "vit": "vit_tiny_patch16", "navit": "navit_tiny_patch16"}
ARCHS |= {"convnext": "convnext_tiny", "regnet": "regnety_004"}
FURTHER = [(name, ARCHS[family]) for name in NAMES for family in methods.load(name).families[1:]]
SMALL = {
    "image_size": 64,
    "local_size": 32,
    "local_views": 2,
    "smallest_size": 32,
    "regions": 4,
    "queue_size": 32,
    "hidden": 64,
    "dimension": 32,
}
SIZE = 8


def arch_of(name):
    return ARCHS[methods.load(name).families[0]]


def build(name, seed=0, arch=None):
    kind = methods.load(name)
    torch.manual_seed(seed)
    backbone = backbones.build(arch or arch_of(name), seed=seed)
    keywords = {key: value for key, value in SMALL.items() if key in keywords_of(kind)}
    return kind(backbone, **kind.data_keywords(SIZE, Labels(("a", "b"), multi=False)), **keywords)


def batch(method):
    images = np.random.default_rng(0).integers(0, 256, (SIZE, 8, 8, 3), dtype=np.uint8).repeat(10, 1).repeat(10, 2)
    augment = pickle.loads(pickle.dumps(method.views()))  # as a worker gets it
    masks = np.random.default_rng(1).integers(0, 4, (SIZE, 1, 2, 2), dtype=np.uint16).repeat(40, 2).repeat(40, 3)
    samples = [Sample(images[i], i, label=i % 2, masks=masks[i]) for i in range(SIZE)]
    return method.collate()([augment(sample, np.random.default_rng(sample.index)) for sample in samples])


def loss_of(method, views):
    torch.manual_seed(0)  # of dropped paths and random matches
    return method.loss(views)["loss"]


def trained(method):
    """The backbone that the loss trains, where the teacher's is exported."""
    (name,) = (name for name, module in method.named_modules() if module is method.export())
    return method.get_submodule(name.replace("teacher", "student"))


@pytest.mark.parametrize(("name", "arch"), [(name, arch_of(name)) for name in NAMES] + FURTHER)
def test_the_loss_is_finite_and_trains_exactly_the_student(name, arch):
    method = build(name, arch=arch)
    losses = method.loss(batch(method))
    assert losses["loss"].requires_grad and losses["loss"].dim() == 0
    assert all(term.isfinite() for term in losses.values())
    losses["loss"].backward()
    for part, parameter in method.named_parameters():
        if "teacher" in part:
            assert not parameter.requires_grad and parameter.grad is None, part
        else:
            assert parameter.grad is not None and parameter.grad.isfinite().all(), part
    assert all(parameter.requires_grad for parameter in trained(method).parameters())
    reached = [float(parameter.grad.abs().sum()) > 0 for parameter in trained(method).parameters()]
    assert all(reached)


@pytest.mark.parametrize("name", NAMES)
def test_ten_steps_on_one_batch_lower_the_loss(name):
    method = build(name)
    views = batch(method)
    fixed = [(buffer, buffer.clone()) for part, buffer in method.named_buffers() if "queue" in part or "centre" in part]
    parameters = [p for p in method.parameters() if p.requires_grad]
    if arch_of(name) == "resnet18":
        optimizer = torch.optim.SGD(parameters, lr=0.01, momentum=0.9)
    else:
        optimizer = torch.optim.AdamW(parameters, lr=1e-3)
    found = []
    for _ in range(11):
        for buffer, first in fixed:  # queue and centre as they were; the teacher stays without before_step
            buffer.copy_(first)
        loss = loss_of(method, views)
        found.append(float(loss.detach()))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert min(found[-3:]) < found[0] - 0.02 * abs(found[0]), found


@pytest.mark.parametrize("name", NAMES)
def test_the_same_seed_gives_the_same_loss_and_the_state_goes_round(name):
    first, again, other = build(name), build(name), build(name, seed=1)
    views = batch(first)
    state = copy.deepcopy(first.state_dict())
    expected = float(loss_of(first, views).detach())
    assert float(loss_of(again, views).detach()) == expected
    assert float(loss_of(other, views).detach()) != expected
    other.load_state_dict(state)
    assert float(loss_of(other, views).detach()) == expected


@pytest.mark.parametrize("name", NAMES)
def test_the_export_converts_with_a_certificate(name, tmp_path):
    method = build(name)
    optimizer = torch.optim.SGD([p for p in method.parameters() if p.requires_grad], lr=0.1)
    method.loss(batch(method))["loss"].backward()
    optimizer.step()  # or it would count as untrained
    method.before_step(0.0)  # the teacher follows
    meta = checkpoint.Meta(arch_of(name), name, "scenes", "noise", 0, 0, (0, 0, 0), (1, 1, 1))
    checkpoint.save(tmp_path / "export.safetensors", method.export().state_dict(), meta)
    backbone = convert.convert(tmp_path / "export.safetensors", to="mmseg")
    assert backbone.certificate.ok, backbone.certificate.report()
