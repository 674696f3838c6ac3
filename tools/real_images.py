"""What the study of real images pretrains on."""

from __future__ import annotations

from pathlib import Path

from pretrain.errors import DensebenchError
from pretrain.files import replacing

VOC, COCO, BSDS = Path("VOCdevkit", "VOC2012"), Path("coco", "train2017"), Path("bsds", "images")


def drawings(root: Path) -> tuple[Path, ...]:
    """Return what people drew on the training images."""
    coco = root / "coco" / "annotations" / "instances_train2017.json"
    return root / "bsds" / "groundTruth", coco, root / VOC / "SegmentationClass"


def training_images(root: Path, out: Path) -> Path:
    """Write the list of VOC's and COCO's training images and of all of BSDS: what pretraining may see.

    Raises:
        DensebenchError: A part is missing: the rows' names say that all were seen.
    """
    lists = [root / VOC / "ImageSets" / kind / "train.txt" for kind in ("Main", "Segmentation")]
    stems = {stem for file in lists for stem in _lines(file)}
    images = [root / VOC / "JPEGImages" / f"{stem}.jpg" for stem in sorted(stems)]
    for folder in (root / COCO, root / BSDS):
        found = sorted(folder.rglob("*.jpg"))
        if not found:
            raise DensebenchError(f"There is no .jpg file under {folder}.", "Name a data root that has it.")
        images += found
    path = out / "voc_coco_bsds.txt"
    with replacing(path) as temporary:
        temporary.write_text("".join(f"{image.resolve()}\n" for image in images), encoding="utf-8")
    return path


def _lines(path: Path) -> list[str]:
    if not path.is_file():
        raise DensebenchError(f"There is no file {path}.", "Name a data root that has it.")
    return path.read_text(encoding="utf-8").split()
