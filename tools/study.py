"""The CPU study: methods x `.small` tasks x seeds, on the embedded scenes or on a partial real data root.

    python tools/study.py scenes --out runs/study            makes the scenes, pretrains, fine-tunes, prints the table
    python tools/study.py real --data-root DATA --data-spec FILE --out runs/real

Every finished pretraining and every record is kept: the same command goes on where it stopped. On a machine with two
cores two parts of one thread each are faster than one process of two threads:

    OMP_NUM_THREADS=1 python tools/study.py scenes --part 1/2 &
    OMP_NUM_THREADS=1 python tools/study.py scenes --part 2/2
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from benchmark.report import markdown
from benchmark.result import read_all
from benchmark.run import Request, run_tasks
from benchmark.table import wide
from pretrain.data import scenes
from pretrain.train import CHECKPOINT, pretrain

ARCH = "resnet18"
LINEAR = ("voc_seg_fcn_d8_20k.small", "cityscapes_seg_fcn_d8_40k.small", "nyu_depth_byol.small")
DETECTION = ("voc_det_c4_24k.small", "coco_det_fpn_1x.small")
SEEDS = (0, 1, 2)
# The scenes of the study are frozen: their generator's version and seed stand in every record's data. Recipes and
# protocols were chosen on scenes of seed 0, so the study draws others.
TRAIN, VAL, SCENES_SEED = 2400, 200, 1


@dataclass(frozen=True)
class Pretraining:
    """One pretrained checkpoint of the study."""

    method: str
    images: str
    seed: int

    def folder(self, out: Path) -> Path:
        """Return where it lies."""
        return out / "pretrain" / f"{self.method}-{Path(self.images).stem}-{self.seed}"


@dataclass(frozen=True)
class Cell:
    """One task, mode and seed of one row."""

    row: Pretraining | None  # None is the random control row
    task: str
    mode: str
    seed: int


def main() -> None:
    """Read the arguments and do this part of the study."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", choices=("scenes", "real"))
    parser.add_argument("--out", type=Path, default=Path("runs/study"))
    parser.add_argument("--data-root", type=Path)
    parser.add_argument("--data-spec", type=Path)
    parser.add_argument("--part", default="1/1", help="this process's share, such as 1/2")
    parser.add_argument("--only", default="", help="only tasks whose name holds this text")
    parser.add_argument("--mode", choices=("linear", "finetune"), help="only this mode")
    arguments = parser.parse_args()
    part, parts = (int(number) for number in arguments.part.split("/"))
    if arguments.data == "scenes":
        root = scenes.write(arguments.out / "scenes", TRAIN, VAL, SCENES_SEED)
        rows = [
            *(Pretraining(method, str(root), 0) for method in ("densecl", "moco_v2", "supervised")),
            Pretraining("densecl", str(root), 1),
        ]
        cells = list(study(rows, DETECTION, LINEAR))
    else:
        root = arguments.data_root
        images = str(training_images(root, arguments.out))
        rows = [Pretraining(method, images, 0) for method in ("densecl", "moco_v2")]
        cells = list(study(rows, DETECTION, LINEAR[:1]))
    for row in rows[part - 1 :: parts]:
        pretrain(row.method, ARCH, row.images, "scenes", row.folder(arguments.out), seed=row.seed, workers=1)
    chosen = [cell for cell in cells if arguments.only in cell.task and arguments.mode in (None, cell.mode)]
    for cell in chosen[part - 1 :: parts]:
        checkpoint = "random" if cell.row is None else str(cell.row.folder(arguments.out) / CHECKPOINT)
        if cell.row is not None and not Path(checkpoint).is_file():
            print(f"{cell.task} waits for the pretraining {checkpoint} of another part: run this command again.")
            continue
        request = Request(
            data_root=root,
            arch=ARCH,
            mode=cell.mode,
            name=cell.row.folder(arguments.out).name if cell.row else "random",
            out=arguments.out,
            data_spec=arguments.data_spec,
            workers=1,
        )
        run_tasks([cell.task], checkpoint, [cell.seed], request)
    print(markdown.wide(wide(read_all([arguments.out / "records"]))))


def study(rows: list[Pretraining], detection: tuple[str, ...], segmentation: tuple[str, ...]) -> Iterator[Cell]:
    """Yield every cell, the cheap ones first, one seed of everything before the next seed."""
    for seed in SEEDS:
        for mode, tasks in (("linear", segmentation), ("finetune", (*segmentation, *detection))):
            for task in tasks:
                for row in (None, *rows):
                    yield Cell(row, task, mode, seed)


def training_images(root: Path, out: Path) -> Path:
    """Write the list of VOC's and COCO's training images and of all of BSDS: what pretraining may see."""
    voc = root / "VOCdevkit" / "VOC2012"
    stems = {stem for kind in ("Main", "Segmentation") for stem in _lines(voc / "ImageSets" / kind / "train.txt")}
    images = [voc / "JPEGImages" / f"{stem}.jpg" for stem in sorted(stems)]
    images += sorted((root / "coco" / "train2017").glob("*.jpg"))
    images += sorted((root / "bsds" / "images").rglob("*.jpg"))
    out.mkdir(parents=True, exist_ok=True)
    path = out / "voc_coco_bsds.txt"
    path.write_text("".join(f"{image.resolve()}\n" for image in images))
    return path


def _lines(path: Path) -> list[str]:
    return path.read_text().split()


if __name__ == "__main__":
    main()
