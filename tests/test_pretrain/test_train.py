"""Pretraining from the call to the checkpoint: exact resume, and bad input."""

import gc
import multiprocessing
import os
import signal
import subprocess
import sys

import numpy as np
import pytest
import torch
from PIL import Image

from pretrain import backbones, checkpoint
from pretrain.errors import DensebenchError, UsageError
from pretrain.train import pretrain

STEPS = 10
TINY = {"iterations": str(STEPS), "batch_size": "6", "image_size": "32", "queue_size": "16", "hidden": "32"}
TINY["batch_norm_groups"] = "2"


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def photographs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("photographs")
    generator = np.random.default_rng(0)
    for number in range(14):
        grid = generator.integers(0, 256, (6, 6, 3), dtype=np.uint8)
        Image.fromarray(grid).resize((60, 48)).save(folder / f"{number}.jpg")
    return folder


def run(method, photographs, out, *, seed=0, **more):
    options = {"workers": 0, "overrides": TINY, "progress": lambda done, total: None, **more}
    return pretrain(method, "resnet18", photographs, "scenes", out, seed=seed, **options)


def tensors(path):
    return checkpoint.load(path).tensors


def same(first, second):
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


@pytest.fixture(scope="module")
def uninterrupted(photographs, tmp_path_factory):
    return run("densecl", photographs, tmp_path_factory.mktemp("uninterrupted"))


def test_training_changes_every_weight_and_says_how(uninterrupted, photographs):
    found = checkpoint.load(uninterrupted)
    start = backbones.build("resnet18", seed=0).state_dict()
    assert found.tensors.keys() == start.keys()
    assert not any(torch.equal(found.tensors[name], start[name]) for name in start if name.endswith("weight"))
    meta = found.meta
    assert (meta.arch, meta.method, meta.seed) == ("resnet18", "densecl", 0)
    assert meta.recipe == "+".join(["scenes", *(f"{key}={value}" for key, value in sorted(TINY.items()))])
    assert (meta.data, meta.images) == (photographs.name, 14)
    assert meta.epochs == pytest.approx(STEPS * 6 / 14)
    assert meta.mean == (123.675, 116.28, 103.53)
    assert meta.wall_time_s > 0
    assert list((uninterrupted.parent / "tensorboard").iterdir())


def test_colours_can_be_made_on_the_device(uninterrupted, photographs, tmp_path):
    """Nearly the same views, drawn alike, give nearly the same steps; other colours would not."""
    later = run("densecl", photographs, tmp_path, overrides={**TINY, "device_colours": "True"})
    found, plain = tensors(later), tensors(uninterrupted)
    assert checkpoint.load(later).meta.recipe.count("device_colours=True") == 1
    start = backbones.build("resnet18", seed=0).state_dict()
    other = tensors(run("densecl", photographs, tmp_path / "other", seed=1))
    name = "layer1.0.bn1.running_mean"  # what the views look like
    assert not torch.equal(found[name], plain[name])
    moved = (plain[name] - start[name]).abs().max()
    assert (found[name] - plain[name]).abs().max() < 0.2 * moved < (other[name] - plain[name]).abs().max()


def test_a_finished_run_returns_at_once(uninterrupted, photographs):
    before = uninterrupted.stat().st_mtime_ns
    steps = []
    assert run("densecl", photographs, uninterrupted.parent, progress=lambda *step: steps.append(step)) == uninterrupted
    assert not steps
    assert uninterrupted.stat().st_mtime_ns == before


def test_workers_and_another_seed(uninterrupted, photographs, tmp_path):
    before = set(multiprocessing.active_children())
    gc.disable()  # a collection would end the workers, after seconds
    try:
        assert same(tensors(run("densecl", photographs, tmp_path / "a", workers=2)), tensors(uninterrupted))
        assert not set(multiprocessing.active_children()) - before
    finally:
        gc.enable()
    assert not same(tensors(run("densecl", photographs, tmp_path / "b", seed=1)), tensors(uninterrupted))


PROGRAM = """
import sys, torch
from pretrain.train import pretrain
torch.set_num_threads(1)
pretrain("densecl", "resnet18", sys.argv[1], "scenes", sys.argv[2], overrides=eval(sys.argv[3]), workers=1,
         progress=lambda done, total: print(done, flush=True))
"""


def test_a_killed_run_continues_exactly(uninterrupted, photographs, tmp_path):
    command = [sys.executable, "-c", PROGRAM, str(photographs), str(tmp_path), repr(TINY)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "DENSEBENCH_SAVE_SECONDS": "0"}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as killed:
        while killed.stdout.readline().strip() != "6":
            assert killed.poll() is None
        killed.send_signal(signal.SIGKILL)
    assert not (tmp_path / "checkpoint.safetensors").exists()
    steps = []
    resumed = run("densecl", photographs, tmp_path, progress=lambda done, total: steps.append(done))
    assert 6 <= steps[0] <= 8
    assert same(tensors(resumed), tensors(uninterrupted))


@pytest.fixture
def listening_to_ctrl_c():
    """Without it, tests that were started in the background would not hear it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.parametrize("step", [4, STEPS])
def test_ctrl_c_saves_a_state_that_continues_exactly(step, uninterrupted, photographs, tmp_path, listening_to_ctrl_c):
    def interrupt(done, total):
        if done == step:
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(DensebenchError, match=f"Interrupted; {step} of {STEPS} steps are kept in"):
        run("densecl", photographs, tmp_path, progress=interrupt)
    steps = []
    resumed = run("densecl", photographs, tmp_path, progress=lambda done, total: steps.append(done))
    assert steps == list(range(step + 1, STEPS + 1))
    assert same(tensors(resumed), tensors(uninterrupted))
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    assert not (tmp_path / "state.pth").exists()


def test_an_impatient_second_ctrl_c_says_that_nothing_is_kept(photographs, tmp_path, listening_to_ctrl_c):
    def interrupt(done, total):
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(DensebenchError, match="Interrupted; nothing was saved yet"):
        run("densecl", photographs, tmp_path, progress=interrupt)


def test_epochs_that_make_no_step_are_refused(photographs, tmp_path):
    with pytest.raises(UsageError, match="epochs of 14 images are no step of 32 images"):
        run("densecl", photographs, tmp_path, overrides={"epochs": "0.1"})
    assert not list(tmp_path.iterdir())


def test_a_folder_of_another_run_is_refused(uninterrupted, photographs):
    with pytest.raises(UsageError, match="holds another pretraining: seed is 0 there and 1 here"):
        run("densecl", photographs, uninterrupted.parent, seed=1)


def test_a_folder_in_which_another_process_works_is_refused(photographs, tmp_path):
    hold = """
import sys
from pathlib import Path
from pretrain.claim import claim
with claim(Path(sys.argv[1], "checkpoint.safetensors")):
    print("held", flush=True)
    sys.stdin.read()
"""
    command = [sys.executable, "-c", hold, str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout.readline() == b"held\n"
        with pytest.raises(DensebenchError, match=f"is being written by process {other.pid}"):
            run("moco_v2", photographs, tmp_path)
        other.stdin.close()
    assert not (tmp_path / "settings.json").exists()


def test_random_exports_the_drawn_backbone(tmp_path):
    first = pretrain("random", "resnet18", "/no/images/needed", "scenes", tmp_path / "a", seed=5)
    second = pretrain("random", "resnet18", "/no/images/needed", "imagenet-200e", tmp_path / "b", seed=5)
    assert same(tensors(first), tensors(second))
    assert same(tensors(first), backbones.build("resnet18", seed=5).state_dict())
    assert not same(tensors(first), tensors(pretrain("random", "resnet18", "", "scenes", tmp_path / "c", seed=6)))
    Image.new("RGB", (8, 8)).save(tmp_path / "image.png")
    with pytest.raises(UsageError, match="trains nothing"):
        pretrain("random", "resnet18", tmp_path, "scenes", tmp_path / "d", overrides={"iterations": "3"})


def test_a_broken_image_stops_the_run_or_is_counted(photographs, tmp_path):
    folder = tmp_path / "images"
    folder.mkdir()
    for file in photographs.iterdir():
        data = file.read_bytes()
        (folder / file.name).write_bytes(data[: len(data) // 2] if file.name == "3.jpg" else data)
    for workers in (0, 1):
        with pytest.raises(DensebenchError, match=r"3\.jpg cannot be read as an image") as caught:
            run("moco_v2", folder, tmp_path / "strict", workers=workers)
        assert "Traceback" not in str(caught.value)
    (tmp_path / "lenient").mkdir()
    (tmp_path / "lenient" / "unreadable.txt").write_text("of another run.jpg\n")
    done = run("moco_v2", folder, tmp_path / "lenient", workers=1, skip_unreadable=True)
    meta = checkpoint.load(done).meta
    assert "1 unreadable images skipped" in meta.data
    assert meta.images == len(list(folder.iterdir())) - 1
    assert "3.jpg" in (tmp_path / "lenient" / "unreadable.txt").read_text()
    (log,) = (tmp_path / "lenient").glob("*/*.log")
    assert "unreadable" in log.read_text()


def test_collapse_is_logged_and_warned_of_once(photographs, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("pretrain.train.LOOK_INTERVAL", 2)
    monkeypatch.setattr("pretrain.train.LOG_INTERVAL", 2)
    run("moco_v2", photographs, tmp_path / "healthy")
    assert "collapsed" not in capsys.readouterr().err
    (log,) = (tmp_path / "healthy").glob("*/*.log")
    assert "effective_rank" in log.read_text()
    assert "feature_std" in log.read_text()

    def same_for_all(module, inputs, output):
        return torch.ones_like(output) + 1e-4 * output

    original = backbones.resnet.ResNet.forward
    monkeypatch.setattr(backbones.resnet.ResNet, "forward", lambda self, x: same_for_all(self, x, original(self, x)))
    run("moco_v2", photographs, tmp_path / "collapsed")
    assert capsys.readouterr().err.count("the features have collapsed") == 1


def test_supervised_learns_the_folders(photographs, tmp_path, monkeypatch):
    monkeypatch.setattr("pretrain.train.LOG_INTERVAL", 2)
    for name, colour in (("red", (200, 30, 30)), ("blue", (30, 30, 200))):
        (tmp_path / "images" / name).mkdir(parents=True)
        for number in range(6):
            image = np.random.default_rng(number).integers(0, 40, (40, 40, 3)) + np.array(colour)
            Image.fromarray(image.astype(np.uint8)).save(tmp_path / "images" / name / f"{number}.png")
    tiny = {key: value for key, value in TINY.items() if key in ("iterations", "batch_size", "image_size")}
    done = run("supervised", tmp_path / "images", tmp_path / "out", overrides={**tiny, "clip_grad": "5.0"})
    (log,) = (tmp_path / "out").glob("*/*.log")
    assert checkpoint.load(done).meta.method == "supervised"
    assert "grad_norm" in log.read_text()
    with pytest.raises(DensebenchError, match="labels"):
        run("supervised", photographs, tmp_path / "none", overrides=tiny)


def test_a_diverged_run_leaves_no_checkpoint_and_the_folder_free(photographs, tmp_path):
    wild = {**TINY, "optimizer": "sgd", "lr": "1e30", "weight_decay": "1e30", "warmup_epochs": "0"}
    with pytest.raises(DensebenchError, match=r"tensors hold NaN or infinity, the first is .*: training diverged"):
        run("densecl", photographs, tmp_path, overrides={**wild, "iterations": "1"})
    with pytest.raises(DensebenchError, match="The loss is nan after 2 iterations: training diverged"):
        run("densecl", photographs, tmp_path, overrides={**wild, "iterations": "2"})
    assert not (tmp_path / "checkpoint.safetensors").exists()
    assert run("densecl", photographs, tmp_path, overrides={**TINY, "iterations": "1"}).is_file()
    with pytest.raises(UsageError, match="holds another pretraining"):
        run("densecl", photographs, tmp_path, overrides=TINY)


@pytest.mark.parametrize(
    ("method", "settings", "message"),
    [
        ("densecl", {"precision": "float16"}, "no precision 'float16'"),
        ("densecl", {"crop_scale": "(2, 3)"}, "crop_scale should be"),
        ("densecl", {"matching": "bakbone"}, "no matching 'bakbone'"),
        ("cpc", {"device_colours": "True"}, "patches"),
        ("random", {"iterations": "3"}, "trains nothing"),
        ("droppos", {}, "droppos trains the families vit; resnet18 is a resnet"),
        ("densecl", {"lr": "1e999"}, "finite"),
    ],
)
def test_what_can_be_refused_is_refused_before_anything_is_made(method, settings, message, photographs, tmp_path):
    with pytest.raises(UsageError, match=message):
        run(method, photographs, tmp_path / "out", overrides=settings)
    assert not (tmp_path / "out").exists()


def test_a_first_step_that_is_refused_leaves_the_folder_free(photographs, tmp_path):
    with pytest.raises(UsageError, match="Set batch_size to a multiple of batch_norm_groups"):
        run("densecl", photographs, tmp_path, overrides={**TINY, "batch_norm_groups": "4"})
    assert run("densecl", photographs, tmp_path, overrides={**TINY, "iterations": "1"}).is_file()


def test_a_file_where_the_folder_should_be_is_named(photographs, tmp_path):
    (tmp_path / "text.txt").write_text("hello")
    for out in (tmp_path / "text.txt", tmp_path / "text.txt" / "deeper"):
        with pytest.raises(DensebenchError, match=r"text\.txt is a file, not a folder"):
            run("densecl", photographs, out)
