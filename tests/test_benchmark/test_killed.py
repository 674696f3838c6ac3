"""The real program, killed and interrupted: the same command goes on, to the same numbers."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from benchmark.result import read_all
from pretrain.data import scenes

TASK = "voc_seg_fcn_d8_20k.demo"
SETTINGS = {
    "values.max_test_images": 4,
    "values.width": 8,
    "values.auxiliary_width": 8,
    "schedule.iterations": 8,
    "schedule.batch_size": 2,
}


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return scenes.write(tmp_path_factory.mktemp("data") / "scenes", 12, 4, 0, size=96, workers=1)


def command(data, out, *more):
    settings = [f"{key}={value}" for key, value in SETTINGS.items()]
    return [
        *(sys.executable, "-m", "benchmark", "run", TASK, "--checkpoint", "random", "--arch", "resnet18"),
        *("--data-root", str(data), "--out", str(out), "--workers", "1", "--set", *settings, *more),
    ]


def start(data, out):
    environment = {**os.environ, "DENSEBENCH_SAVE_SECONDS": "0", "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        command(data, out),
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # also where tests run in the background
    )


def wait_for_state(process, out, seconds=180.0):
    end = time.monotonic() + seconds
    while time.monotonic() < end and process.poll() is None:
        if list(Path(out).rglob("state.pth")):
            return
        time.sleep(0.02)
    pytest.fail(f"no state was saved: {process.communicate()}")


def finish(process):
    """Wait for the end of a run that nobody disturbs; its loader's workers end without a word."""
    said = process.communicate()[1]
    assert process.returncode == 0, said
    assert "Traceback" not in said


def test_killed_or_interrupted_runs_end_with_the_numbers_of_an_undisturbed_one(data, tmp_path):
    """SIGKILL, Ctrl-C and Slurm's SIGTERM (to workers, too) when timing decides, then the same command."""
    finish(start(data, tmp_path / "whole"))
    (expected,) = read_all([tmp_path / "whole" / "records"])
    for number in (signal.SIGKILL, signal.SIGINT, signal.SIGTERM):
        out = tmp_path / number.name
        process = start(data, out)
        wait_for_state(process, out)
        os.killpg(process.pid, number) if number == signal.SIGTERM else process.send_signal(number)
        said = process.communicate()[1]
        if number == signal.SIGKILL:
            assert process.returncode == -signal.SIGKILL
        else:
            assert process.returncode == 130, said
            assert "Traceback" not in said
        assert list(out.rglob("state.pth")) and not read_all([out / "records"])
        finish(start(data, out))
        (found,) = read_all([out / "records"])
        assert found.metrics == expected.metrics  # to the last bit on one machine
        assert found.key == expected.key
