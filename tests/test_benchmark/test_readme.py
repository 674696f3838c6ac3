"""What the README shows works: its method trains, its task loads."""

import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from benchmark import task
from benchmark.cli import app, data
from pretrain import backbones
from pretrain.method import Method, Sample

README = (Path(__file__).resolve().parents[2] / "README.md").read_text()
METHOD, TASK = re.findall(r"```python\n(.*?)```", README, re.DOTALL)


def test_the_method_of_the_readme_trains():
    names = {"__name__": "simsiam"}
    exec(METHOD, names)
    (kind,) = (v for v in names.values() if isinstance(v, type) and issubclass(v, Method) and v is not Method)
    method = kind(backbones.build("resnet18", 0), **kind.recipes["scenes"].method)
    augment = method.views()
    image = np.random.default_rng(0).integers(0, 255, (80, 80, 3), dtype=np.uint8)
    views = [augment(Sample(image, index), np.random.default_rng(index)) for index in range(4)]
    optimizer = torch.optim.SGD(method.parameters(), lr=0.05)
    losses = []
    for _ in range(3):
        loss = method.loss(method.collate()(views))["loss"]
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0]
    assert method.export() is method.backbone


def test_the_task_of_the_readme_loads(tmp_path, monkeypatch):
    folder = tmp_path / "transfer_configs"
    shutil.copytree(task.FOLDER, folder)
    (folder / "voc_seg_fcn_d8_40k.py").write_text(TASK)
    monkeypatch.setattr(task, "FOLDER", folder)
    assert "voc_seg_fcn_d8_40k" in task.names()
    loaded = task.load("voc_seg_fcn_d8_40k")
    assert loaded.protocol["schedule"]["iterations"] == 40000
    assert loaded.metrics == task.load("voc_seg_fcn_d8_20k").metrics


@pytest.mark.parametrize("command", sorted(set(re.findall(r"^    densebench (\w+)", README, re.MULTILINE))))
def test_the_verbs_of_the_readme_exist(command):
    verbs = {entry.name or entry.callback.__name__ for entry in app.registered_commands}
    assert command in verbs | {group.name for group in app.registered_groups}
    assert {entry.name or entry.callback.__name__ for entry in data.registered_commands} == {
        "scenes",
        "check",
    }
