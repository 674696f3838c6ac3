"""A paper's table beside what was measured: which record may fill a cell, and what to run for the rest."""

import collections
import shlex
from dataclasses import replace

import pytest

from benchmark import paper, reproduce
from benchmark.cli import app
from benchmark.commands import to_fill
from benchmark.shell import perform
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


def densecl_ap(records):
    return line(reproduce.report("densecl_voc_det", records), "densecl/coco-800e", "AP")


def planned(table, records=()):
    return to_fill(reproduce.gaps(table, records))


def test_the_papers_numbers():
    rows = paper.load()
    counted = collections.Counter(row.table for row in rows)
    assert counted["densecl_voc_det"] == 30
    assert counted["densecl_coco_det"] == 48
    assert counted["densecl_coco_semi_10"] == 36
    assert counted["densecl_voc_seg"] == 7
    assert counted["densecl_matching"] == 12
    assert counted["moco_v1_voc_det"] == 9 and counted["moco_readme_voc_det"] == 12
    assert counted["byol_nyu_depth"] == 15
    assert counted["pixpro_voc_det"] == 27 and counted["pixpro_coco_det"] == 20
    assert counted["slotcon_coco_det"] == 6
    assert sorted(counted) == paper.tables()
    assert all(row.source for row in rows)
    values = {(row.table, row.recipe, row.metric): row.value for row in rows}
    assert values["densecl_voc_det", "densecl/coco-800e", "AP"] == "56.7"
    assert values["densecl_coco_det", "supervised/imagenet-90e", "segm_AP"] == "35.9"
    assert values["densecl_coco_semi_10", "random", "bbox_AP"] == "20.6"
    assert values["densecl_matching", "densecl/coco-800e+matching=projected", "AP75"] == "62.1"
    assert values["moco_readme_voc_det", "moco_v2/imagenet-200e+epochs=800", "AP"] == "57.4"
    assert values["byol_nyu_depth", "byol/imagenet-1000e", "rms"] == "0.541"
    assert values["pixpro_coco_det", "pixpro/imagenet-100e", "segm_AP"] == "36.8"
    assert values["slotcon_coco_det", "slotcon/coco-800e", "bbox_AP"] == "41.0"


def test_metrics_and_recipes_are_those_of_this_project():
    """Every printed metric is a key of its task, and every variant's setting a keyword of its method."""
    from benchmark import task
    from pretrain import methods

    for row in paper.load():
        if row.task in task.names():
            assert row.metric in {metric.key for metric in task.load(row.task).metrics}
        if row.method in methods.names() and row.method != "random":
            recipe = row.recipe.partition("/")[2].partition("+")[0]
            known = recipe in methods.load(row.method).recipes
            assert known or row.recipe == "supervised/imagenet-100e"  # PixPro's README says so; no recipe here is it


def test_a_measured_row(measured):
    records = [measured(seed, value) for seed, value in enumerate([56.2, 56.4, 56.6])]
    checkpoint = ["densecl@" + records[0].weights[:8], records[0].fingerprint]
    assert densecl_ap(records)[4:] == ["56.7 [1]", "56.4 ± 0.2 (3)", "-0.3, agrees", *checkpoint]
    assert densecl_ap([measured()])[6] == "-0.3, one seed: no verdict"
    assert densecl_ap([])[5:] == ["not run", "", "", ""]


def test_what_does_not_agree_does_not_fill(measured):
    strangers = [
        measured(task="voc_det_c4_24k.small"),
        measured(arch="resnet18"),
        measured(mode="frozen"),
        measured(method="moco_v2"),
        measured(partial=True),
        measured(metric="mIoU"),
        measured(pretraining={**PRETRAINING, "recipe": "coco-800e+matching=random"}),
        measured(pretraining={**PRETRAINING, "data": "bsds", "images": 200}),
        measured(pretraining={**PRETRAINING, "data": "imagenet/train", "images": 1_281_167}),
        measured(pretraining={**PRETRAINING, "epochs": 8}),
        measured(pretraining={**PRETRAINING, "images": 1000}),
        measured(pretraining={**PRETRAINING, "recipe": "imagenet-200e", "epochs": 200}),
        measured(pretraining={}),
        measured(data={"name": "scenes"}),
        measured(notes=["The task's schedule.iterations was set to 100."]),
        measured(precision="bfloat16"),
        measured(method="random", weights="f" * 64),
    ]
    for stranger in strangers:
        assert densecl_ap([stranger])[5] == "not run", stranger
    variant = line(reproduce.report("densecl_matching", strangers), "densecl/coco-800e+matching=random", "AP")
    assert variant[5] == "56.4 (1)"


@pytest.mark.parametrize(
    ("pretraining", "same"),
    [
        ({"data": "CLS-LOC/train", "images": 1_281_167}, True),  # a resolved link, as the official folder is called
        ({"data": "imagenet/train", "images": 1_281_167}, True),
        ({"data": "imagenet/train", "images": 1_281_166}, False),
        ({"data": "imagenet/train"}, False),
        ({"data": "ImageNet-1k"}, False),
        ({"data": "ImageNet-1k", "stated": True}, True),
        ({"data": "imagenet", "stated": True}, False),
        ({"data": "ImageNet-1k", "images": 1000, "stated": True}, False),
    ],
)
def test_pretraining_data_is_told_by_its_number_of_images(measured, pretraining, same):
    record = measured(pretraining={"recipe": "imagenet-200e", "epochs": 200, **pretraining})
    text = reproduce.report("densecl_voc_det", [record])
    assert (line(text, "densecl/imagenet-200e", "AP")[5] != "not run") == same
    assert ("the user stated" in text) == (same and "stated" in pretraining)


def test_what_nearly_counts_is_told_with_the_reason(measured):
    pretraining = {"recipe": "imagenet-200e", "epochs": 200, "data": "CLS-LOC/train", "images": 1000}
    misses = [measured(seed, pretraining=pretraining) for seed in range(3)]
    text = reproduce.report("densecl_voc_det", misses)
    told = [one for one in text.splitlines() if "not counted" in one]
    assert told == [
        f"densecl@{misses[0].weights[:8]}, 200 epochs on 'CLS-LOC/train': not counted for densecl/imagenet-200e, "
        "because its pretraining saw 1000 images, not ImageNet-1k."
    ]
    changed = measured(notes=["The task's schedule.iterations was set to 100."], precision="bfloat16", partial=True)
    (told,) = (one for one in reproduce.report("densecl_voc_det", [changed]).splitlines() if "not counted" in one)
    for reason in ("schedule.iterations was set to 100", "precision is bfloat16, not float32", "fewer than"):
        assert reason in told
    assert "not counted" not in reproduce.report("densecl_voc_det", [measured()])
    assert "not counted" not in reproduce.report("densecl_voc_det", [measured(task="voc_det_c4_24k.small")])


def test_the_tasks_of_papers_compute_in_the_precision_that_is_asked_for():
    from benchmark import task

    for name in {row.task for row in paper.load()} & set(task.names()):
        assert task.load(name).protocol["precision"] == reproduce.PRECISION


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


def test_every_group_that_agrees_has_a_line(measured):
    records = [measured(seed, 50.0, weights="a" * 64) for seed in range(3)]
    records.append(measured(0, 60.0, weights="b" * 64))
    eight = measured(0, 56.0, weights="a" * 64, protocol={"lr": 0.02})
    lines = reproduce.report("densecl_voc_det", [*records, eight]).splitlines()
    place = next(i for i, one in enumerate(lines) if "(3)" in one)
    further = [[cell.strip() for cell in one.strip("|").split("|")] for one in lines[place + 1 : place + 3]]
    assert [cells[:5] for cells in further] == [[""] * 5] * 2
    assert {(cells[5], *cells[7:]) for cells in further} == {
        ("60.0 (1)", "densecl@bbbbbbbb", records[0].fingerprint),
        ("56.0 (1)", "densecl@aaaaaaaa", eight.fingerprint),
    }


def test_a_foreign_name_is_no_markup(measured):
    text = reproduce.report("densecl_voc_det", [measured(name="[x](http://y)", notes=["[a](b) | `c`\x1b[31m"])])
    assert "\\[x](http:\\//y)@" in text and "\x1b" not in text and "\\[a](b)" in text


def test_notes_of_the_runs_are_told(measured):
    text = reproduce.report("densecl_voc_det", [measured(notes=["SyncBN became BN: one process trained."])])
    assert "SyncBN became BN: one process trained." in text.splitlines()[-1]


def test_the_plan_names_each_command_once(measured):
    text = planned("densecl_voc_det")
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
    filled = [measured(seed, 56.0, metric="AP") for seed in range(5)]
    assert "densecl-coco-800e-resnet50" in planned("densecl_voc_det", filled)  # AP50 is missing


def test_the_plan_says_which_method_is_not_there_yet():
    row = next(row for row in paper.load() if row.method == "simclr")
    unknown = replace(row, method="nobody", recipe="nobody/imagenet-200e")
    assert f"# {row.task}, nobody/imagenet-200e: no such method yet" in to_fill([unknown])
    assert "no such method" not in to_fill([row])
    assert "no such recipe yet" in to_fill([replace(row, recipe="simclr/imagenet-7e")])


def test_the_plan_of_several_processes_starts_them_by_torchrun(capsys):
    assert perform(app, ["reproduce", "densecl_voc_det", "--plan", "--processes", "8"]) == 0
    commands = capsys.readouterr().out.rpartition("\n\n")[2].splitlines()
    verbs = {line.removeprefix("torchrun --nproc-per-node 8 -m benchmark ").split()[0] for line in commands}
    assert verbs == {"pretrain", "run"}


def test_the_plan_shrinks_as_cells_fill(measured):
    keys = ("AP", "AP50", "AP75")
    fields = {"metrics": dict.fromkeys(keys, 56.0), "directions": dict.fromkeys(keys, "higher"), "headline": "AP"}
    runs = [measured(seed, **fields) for seed in range(5)]
    assert "densecl-coco-800e-resnet50" not in planned("densecl_voc_det", runs)
    assert "densecl-coco-800e-resnet50" in planned("densecl_voc_det", runs[:4])  # four are not the papers' five


def test_a_variant_is_planned_with_its_setting():
    text = planned("densecl_matching")
    assert "--recipe coco-800e --set matching=random --out" in text
    assert "# voc07_svm: no such task yet" in text


def test_an_unknown_table_is_named():
    with pytest.raises(UsageError, match="Did you mean 'densecl_voc_det'"):
        reproduce.report("densecl_voc_dett", [])
    with pytest.raises(UsageError, match="Did you mean 'densecl_voc_det'"):
        reproduce.gaps("densecl_voc_dett", [])


GOOD = "t,t,m,m/r,ImageNet-1k,1,a,AP,5.0,s"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("table,task\n", r"paper\.csv has the columns"),
        ("", r"paper\.csv has the columns"),
        (f"{GOOD}\n{GOOD.replace('5.0', 'about 5')}", r"paper\.csv, line 3: 'about 5' is not a number"),
        (f"{GOOD}\n\n{GOOD.removesuffix(',s')}", r"paper\.csv, line 4 has 9 cells, expected 10"),
        (f"{GOOD}, of 5 runs", r"paper\.csv, line 2 has 11 cells, expected 10"),
        (GOOD.replace("ImageNet-1k", "ImageNet"), r"line 2: the pretraining data 'ImageNet' is not known"),
        (GOOD.replace("ImageNet-1k", "none"), r"line 2: the pretraining data 'none' is not known"),
        ("t,t,random,random,ImageNet-1k,0,a,AP,5.0,s", r"line 2: the pretraining data 'ImageNet-1k' is not known"),
    ],
)
def test_a_broken_file_is_named_with_its_line(tmp_path, text, message):
    header = "" if text in ("", "table,task\n") else ",".join(paper.COLUMNS) + "\n"
    (tmp_path / "paper.csv").write_text(header + text)
    with pytest.raises(DensebenchError, match=message):
        paper.load(tmp_path)


def test_what_is_no_text_is_named(tmp_path):
    (tmp_path / "paper.csv").write_bytes(b"\xff\xfe")
    with pytest.raises(DensebenchError, match=r"paper\.csv is no CSV file"):
        paper.load(tmp_path)
