"""tools/pool.py: Ctrl-C ends the jobs that are being done, each in its own way, and no other one begins."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

TOOLS = Path(__file__).resolve().parents[2] / "tools"
SCRIPT = """
import sys
import time
from functools import partial
from pathlib import Path

sys.path.insert(0, {tools!r})
from pool import guarded, pool
from pretrain.errors import DensebenchError


def job(folder, number):
    (folder / f"{{number}}.begun").touch()
    try:
        time.sleep({seconds})
        if number == 1:
            raise DensebenchError("Job 1 failed.")
        (folder / f"{{number}}.done").touch()
    except KeyboardInterrupt:
        (folder / f"{{number}}.kept").touch()
        raise DensebenchError("Interrupted; the state is kept.") from None


if __name__ == "__main__":
    with pool(2) as processes:
        futures = [processes.submit(guarded, partial(job, Path(sys.argv[1]), number)) for number in range(6)]
        Path(sys.argv[1], "handed.over").touch()
        try:
            print([future.result() for future in futures])
        except KeyboardInterrupt:
            processes.shutdown(cancel_futures=True)
            sys.exit(130)
"""


@pytest.fixture
def started(tmp_path):
    """Return what starts a pool of two processes with six jobs of so many seconds, in a process group of their own."""
    processes = []

    def start(seconds):
        script = tmp_path / "jobs.py"
        script.write_text(SCRIPT.format(tools=str(TOOLS), seconds=seconds))
        process = subprocess.Popen(
            [sys.executable, str(script), str(tmp_path)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            process_group=0,
            cwd=TOOLS.parent,
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # also where tests run in the background
        )
        processes.append(process)
        return process

    yield start
    for process in processes:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)


def numbers(folder, state):
    return sorted(path.stem for path in folder.glob(f"*.{state}"))


def test_what_fails_is_a_sentence_and_the_others_are_done(started, tmp_path):
    process = started(0)
    said, errors = process.communicate(timeout=120)
    assert (process.returncode, errors) == (0, "")
    assert said.strip() == str(["", "Job 1 failed.", "", "", "", ""])
    assert numbers(tmp_path, "done") == ["0", "2", "3", "4", "5"]


def test_ctrl_c_ends_the_jobs_that_are_being_done_and_no_other_begins(started, tmp_path):
    process = started(600)
    end = time.monotonic() + 120
    while len(numbers(tmp_path, "begun")) < 2 and time.monotonic() < end:
        time.sleep(0.1)
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does
    _, errors = process.communicate(timeout=60)
    assert (process.returncode, errors) == (130, "")
    assert numbers(tmp_path, "begun") == numbers(tmp_path, "kept")
    assert len(numbers(tmp_path, "begun")) == 2


@pytest.mark.parametrize("seconds", [0, 1, 2])
def test_ctrl_c_is_heard_while_the_processes_begin(started, tmp_path, seconds):
    process = started(600)
    end = time.monotonic() + 120
    while not numbers(tmp_path, "over") and time.monotonic() < end:
        time.sleep(0.01)
    time.sleep(seconds)
    os.killpg(process.pid, signal.SIGINT)
    _, errors = process.communicate(timeout=120)
    assert (process.returncode, errors) == (130, "")
    assert numbers(tmp_path, "begun") == numbers(tmp_path, "kept")
