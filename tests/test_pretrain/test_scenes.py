import errno
import fcntl
import json
import os
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest

from pretrain.data import scenes
from pretrain.data.scenes import CLASSES, coco
from pretrain.data.scenes.arrange import arrange
from pretrain.data.scenes.noise import Bank
from pretrain.data.scenes.render import render
from pretrain.data.scenes.surroundings import GROUNDS, USUAL_GROUNDS
from pretrain.errors import DensebenchError, UsageError

TRAIN, VAL, SIZE = 10, 3, 96


def digests(root: Path) -> dict[str, str]:
    files = sorted(path for path in root.rglob("*") if path.is_file())
    return {str(path.relative_to(root)): sha256(path.read_bytes()).hexdigest() for path in files}


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return scenes.write(tmp_path_factory.mktemp("scenes") / "root", TRAIN, VAL, seed=3, size=SIZE, workers=1)


def test_a_seed_gives_the_same_bytes_from_any_number_of_processes(root, tmp_path):
    again = scenes.write(tmp_path / "again", TRAIN, VAL, seed=3, size=SIZE, workers=2)
    assert digests(again) == digests(root)
    assert len(digests(root)) > 8 * TRAIN


def test_another_seed_gives_other_images(root, tmp_path):
    other = digests(scenes.write(tmp_path / "other", TRAIN, VAL, seed=4, size=SIZE, workers=1))
    images = [name for name in other if name.endswith((".jpg", ".png"))]
    assert images and all(digests(root)[name] != other[name] for name in images)


def test_a_scene_does_not_depend_on_how_many_there_are(root, tmp_path):
    longer = digests(scenes.write(tmp_path / "longer", TRAIN + 3, VAL, seed=3, size=SIZE, workers=1))
    lists = (".txt", ".json")
    kept = {name: digest for name, digest in digests(root).items() if not name.endswith(lists)}
    assert kept.items() <= longer.items()


def test_the_size_is_respected():
    for size in (64, 130):
        scene = render(0, "train", 0, size)
        assert scene.image.shape == (size, size, 3)
        assert scene.instance.shape == scene.depth.shape == scene.ground.shape == (size, size)


def test_a_scene_shows_the_same_at_every_size():
    small, large = (render(0, "train", 1, size) for size in (80, 160))
    assert np.mean((small.instance > 0) == (large.instance > 0)[::2, ::2]) > 0.9


def photographs(paths):
    return {sha256(path.read_bytes()).digest() for path in paths}


def test_the_splits_show_disjoint_scenes(root):
    images = {}
    for year, splits in (("2007", ("train", "val", "test")), ("2012", ("train", "val"))):
        home = root / "VOCdevkit" / f"VOC{year}"
        for split in splits:
            names = (home / "ImageSets/Main" / f"{split}.txt").read_text().split()
            images[f"{year}/{split}"] = photographs(home / "JPEGImages" / f"{name}.jpg" for name in names)
    for split in ("train2017", "val2017"):
        images[split] = photographs((root / "coco" / split).iterdir())
    for split in ("train", "test"):
        images[f"nyu/{split}"] = photographs((root / "nyu/images" / split).iterdir())
    tested = ("2007/test", "val2017", "nyu/test")
    trained = [split for split in images if split not in tested]
    for test in tested:
        assert len(images[test]) == VAL
        assert not any(images[test] & images[train] for train in trained)
    parts = ("2007/train", "2007/val", "2012/train")
    assert set.union(*(images[part] for part in parts)) == images["train2017"] == images["nyu/train"]
    assert sum(len(images[part]) for part in parts) == len(images["train2017"]) == TRAIN
    assert len(images["2012/val"]) == VAL and not images["2012/val"] & images["train2017"]


def test_pretraining_reads_the_training_scenes_and_their_classes(root):
    names = (root / "pretrain.txt").read_text().split()
    labels = json.loads((root / "pretrain_labels.json").read_text())
    content = json.loads((root / "coco/annotations/instances_train2017.json").read_text())
    order = [category["id"] for category in content["categories"]]
    assert len(names) == TRAIN and list(labels) == names
    for image in content["images"]:
        shown = {a["category_id"] for a in content["annotations"] if a["image_id"] == image["id"]}
        name = f"coco/train2017/{image['file_name']}"
        assert (root / name).exists()
        assert labels[name] == sorted(order.index(category) for category in shown) != []


def test_the_spec_names_what_is_there(root):
    spec = json.loads((root / "densebench.json").read_text())
    assert spec["generator"] == {
        "version": scenes.GENERATOR_VERSION, "train": TRAIN, "val": VAL, "seed": 3, "size": SIZE,
    }  # fmt: skip
    assert spec["voc_seg"]["classes"][1:] == spec["coco_det"]["classes"] == list(scenes.CLASSES)
    lists = root / "VOCdevkit"
    for section, kind in (("voc_det", "Main"), ("voc_seg", "Segmentation")):
        for split in spec[section]["train"] + spec[section]["test"]:
            year, name = split.split("/")
            assert (lists / year / "ImageSets" / kind / f"{name}.txt").read_text().split()


def test_an_interrupted_write_leaves_nothing_and_is_done_again(root, tmp_path, monkeypatch):
    target = tmp_path / "root"

    def interrupted(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(coco, "write_annotations", interrupted)
        with pytest.raises(DensebenchError, match="Interrupted") as caught:
            scenes.write(target, TRAIN, VAL, seed=3, size=SIZE, workers=1)
    assert isinstance(caught.value.__context__, KeyboardInterrupt)  # for the command's exit status
    assert list(tmp_path.iterdir()) == []
    (tmp_path / ".root.draft").mkdir()
    (tmp_path / ".root.draft" / "left over").write_text("from a killed process")
    scenes.write(target, TRAIN, VAL, seed=3, size=SIZE, workers=1)
    assert digests(target) == digests(root)
    assert [path.name for path in tmp_path.iterdir()] == ["root"]


def test_complete_scenes_are_left_as_they_are(root, monkeypatch):
    before = {path: path.stat().st_mtime_ns for path in root.rglob("*")}
    assert scenes.write(root, TRAIN, VAL, seed=3, size=SIZE) == root
    assert {path: path.stat().st_mtime_ns for path in root.rglob("*")} == before


def test_scenes_with_other_parameters_are_refused(root):
    with pytest.raises(UsageError, match=r"seed=5.*seed=3"):
        scenes.write(root, TRAIN, VAL, seed=5, size=SIZE)


def test_a_folder_with_other_content_is_refused_and_kept(tmp_path):
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(UsageError, match="other content"):
        scenes.write(tmp_path, TRAIN, VAL, size=SIZE)
    assert (tmp_path / "thesis.tex").read_text() == "years of work"


def test_an_empty_folder_is_filled(tmp_path):
    assert (scenes.write(tmp_path, 8, 1, size=48, workers=1) / "densebench.json").exists()


def test_numbers_out_of_range_are_refused(tmp_path):
    for wrong in ({"train": 0}, {"val": 0}, {"size": 8}, {"seed": -1}):
        with pytest.raises(UsageError, match=str(next(iter(wrong)))):
            scenes.write(tmp_path / "none", **{"train": TRAIN, "val": VAL, **wrong})


def test_a_full_disk_is_said_in_one_sentence(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(DensebenchError, match="the disk is full"):
        scenes.write(tmp_path / "root", TRAIN, VAL, size=SIZE, workers=1)
    assert list(tmp_path.iterdir()) == []


def test_room_is_not_to_be_made_where_a_file_is_in_the_way(tmp_path):
    (tmp_path / "notes.txt").write_text("some")
    for place, why in (("notes.txt/scenes", r"notes\.txt is a file, not a folder"), ("notes.txt/a/b", "is a file")):
        with pytest.raises(DensebenchError, match=why) as caught:
            scenes.write(tmp_path / place, TRAIN, VAL, size=SIZE, workers=1)
        assert "Make room" not in caught.value.mend
    with pytest.raises(DensebenchError, match="/proc/none") as caught:
        scenes.write(Path("/proc/none"), TRAIN, VAL, size=SIZE, workers=1)
    assert "Make room" not in caught.value.mend


def test_the_folder_one_is_in_is_filled(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    scenes.write(Path(), 8, 1, size=48, workers=1)
    assert (tmp_path / "densebench.json").exists()


def test_two_processes_do_not_write_the_same_scenes(tmp_path):
    draft = tmp_path / ".root.draft"
    draft.mkdir()
    other = os.open(draft, os.O_RDONLY)
    fcntl.flock(other, fcntl.LOCK_SH)  # the weaker lock: ours must be exclusive
    with pytest.raises(DensebenchError, match="Another process"):
        scenes.write(tmp_path / "root", TRAIN, VAL, size=SIZE)
    os.close(other)


def test_progress_reaches_the_end(tmp_path):
    seen = []
    scenes.write(tmp_path / "root", 8, 1, size=48, workers=1, progress=lambda *step: seen.append(step))
    assert seen[-1] == (10, 10)


def test_colour_alone_does_not_give_the_class_away():
    colours, classes = [], []
    for index in range(60):
        scene = render(1, "train", index, 64)
        for number, thing in enumerate(scene.things, 1):
            colours.append(scene.image[scene.instance == number].mean(axis=0))
            classes.append(thing.label)
    distance = np.linalg.norm(np.array(colours)[:, None] - np.array(colours)[None], axis=2)
    np.fill_diagonal(distance, np.inf)
    agreement = np.mean(np.array(classes)[distance.argmin(axis=1)] == np.array(classes))
    assert len(set(classes)) == len(scenes.CLASSES)
    assert agreement < 0.3


def test_most_objects_belong_to_the_theme():
    bank = Bank(0)
    scenes = [arrange(np.random.default_rng(seed), bank, 64) for seed in range(60)]
    shares = [
        item.label in scene.theme for scene in scenes for item in scene.items if item.label >= 0 and not item.crowd
    ]
    assert 0.72 < np.mean(shares) < 0.96  # 0.8 and a fifth of the rest; 0.2 were labels drawn regardless of it
    assert set(USUAL_GROUNDS) == set(CLASSES)
    assert set(USUAL_GROUNDS.values()) <= set(GROUNDS)
