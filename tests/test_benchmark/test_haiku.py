"""DeepMind's Haiku checkpoints: their names and their maps are Haiku's own, written down in `fixtures/haiku.json`."""

from __future__ import annotations

import json
import pickle
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from torch import Tensor

from benchmark import convert, intake
from benchmark.haiku_network import HaikuResNet, same
from benchmark.inspection import inspect
from benchmark.intake import haiku
from benchmark.quiet import quiet
from pretrain.errors import DensebenchError, UsageError

Modules = dict[str, dict[str, np.ndarray]]
FIXTURE: dict[str, Any] = json.loads((Path(__file__).parents[1] / "fixtures" / "haiku.json").read_text())
PATH = Path("file.pkl")


def numbers(shapes: dict[str, dict[str, list[int]]], seed: int) -> Modules:
    """The numbers that Haiku was run on: every array random, `hidden` other than `average`."""
    random = np.random.RandomState(seed)
    modules: Modules = {}
    for module in sorted(shapes):
        for name in sorted(shapes[module]):
            shape = shapes[module][name]
            if name == "w":
                value = random.standard_normal(shape) * np.sqrt(2.0 / np.prod(shape[:-1]))
            elif name == "counter":
                value = np.array(1000)
            else:
                centre = 0.0 if name == "offset" or "mean_ema" in module else 1.0
                value = random.uniform(-0.5, 0.5, shape) + centre
            modules.setdefault(module, {})[name] = value.astype(np.int32 if name == "counter" else np.float32)
    return modules


def network(arch: str = "resnet18", seed: int = 1) -> tuple[Modules, Modules]:
    """Parameters and state."""
    return numbers(FIXTURE[arch]["params"], seed), numbers(FIXTURE[arch]["state"], seed + 1)


class _ByolExperimentState(NamedTuple):
    online_params: Any
    target_params: Any
    online_state: Any
    target_state: Any
    opt_state: Any


class FlatMapping(dict[str, Any]):
    """Haiku's dict: it pickles as its class and one argument."""

    def __reduce__(self) -> Any:
        return FlatMapping, (dict(self),)


def dumped(tree: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> bytes:
    """Pickle as BYOL does, with the classes that are named where DeepMind has them while it is written."""
    with monkeypatch.context() as patch:
        for name, kind in (("byol.byol_experiment", _ByolExperimentState), ("haiku._src.data_structures", FlatMapping)):
            parts = name.split(".")
            for end in range(1, len(parts) + 1):
                patch.setitem(sys.modules, ".".join(parts[:end]), ModuleType(parts[end - 1]))
            patch.setattr(sys.modules[name], kind.__name__, kind, raising=False)
            patch.setattr(kind, "__module__", name)
        return pickle.dumps(tree, protocol=2)


def experiment(arch: str = "resnet18") -> dict[str, Any]:
    """A BYOL checkpoint: two networks with their heads, and an optimizer that names the same modules."""
    fields = {}
    for name, seed in (("online", 1), ("target", 11)):
        params, state = network(arch, seed)
        head = {f"{part}/linear": {"w": np.ones((4, 4), np.float32)} for part in ("projector", "predictor")}
        fields[f"{name}_params"] = FlatMapping({**head, **{key: FlatMapping(one) for key, one in params.items()}})
        fields[f"{name}_state"] = FlatMapping(state)
    momentum = {"mu": fields["online_params"]}
    return {"experiment_state": _ByolExperimentState(**fields, opt_state=momentum), "step": 7, "rng": np.zeros(2)}


def expected(params: Modules, state: Modules) -> Tensor:
    """A tensor that tells the networks apart, by hand: the first kernel, HWIO -> OIHW."""
    stem = next(arrays["w"] for module, arrays in params.items() if "initial_conv" in module)
    assert any("mean_ema" in module for module in state)
    return torch.from_numpy(np.ascontiguousarray(stem.transpose(3, 2, 0, 1)))


def test_byols_pickle_is_certified_for_each_of_its_networks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The pickle names classes that exist nowhere here; the online network is taken, as the authors do."""
    path = tmp_path / "pretrain_res18x1.pkl"
    path.write_bytes(dumped(experiment(), monkeypatch))
    assert b"byol.byol_experiment" in path.read_bytes() and b"FlatMapping" in path.read_bytes()
    for trunk, seed in ((None, 1), ("online", 1), ("target", 11)):
        params, state = network(seed=seed)
        found = convert.require(convert.convert(path, trunk=trunk))
        certificate = found.certificate
        assert (certificate.format, certificate.arch) == ("haiku", "resnet18")
        assert certificate.traits == {"padding": "same"} and "padding    same" in certificate.report()
        assert torch.equal(found.state["conv1.weight"], expected(params, state))
        norm = "res_net18/~/block_group_3/~/block_1/~/batchnorm_1"
        for name, array in (
            ("weight", params[norm]["scale"]),
            ("bias", params[norm]["offset"]),
            ("running_mean", state[f"{norm}/~/mean_ema"]["average"]),
            ("running_var", state[f"{norm}/~/var_ema"]["average"]),
        ):
            assert torch.equal(found.state[f"layer4.1.bn2.{name}"], torch.from_numpy(array).reshape(-1))
        assert found.state["bn1.num_batches_tracked"] == 1000
        assert "projector/linear.w" in certificate.dropped
        assert "--trunk" in " ".join(certificate.notes)
    with pytest.raises(UsageError, match="no trunk 'onlin'"):
        convert.convert(path, trunk="onlin")
    seen = inspect(path)
    assert (seen.format, seen.arch, seen.problem) == ("haiku", "resnet18", "")


@pytest.mark.parametrize("keys", [("params", "state"), ("online_params", "online_state")])
def test_a_dictionary_of_parameters_and_state(tmp_path: Path, keys: tuple[str, str]) -> None:
    """DetCon's arrays, with the names of the ResNet-50 torso of its own code."""
    params, state = network("resnet50")
    (tmp_path / "detcon.pkl").write_bytes(pickle.dumps(dict(zip(keys, (params, state), strict=True))))
    found = convert.require(convert.convert(tmp_path / "detcon.pkl", to="mmseg"))
    assert (found.arch, found.certificate.filled) == ("resnet50", 318)
    assert torch.equal(found.state["conv1.weight"], expected(params, state))


def tensors(arch: str) -> dict[str, Tensor]:
    params, state = network(arch)
    tree = {"params": torch_tree(params), "state": torch_tree(state)}
    return haiku.read(PATH, tree, {}).tensors


def torch_tree(modules: Modules) -> dict[str, dict[str, Tensor]]:
    return {name: {key: torch.from_numpy(one) for key, one in arrays.items()} for name, arrays in modules.items()}


@pytest.mark.parametrize("arch", ["resnet18", "resnet50"])
def test_all_three_networks_compute_what_haiku_computed(arch: str) -> None:
    """Ours in plain torch, and those of mmdet and mmseg, against maps that Haiku itself put out."""
    trunk = tensors(arch)
    with quiet():
        import mmdet.registry
        import mmseg.registry

        import benchmark.trunks.same_padding  # noqa: F401
        from benchmark.backbones import resnet
    networks = [HaikuResNet(arch, trunk)]
    for scope, registry in (("mmdet", mmdet.registry.MODELS), ("mmseg", mmseg.registry.MODELS)):
        networks.append(registry.build({**resnet.config(arch, padding="same"), "_scope_": scope}))
        networks[-1].load_state_dict(trunk, strict=True)
    plain = mmseg.registry.MODELS.build({**resnet.config(arch), "_scope_": "mmseg"})
    plain.eval()
    plain.load_state_dict(trunk, strict=True)
    for case in FIXTURE[arch]["maps"]:
        height, width = case["size"]
        random = np.random.RandomState(3).standard_normal((2, height, width, 3)).astype(np.float32)
        images = torch.from_numpy(np.ascontiguousarray(random.transpose(0, 3, 1, 2)))
        with torch.inference_mode():
            for network_ in networks:
                assert apart(maps(network_, images), case["stages"]) < 1e-5
            # At odd sizes SAME pads as torch does; at even ones a plain ResNet is another network.
            difference = apart(list(plain(images)), case["stages"])
        assert difference < 1e-5 if height % 2 else difference > 0.05


def maps(network_: torch.nn.Module, images: Tensor) -> list[Tensor]:
    if not isinstance(network_, HaikuResNet):
        network_.eval()
        return list(network_(images))
    from benchmark.maps import outputs_of

    return outputs_of("layer1", "layer2", "layer3", "layer4")(network_, images)


def apart(found: list[Tensor], stages: list[dict[str, Any]]) -> float:
    """The largest difference of samples, mean and largest value, as a share of the map's largest value."""
    worst = 0.0
    for tensor, stage in zip(found, stages, strict=True):
        assert list(tensor.shape) == stage["shape"]
        flat = tensor.reshape(-1)
        at = np.linspace(0, flat.numel() - 1, len(stage["samples"])).astype(int)
        values = [*flat[at].tolist(), flat.double().mean().item(), flat.abs().max().item()]
        known = [*stage["samples"], stage["mean"], stage["max"]]
        worst = max(worst, *(abs(one - other) / stage["max"] for one, other in zip(values, known, strict=True)))
    return worst


def test_the_last_stage_in_a_box_head_pads_as_the_trunk_does() -> None:
    trunk = tensors("resnet18")
    with quiet():
        import benchmark.trunks.same_padding  # noqa: F401
        from benchmark.heads.res5 import Res5ExtraNorm
    last = {name.removeprefix("layer4."): one for name, one in trunk.items() if name.startswith("layer4.")}
    regions = torch.randn(3, 256, 14, 14, generator=torch.Generator().manual_seed(0))
    known = HaikuResNet("resnet18", trunk).layer4
    for padding, alike in (("same", True), ("", False)):
        head = Res5ExtraNorm(18, {"type": "BN"}, padding=padding)
        head.layer4.load_state_dict(last, strict=True)
        head.eval()
        with torch.inference_mode():
            assert torch.allclose(head.layer4(regions), known(regions), rtol=1e-4, atol=1e-3) == alike


@pytest.mark.parametrize(
    ("length", "kernel", "stride", "padding"),
    [(224, 7, 2, (2, 3)), (112, 3, 2, (0, 1)), (225, 7, 2, (3, 3)), (7, 3, 2, (1, 1)), (8, 1, 2, (0, 0))],
)
def test_same_padding(length: int, kernel: int, stride: int, padding: tuple[int, int]) -> None:
    assert same(length, kernel, stride) == padding


def broken(change: str) -> tuple[Modules, Modules]:
    params, state = network()
    block = "res_net18/~/block_group_1/~/block_1/~"
    if change == "transposed":
        params = {
            name: {key: one.transpose(3, 2, 0, 1).copy() if key == "w" else one for key, one in arrays.items()}
            for name, arrays in params.items()
        }
    elif change == "lost":
        del params[f"{block}/conv_1"]
    elif change == "statistics":
        del state[f"{block}/batchnorm_1/~/var_ema"]["average"]
    elif change == "nan":
        params[f"{block}/batchnorm_1"]["scale"][..., 0] = np.nan
    elif change == "extra":
        params["res_net18/~/block_group_0/~/block_0/~/shortcut_conv"] = {"w": np.ones((1, 1, 64, 64), np.float32)}
    return params, state


@pytest.mark.parametrize("change", ["transposed", "lost", "statistics", "nan", "extra"])
def test_broken_files_are_not_certified(tmp_path: Path, change: str) -> None:
    """`extra`: the ResNet-18 of BYOL's own code projects in its first stage, which torch's does not."""
    params, state = broken(change)
    (tmp_path / "file.pkl").write_bytes(pickle.dumps({"params": params, "state": state}))
    with pytest.raises(DensebenchError):  # at reading, where the shapes are nobody's, or by the certificate
        convert.require(convert.convert(tmp_path / "file.pkl"))


def test_two_exchanged_layers_are_another_network() -> None:
    """The certificate compares with the network of the file; this one's maps are not Haiku's."""
    trunk = tensors("resnet18")
    first, second = "layer1.0.conv1.weight", "layer1.1.conv2.weight"
    trunk[first], trunk[second] = trunk[second], trunk[first]
    case = FIXTURE["resnet18"]["maps"][0]
    random = np.random.RandomState(3).standard_normal((2, *case["size"], 3)).astype(np.float32)
    images = torch.from_numpy(np.ascontiguousarray(random.transpose(0, 3, 1, 2)))
    with torch.inference_mode():
        assert apart(maps(HaikuResNet("resnet18", trunk), images), case["stages"]) > 0.01


def test_a_renaming_that_exchanges_layers_is_refused(tmp_path: Path, change_family: Callable[..., None]) -> None:
    swapped = {"layer1.0.conv1.weight": "layer1.1.conv2.weight", "layer1.1.conv2.weight": "layer1.0.conv1.weight"}
    change_family("resnet", rename=lambda name: swapped.get(name, name))
    params, state = network()
    (tmp_path / "file.pkl").write_bytes(pickle.dumps({"params": params, "state": state}))
    reasons = convert.convert(tmp_path / "file.pkl").certificate.reasons
    assert any("differ" in reason for reason in reasons)


def test_the_plain_resnet_is_refused(tmp_path: Path, change_family: Callable[..., None]) -> None:
    """Parity sees the padding."""
    from benchmark.backbones import resnet

    plain = resnet.config
    change_family("resnet", config=lambda arch, **options: plain(arch))
    params, state = network()
    (tmp_path / "file.pkl").write_bytes(pickle.dumps({"params": params, "state": state}))
    reasons = convert.convert(tmp_path / "file.pkl").certificate.reasons
    assert any("differ" in reason for reason in reasons)


def test_preactivation_and_unknown_depths_are_named() -> None:
    params, state = network()
    tree = {"params": torch_tree(params), "state": torch_tree(state)}
    assert intake.detect(PATH, tree, {}) is haiku
    tree["params"]["res_net18/~/final_batchnorm"] = {"scale": torch.ones(1, 1, 1, 512)}
    with pytest.raises(DensebenchError, match="pre-activation"):
        haiku.read(PATH, tree, {})
    shallow = {name: one for name, one in torch_tree(params).items() if "block_group_3" not in name}
    with pytest.raises(DensebenchError, match=r"no architecture that is served.*resnet18"):
        haiku.read(PATH, {"params": shallow}, {})
    with pytest.raises(DensebenchError, match="does not hold a network as Haiku saves it"):
        haiku.read(PATH, {"params": {"linear": {"w": torch.ones(2, 2)}}}, {})
