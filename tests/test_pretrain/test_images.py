"""Where images are found, what labels they carry, and what happens to a broken one."""

import errno
import json
import os

import numpy as np
import pytest
from PIL import Image

from pretrain.data import jpeg
from pretrain.data.images import Images, find, read
from pretrain.errors import DensebenchError


def write(path, value=0):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((20, 30, 3), value, dtype=np.uint8)).save(path)
    return path


def test_a_flat_folder_has_no_labels(tmp_path):
    for name in ("b.jpg", "a.png", "sub.JPEG"):
        write(tmp_path / name)
    (tmp_path / "notes.txt").write_text("no image")
    source = find(str(tmp_path))
    assert [path.name for path in source.paths] == ["a.png", "b.jpg", "sub.JPEG"]
    assert source.labels is None


def test_subfolders_are_classes(tmp_path):
    write(tmp_path / "dog" / "deep" / "1.jpg")
    write(tmp_path / "cat" / "2.jpg")
    write(tmp_path / "cat" / "1.jpg")
    images = Images(find(str(tmp_path)))
    assert images.source.labels.classes == ("cat", "dog")
    assert [images[i].label for i in range(3)] == [0, 0, 1]
    assert images[2].image.shape == (20, 30, 3)
    assert images[2].index == 2


def test_links_are_followed_and_none_in_a_circle(tmp_path):
    write(tmp_path / "elsewhere" / "1.jpg")
    write(tmp_path / "images" / "2.jpg")
    (tmp_path / "images" / "linked").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "elsewhere" / "back").symlink_to(tmp_path / "images")
    (tmp_path / "images" / "again").symlink_to(tmp_path / "images")
    assert sorted(path.name for path in find(str(tmp_path / "images")).paths) == ["1.jpg", "2.jpg"]


def test_a_folder_that_cannot_be_read_is_refused(tmp_path, monkeypatch):
    write(tmp_path / "cat" / "1.jpg")
    (tmp_path / "dog").mkdir()
    scandir = os.scandir

    def forbidding(place):
        if str(place).endswith("dog"):
            raise PermissionError(errno.EACCES, "Permission denied", str(place))
        return scandir(place)

    monkeypatch.setattr(os, "scandir", forbidding)
    with pytest.raises(DensebenchError, match=r"dog cannot be read: Permission denied\. Check"):
        find(str(tmp_path))


def test_a_list_is_relative_to_itself(tmp_path):
    write(tmp_path / "x" / "1.jpg")
    write(tmp_path / "x" / "2.jpg")
    (tmp_path / "some.txt").write_text("x/2.jpg\n\nx/1.jpg\n")
    assert [path.name for path in find(str(tmp_path / "some.txt")).paths] == ["2.jpg", "1.jpg"]


def test_a_list_that_names_a_missing_file_is_refused(tmp_path):
    write(tmp_path / "1.jpg")
    (tmp_path / "some.txt").write_text("1.jpg\n2.jpg\n")
    with pytest.raises(DensebenchError, match=r"names 1 file that does not exist: .*2\.jpg") as caught:
        find(str(tmp_path / "some.txt"))
    assert caught.value.mend == f"A list of images has one path a line, absolute or relative to {tmp_path}."
    (tmp_path / "some.txt").write_text("3.jpg\n1.jpg\n2.jpg\n")
    with pytest.raises(DensebenchError, match=r"names 2 files that do not exist, the first is .*3\.jpg"):
        find(str(tmp_path / "some.txt"))


@pytest.fixture
def scenes(tmp_path):
    for name in ("1.jpg", "2.jpg"):
        write(tmp_path / "images" / name)
    block = {"images": "pretrain.txt", "labels": "pretrain_labels.json", "classes": ["a", "b", "c"]}
    (tmp_path / "densebench.json").write_text(json.dumps({"schema": 1, "name": "scenes", "pretrain": block}))
    (tmp_path / "pretrain.txt").write_text("images/1.jpg\nimages/2.jpg\n")
    (tmp_path / "pretrain_labels.json").write_text(json.dumps({"images/1.jpg": [0, 2], "images/2.jpg": []}))
    return tmp_path


def test_a_data_root_gives_its_multi_labels(scenes):
    images = Images(find(str(scenes)))
    assert images.source.name == "scenes"
    assert images.source.labels.multi
    assert images[0].label.tolist() == [1, 0, 1]
    assert images[1].label.tolist() == [0, 0, 0]


@pytest.mark.parametrize("target", [[3], [-1], ["a"], 1])
def test_a_label_outside_the_classes_is_refused(scenes, target):
    (scenes / "pretrain_labels.json").write_text(json.dumps({"images/1.jpg": [0], "images/2.jpg": target}))
    with pytest.raises(DensebenchError, match=r"images/2\.jpg are .*0\.\.2 are expected"):
        find(str(scenes))


def test_several_places_are_joined(scenes, tmp_path_factory):
    other = tmp_path_factory.mktemp("other")
    write(other / "3.jpg")
    source = find(f"{scenes}:{other}")
    assert [path.name for path in source.paths] == ["1.jpg", "2.jpg", "3.jpg"]
    assert source.labels is None


def test_nowhere_and_nothing_are_refused(tmp_path):
    with pytest.raises(DensebenchError, match="does not exist"):
        find(str(tmp_path / "absent"))
    with pytest.raises(DensebenchError, match="no image under"):
        find(str(tmp_path))
    (tmp_path / "densebench.json").write_text("{")
    with pytest.raises(DensebenchError, match="not valid JSON"):
        find(str(tmp_path))


def broken(path):
    generator = np.random.default_rng(0)
    Image.fromarray(generator.integers(0, 256, (64, 64, 3), dtype=np.uint8)).save(path)
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])


def empty(path):
    path.write_bytes(b"")


@pytest.mark.parametrize("make", [broken, empty])
def test_a_broken_image_is_named(tmp_path, make):
    path = tmp_path / "broken.jpg"
    make(path)
    with pytest.raises(DensebenchError, match=r"broken\.jpg cannot be read as an image"):
        read(path)


def test_a_broken_image_is_skipped_only_when_asked(tmp_path):
    write(tmp_path / "a.jpg", 10)
    broken(tmp_path / "b.jpg")
    write(tmp_path / "c.jpg", 30)
    with pytest.raises(DensebenchError, match=r"b\.jpg"):
        Images(find(str(tmp_path)))[1]
    images = Images(find(str(tmp_path)), skip_unreadable=True)
    assert images[1].index == 2
    assert int(images[1].image.mean()) == 30
    assert [path.name for path in images.skipped()] == ["b.jpg"]


def test_no_readable_image_at_all_is_an_error(tmp_path):
    broken(tmp_path / "b.jpg")
    with pytest.raises(DensebenchError, match="None of the 1 images"):
        Images(find(str(tmp_path)), skip_unreadable=True)[0]


@pytest.mark.parametrize(
    ("mode", "options", "fast"),
    [
        ("RGB", {"quality": 90}, True),
        ("RGB", {"quality": 60, "progressive": True, "subsampling": 0}, True),
        ("L", {}, False),
        ("CMYK", {}, False),
    ],
)
def test_jpegs_are_pillows_to_the_last_bit(mode, options, fast, tmp_path):
    channels = len(Image.new(mode, (1, 1)).getbands())
    noise = np.random.default_rng(0).integers(0, 256, (9, 13, channels), dtype=np.uint8)
    small = Image.merge(mode, [Image.fromarray(noise[..., channel]) for channel in range(channels)])
    file = tmp_path / "1.jpg"
    small.resize((131, 97)).save(file, exif=Image.Exif(), **options)
    with Image.open(file) as image:
        assert np.array_equal(read(file), np.asarray(image.convert("RGB")))
    assert (jpeg.decode(file.read_bytes()) is not None) == fast


def test_what_is_no_whole_jpeg_is_left_to_pillow(tmp_path):
    whole = write(tmp_path / "1.jpg", 90).read_bytes()
    assert jpeg.decode(whole) is not None
    claims_to_be_huge = bytearray(whole)
    frame = whole.index(b"\xff\xc0")
    claims_to_be_huge[frame + 5 : frame + 9] = b"\xff\xff\xff\xff"
    for data in (whole[: len(whole) // 2], whole[:30], b"", b"\xff\xd8", b"GIF89a" + whole, bytes(claims_to_be_huge)):
        assert jpeg.decode(data) is None
