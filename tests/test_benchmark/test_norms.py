"""Statistics of norms: what is averaged over which images, for whom, and that a resumed run averages the same."""

from contextlib import nullcontext
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from benchmark.heads import norms
from benchmark.request import Request
from benchmark.run import run_tasks
from pretrain.data import scenes
from pretrain.engine.sampling import KeyedSampler

IMAGES = torch.randn(12, 3, 4, 4, generator=torch.Generator().manual_seed(0))
PLACES = {"": "backbone.", "layer4.": "head.layer4."}


class Detector(nn.Module):
    """A detector in miniature: its head sees other regions in training than in a plain forward pass."""

    def __init__(self):
        super().__init__()
        self.backbone = nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4))
        self.head = nn.ModuleDict({"layer4": nn.BatchNorm2d(4), "norm": nn.BatchNorm2d(4)})
        self.draws = []

    def data_preprocessor(self, batch, training):
        return {"inputs": batch} if training else {}

    def forward(self, inputs, mode="tensor"):
        assert mode == "loss"
        maps = self.backbone(inputs)
        self.draws.append(torch.rand(()).item())
        return {"loss": self.head["norm"](self.head["layer4"](2 * maps + 1)).mean()}


@pytest.fixture
def runner():
    torch.manual_seed(0)
    sampler = KeyedSampler(IMAGES, batch_size=2, seed=3)
    loader = torch.utils.data.DataLoader(IMAGES, batch_size=2, sampler=sampler)
    context = SimpleNamespace(optim_context=lambda model: nullcontext())
    return SimpleNamespace(model=Detector(), train_dataloader=loader, optim_wrapper=context, seed=3, rank=0)


def first_batches(runner, count):
    order = [int(draw) for draw, _ in zip(KeyedSampler(IMAGES, 2, 3), range(2 * count), strict=False)]
    return IMAGES[order].reshape(count, 2, *IMAGES.shape[1:])


def moments(batches):
    """The mean over the batches of each batch's mean and (unbiased) variance."""
    flat = batches.transpose(1, 2).flatten(2)  # (batches, C, B H W)
    return flat.mean(-1).mean(0), flat.var(-1).mean(0)


def expected(runner, batches):
    with torch.no_grad():
        maps = torch.stack([runner.model.backbone[0](batch) for batch in batches])
        normed = torch.stack([nn.functional.batch_norm(one, None, None, training=True, eps=1e-5) for one in maps])
    return moments(maps), moments(2 * normed + 1)


def statistics(norm):
    return norm.running_mean, norm.running_var


def test_precise_statistics_are_the_means_over_training_steps(runner):
    maps, regions = expected(runner, first_batches(runner, 9))  # more than one pass
    weights = [parameter.clone() for parameter in runner.model.parameters()]
    norms.precise(runner, PLACES, 9, frozen=False)
    torch.testing.assert_close(statistics(runner.model.backbone[1]), maps)
    torch.testing.assert_close(statistics(runner.model.head["layer4"]), regions)
    assert runner.model.backbone[1].momentum == 0.1
    assert all(map(torch.equal, weights, runner.model.parameters()))


def test_a_resumed_run_averages_what_an_undisturbed_one_does(runner):
    norms.precise(runner, PLACES, 3, frozen=False)
    whole = [tensor.clone() for tensor in runner.model.state_dict().values()]
    draws, runner.model.draws = runner.model.draws, []
    runner.train_dataloader.sampler.skip(8)  # as mmengine does
    runner.model.eval()
    torch.manual_seed(7)
    norms.precise(runner, PLACES, 3, frozen=False)
    assert all(map(torch.equal, whole, runner.model.state_dict().values()))
    assert runner.model.draws == draws and len(set(draws)) == 3


def test_a_frozen_trunk_keeps_its_statistics(runner):
    runner.model.backbone[1].running_mean.fill_(0.5)
    norms.precise(runner, PLACES, 3, frozen=True)
    assert (runner.model.backbone[1].running_mean == 0.5).all()
    assert (runner.model.head["layer4"].running_mean == 0).all()
    assert (runner.model.head["norm"].running_mean != 0).all()


def test_calibration_sets_the_trunk_alone_wherever_it_stands(runner):
    maps, _ = expected(runner, first_batches(runner, 6))  # one pass at most
    norms.calibrate(runner, PLACES, 200)
    torch.testing.assert_close(statistics(runner.model.backbone[1]), maps)
    assert (runner.model.head["layer4"].running_mean != 0).all()
    assert (runner.model.head["norm"].running_mean == 0).all()
    assert runner.model.backbone[1].num_batches_tracked == 0
    assert not runner.model.backbone[1].training


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return scenes.write(tmp_path_factory.mktemp("data") / "scenes", 12, 4, 0, size=96, workers=1)


def test_difficult_objects_are_trained(data):
    """Read by the data set that the task trains on: without the transform mmdet would set them apart."""
    from mmengine.registry import DATASETS, DefaultScope

    import benchmark.finetune  # noqa: F401 (registers the transforms)
    from benchmark import data_spec, datasets, manifest, protocol, task

    one = task.load("voc_det_c4_24k.demo")
    steps = protocol.fill(one.protocol["train_pipeline"], one.protocol["values"], one.name, partly=True)
    spec = data_spec.read(data)
    found = manifest.read(spec, one.data)
    counts = {}
    for name, pipeline in (("all", steps), ("apart", [step for step in steps if step["type"] != "KeepDifficult"])):
        with DefaultScope.overwrite_default_scope("mmdet"):
            built = DATASETS.build(datasets.config(spec, found, "train", pipeline))
            samples = [built[number]["data_samples"] for number in range(len(built))]
        counts[name] = [sum(map(len, kind)) for kind in _boxes(samples)]
    assert counts["apart"][1] > 0  # the scenes have some
    assert counts["all"] == [sum(counts["apart"]), 0]


def _boxes(samples):
    return [one.gt_instances for one in samples], [one.ignored_instances for one in samples]


def test_a_frozen_random_c4_detector_has_statistics_everywhere(data, tmp_path):
    """Res5 sees regions, with the box head's norm behind it, and precise statistics leave it alone."""
    found = {}
    for steps in (0, 2):
        overrides = {
            "values.max_test_images": 4,
            "schedule.iterations": 1,
            "schedule.batch_size": 2,
            "model.train_cfg.rcnn.sampler.num": 4,
            "benchmark.precise_bn": steps,
        }
        out = tmp_path / str(steps)
        wanted = Request(data, arch="resnet18", mode="frozen", out=out, workers=0, overrides=overrides, keep_model=True)
        (record,) = run_tasks(["voc_det_c4_24k.demo"], "random", [0], wanted)
        assert record.fingerprint_dict["precise_bn"] == steps
        (model,) = out.rglob("model.pth")
        found[steps] = torch.load(model, weights_only=True)
    last = "roi_head.shared_head.layer4.1.bn2.running_mean"
    assert (found[0]["backbone.bn1.running_mean"] != 0).any() and (found[0][last] != 0).any()
    assert torch.equal(found[0][last], found[2][last])
    after = "roi_head.shared_head.norm.running_mean"
    assert not torch.equal(found[0][after], found[2][after])
