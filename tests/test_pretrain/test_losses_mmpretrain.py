"""SimCLR, MoCo v2, BYOL and DenseCL beside mmpretrain's models: whole steps on the same weights, views and queues."""

import copy

import pytest
import torch
from made import batch, build
from mmengine.logging import MessageHub

from benchmark.quiet import quiet

STEPS = 4  # the length of the run, which BYOL's momentum depends on
LAMBDA = 0.3
CONTRAST = {"queue_size": 64, "ema_momentum": 0.5}  # of a teacher whose steps can be seen
OURS = {
    "simclr": {},
    "moco_v2": CONTRAST,
    "byol": {"ema_momentum": 0.5},
    "densecl": {**CONTRAST, "loss_weight": LAMBDA},
}
# What ours has more. mmpretrain's BYOL is 2 (-cos - cos), ours the paper's (2 - 2 cos) + (2 - 2 cos). The contrastive
# losses are the same means over the views of a batch (SimCLR), queries (MoCo) and locations (DenseCL).
OFFSET = {"simclr": 0.0, "moco_v2": 0.0, "byol": 4.0, "densecl": 0.0}
MISTAKES = {
    "simclr": [{"temperature": 0.11}],
    "moco_v2": [{"temperature": 0.21}, {"ema_momentum": 0.7}],
    "byol": [{"ema_momentum": 0.7}, {"momentum_encoder": False}],
    "densecl": [
        {"temperature": 0.21},
        {"ema_momentum": 0.7},
        {"loss_weight": 0.0},
        {"matching": "projected"},
        {"matching": "random"},
    ],
}


def ours(name, **keywords):
    return build(name, hidden=32, dimension=16, **{**OURS[name], **keywords}).double()


def theirs(name):
    """Return mmpretrain's model, that of its model zoo but for sizes, momentum and lambda."""
    with quiet():
        from mmpretrain.models import build_backbone  # noqa: F401 (registers)
        from mmpretrain.registry import MODELS

    widths = {"in_channels": 512, "hid_channels": 32, "out_channels": 16}
    perceptron = {**widths, "type": "NonLinearNeck", "with_bias": True, "with_last_bn": name == "simclr"}
    contrast = {"type": "ContrastiveHead", "loss": {"type": "CrossEntropyLoss"}}
    contrast["temperature"] = 0.1 if name == "simclr" else 0.2
    predictor = {**perceptron, "in_channels": 16, "with_avg_pool": False}
    regression = {"type": "LatentPredictHead", "loss": {"type": "CosineSimilarityLoss"}, "predictor": predictor}
    queue = {"head": contrast, "queue_len": 64, "feat_dim": 16, "momentum": 0.5}  # its momentum is 1 - m
    config = {
        "simclr": {"type": "SimCLR", "neck": perceptron, "head": contrast},
        "moco_v2": {"type": "MoCo", "neck": {**widths, "type": "MoCoV2Neck"}, **queue},
        "byol": {"type": "BYOL", "neck": perceptron, "head": regression, "base_momentum": 0.5},
        "densecl": {"type": "DenseCL", "neck": {**widths, "type": "DenseCLNeck"}, "loss_lambda": LAMBDA, **queue},
    }[name]
    backbone = {"type": "ResNet", "depth": 18, "norm_cfg": {"type": "BN"}}
    return MODELS.build({**config, "backbone": backbone, "_scope_": "mmpretrain"}).double()


def same(name):
    """Return our method, mmpretrain's model of the same state, and the pairs of their parameters and queues (K, D)."""
    method, peer = ours(name), theirs(name)
    # The one parameter that ours lacks, as the released code does: an offset on the output of SimCLR's head.
    parameters = [p for key, p in peer.named_parameters() if (name, key) != ("simclr", "neck.bn1.bias")]
    weights = list(zip(method.parameters(), parameters, strict=True))  # all in the same order
    queues = [(method.contrast.queue.keys, peer.queue.T)] if "queue_size" in OURS[name] else []
    queues += [(method.dense_queue.keys, peer.queue2.T)] if name == "densecl" else []
    with torch.no_grad():
        for own, other in weights + queues:
            assert own.shape == other.shape
            own.add_(0.02 * torch.randn_like(own))  # no teacher is its student, and no bias 0
            other.copy_(own)
    if name != "simclr":  # at its step 0 the student is copied into the teacher; ours starts as a copy
        getattr(peer, "target_net" if name == "byol" else "encoder_k").steps.fill_(1)
    return method, peer, weights, queues


def seen_by(method):
    views = batch(method)
    views.images = [image.double() for image in views.images]
    return views


@pytest.fixture(autouse=True)
def _length_of_the_run(monkeypatch):
    monkeypatch.setitem(MessageHub.get_current_instance().runtime_info, "max_iters", STEPS)


@pytest.mark.parametrize("name", OURS)
def test_steps_are_mmpretrains(name):
    """Losses, all gradients, the teacher and the queues; the second step sees what the first has left.

    mmpretrain shuffles the keys' batch on a single device too, and gives the teacher the student's running statistics:
    neither changes a loss.
    """
    method, peer, weights, queues = same(name)
    views = seen_by(method)
    for number in (1, 2):
        method.before_step(number / STEPS)
        found, terms = method.loss(views), peer.loss(views.images, [])
        expected = sum(terms.values())
        # ours contrasts in float32, mmpretrain's BYOL has a momentum in float32
        assert float(found["loss"]) == pytest.approx(float(expected) + OFFSET[name], rel=1e-6)
        if name == "densecl":
            assert (1 - LAMBDA) * float(found["loss_global"]) == pytest.approx(float(terms["loss_single"]), rel=1e-6)
            assert LAMBDA * float(found["loss_dense"]) == pytest.approx(float(terms["loss_dense"]), rel=1e-6)
        found["loss"].backward()
        expected.backward()
        for own, other in weights:
            assert (own.grad is None) == (other.grad is None)  # the teacher's
            if own.grad is not None:
                # a bias before a batch norm has none but rounding errors
                assert float((own.grad - other.grad).norm()) <= 1e-5 * float(other.grad.norm()) + 1e-12
                own.data -= 1e-4 * own.grad
                other.data -= 1e-4 * other.grad
                own.grad = other.grad = None
    for own, other in weights + queues:
        torch.testing.assert_close(own, other, rtol=0, atol=1e-6)


@pytest.mark.parametrize("name", OURS)
@torch.no_grad()
def test_mistakes_are_seen(name):
    method, peer, *_ = same(name)
    state, views = copy.deepcopy(method.state_dict()), seen_by(method)
    others = copy.copy(views)
    others.images = [views.images[0], views.images[1].roll(1, 0)]
    expected = float(sum(peer.loss(views.images, []).values())) + OFFSET[name]
    for keywords, seen in [({}, others), *((keywords, views) for keywords in MISTAKES[name])]:  # first, other pairs
        broken = ours(name, **keywords)
        broken.load_state_dict(state)
        broken.before_step(1 / STEPS)
        assert abs(float(broken.loss(seen)["loss"]) - expected) > 1e-2
