"""Loaders' workers."""

import gc
import os

from torch.utils.data import DataLoader, Dataset

from pretrain.engine.launch import quiet_worker


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
