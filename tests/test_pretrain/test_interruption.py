"""Slurm's SIGTERM: the step under way is finished and saved; and what `masks` refuses before it works."""

import os
import signal
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from pretrain.engine.state import StateHook
from pretrain.errors import UsageError
from pretrain.masks.make import Options, make


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_saves_and_interrupts(tmp_path, number):
    network = torch.nn.Linear(2, 2)
    runner = SimpleNamespace(
        iter=3, max_iters=9, model=network, optim_wrapper=torch.optim.SGD(network.parameters()), param_schedulers=[]
    )
    before = signal.getsignal(number)
    hook = StateHook(str(tmp_path / "state.pth"))
    hook.before_train(runner)
    hook.after_train_iter(runner, 3)
    os.kill(os.getpid(), number)
    with pytest.raises(KeyboardInterrupt):
        hook.after_train_iter(runner, 3)
    hook.close()
    assert signal.getsignal(number) is before
    assert torch.load(tmp_path / "state.pth", weights_only=True)["iteration"] == 4


def test_masks_refuses_a_folder_and_a_source_without_use(tmp_path):
    with pytest.raises(UsageError, match="is a folder; a file was expected"):
        make("images", "grid", tmp_path, Options())
    with pytest.raises(UsageError, match="found in the images alone"):
        make("images", "grid", tmp_path / "masks", Options(sources=(Path("x"),)))


@pytest.mark.parametrize("said", ["soon", "-1", "nan"])
def test_a_wrong_wish_for_saving_is_one_sentence(monkeypatch, said):
    monkeypatch.setenv("DENSEBENCH_SAVE_SECONDS", said)
    with pytest.raises(UsageError, match=f"a number of seconds, such as 60; it is '{said}'"):
        StateHook("state.pth")
