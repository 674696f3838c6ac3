"""Records are whole or absent, and never silently overwritten."""

import errno
import json
import math
import os
import time
from pathlib import Path

import pytest

from benchmark.result import Record, differences, exists, gather, read, read_all, write
from pretrain.errors import DensebenchError, UsageError


def test_round_trip_keeps_every_bit(make_record, tmp_path):
    value = 100 / 3
    record = make_record(metrics={"mIoU": value}, notes=["±"], pretraining={"recipe": "scenes", "epochs": 0.1})
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


@pytest.mark.parametrize("value", [math.nan, math.inf, None, "50", True, 1e13, 10**400])
def test_numbers_that_are_none_are_refused(make_record, value):
    with pytest.raises(DensebenchError, match=r"voc_seg_fcn_d8_20k, seed 0: the metric mIoU is .*not a finite"):
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
    assert all("is no record of use" in sentence for sentence in sentences)


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
    with pytest.raises(DensebenchError, match="colour"):
        Record.from_dict({**make_record().to_dict(), "colour": "red"})


def test_a_field_with_a_default_may_be_absent(make_record):
    data = make_record().to_dict()
    for name in ("partial", "notes", "data", "pretraining", "metric_info"):
        del data[name]
    assert Record.from_dict(data).data == {}


MISFITS = [
    ("seed", [1]),
    ("seed", 1.5),
    ("seed", True),
    ("name", None),
    ("metrics", {"mIoU": "50"}),
    ("metrics", [50.0]),
    ("directions", {"mIoU": 1}),
    ("metric_info", {"mIoU": "percent"}),
    ("notes", "one"),
    ("notes", [1]),
    ("certificate", "ok"),
    ("fingerprint_dict", []),
    ("data", None),
]


@pytest.mark.parametrize(("field", "value"), MISFITS)
def test_a_value_of_another_type_is_named(make_record, field, value):
    with pytest.raises(DensebenchError, match=f"its field {field} is .*expected"):
        Record.from_dict({**make_record().to_dict(), field: value})


def test_whole_numbers_are_read_as_floats(make_record):
    (value,) = Record.from_dict(make_record(metrics={"mIoU": 50}).to_dict()).metrics.values()
    assert isinstance(value, float)


@pytest.mark.parametrize(
    "text",
    [
        '{"schema": 1, "metrics": ' + "[" * 100_000 + "]" * 100_000 + "}",
        '{"schema": 1, "seed": ' + "9" * 5000 + "}",
        '{"schema": 1e400}',
        "\x00",
    ],
)
def test_no_file_stops_the_table(make_record, tmp_path, text):
    write(make_record(), tmp_path)
    (tmp_path / "bad.json").write_text(text)
    sentences = []
    assert len(read_all([tmp_path], sentences.append)) == 1
    assert len(sentences) == 1 and "bad.json" in sentences[0]


def test_a_deep_protocol_and_a_huge_number_are_refused(make_record, tmp_path):
    path = write(make_record(), tmp_path)
    text = path.read_text()
    for damaged in (text.replace("50.0", "1" + "0" * 400), text.replace("0.01", "[" * 900 + "]" * 900)):
        path.write_text(damaged)
        with pytest.raises(DensebenchError, match=path.name):
            read(path)


@pytest.mark.parametrize(
    ("change", "mend"),
    [
        ({"schema": 2}, "update"),
        ({"colour": "red"}, "update"),
        ({"schema": 0}, "another folder"),
        ({"seed": "0"}, "delete"),
    ],
)
def test_the_mend_is_that_of_the_cause(make_record, tmp_path, change, mend):
    path = tmp_path / "record.json"
    path.write_text(json.dumps({**make_record().to_dict(), **change}))
    with pytest.raises(DensebenchError) as caught:
        read(path)
    assert mend in caught.value.mend
    assert ("delete" in caught.value.mend) == (mend == "delete")


def test_deletion_is_not_advised_where_it_might_be_another_file(tmp_path):
    (tmp_path / "other.json").write_text("{}")
    for path in (tmp_path / "other.json", tmp_path / "missing.json", tmp_path):
        with pytest.raises(DensebenchError, match=path.name) as caught:
            read(path)
        assert caught.value.mend and "elete" not in caught.value.mend


def test_records_are_named_as_folders_or_files(make_record, tmp_path, monkeypatch):
    first = write(make_record(), tmp_path)
    write(make_record(seed=1), tmp_path)
    assert len(gather([tmp_path])) == 2
    assert [record.seed for record in gather([first])] == [0]
    with pytest.raises(UsageError, match=r"no records at .*missing"):
        gather([tmp_path / "missing"])
    (tmp_path / "note.txt").write_text("hello")
    with pytest.raises(DensebenchError, match=r"note\.txt"):
        gather([tmp_path / "note.txt"])
    monkeypatch.chdir(tmp_path)
    assert gather() == []  # the defaults may be absent


def test_how_many_images_were_evaluated(make_record):
    assert make_record().evaluated is None
    assert make_record(protocol={"data.test.images": 540, "max_test_images": 200}).evaluated == 200
    assert make_record(protocol={"data.test.images": 150, "max_test_images": None}).evaluated == 150


def test_two_fingerprints_are_compared_in_words(make_record):
    first, second = make_record(protocol={"lr": 0.01}), make_record(protocol={"lr": 0.02})
    names = [first.fingerprint, second.fingerprint]
    assert differences([first, second], names) == ["lr: 0.01 against 0.02"]
    assert differences([first], [names[0]] * 2) == ["The two are the same protocol."]
    with pytest.raises(UsageError, match="Two fingerprints can be compared, not 1"):
        differences([first], names[:1])
    with pytest.raises(UsageError, match=f"no fingerprint '{names[1]}'"):
        differences([first], names)
