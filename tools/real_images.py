"""What the study of real images pretrains on."""

from __future__ import annotations

from pathlib import Path


def drawings(root: Path) -> tuple[Path, ...]:
    """Return what people drew on the training images."""
    voc = root / "VOCdevkit" / "VOC2012" / "SegmentationClass"
    return root / "bsds" / "groundTruth", root / "coco" / "annotations" / "instances_train2017.json", voc


def training_images(root: Path, out: Path) -> Path:
    """Write the list of VOC's and COCO's training images and of all of BSDS: what pretraining may see."""
    voc = root / "VOCdevkit" / "VOC2012"
    stems = {stem for kind in ("Main", "Segmentation") for stem in _lines(voc / "ImageSets" / kind / "train.txt")}
    images = [voc / "JPEGImages" / f"{stem}.jpg" for stem in sorted(stems)]
    images += sorted((root / "coco" / "train2017").glob("*.jpg"))
    images += sorted((root / "bsds" / "images").rglob("*.jpg"))
    out.mkdir(parents=True, exist_ok=True)
    path = out / "voc_coco_bsds.txt"
    path.write_text("".join(f"{image.resolve()}\n" for image in images), encoding="utf-8")
    return path


def _lines(path: Path) -> list[str]:
    return path.read_text(encoding="utf-8").split()
