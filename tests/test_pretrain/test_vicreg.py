"""VICReg: its loss step by step, its switches, its branches."""

import copy

import pytest
import torch
from made import batch, build

from pretrain import methods
from pretrain.errors import UsageError
from pretrain.losses.vicreg import variance
from pretrain.recipe import keywords_of


@pytest.mark.parametrize("embedding_norm", ["none", "standard", "l2"])
@pytest.mark.parametrize("halve", [False, True])
def test_vicreg_is_the_papers_loss_step_by_step(halve, embedding_norm):
    method = build("vicreg", dimension=16, halve_variance=halve, embedding_norm=embedding_norm).double()
    views = batch(method)
    encoder = copy.deepcopy(method.branches[0])
    encoder.head.layers = encoder.head.layers[:7]  # three linear layers
    views.images = [image.double() for image in views.images]
    found = method.loss(views)
    z = [encoder(image) for image in views.images]
    if embedding_norm == "standard":
        z = [(one - one.mean(dim=0)) / (one.var(dim=0, correction=0) + 1e-5).sqrt() for one in z]
    if embedding_norm == "l2":
        z = [one / one.square().sum(dim=1, keepdim=True).sqrt() for one in z]
    spread = [(1 - (one.var(dim=0) + 1e-4).sqrt()).clamp_min(0).mean() for one in z]
    products = [one.T.cov() for one in z]
    redundancy = [(one.square().sum() - one.diagonal().square().sum()) / 16 for one in products]
    agreement = (z[0] - z[1]).square().mean()
    expected = 25 * agreement + (12.5 if halve else 25) * sum(spread) + sum(redundancy)
    torch.testing.assert_close(found["loss"].double(), expected, rtol=1e-4, atol=1e-5)
    if embedding_norm != "standard":  # which leaves the variance term little to do
        assert abs(spread[0] - spread[1]) > 1e-3 * spread[0]
    with pytest.raises(UsageError, match="embedding_norm"):
        build("vicreg", embedding_norm="l1")


@pytest.mark.parametrize("other", ["resnet18", "vit_tiny_patch16"])
def test_vicregs_branches_can_be_two_networks(other):
    """Table 5: other weights, and another architecture."""
    method = build("vicreg", dimension=16, other_arch=other)
    views = batch(method)
    first, second = (copy.deepcopy(branch) for branch in method.branches)
    assert second.backbone.layout.arch == other
    assert not torch.equal(*(branch.head.layers[-1].weight for branch in (first, second)))
    z, others = (branch(image) for branch, image in zip((first, second), views.images, strict=True))
    terms = method.loss(views)
    torch.testing.assert_close(terms["loss_invariance"], (z - others).square().mean())
    torch.testing.assert_close(terms["loss_variance"], variance(z) + variance(others))
    terms["loss"].backward()
    for branch in method.branches:
        assert all(float(parameter.grad.abs().sum()) > 0 for parameter in branch.backbone.parameters())
    assert method.export() is method.branches[0].backbone
    with pytest.raises(UsageError, match="navit_tiny_patch16 is a navit"):
        build("vicreg", other_arch="navit_tiny_patch16")


def test_vicregs_expander_goes_without_batch_norm_where_asked():
    for wanted in (True, False):
        layers = build("vicreg", dimension=32, expander_norm=wanted).branches[0].head.layers
        assert sum(isinstance(layer, torch.nn.BatchNorm1d) for layer in layers) == (2 if wanted else 0)
        assert sum(isinstance(layer, torch.nn.Linear) for layer in layers) == 3
    assert keywords_of(methods.load("vicreg"))["expander_norm"] is True
