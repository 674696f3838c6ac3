"""Records are whole or absent, never silently overwritten, and survive what kills their writers."""

import errno
import fcntl
import json
import math
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmark.claim import claim
from benchmark.result import Record, compare, exists, fingerprint, read, read_all, write
from pretrain.errors import DensebenchError

ROOT = Path(__file__).resolve().parents[2]


def start(script, *arguments):
    """Run a script in another process of this repository."""
    command = [sys.executable, "-c", script, *map(str, arguments)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    return subprocess.Popen(command, cwd=ROOT, text=True, **pipes)


def test_round_trip_keeps_every_bit(make_record, tmp_path):
    value = 100 / 3
    record = make_record(
        metrics={"mIoU": value}, notes=["±"], pretraining={"recipe": "scenes", "epochs": 0.1}
    )
    path = write(record, tmp_path / "new" / "folder")
    assert read(path) == record
    assert read(path).metrics["mIoU"] == value
    assert exists(record.key, path.parent)
    data = json.loads(path.read_text())
    assert data["schema"] == 1
    assert data["key"] == {"weights": record.weights, "fingerprint": record.fingerprint, "seed": 0}
    assert [item.name for item in path.parent.iterdir()] == [path.name]


def test_the_key_is_weights_fingerprint_and_seed(make_record):
    record = make_record()
    same = make_record(commit="abc", device="another", wall_time_s=9.0, name="another", metrics={"mIoU": 1.0})
    assert same.key == record.key
    others = [make_record(seed=1), make_record(method="moco_v2"), make_record(protocol={"lr": 0.02})]
    keys = {record.key, *(other.key for other in others)}
    assert len(keys) == 4
    assert len({key.path(Path()) for key in keys}) == 4


@pytest.mark.parametrize("value", [math.nan, math.inf, None, "50", True])
def test_numbers_that_are_none_are_refused(make_record, value):
    with pytest.raises(
        DensebenchError, match=r"voc_seg_fcn_d8_20k, seed 0: the metric mIoU is .*not a finite"
    ):
        make_record(value=value)


def test_direction_and_headline_are_required(make_record):
    with pytest.raises(DensebenchError, match="direction None"):
        make_record(directions={})
    with pytest.raises(DensebenchError, match="headline AP"):
        make_record(headline="AP")


def test_infinity_deep_inside_is_refused(make_record, tmp_path):
    with pytest.raises(DensebenchError, match="finite numbers only"):
        write(make_record(certificate={"parity": [math.inf]}), tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_record_is_not_overwritten_unless_told(make_record, tmp_path):
    path = write(make_record(value=50.0), tmp_path)
    with pytest.raises(DensebenchError, match="exists already"):
        write(make_record(value=60.0), tmp_path)
    assert read(path).metrics == {"mIoU": 50.0}
    write(make_record(value=60.0), tmp_path, replace=True)
    assert read(path).metrics == {"mIoU": 60.0}


def damage_schema(data):
    data["schema"] = 2


def damage_protocol(data):
    data["fingerprint_dict"]["lr"] = 0.5


def damage_field(data):
    del data["task"]


def damage_number(data):
    data["metrics"]["mIoU"] = float("nan")


def damage_certificate(data):
    data["certificate"]["parity"] = float("inf")


DAMAGES = [damage_schema, damage_protocol, damage_field, damage_number, damage_certificate]


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_record_is_named_and_the_others_are_read(make_record, tmp_path, damage):
    good, bad = write(make_record(seed=0), tmp_path), write(make_record(seed=1), tmp_path)
    data = json.loads(bad.read_text())
    damage(data)
    bad.write_text(json.dumps(data))
    (tmp_path / "truncated.json").write_text(good.read_text()[:100])
    (tmp_path / "list.json").write_text("[]")
    sentences = []
    assert [record.seed for record in read_all([tmp_path, tmp_path / "missing"], sentences.append)] == [0]
    assert len(sentences) == 3
    assert sum(str(bad) in sentence for sentence in sentences) == 1
    assert all("is not a record of schema 1" in sentence for sentence in sentences)


def test_without_a_listener_complaints_go_to_standard_error(tmp_path, capsys):
    (tmp_path / "list.json").write_text("[]")
    assert read_all([tmp_path]) == []
    assert "list.json" in capsys.readouterr().err


def test_of_one_run_in_two_folders_the_first_counts(make_record, tmp_path):
    sentences = []
    write(make_record(value=50.0), tmp_path / "a")
    write(make_record(value=50.0, device="another"), tmp_path / "b")
    assert len(read_all([tmp_path / "a", tmp_path / "b"], sentences.append)) == 1
    assert sentences == []
    write(make_record(value=60.0), tmp_path / "c")
    (kept,) = read_all([tmp_path / "a", tmp_path / "c"], sentences.append)
    assert kept.metrics == {"mIoU": 50.0}
    assert "other numbers" in sentences[0]


def test_a_full_disk_loses_nothing(make_record, tmp_path, monkeypatch):
    path = write(make_record(value=50.0), tmp_path)

    def full(handle):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(DensebenchError, match="disk is full"):
        write(make_record(value=60.0), tmp_path, replace=True)
    assert read(path).metrics == {"mIoU": 50.0}
    assert [item.name for item in tmp_path.iterdir()] == [path.name]


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
from benchmark.claim import claim
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


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="the start of a process is not told here")
def test_a_number_that_went_to_a_younger_process_is_no_holder(tmp_path):
    import socket

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
from benchmark.claim import claim
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


KILLED = """
import json, os, signal, sys
from pathlib import Path
from benchmark.result import Record, write
Path.replace = lambda self, target: os.kill(os.getpid(), signal.SIGKILL)
write(Record.from_dict(json.loads(sys.argv[1])), Path(sys.argv[2]), replace=True)
"""


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


plain = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**6), 10**6)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)
protocols = st.dictionaries(st.text(max_size=3), plain, max_size=4)


@given(protocols, protocols)
def test_no_difference_in_words_means_one_fingerprint(first, second):
    assert (compare(first, second) == []) == (fingerprint(first) == fingerprint(second))


@given(protocols)
def test_fingerprints_ignore_order_and_survive_json(protocol):
    shuffled = dict(reversed(list(protocol.items())))
    assert fingerprint(protocol) == fingerprint(shuffled) == fingerprint(json.loads(json.dumps(protocol)))


def test_differences_in_words():
    first = {"optimizer": {"lr": 0.02, "momentum": 0.9}, "crop": [512, 512], "norm": "SyncBN", "batch": 16}
    second = {
        "optimizer": {"lr": 0.01, "momentum": 0.9},
        "crop": (512, 512),
        "norm": "BN",
        "batch": 16.0,
        "new": None,
    }
    assert compare(first, second) == [
        "new: nothing against null",
        'norm: "SyncBN" against "BN"',
        "optimizer.lr: 0.02 against 0.01",
    ]
    assert len(fingerprint(first)) == 12
    assert fingerprint({"lr": 1.0}) == fingerprint({"lr": 1}) != fingerprint({"lr": True})


def test_a_protocol_without_a_number_is_refused():
    with pytest.raises(DensebenchError, match="nan"):
        fingerprint({"lr": math.nan})
    with pytest.raises(TypeError, match="Path"):
        fingerprint({"root": Path()})


def test_reading_a_thousand_records_is_quick(make_record, tmp_path):
    folder = tmp_path / "records"
    folder.mkdir()
    for seed in range(1000):
        record = make_record(seed=seed)
        record.key.path(folder).write_text(json.dumps(record.to_dict()))
    begin = time.perf_counter()
    assert len(read_all([folder])) == 1000
    assert time.perf_counter() - begin < 5


def test_unknown_fields_are_not_swallowed(make_record):
    with pytest.raises(ValueError, match="colour"):
        Record.from_dict({**make_record().to_dict(), "colour": "red"})
