"""Loaders' workers."""

import gc
import multiprocessing
import os
import signal
import time
from types import SimpleNamespace

import pytest
from torch.utils.data import DataLoader, Dataset

from pretrain.engine import launch
from pretrain.engine.launch import end_workers, quiet_worker
from pretrain.engine.state import StateHook
from pretrain.errors import DensebenchError


class Leftover:
    """What only a collection removes, as an earlier run's loader; it tells which process did."""

    def __init__(self, told):
        self.told = told
        self.itself = self

    def __del__(self):
        with self.told.open("a") as file:
            file.write(f"{os.getpid()}\n")


class Collecting(Dataset):
    def __len__(self):
        return 1

    def __getitem__(self, index):
        gc.collect()
        return index


def test_a_worker_leaves_the_main_processs_garbage_alone(tmp_path):
    told = tmp_path / "told"
    gc.disable()
    try:
        Leftover(told)
        list(DataLoader(Collecting(), num_workers=1, worker_init_fn=quiet_worker))
        assert not told.exists()
    finally:
        gc.enable()
    gc.collect()
    assert told.read_text().split() == [str(os.getpid())]


def test_a_loaders_workers_end_at_once():
    loader = DataLoader(range(4), num_workers=2, persistent_workers=True, worker_init_fn=quiet_worker)
    before = set(multiprocessing.active_children())
    end_workers(loader)  # none has begun
    assert len(list(loader)) == 4
    workers = set(multiprocessing.active_children()) - before
    assert len(workers) == 2
    end_workers(loader)
    assert not workers & set(multiprocessing.active_children())
    assert [worker.exitcode for worker in workers] == [0, 0]  # not by SIGTERM, after five seconds
    assert len(list(loader)) == 4
    end_workers(loader)


class Terminated(Dataset):
    """What ends the worker that reads it by a signal."""

    def __init__(self, number):
        self.number = number

    def __len__(self):
        return 1

    def __getitem__(self, index):
        os.kill(os.getpid(), self.number)
        time.sleep(60)


@pytest.mark.parametrize(
    ("number", "interrupted", "error"),
    [
        (signal.SIGTERM, False, KeyboardInterrupt),
        (signal.SIGKILL, True, KeyboardInterrupt),
        (signal.SIGKILL, False, RuntimeError),
    ],
)
@pytest.mark.parametrize("act", ["train", "test"])
def test_a_terminated_worker_interrupts_and_a_killed_one_is_an_error(tmp_path, act, number, interrupted, error):
    """SIGTERM may reach the worker before it reaches this process; nobody but the kernel, for want of memory, kills."""
    hook = StateHook(str(tmp_path / "state.pth"))
    hook.interrupted = interrupted
    loader = DataLoader(Terminated(number), num_workers=1, worker_init_fn=quiet_worker)
    runner = SimpleNamespace(hooks=[hook], test_loop=None, **{act: lambda: list(loader)})
    with pytest.raises(error):
        getattr(launch, act)(runner)


class Damaged(Dataset):
    def __len__(self):
        return 1

    def __getitem__(self, index):
        raise DensebenchError("a.jpg is damaged.", "Restore it.")


@pytest.mark.parametrize("act", ["train", "test"])
def test_a_workers_error_is_a_sentence(act):
    loader = DataLoader(Damaged(), num_workers=1, worker_init_fn=quiet_worker)
    runner = SimpleNamespace(hooks=[], test_loop=None, **{act: lambda: list(loader)})
    with pytest.raises(DensebenchError) as caught:
        getattr(launch, act)(runner)
    assert str(caught.value) == "a.jpg is damaged. Restore it."
