"""Files as the code bases save them: the trunk that is taken, the others, and the traps of each naming."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from code_bases import (
    FILES,
    Networks,
    detectron2,
    hugging_face,
    lightly_dino,
    openselfsup,
    pixpro,
    resim,
    simclr_names,
    slotcon,
)

from benchmark import convert, intake
from benchmark.hugging_face import resnet
from benchmark.inspection import inspect
from benchmark.intake import simclr
from pretrain import checkpoint
from pretrain.errors import DensebenchError, UsageError

STRICT = [case for case in FILES if case[1] not in ("lightly", "lightning", "detectron2", "simclr")]
IDS = [make.__name__ for make, _, _ in FILES]


@pytest.mark.parametrize(("make", "name", "trunks"), FILES, ids=IDS)
def test_every_trunk_is_certified_and_the_authors_is_taken(
    tmp_path: Path, networks: Networks, make: Callable[[Networks], dict[str, Any]], name: str, trunks: dict[str, int]
) -> None:
    path = tmp_path / "file.pth"
    if name == "detectron2":
        path.write_bytes(pickle.dumps(make(networks)))
    else:
        torch.save(make(networks), path)
    arch = "resnet50" if name == "simclr" else "resnet18"
    expected = {number: checkpoint.digest(networks.trunk(number, arch)) for number in (0, 1)}
    if name in ("simclr", "detectron2"):  # these files have no counters
        counted = {key: one * 0 if "tracked" in key else one for key, one in networks.trunk(0, arch).items()}
        expected[0] = checkpoint.digest(counted)
    taken = convert.require(convert.convert(path)).certificate
    assert (taken.format, taken.arch, taken.digest) == (name, arch, expected[0])
    for trunk, number in trunks.items():
        found = convert.require(convert.convert(path, to="mmseg", trunk=trunk)).certificate
        assert found.digest == expected[number]
    if len(trunks) > 1:
        assert "--trunk" in " ".join(taken.notes)
    with pytest.raises(UsageError, match="no trunk 'studnet'"):
        convert.convert(path, trunk="studnet")
    seen = inspect(path)
    assert (seen.format, seen.arch, seen.problem) == (name, arch, "")


@pytest.mark.parametrize(("make", "name", "trunks"), STRICT, ids=[make.__name__ for make, _, _ in STRICT])
def test_a_lost_or_unknown_tensor_is_never_certified(
    tmp_path: Path, networks: Networks, make: Callable[[Networks], dict[str, Any]], name: str, trunks: dict[str, int]
) -> None:
    for change in ("lose", "add"):
        tree = make(networks)
        naming = resnet.NAMING if name == "transformers" else intake.load(name).NAMING
        trunk = naming.found(tree)[0]
        state = tree
        for key in trunk.container:
            state = state[key]
        if change == "lose":
            renamed = hugging_face({"layer3.1.bn2.running_var": torch.ones(1)}) if name == "transformers" else {}
            del state[trunk.prefix + next(iter(renamed), "layer3.1.bn2.running_var")]
        else:
            state["somebody.elses.weight"] = torch.ones(3)
        certificate = module_certificate(tmp_path, tree)
        assert not certificate.ok
        assert (certificate.missing == ["layer3.1.bn2.running_var"]) == (change == "lose")
        assert (certificate.leftover == ["somebody.elses.weight"]) == (change == "add")


def module_certificate(folder: Path, tree: dict[str, Any]) -> Any:
    torch.save(tree, folder / "changed.pth")
    return convert.convert(folder / "changed.pth").certificate


def test_pixpros_two_encoders_differ_by_the_dot(networks: Networks) -> None:
    """`module.encoder` without its dot begins the momentum encoder's names as well."""
    tree = pixpro(networks)
    source = intake.read(Path("a.pth"), tree, {})
    assert torch.equal(source.tensors["conv1.weight"], networks(0)["conv1.weight"])
    assert not any("encoder_k" in name or name.startswith("_k") for name in source.tensors)


def test_resims_file_for_detectron2(tmp_path: Path, networks: Networks) -> None:
    """`torch.save` of arrays, with the head and the pyramid that its script renames along (detection/convert-...py)."""
    tree = detectron2(networks)
    more = ("stem.fc.0.weight", "stem.fc.2.bias", "backbone.fpn_lateral5.weight", "backbone.fpn_output3.bias")
    tree["model"] |= {name: np.ones((4, 4), np.float32) for name in more}
    torch.save(tree, tmp_path / "resim_fpn_backbone_200ep.pth.tar")
    found = convert.require(convert.convert(tmp_path / "resim_fpn_backbone_200ep.pth.tar"))
    assert found.certificate.format == "detectron2"
    assert torch.equal(found.state["conv1.weight"], networks(0)["conv1.weight"])
    assert set(more) <= set(found.certificate.dropped)


def test_what_tells_resim_and_slotcon_from_moco_and_pixpro(networks: Networks) -> None:
    for make, sign, plainer in ((resim, "fpn_", "moco"), (slotcon, "grouping_", "pixpro")):
        tree = make(networks)
        assert {plainer, make.__name__} <= set(intake.fits(tree, {}))
        assert intake.detect(Path("a.pth"), tree, {}) is intake.load(make.__name__)
        state = tree["state_dict" if make is resim else "model"]
        for name in [name for name in state if sign in name]:
            del state[name]
        assert make.__name__ not in intake.fits(tree, {})


def test_aliases_that_differ_contradict_each_other(networks: Networks) -> None:
    tree = openselfsup(networks)
    tree["state_dict"]["encoder_q.0.conv1.weight"] = tree["state_dict"]["encoder_q.0.conv1.weight"] + 1
    module = intake.detect(Path("a.pth"), tree, {})
    with pytest.raises(DensebenchError, match=r"'encoder_q\.0\.conv1\.weight' and 'backbone\.conv1\.weight'"):
        module.read(Path("a.pth"), tree, {})


def test_simclrs_names_are_the_published_ones() -> None:
    names = simclr_names()
    assert len(names) == 265
    assert {simclr.rename(new.removeprefix("net.")) for new in names.values()} == set(names)
    for old, new in names.items():
        assert simclr.rename(new.removeprefix("net.")) == old


def test_numbered_children_in_another_order_are_not_certified(tmp_path: Path, networks: Networks) -> None:
    """A sequence without the max pooling (as for small images) numbers its stages from 3."""
    tree = lightly_dino(networks)
    shifted = {}
    for name, tensor in tree.items():
        prefix, *parts = name.split(".")
        if parts[0] in "4567":
            parts[0] = str(int(parts[0]) - 1)
        shifted[".".join((prefix, *parts))] = tensor
    torch.save(shifted, tmp_path / "file.pth")
    try:
        ok = convert.convert(tmp_path / "file.pth").certificate.ok
    except DensebenchError:
        ok = False
    assert not ok
