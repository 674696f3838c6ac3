"""A job in processes of its own: the same results in order, and a clean end however it ends."""

import multiprocessing
import os
import signal
import subprocess
import sys
import time
from functools import partial

import pytest
from jobs import die, refuse, times

from pretrain.errors import DensebenchError
from pretrain.processes import mapped


@pytest.mark.parametrize(("workers", "own"), [(1, True), (2, False)])
def test_results_come_in_order(workers, own):
    results, places = zip(*mapped(partial(times, 10), range(9), workers, at_a_time=2), strict=True)
    assert results == tuple(range(0, 90, 10))
    assert (os.getpid() in places) == own


@pytest.mark.parametrize(
    ("job", "sentence"), [(refuse, "3 is no number. Take 4."), (die, "was killed, perhaps for want of memory. Type ")]
)
def test_what_went_wrong_is_one_sentence_and_no_process_stays(job, sentence):
    before = set(multiprocessing.active_children())
    with pytest.raises(DensebenchError, match=sentence):
        list(mapped(job, range(9), 2))
    for child in set(multiprocessing.active_children()) - before:
        child.join(timeout=60)
        assert not child.is_alive()


PROGRAM = """
import signal, time
from pretrain.processes import mapped
if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.default_int_handler)
    results = mapped(time.sleep, [0.01] + [0.2] * 200, 2)
    print("one", flush=True)
    for _ in results:
        print("two", flush=True)
else:
    time.sleep(2)  # what is imported takes its time
"""


@pytest.mark.parametrize("line", ["one", "two"])
def test_ctrl_c_is_heard_by_the_parent_alone(tmp_path, line):
    """A terminal sends it to every process: none of the children may write its own traceback, not even as it begins."""
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)
    command = [sys.executable, str(program)]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    ) as running:
        while running.stdout.readline().strip() != line:
            assert running.poll() is None
        time.sleep(1)
        os.killpg(running.pid, signal.SIGINT)
        _, said = running.communicate(timeout=60)
    assert running.returncode != 0
    assert said.count("Traceback") == 1 and said.rstrip().endswith("KeyboardInterrupt"), said
