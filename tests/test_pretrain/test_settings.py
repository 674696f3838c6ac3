"""The settings of a run are kept beside it: another run's are refused."""

import json
from dataclasses import replace

import pytest

from pretrain import methods
from pretrain.errors import UsageError
from pretrain.settings import Settings


def test_a_run_of_an_older_version_goes_on_under_fields_that_came_later(tmp_path):
    chosen = methods.load("densecl").recipes["scenes"]
    Settings("densecl", "resnet18", "scenes", chosen, "scenes", 10, 0).claim(tmp_path)
    file = tmp_path / "settings.json"
    stored = json.loads(file.read_text())
    del stored["recipe"]["end_lr"], stored["recipe"]["decay_all"]
    file.write_text(json.dumps(stored))
    Settings("densecl", "resnet18", "scenes", chosen, "scenes", 10, 0).claim(tmp_path)
    reworded = replace(chosen, source="the paper, Table 1")
    Settings("densecl", "resnet18", "scenes", reworded, "scenes", 10, 0).claim(tmp_path)
    changed = replace(chosen, end_lr=0.1)
    with pytest.raises(UsageError, match=r"recipe\.end_lr is 0\.0 there and 0\.1 here"):
        Settings("densecl", "resnet18", "scenes", changed, "scenes", 10, 0).claim(tmp_path)
    file.write_text("{}")
    with pytest.raises(UsageError, match="does not hold a pretraining's settings"):
        Settings("densecl", "resnet18", "scenes", chosen, "scenes", 10, 0).claim(tmp_path)


def test_a_run_that_left_nothing_does_not_bind_the_next(tmp_path):
    chosen = methods.load("densecl").recipes["scenes"]
    Settings("densecl", "resnet18", "scenes", chosen, "scenes", 10, 0).claim(tmp_path)
    Settings("densecl", "resnet18", "scenes", chosen, "scenes", 10, 1).claim(tmp_path, begun=False)
    with pytest.raises(UsageError, match="seed is 1 there and 2 here"):
        Settings("densecl", "resnet18", "scenes", chosen, "scenes", 10, 2).claim(tmp_path)
    (tmp_path / "settings.json").write_text('{"editor": "vim"}')
    with pytest.raises(UsageError, match="does not hold a pretraining's settings"):
        Settings("densecl", "resnet18", "scenes", chosen, "scenes", 10, 1).claim(tmp_path, begun=False)
