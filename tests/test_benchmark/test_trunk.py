"""The trunk stands bit by bit where the protocol puts it, or the run is refused."""

import pytest
import torch
from torch import nn

from benchmark.heads.trunk import load_trunk, placed
from pretrain.errors import DensebenchError

PLACES = {"": "backbone.", "layer4.": "head.shared.layer4."}


class Detector(nn.Module):
    """A C4 detector in miniature: the last stage sits in the box head."""

    def __init__(self):
        super().__init__()
        self.backbone = nn.ModuleDict({"conv1": nn.Conv2d(3, 4, 1), "bn1": nn.BatchNorm2d(4)})
        shared = nn.ModuleDict({"layer4": nn.Conv2d(4, 8, 1), "norm": nn.BatchNorm2d(8)})
        self.head = nn.ModuleDict({"shared": shared})


def trunk():
    torch.manual_seed(1)
    donor = nn.ModuleDict({"conv1": nn.Conv2d(3, 4, 1), "bn1": nn.BatchNorm2d(4), "layer4": nn.Conv2d(4, 8, 1)})
    return donor.state_dict()


def test_every_tensor_finds_its_place():
    model = Detector()
    load_trunk(model, trunk(), PLACES)
    loaded = model.state_dict()
    for name, tensor in trunk().items():
        assert torch.equal(loaded[placed(name, PLACES)], tensor)
    assert placed("layer4.weight", PLACES) == "head.shared.layer4.weight"
    assert placed("conv1.weight", PLACES) == "backbone.conv1.weight"


def test_what_does_not_fit_is_refused():
    extra = {**trunk(), "layer5.weight": torch.zeros(1)}
    with pytest.raises(DensebenchError, match=r"no place 'backbone\.layer5\.weight'"):
        load_trunk(Detector(), extra, PLACES)
    missing = {name: tensor for name, tensor in trunk().items() if name != "layer4.bias"}
    with pytest.raises(DensebenchError, match=r"fills 'head\.shared\.layer4\.bias'"):
        load_trunk(Detector(), missing, PLACES)
    turned = {**trunk(), "layer4.weight": trunk()["layer4.weight"].transpose(0, 1)}
    with pytest.raises(DensebenchError, match="has the shape"):
        load_trunk(Detector(), turned, PLACES)
    with pytest.raises(DensebenchError, match="no place"):
        load_trunk(Detector(), trunk(), {"": "backbone."})  # the protocol forgot the box head


def test_a_load_that_does_not_take_is_noticed():
    class Deaf(Detector):
        def state_dict(self, *args, **kwargs):
            return {name: tensor.clone() for name, tensor in super().state_dict(*args, **kwargs).items()}

    with pytest.raises(DensebenchError, match="does not hold the checkpoint's values"):
        load_trunk(Deaf(), trunk(), PLACES)
