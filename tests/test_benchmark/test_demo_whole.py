"""The demo with every step done for real, on a few scenes and for two iterations."""

from __future__ import annotations

import csv
import math
from itertools import product

import numpy as np
import pytest
from matplotlib.figure import Figure
from mmengine.runner import Runner
from PIL import Image

from benchmark import demo, plan, task
from benchmark.demo import demonstrate
from benchmark.plan import Plan
from benchmark.report.sheet import CELL, MARGIN
from benchmark.task import load

METHODS = ("random", "densecl")
IMAGES = 3  # a test set
FEW = {"max_test_images": IMAGES}
SHORT = {"iterations": 2, "batch_size": 2}
TASKS = {  # with narrow heads, and few boxes where each is costly
    "voc_seg_fcn_d8_20k.demo": {"values": {**FEW, "width": 8, "auxiliary_width": 8}, "schedule": SHORT},
    "nyu_depth_byol.demo": {"values": FEW, "schedule": SHORT},
    "voc_det_c4_24k.demo": {"values": FEW, "schedule": SHORT, "model": {"test_cfg": {"rpn": {"max_per_img": 10}}}},
    "coco_det_fpn_1x.demo": {"values": {**FEW, "width": 16, "fc_width": 16}, "schedule": SHORT},
}
SIDE = 190  # of what is looked at of a panel, in pixels


class Done:
    """A demo that has been done: its plan, its records, and where its pictures' panels stand, by their titles."""

    def __init__(self, plan):
        self.plan = plan
        self.panels = {}
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Figure, "savefig", self._noting(Figure.savefig))
            self.records = demonstrate(plan)

    def _noting(self, save):
        def savefig(figure, *arguments, **keywords):
            save(figure, *arguments, **keywords)
            self.panels[figure.get_suptitle()] = [axes.get_window_extent() for axes in figure.axes]

        return savefig

    def picture(self, name):
        return np.asarray(Image.open(self.plan.out / "pictures" / f"{name}.png").convert("RGB")).astype(int)

    @property
    def table(self):
        return (self.plan.out / "leaderboard.csv").read_text()


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    """The tasks are the demo's under their own names, cut down as tasks are: by files with a base."""
    folder = tmp_path_factory.mktemp("tasks")
    for name, blocks in TASKS.items():
        lines = [f"{block} = {value!r}\n" for block, value in {"_base_": f"{task.FOLDER / name}.py", **blocks}.items()]
        (folder / f"{name}.py").write_text("".join(lines))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(task, "FOLDER", folder)
        patch.setattr(plan, "ITERATIONS", 2)
        for constant, few in (("TRAIN_SCENES", 12), ("VAL_SCENES", 4), ("MATCHED", 4)):
            patch.setattr(demo, constant, few)
        yield Done(Plan.make(tmp_path_factory.mktemp("whole") / "demo", methods=METHODS, tasks=list(TASKS)))


def test_every_cell_is_measured_and_stands_in_the_table(done):
    assert [(record.method, record.task) for record in done.records] == list(product(METHODS, TASKS))
    for record in done.records:
        assert all(math.isfinite(value) for value in record.metrics.values()), record.task
        assert record.certificate["ok"]
    rows = list(csv.DictReader(done.table.splitlines()))
    cells = [(method, name, metric.key) for method, name in product(METHODS, TASKS) for metric in load(name).metrics]
    assert sorted((row["method"], row["task"], row["metric"]) for row in rows) == sorted(cells)
    for row in rows:
        (record,) = (one for one in done.records if (one.method, one.task) == (row["method"], row["task"]))
        assert float(row["mean"]) == record.metrics[row["metric"]]
        assert (row["n"], row["evaluated"]) == ("1", str(IMAGES))
    depths = [float(row["mean"]) for row in rows if row["metric"] == "rms"]
    assert len(set(depths)) == len(METHODS)  # the rows are of two networks


def test_the_scenes_are_pictured(done):
    picture = done.picture("scenes")
    assert picture.shape == (MARGIN + 6 * (CELL + 8), 6 * (CELL + 8), 3)
    cells = [cell for row in np.split(picture[MARGIN:], 6) for cell in np.split(row, 6, axis=1)]
    assert min(map(colours, cells)) > 50


def test_the_correspondences_of_densecl_are_pictured(done):
    picture = done.picture("correspondences_2")
    assert picture.shape == (979, 1144, 3)
    assert colours(picture) > 1000
    for colour in ((0x35, 0xD0, 0x4F), (0xFF, 0x4D, 0x3D)):  # right and wrong
        assert (picture == colour).all(axis=2).sum() > 100


@pytest.mark.parametrize("name", TASKS)
def test_each_task_is_pictured_and_its_predictions_are_not_the_truth(done, name):
    picture = done.picture(name)
    assert picture.shape[0] == 759 and picture.shape[1] == pytest.approx(110 * (1.9 * IMAGES + 0.4), abs=1)
    panels = [panel(picture, box) for box in done.panels[f"{name}: densecl, seed 0"]]
    assert len(panels) == 3 * IMAGES
    for image, truth, prediction in zip(*(panels[row * IMAGES :][:IMAGES] for row in range(3)), strict=True):
        assert colours(image) > 1000
        assert colours(truth) > 3
        assert unlike(image, truth) > 0.05
        # The same drawn twice differs in up to 0.03 of the pixels: a panel stands anywhere between two pixels.
        assert unlike(truth, prediction) > 0.05
    assert not list(done.plan.out.rglob("model.pth"))


def test_a_second_demo_trains_nothing_and_gives_the_same_table(done, monkeypatch):
    table, finished = done.table, done.plan.out / "finished.json"
    pictures = {path: path.stat().st_mtime_ns for path in (done.plan.out / "pictures").iterdir()}
    monkeypatch.setattr(Runner, "train", None)
    finished.unlink()  # so that every step is looked at again
    for _ in range(2):
        (done.plan.out / "leaderboard.csv").unlink()
        assert demonstrate(done.plan) == done.records
        assert done.table == table
        assert {path: path.stat().st_mtime_ns for path in pictures} == pictures
        monkeypatch.setattr(demo._Demo, "run", None)  # the third time by the note alone
        assert finished.is_file()


def panel(picture, box):
    """Cut out the inside of a panel, but for a few columns and rows."""
    top, left = len(picture) - round(box.y1) + 4, round(box.x0) + 4
    return picture[top : top + SIDE, left : left + SIDE]


def colours(picture):
    return len(np.unique(picture @ (65536, 256, 1)))


def unlike(one, other):
    """Return the share of pixels that differ clearly."""
    return (np.abs(one - other).max(axis=2) > 24).mean()
