"""One process writes one file: others are told, and the dead are succeeded."""

import fcntl
import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from benchmark.result import exists, read_all, write
from pretrain.claim import claim
from pretrain.errors import DensebenchError

ROOT = Path(__file__).resolve().parents[2]


def start(script, *arguments):
    """Run a script in another process of this repository."""
    command = [sys.executable, "-c", script, *map(str, arguments)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    return subprocess.Popen(command, cwd=ROOT, text=True, **pipes)


WRITE = """
import json, sys
from pathlib import Path
from benchmark.result import Record, write
from pretrain.errors import DensebenchError
record = Record.from_dict(json.loads(sys.argv[1]))
print("ready", flush=True)
sys.stdin.readline()
try:
    write(record, Path(sys.argv[2]))
except DensebenchError as error:
    sys.exit(f"refused: {error}")
"""


def test_of_many_processes_writing_at_once_one_succeeds(make_record, tmp_path):
    record = make_record()
    processes = [start(WRITE, json.dumps(record.to_dict()), tmp_path) for _ in range(5)]
    for process in processes:
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        process.stdin.write("\n")
        process.stdin.flush()
    errors = [process.communicate()[1] for process in processes]
    assert sorted(process.returncode for process in processes) == [0, 1, 1, 1, 1]
    refused = [error for error in errors if error]
    assert all(error.startswith("refused: ") and error.count("\n") == 1 for error in refused)
    assert read_all([tmp_path]) == [record]


HOLD = """
import sys
from pathlib import Path
from pretrain.claim import claim
with claim(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.readline()
"""


def test_a_second_process_is_told_and_a_killed_one_is_succeeded(make_record, tmp_path):
    record = make_record()
    path = record.key.path(tmp_path)
    holder = start(HOLD, path)
    assert holder.stdout.readline() == "held\n"
    with pytest.raises(DensebenchError, match=rf"is being written by process {holder.pid} on "):
        write(record, tmp_path)
    assert not path.exists()
    holder.kill()
    holder.wait()
    assert path.with_name(path.name + ".lock").exists()
    write(record, tmp_path)
    assert read_all([tmp_path]) == [record]
    assert not path.with_name(path.name + ".lock").exists()


def test_a_lock_of_another_host_is_respected(tmp_path):
    lock = tmp_path / "record.json.lock"
    lock.write_text(json.dumps({"pid": 1, "host": "elsewhere", "started": "1"}))
    told = pytest.raises(DensebenchError, match=r"process 1 on elsewhere.*delete .*record\.json\.lock")
    with told, claim(tmp_path / "record.json"):
        pass
    assert lock.exists()


def test_a_lock_that_another_host_no_longer_touches_is_taken_over(tmp_path):
    lock = tmp_path / "record.json.lock"
    lock.write_text(json.dumps({"pid": 1, "host": "elsewhere", "started": "1"}))
    quarter = time.time() - 15 * 60
    os.utime(lock, (quarter + 60, quarter + 60))
    with pytest.raises(DensebenchError, match="process 1 on elsewhere"), claim(tmp_path / "record.json"):
        pass
    os.utime(lock, (quarter - 1, quarter - 1))
    with claim(tmp_path / "record.json"):
        assert json.loads(lock.read_text())["pid"] == os.getpid()
    assert not lock.exists()


def test_a_holder_touches_its_lock(tmp_path, monkeypatch):
    monkeypatch.setattr("pretrain.claim._BEAT_SECONDS", 0.01)
    lock = tmp_path / "record.json.lock"
    with claim(tmp_path / "record.json"):
        os.utime(lock, (0, 0))
        end = time.monotonic() + 10
        while lock.stat().st_mtime == 0 and time.monotonic() < end:
            time.sleep(0.01)
        assert lock.stat().st_mtime > 0
    assert not lock.exists()


def test_a_lock_that_another_host_took_over_is_left_to_it(tmp_path, monkeypatch):
    monkeypatch.setattr("pretrain.claim._BEAT_SECONDS", 0.01)
    lock = tmp_path / "record.json.lock"
    theirs = json.dumps({"pid": 1, "host": "elsewhere", "started": "1"})
    with claim(tmp_path / "record.json"):
        lock.write_text(theirs)
        os.utime(lock, (0, 0))
        time.sleep(0.3)
    assert lock.read_text() == theirs and lock.stat().st_mtime == 0


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="the start of a process is not told here")
def test_a_number_that_went_to_a_younger_process_is_no_holder(tmp_path):
    lock = tmp_path / "record.json.lock"
    lock.write_text(json.dumps({"pid": os.getppid(), "host": socket.gethostname(), "started": "1"}))
    with claim(tmp_path / "record.json"):
        assert json.loads(lock.read_text())["pid"] == os.getpid()
    assert not lock.exists()


def test_an_empty_lock_of_a_killed_writer_is_taken_over(tmp_path):
    lock = tmp_path / "record.json.lock"
    lock.touch()
    with claim(tmp_path / "record.json"), claim(tmp_path / "record.json"):
        assert json.loads(lock.read_text())["pid"] == os.getpid()
    assert not lock.exists()


ALONE = """
import os, sys, time
from pathlib import Path
from pretrain.claim import claim
from pretrain.errors import DensebenchError
path = Path(sys.argv[1])
print("ready", flush=True)
sys.stdin.readline()
try:
    with claim(path):
        marker = path.with_name("inside")
        os.close(os.open(marker, os.O_CREAT | os.O_EXCL))
        time.sleep(0.5)
        marker.unlink()
except DensebenchError:
    sys.exit(1)
"""


def test_of_many_processes_at_a_dead_lock_one_takes_it_over(tmp_path):
    path = tmp_path / "record.json"
    dead = start(HOLD, path)
    assert dead.stdout.readline() == "held\n"
    dead.kill()
    dead.wait()
    processes = [start(ALONE, path) for _ in range(5)]
    for process in processes:
        process.stdout.readline()
    for process in processes:
        process.stdin.write("\n")
        process.stdin.flush()
    errors = [process.communicate()[1] for process in processes]
    assert not any("FileExistsError" in error for error in errors)
    assert 0 in {process.returncode for process in processes}
    assert {process.returncode for process in processes} <= {0, 1}


def test_whoever_comes_second_to_a_dead_lock_sees_the_first(tmp_path):
    """Two have read the same dead holder; one waits at the file while the other writes itself in."""
    path = tmp_path / "record.json"
    lock = path.with_name("record.json.lock")
    dead = start(HOLD, path)
    assert dead.stdout.readline() == "held\n"
    dead.kill()
    dead.wait()
    with lock.open("r+") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        second = start(ALONE, path)
        second.stdout.readline()
        second.stdin.write("\n")
        second.stdin.flush()
        with pytest.raises(subprocess.TimeoutExpired):
            second.wait(1.0)
        with claim(tmp_path / "example"):
            me = (tmp_path / "example.lock").read_text()
        handle.truncate(0)
        handle.write(me)
    assert second.wait(10) == 1
    assert lock.read_text() == me


KILLED = """
import json, os, signal, sys
from pathlib import Path
from benchmark.result import Record, write
Path.replace = lambda self, target: os.kill(os.getpid(), signal.SIGKILL)
write(Record.from_dict(json.loads(sys.argv[1])), Path(sys.argv[2]), replace=True)
"""


def test_killed_just_before_the_exchange(make_record, tmp_path):
    old = make_record(value=50.0)
    other = make_record(seed=1)
    write(old, tmp_path)
    for record in (make_record(value=60.0), other):
        process = start(KILLED, json.dumps(record.to_dict()), tmp_path)
        assert process.wait() == -signal.SIGKILL
    assert any(path.suffix == ".tmp" for path in tmp_path.iterdir())
    sentences = []
    assert read_all([tmp_path], sentences.append) == [old]
    assert sentences == []
    assert not exists(other.key, tmp_path)
    write(other, tmp_path)
    assert len(read_all([tmp_path], sentences.append)) == 2


def test_a_claim_ends_with_its_block_also_in_failure(tmp_path):
    with pytest.raises(KeyboardInterrupt), claim(tmp_path / "record.json"):
        raise KeyboardInterrupt
    assert list(tmp_path.iterdir()) == []
