"""Progress belongs to the screen, and never to what a command prints."""

import sys
from types import SimpleNamespace

import torch

from benchmark.progress import counting
from pretrain.engine.progress import ProgressHook


def test_bars_are_drawn_on_stderr(capsys, monkeypatch):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    with counting("masks") as progress:
        progress(1, 2)
    hook = ProgressHook("densecl", batch_size=4)
    runner = SimpleNamespace(iter=0, max_iters=2)
    hook.before_train(runner)
    hook.after_train_iter(runner, 0, outputs={"loss": torch.ones((), requires_grad=True)})
    hook.close()
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "masks" in captured.err and "densecl" in captured.err
