"""Two processes on the same global batch do what one process does."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from pretrain import checkpoint

PROGRAM = Path(__file__).with_name("ranks.py")


def start(file, **environment):
    plain = {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": "", "TORCH_CPP_LOG_LEVEL": "ERROR"}
    return subprocess.Popen([sys.executable, PROGRAM, file], env={**os.environ, **plain, **environment})


SHARED = (  # a method a line
    "moco_v1",
    "moco_v1 end-to-end",
    "moco_v1 memory-bank",
    "moco_v2",
    "densecl",
    "simclr",
    "byol",
    "detcon_b",
    "detcon_s",
    "vicreg",
    "vicregl",
    "cpc",
    "dino",
    "selfpatch",
    "droppos",
    "navit",
    "resim",
)


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """What `ranks.py` found alone, and as two processes with the variables that torchrun sets."""
    folder = tmp_path_factory.mktemp("ranks")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    group = {
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
        "WORLD_SIZE": "2",
        "TORCHELASTIC_RUN_ID": "test",
    }
    processes = [start(folder / "1.json")]
    processes += [start(folder / "2.json", **group, RANK=str(rank), LOCAL_RANK=str(rank)) for rank in range(2)]
    try:
        assert [process.wait(timeout=600) for process in processes] == [0, 0, 0]
    finally:
        for process in processes:
            process.kill()
    return {ranks: json.loads((folder / f"{ranks}.json").read_text()) for ranks in (1, 2)}


@pytest.mark.parametrize("name", SHARED)
def test_two_processes_have_one_processs_loss(runs, name):
    one, two = runs[1][name], runs[2][name]
    np.testing.assert_allclose(two["losses"], one["losses"], rtol=1e-5)
    np.testing.assert_allclose(two["norms"], one["norms"], rtol=1e-4, atol=1e-9)
    assert len(set(one["losses"])) == 3


@pytest.mark.parametrize("name", ["moco_v2", "densecl"])
def test_two_groups_are_two_processes_batch_norm_included(runs, name):
    one, two = runs[1][f"{name} with batch norm"], runs[2][f"{name} with batch norm"]
    np.testing.assert_allclose(two["losses"], one["losses"], rtol=1e-5)
    assert abs(one["losses"][0] / runs[1][name]["losses"][0] - 1) > 1e-3


@pytest.mark.parametrize("name", ["moco_v2", "densecl"])
def test_the_keys_of_all_processes_enter_the_queue(runs, name):
    np.testing.assert_allclose(runs[2][name]["queue"], runs[1][name]["queue"], rtol=1e-4, atol=1e-5)


def test_shuffle_mixes_the_processes_and_unshuffle_undoes_it(runs):
    shuffling = runs[2]["shuffling"]
    assert shuffling["restored"]
    assert sorted(shuffling["encoded"]) == list(range(8))
    assert shuffling["encoded"] != list(range(8))
    assert any(sample >= 4 for sample in shuffling["encoded"][:4])


def test_keys_that_are_not_unshuffled_give_another_loss(runs):
    right, wrong = runs[1]["moco_v2"]["losses"][0], runs[2]["not unshuffled"]["losses"][0]
    assert abs(wrong - right) > 1e-3 * right


@pytest.mark.parametrize("name", ["simclr", "detcon_s"])
def test_negatives_that_give_no_gradient_train_otherwise(runs, name):
    right, wrong = runs[1][name]["norms"], runs[2]["gathered without gradient"][name]["norms"]
    assert not np.allclose(right, wrong, rtol=1e-4, atol=1e-9)


def test_the_command_runs_as_two_processes(runs):
    meta = checkpoint.load(Path(runs[2]["checkpoint"])).meta
    assert meta.epochs == pytest.approx(3 * 4 / 10)
    assert meta.processes == 2


def test_what_rests_rests_in_every_process(runs):
    """# NOTE: mmengine's distributed wrapper calls none of the model's own `train_step`."""
    moved = runs[2]["moved"]
    assert not moved.pop("last.weight")
    assert any(moved.values())
