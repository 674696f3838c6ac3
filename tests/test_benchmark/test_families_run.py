"""All other families in the protocols: through the same code as ResNets, or refused in one sentence."""

from pathlib import Path

import pytest
import torch

import pretrain.backbones
from benchmark import compose, convert, data_spec, manifest, task
from benchmark.request import Request
from benchmark.result import fingerprint
from benchmark.run import run_tasks
from pretrain import checkpoint
from pretrain.backbones.vit import resize_positions
from pretrain.data import scenes
from pretrain.errors import UsageError

TINY = {"values.max_test_images": 2, "schedule.iterations": 2, "schedule.batch_size": 2}
SEGMENTATION = {**TINY, "values.width": 8, "values.auxiliary_width": 8, "values.crop": (96, 96)}
TASKS = {
    "voc_seg_fcn_d8_20k.demo": SEGMENTATION,
    "nyu_depth_byol.demo": TINY,
    "cityscapes_seg_fcn_d8_40k.demo": {**SEGMENTATION, "values.crop": (97, 97)},
}
INITS = {
    "vit_tiny_patch16": "trunc_normal",
    "convnext_tiny": "trunc_normal",
    "regnety_004": "kaiming_fan_out",
    "navit_tiny_patch16": "trunc_normal",
}
ARCHS = list(INITS)
DILATED = ("resnet", "regnety")
SPLIT = manifest.Split((Path("a.jpg"), Path("b.jpg")), (Path("a.png"), Path("b.png")), "digest")


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return scenes.write(tmp_path_factory.mktemp("data") / "scenes", 12, 4, 0, size=96, workers=1)


def run(data, out, name, arch, mode, source="random", **changes):
    request = Request(data_root=data, out=out, arch=arch, mode=mode, workers=0, overrides=TASKS[name], **changes)
    (record,) = run_tasks([name], source, [0], request)
    return record


@pytest.mark.parametrize("arch", ARCHS)
@pytest.mark.parametrize("mode", ["finetune", "frozen", "linear"])
@pytest.mark.parametrize("name", list(TASKS)[:2])
def test_segmentation_and_depth_run_in_every_mode(data, tmp_path, name, arch, mode):
    record = run(data, tmp_path, name, arch, mode)
    assert record.arch == arch and record.certificate["ok"] and record.weights == f"random:{arch}:{INITS[arch]}"
    calibrated = any("norm statistics" in note for note in record.notes)
    assert calibrated == (arch == "regnety_004" and mode != "finetune")  # the others have none
    seen = [note for note in record.notes if "is not dilated as a ResNet is" in note]
    if (
        name == "nyu_depth_byol.demo" or arch != "convnext_tiny"
    ):  # ViTs have the 16 that the demo's ResNets are dilated to
        assert not seen
    else:
        assert seen[0].endswith("the head sees maps at stride 32, a ResNet's at stride 16.")


def test_sliding_windows_run(data, tmp_path):
    record = run(data, tmp_path, "cityscapes_seg_fcn_d8_40k.demo", "vit_tiny_patch16", "linear", precision="float32")
    assert record.certificate["position_embedding"] == "14x14 -> 7x7, bicubic, without antialiasing"


@pytest.mark.parametrize("arch", ARCHS)
@pytest.mark.parametrize("mode", ["finetune", "linear"])
def test_the_checkpoint_s_tensors_are_what_trains_or_stays(data, tmp_path, arch, mode):
    state = pretrain.backbones.build(arch, 3).state_dict()
    for tensor in filter(torch.is_floating_point, state.values()):
        tensor += 0.01 * torch.randn(tensor.shape, generator=torch.Generator().manual_seed(0))
    path = tmp_path / "checkpoint.safetensors"
    checkpoint.save(path, state, checkpoint.Meta(arch, "dino", "r", "d", 1.0, 5, (1.0, 2.0, 3.0), (4.0, 5.0, 6.0)))
    record = run(data, tmp_path, "voc_seg_fcn_d8_20k.demo", arch, mode, str(path), keep_model=True, precision="float32")
    (model,) = (tmp_path / "work").rglob("model.pth")
    trained = torch.load(model, weights_only=True)
    wanted = convert.at_size(convert.convert(path, to="mmseg"), (96, 96)).state
    same = [torch.equal(trained[f"backbone.{name}"], tensor) for name, tensor in wanted.items()]
    assert all(same) if mode == "linear" else not any(same)
    if arch.startswith("vit"):
        assert torch.equal(wanted["pos_embed"], resize_positions(state["pos_embed"], (14, 14), (6, 6)))
    assert record.pretrain_seed == 5 and record.method == "dino"


def composed(name, arch):
    one = task.load(name)
    found = manifest.Manifest(one.data, "made", ("x", "y", "z"), SPLIT, SPLIT, True)
    setting = compose.Setting("finetune", 0, "float32", 1, 2, Path("w"), {})
    colours = {"mean": (1.0, 2.0, 3.0), "std": (4.0, 5.0, 6.0), "channel_order": "RGB"}
    return compose.compose(one, arch, data_spec.DataSpec(Path("data"), "made", {}), found, setting, **colours)


@pytest.mark.parametrize("name", [name for name in task.names() if "." not in name])
@pytest.mark.parametrize("arch", [*ARCHS, "vit_small_patch14", "resnet200", "resnet50x2"])
def test_every_protocol_composes_or_refuses_in_one_sentence(name, arch):
    kind, c4 = task.load(name).kind, "c4" in name
    if kind == "detection" and arch.startswith(("vit", "navit")):
        with pytest.raises(
            UsageError, match=r"detects on maps at strides 4 to 32; all maps of (na)?vit_.* have the stride 1[46]"
        ):
            composed(name, arch)
    elif c4 and not arch.startswith("resnet"):
        with pytest.raises(UsageError, match=f"uses a ResNet's last stage as its box head, which {arch} does not"):
            composed(name, arch)
    else:
        found = composed(name, arch)
        assert fingerprint(found.fingerprint) == fingerprint(composed(name, "resnet50").fingerprint)
        alike = (*DILATED, *(["vit", "navit"] if "." in name else []))
        assert bool(found.notes) == ("_d8" in name and not arch.startswith(alike))


def test_res5_of_deep_and_wide_resnets_is_their_last_stage():
    from benchmark.heads.res5 import Res5ExtraNorm

    for depth, arch in ((200, "resnet200"), ("50x2", "resnet50x2")):
        assert composed("voc_det_c4_24k", arch).config["model"]["model"]["roi_head"]["shared_head"]["depth"] == depth
        with torch.device("meta"):
            head = Res5ExtraNorm(depth, {"type": "BN"}).layer4.state_dict()
            layer4 = pretrain.backbones.build(arch).layer4.state_dict()
        assert {name: one.shape for name, one in head.items()} == {name: one.shape for name, one in layer4.items()}
