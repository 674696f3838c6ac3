"""The scenes as PASCAL VOC: VOCdevkit/VOC2007 and VOC2012."""

from __future__ import annotations

from pathlib import Path

from pretrain.data.scenes.files import jpeg, palette_png
from pretrain.data.scenes.labels import border, tight_box, voc_classes
from pretrain.data.scenes.render import Scene
from pretrain.data.scenes.spec import CLASSES, POOLS, VOID, Parameters

DIFFICULT_AREA = 60 / 160**2
"""Visible share of the image below which an object is marked difficult."""

Place = tuple[str, str, tuple[str, ...], str]


def place(pool: str, index: int) -> Place:
    """Where a scene belongs: year, name, its lists in ImageSets/Main, its list in ImageSets/Segmentation.

    Of four training scenes, one is VOC2007's, one VOC2012's segmentation train and two its `aug`.
    """
    if pool == "val":
        return "2007", f"9{index:05d}", ("test",), ""
    if pool == "reserve":
        return "2012", f"2011_{index:06d}", ("val", "trainval"), "val"
    turn = index % 4
    if turn == 0:
        return "2007", f"{index + 1:06d}", ("train" if index % 8 else "val", "trainval"), ""
    return "2012", f"2008_{index:06d}", ("train", "trainval"), "train" if turn == 1 else "aug"


def folders() -> list[str]:
    """The folders that the layout needs."""
    inside = ("JPEGImages", "Annotations", "ImageSets/Main")
    more = ("ImageSets/Segmentation", "SegmentationClass", "SegmentationClassAug")
    return [f"VOCdevkit/VOC2007/{name}" for name in inside] + [f"VOCdevkit/VOC2012/{name}" for name in inside + more]


def write_scene(root: Path, pool: str, index: int, scene: Scene) -> Path:
    """Write image, annotation and, in VOC2012, the two label maps; returns the image's path.

    `SegmentationClass` has a void seam around every object. In `SegmentationClassAug` the scenes of `aug`
    have none, as the annotations that VOC was augmented with have none.
    """
    year, name, _, segmentation = place(pool, index)
    home = root / "VOCdevkit" / f"VOC{year}"
    photo = home / "JPEGImages" / f"{name}.jpg"
    photo.write_bytes(jpeg(scene.image))
    annotation = _annotation(year, name, scene, bool(segmentation))
    (home / "Annotations" / f"{name}.xml").write_text(annotation, encoding="utf-8")
    if not segmentation:
        return photo
    labels = voc_classes(scene)
    seamed = labels.copy()
    seamed[border(scene.instance)] = VOID
    (home / "SegmentationClass" / f"{name}.png").write_bytes(palette_png(seamed))
    plain = labels if segmentation == "aug" else seamed
    (home / "SegmentationClassAug" / f"{name}.png").write_bytes(palette_png(plain))
    return photo


def write_lists(root: Path, parameters: Parameters) -> None:
    """Write the lists of ImageSets."""
    kinds = {
        "VOC2007/ImageSets/Main": ("train", "val", "trainval", "test"),
        "VOC2012/ImageSets/Main": ("train", "val", "trainval"),
        "VOC2012/ImageSets/Segmentation": ("train", "val", "trainval", "aug"),
    }
    lists: dict[str, list[str]] = {f"{kind}/{split}": [] for kind, splits in kinds.items() for split in splits}
    for pool in POOLS:
        for index in range(parameters.count(pool)):
            year, name, splits, segmentation = place(pool, index)
            for split in splits:
                lists[f"VOC{year}/ImageSets/Main/{split}"].append(name)
            if segmentation:
                lists[f"VOC2012/ImageSets/Segmentation/{segmentation}"].append(name)
            if segmentation in ("train", "val"):
                lists["VOC2012/ImageSets/Segmentation/trainval"].append(name)
    for path, names in lists.items():
        (root / "VOCdevkit" / f"{path}.txt").write_text("".join(f"{name}\n" for name in names), encoding="utf-8")


def _annotation(year: str, name: str, scene: Scene, segmented: bool) -> str:
    size = scene.image.shape[0]
    objects = []
    for number, thing in enumerate(scene.things, 1):
        mask = scene.instance == number
        box = tight_box(mask)
        cut = box.left == 0 or box.top == 0 or box.right == size or box.bottom == size
        hard = thing.crowd or thing.shown < 0.25 or mask.sum() < DIFFICULT_AREA * size**2
        objects.append(
            f"\t<object>\n\t\t<name>{CLASSES[thing.label]}</name>\n\t\t<pose>Unspecified</pose>\n"
            f"\t\t<truncated>{int(cut)}</truncated>\n\t\t<occluded>{int(thing.shown < 0.9)}</occluded>\n"
            f"\t\t<difficult>{int(hard)}</difficult>\n\t\t<bndbox>\n"
            f"\t\t\t<xmin>{box.left + 1}</xmin>\n\t\t\t<ymin>{box.top + 1}</ymin>\n"
            f"\t\t\t<xmax>{box.right}</xmax>\n\t\t\t<ymax>{box.bottom}</ymax>\n"
            "\t\t</bndbox>\n\t</object>\n"
        )
    return (
        f"<annotation>\n\t<folder>VOC{year}</folder>\n\t<filename>{name}.jpg</filename>\n"
        f"\t<source>\n\t\t<database>densebench scenes</database>\n\t</source>\n"
        f"\t<size>\n\t\t<width>{size}</width>\n\t\t<height>{size}</height>\n\t\t<depth>3</depth>\n\t</size>\n"
        f"\t<segmented>{int(segmented)}</segmented>\n{''.join(objects)}</annotation>\n"
    )
