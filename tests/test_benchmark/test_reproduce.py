"""A paper's table beside what was measured: which record may fill a cell, and what to run for the rest."""

import collections
import shlex
from dataclasses import replace

import pytest

from benchmark import reproduce
from pretrain import methods
from pretrain.errors import DensebenchError, UsageError
from pretrain.settings import Settings

PRETRAINING = {"recipe": "coco-800e", "data": "coco/train2017", "images": 118_287, "epochs": 800}


@pytest.fixture
def measured(make_record):
    def build(seed=0, value=56.4, **changes):
        fields = {
            "task": "voc_det_c4_24k",
            "arch": "resnet50",
            "metric": "AP",
            "pretraining": PRETRAINING,
            "data": {"name": "official"},
        }
        return make_record(seed=seed, value=value, **{**fields, **changes})

    return build


def line(text, *words):
    found = [one for one in text.splitlines() if all(f"| {word} " in one for word in words)]
    assert len(found) == 1, found
    return [cell.strip() for cell in found[0].strip("|").split("|")]


def densecl_ap(records, **changes):
    return line(reproduce.report("densecl_voc_det", records, **changes), "densecl/coco-800e", "AP")


def test_the_papers_numbers():
    rows = reproduce.load()
    counted = collections.Counter(row.table for row in rows)
    assert counted["densecl_voc_det"] == 30
    assert counted["densecl_coco_det"] == 48
    assert counted["densecl_coco_semi_10"] == 36
    assert counted["densecl_voc_seg"] == 7
    assert counted["densecl_matching"] == 12
    assert sorted(counted) == reproduce.tables()
    assert all(row.source for row in rows)
    values = {(row.table, row.recipe, row.metric): row.value for row in rows}
    assert values["densecl_voc_det", "densecl/coco-800e", "AP"] == "56.7"
    assert values["densecl_coco_det", "supervised/imagenet-90e", "segm_AP"] == "35.9"
    assert values["densecl_coco_semi_10", "random", "bbox_AP"] == "20.6"
    assert values["densecl_matching", "densecl/coco-800e+matching=projected", "AP75"] == "62.1"


def test_metrics_and_recipes_are_those_of_this_project():
    """Every printed metric is a key of its task, and every variant's setting a keyword of its method."""
    from benchmark import task
    from pretrain import methods

    for row in reproduce.load():
        if row.task in task.names():
            assert row.metric in {metric.key for metric in task.load(row.task).metrics}
        if row.method in methods.names() and row.method != "random":
            recipe = row.recipe.partition("/")[2].partition("+")[0]
            assert recipe in methods.load(row.method).recipes


def test_a_measured_row(measured):
    outcome = densecl_ap([measured(seed, value) for seed, value in enumerate([56.2, 56.4, 56.6])])
    assert outcome[4:] == ["56.7 [1]", "56.4 ± 0.2 (3)", "-0.30, agrees"]
    assert densecl_ap([measured()])[6] == "-0.30, one seed: no verdict"
    assert densecl_ap([])[5:] == ["not run", ""]


def test_what_does_not_agree_does_not_fill(measured):
    strangers = [
        measured(task="voc_det_c4_24k.small"),
        measured(arch="resnet18"),
        measured(mode="frozen"),
        measured(method="moco_v2"),
        measured(partial=True),
        measured(metric="mIoU"),
        measured(pretraining={**PRETRAINING, "recipe": "coco-800e+matching=random"}),
        measured(pretraining={**PRETRAINING, "data": "bsds"}),
        measured(pretraining={**PRETRAINING, "data": "imagenet/train", "images": 1_281_167}),
        measured(pretraining={**PRETRAINING, "epochs": 8}),
        measured(pretraining={**PRETRAINING, "images": 1000}),
        measured(pretraining={**PRETRAINING, "recipe": "imagenet-200e", "epochs": 200}),
        measured(pretraining={}),
        measured(data={"name": "scenes"}),
        measured(notes=["The task's schedule.iterations was set to 100."]),
        measured(method="random", weights="f" * 64),
    ]
    for stranger in strangers:
        assert densecl_ap([stranger])[5] == "not run", stranger
    variant = line(reproduce.report("densecl_matching", strangers), "densecl/coco-800e+matching=random", "AP")
    assert variant[5] == "56.4 (1)"


@pytest.mark.parametrize(
    ("recorded", "same"),
    [
        *(("imagenet/train", True), ("ILSVRC2012/train", True), ("data/ImageNet-1k", True), ("imagenet", True)),
        *(("imagenet/val", False), ("imagenet/train/n01440764", False), ("notimagenet/train", False), ("", False)),
    ],
)
def test_pretraining_data_is_told_by_the_end_of_its_name(measured, recorded, same):
    pretraining = {"recipe": "imagenet-200e", "data": recorded, "images": 1_281_167, "epochs": 200}
    text = reproduce.report("densecl_voc_det", [measured(pretraining=pretraining)])
    assert (line(text, "densecl/imagenet-200e", "AP")[5] != "not run") == same


def test_a_run_of_whole_steps_fills(measured):
    """800 epochs of COCO are 369,646.9 steps: the checkpoint says how many epochs the whole ones made."""
    recipe = methods.load("densecl").recipes["coco-800e"]
    settings = Settings("densecl", "resnet50", "coco-800e", recipe, "coco/train2017", 118_287, 0)
    assert settings.epochs != 800
    record = measured(pretraining={**PRETRAINING, "recipe": settings.variant, "epochs": settings.epochs})
    assert densecl_ap([record])[5] == "56.4 (1)"


def test_random_fills_random_alone(measured):
    random = measured(method="random", value=33.0, pretraining={})
    text = reproduce.report("densecl_voc_det", [random])
    assert line(text, "random", "AP")[5] == "33.0 (1)"
    named = measured(method="random", value=33.0, pretraining={}, weights="f" * 64)  # a file called random.pth
    assert line(reproduce.report("densecl_voc_det", [named]), "random", "AP")[5] == "not run"
    assert text.count("not run") == 29


def test_seeds_of_two_checkpoints_are_not_mixed(measured):
    records = [measured(seed, 50.0, weights="a" * 64) for seed in range(3)]
    records += [measured(seed, 60.0, weights="b" * 64) for seed in range(2)]
    assert densecl_ap(records)[5] == "50.0 ± 0.0 (3)"
    assert densecl_ap(records[::-1]) == densecl_ap(records)


def test_notes_of_the_runs_are_told(measured):
    text = reproduce.report("densecl_voc_det", [measured(notes=["SyncBN became BN: one process trained."])])
    assert "SyncBN became BN: one process trained." in text.splitlines()[-1]


def test_the_plan_names_each_command_once(measured):
    text = reproduce.report("densecl_voc_det", [], plan=True)
    commands = [one for one in text.splitlines() if one.startswith("densebench ")]
    assert len(commands) == len(set(commands))
    assert sum("--checkpoint random " in command for command in commands) == 1
    assert "no such method" not in text
    assert "densebench pretrain simclr " in text
    pretrained = {words[words.index("--out") + 1] for words in map(shlex.split, commands) if words[1] == "pretrain"}
    for words in map(shlex.split, commands):
        if words[1] == "run" and "random" not in words:
            folder = words[words.index("--checkpoint") + 1].rpartition("/")[0]
            assert folder in pretrained
            pretrained_before = next(i for i, command in enumerate(commands) if f"--out {folder}" in command)
            assert pretrained_before < commands.index(shlex.join(words))
    filled = [measured(value=56.0, metric=metric) for metric in ("AP",)]
    assert "densecl-coco-800e-resnet50" in reproduce.report("densecl_voc_det", filled, plan=True)  # AP50 is missing


def test_the_plan_says_which_method_is_not_there_yet():
    row = next(row for row in reproduce.load() if row.method == "simclr")
    unknown = replace(row, method="nobody", recipe="nobody/imagenet-200e")
    assert f"# {row.task}, nobody/imagenet-200e: no such method yet" in reproduce.commands([unknown])
    assert "no such method" not in reproduce.commands([row])


def test_the_plan_shrinks_as_cells_fill(measured):
    keys = ("AP", "AP50", "AP75")
    full = measured(metrics=dict.fromkeys(keys, 56.0), directions=dict.fromkeys(keys, "higher"), headline="AP")
    assert "densecl-coco-800e-resnet50" not in reproduce.report("densecl_voc_det", [full], plan=True)


def test_a_variant_is_planned_with_its_setting():
    text = reproduce.report("densecl_matching", [], plan=True)
    assert "--recipe coco-800e --set matching=random --out" in text
    assert "# voc07_svm: no such task yet" in text


def test_unknown_tables_and_broken_files_are_named(tmp_path):
    with pytest.raises(UsageError, match="Did you mean 'densecl_voc_det'"):
        reproduce.report("densecl_voc_dett", [])
    (tmp_path / "paper.csv").write_text("table,task\n")
    with pytest.raises(DensebenchError, match=r"paper\.csv has the columns"):
        reproduce.load(tmp_path)
    (tmp_path / "paper.csv").write_text(",".join(reproduce.COLUMNS) + "\nt,t,m,r,d,1,a,AP,about 5,s\n")
    with pytest.raises(DensebenchError, match=r"paper\.csv, line 2: 'about 5'"):
        reproduce.load(tmp_path)
