"""The file of regions: it is completed, holds what was found, and is refused where it does not fit."""

import json
import os
import pickle
import sqlite3
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from pretrain.data.images import Images, find
from pretrain.errors import DensebenchError, UsageError
from pretrain.masks.felzenszwalb import felzenszwalb
from pretrain.masks.make import Options, make
from pretrain.masks.store import Store
from pretrain.train import pretrain


@pytest.fixture
def photographs(tmp_path):
    folder = tmp_path / "some photographs"
    folder.mkdir()
    for number in range(40):
        noise = np.random.default_rng(number).integers(0, 256, (4, 6, 3), dtype=np.uint8)
        Image.fromarray(noise).resize((60, 40)).save(folder / f"{number}.png")
    return folder


def test_the_store_is_completed_and_holds_what_was_found(photographs, tmp_path):
    out, options = tmp_path / "fh.masks", Options(scale=100.0, min_size=20)
    first = photographs / "0.png"
    aside = tmp_path / "0.png"
    first.rename(aside)
    assert make(str(photographs), "fh", out, options, workers=1) == (39, 0)
    aside.rename(first)
    seen = []
    assert make(str(photographs), "fh", out, options, 2, lambda done, total: seen.append((done, total))) == (40, 0)
    assert seen == [(40, 40)]  # one image was left to do
    store = pickle.loads(pickle.dumps(Store(out)))
    for number in (0, 7):
        image = photographs / f"{number}.png"
        expected = felzenszwalb(np.asarray(Image.open(image)), 100.0, 0.8, 20)
        assert np.array_equal(store.read(image), expected)
    with pytest.raises(UsageError, match=r"holds other regions: kind=fh, min_size=20.*asked for: .*min_size=1000"):
        make(str(photographs), "fh", out, Options(), workers=1)
    with pytest.raises(DensebenchError, match="no regions of"):
        store.read(tmp_path / "other.png")
    with pytest.raises(UsageError, match="Did you mean 'grid'"):
        make(str(photographs), "grids", out, options)
    with pytest.raises(UsageError, match="--source"):
        make(str(photographs), "human", out, options)
    out.write_bytes(out.read_bytes()[:5000])
    with pytest.raises(DensebenchError, match="damaged"):
        Store(out).read(photographs / "39.png")
    out.unlink()
    with sqlite3.connect(out) as foreign:
        foreign.execute("CREATE TABLE settings (value TEXT)")
    with pytest.raises(DensebenchError, match="not a file of regions"):
        Store(out)
    out.write_text("no database")
    with pytest.raises(DensebenchError, match="not a file of regions"):
        Store(out)


def test_images_without_regions_are_counted(photographs, tmp_path):
    labels = tmp_path / "labels"
    labels.mkdir()
    drawn = np.ones((40, 60), np.uint8)
    drawn[:2] = 255  # where nobody said what there is
    Image.fromarray(drawn).save(labels / "3.png")
    others = tmp_path / "other labels"
    others.mkdir()
    for number in (3, 5):
        Image.fromarray(np.full((40, 60), 2, np.uint8)).save(others / f"{number}.png")
    for sources, without in (((labels,), 39), ((labels, others), 38)):
        out = tmp_path / f"{len(sources)}.masks"
        assert make(str(photographs), "human", out, Options(sources=sources), workers=1) == (40, without)
    assert [Store(out).read(photographs / f"{number}.png").max() for number in (3, 5)] == [1, 2]
    assert json.loads(json.dumps(Store(out).settings))["source"] == "labels:other labels"
    Image.fromarray(drawn).save(others / "5.png")
    with pytest.raises(UsageError, match=r"holds other regions: .*digest="):  # of the same names
        make(str(photographs), "human", out, Options(sources=sources), workers=1)
    (tmp_path / "1.masks").rename(tmp_path / "human.masks")
    store = Store(tmp_path / "human.masks")
    assert store.read(photographs / "4.png") is None
    assert np.array_equal(store.read(photographs / "3.png"), np.where(drawn == 255, 0, 1)[None])


def test_regions_of_another_size_than_the_image_are_refused(photographs, tmp_path):
    make(str(photographs), "grid", tmp_path / "grid.masks", Options(), workers=1)
    Image.new("RGB", (50, 40)).save(photographs / "3.png")
    source = find(str(photographs))
    images = Images(source, regions=Store(tmp_path / "grid.masks"))
    with pytest.raises(DensebenchError, match=r"3\.png has another size than its regions"):
        images[[path.name for path in source.paths].index("3.png")]


def test_a_method_of_regions_takes_a_whole_file_of_them(photographs, tmp_path):
    def run(method, regions):
        tiny = {"iterations": "1", "batch_size": "4", "image_size": "64", "hidden": "16"}
        out = tmp_path / f"out {method}"
        return pretrain(method, "resnet18", photographs, "scenes", out, overrides=tiny, workers=0, regions=regions)

    file = tmp_path / "grid.masks"
    with pytest.raises(UsageError, match="needs the images' regions"):
        run("detcon_b", None)
    with pytest.raises(DensebenchError, match="no file of regions"):
        run("detcon_b", file)
    text = tmp_path / "text.txt"
    text.write_text("hello")
    with pytest.raises(DensebenchError, match=r"is not a file of regions, .*Name a file that `densebench masks`"):
        run("detcon_b", text)
    first = photographs / "0.png"
    first.rename(tmp_path / "0.png")
    make(str(photographs), "grid", file, Options(cells=3), workers=1)
    (tmp_path / "0.png").rename(first)
    with pytest.raises(DensebenchError, match="no regions of 1 of the 40 images"):
        run("detcon_b", file)
    make(str(photographs), "grid", file, Options(cells=3), workers=1)
    with pytest.raises(UsageError, match="byol reads no regions"):
        run("byol", file)
    assert run("detcon_b", file).is_file()
    assert "0 of 40 images have no region" in "".join(
        log.read_text() for log in (tmp_path / "out detcon_b").rglob("*.log")
    )
    other = tmp_path / "other.masks"
    make(str(photographs), "grid", other, Options(cells=5), workers=1)
    with pytest.raises(UsageError, match="holds another pretraining: regions is"):
        run("detcon_b", other)


def test_a_file_is_completed_by_one_process_at_a_time(photographs, tmp_path):
    def second(done, total):
        command = (
            f"from pretrain.masks.make import *; make({str(photographs)!r}, 'grid', Path({str(out)!r}), Options())"
        )
        said = subprocess.run([sys.executable, "-c", command], capture_output=True, text=True, check=False).stderr
        assert f"{out} is being written by process {os.getpid()}" in said

    out = tmp_path / "grid.masks"
    assert make(str(photographs), "grid", out, Options(), 1, second) == (40, 0)
    assert not list(tmp_path.glob("*.lock"))


def test_mends_are_those_that_masks_have(tmp_path):
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "a.jpg").write_bytes(b"\xff\xd8\xff")
    with pytest.raises(DensebenchError, match=r"a\.jpg cannot be read as an image") as caught:
        make(str(tmp_path / "images"), "grid", tmp_path / "masks", Options())
    assert "--skip-unreadable" not in caught.value.mend
    (tmp_path / "notes.txt").write_text("some")
    with pytest.raises(DensebenchError, match=r"notes\.txt is a file, not a folder"):
        make(str(tmp_path / "images"), "grid", tmp_path / "notes.txt" / "masks", Options())
