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
    hook.before_train_iter(runner, 0)
    hook.after_train_iter(runner, 0, outputs={"loss": torch.ones((), requires_grad=True)})
    hook.close()
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "masks" in captured.err and "densecl" in captured.err


def test_a_resumed_run_counts_its_own_steps_only(capsys, monkeypatch):
    clock = iter(range(0, 1000, 2))
    monkeypatch.setattr("pretrain.engine.progress.time.monotonic", lambda: next(clock))
    hook = ProgressHook("densecl", batch_size=4, seconds=0.0)
    runner = SimpleNamespace(iter=0, max_iters=103)
    hook.before_train(runner)
    for step in (100, 101):  # a later hook has taken up the state
        runner.iter = step
        hook.before_train_iter(runner, 0)
        hook.after_train_iter(runner, 0, outputs={"loss": torch.ones(())})
    speeds = [float(line.split(" images/s")[0].rpartition(" ")[2]) for line in capsys.readouterr().err.splitlines()]
    assert len(speeds) == 2 and max(speeds) <= 4 / 2
