"""The CPU studies: methods x `.small` tasks x seeds, on the embedded scenes or on a partial data root of real images.

    python tools/study.py scenes --out runs/study     the spine's four rows, five tasks fine-tuned, three linear
    python tools/study.py methods --out runs/study    every method, linear segmentation and depth
    python tools/study.py real --data-root DATA --data-spec FILE --out runs/real
    python tools/study.py real_methods --data-root DATA --data-spec FILE --out runs/real

Every finished pretraining and every record is kept: the same command goes on where it stopped. On a machine with two
cores two parts of one thread each are faster than one process of two threads:

    OMP_NUM_THREADS=1 python tools/study.py scenes --part 1/2 &
    OMP_NUM_THREADS=1 python tools/study.py scenes --part 2/2

`--row`, `--only` and `--mode` confine it, so that a machine that is lent for an hour can make a row whole.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from benchmark.report import markdown
from benchmark.request import Request
from benchmark.result import read_all
from benchmark.run import run_tasks
from benchmark.shell import DONE, INTERRUPTED
from benchmark.table import wide
from pretrain import methods
from pretrain.data import scenes
from pretrain.errors import DensebenchError
from pretrain.masks.make import Options, make
from pretrain.snapshot import CHECKPOINT
from pretrain.train import pretrain

ARCHS = {"resnet": "resnet18", "vit": "vit_tiny_patch16", "navit": "navit_tiny_patch16"}  # by a method's first family
VOC, CITYSCAPES, DEPTH = (
    f"{name}.small" for name in ("voc_seg_fcn_d8_20k", "cityscapes_seg_fcn_d8_40k", "nyu_depth_byol")
)
DETECTION = ("voc_det_c4_24k.small", "coco_det_fpn_1x.small")
SEEDS = (0, 1, 2)
PRECISION = "float32"  # the `.small` tasks', too: what is measured on a CPU without bfloat16 stands in the same table
# The scenes of the study are frozen: their generator's version and seed stand in every record's data. Recipes and
# protocols were chosen on scenes of seed 0, so the study draws others.
TRAIN, VAL, SCENES_SEED = 2400, 200, 1


@dataclass(frozen=True)
class Row:
    """One pretrained checkpoint, or the control row of an architecture.

    Attributes:
        method: The method; "random" is the control row.
        arch: The architecture.
        seed: Of the pretraining.
        regions: The kind of regions, for a method that reads them.
    """

    method: str
    arch: str
    seed: int = 0
    regions: str | None = None

    @property
    def trains(self) -> bool:
        """Whether there is anything to pretrain."""
        return self.method != "random"

    def named(self, images: str) -> str:
        """Return what tables and folders call it."""
        if not self.trains:
            return "random"
        method = self.method if self.regions is None else f"{self.method}_{self.regions}"
        return f"{method}-{Path(images).stem}-{self.seed}"

    def checkpoint(self, images: str, out: Path) -> Path:
        """Return where its checkpoint lies."""
        return out / "pretrain" / self.named(images) / CHECKPOINT


@dataclass(frozen=True)
class Study:
    """Rows, and the tasks that measure each of them, by mode; the cheap ones first.

    Attributes:
        rows: What is measured.
        tasks: Mode to tasks.
    """

    rows: tuple[Row, ...]
    tasks: tuple[tuple[str, tuple[str, ...]], ...]

    def cells(self) -> Iterator[tuple[Row, str, str, int]]:
        """Yield row, task, mode and seed of every cell, one seed of everything before the next seed."""
        for seed in SEEDS:
            for mode, tasks in self.tasks:
                for task in tasks:
                    for row in self.rows:
                        yield row, task, mode, seed


def row(method: str, seed: int = 0, regions: str | None = None) -> Row:
    """Return a row with the architecture that the method's paper asks for, in its smallest size."""
    return Row(method, ARCHS[methods.load(method).families[0]], seed, regions)


def every_method() -> tuple[Row, ...]:
    """Return a row for every method; DetCon reads Felzenszwalb-Huttenlocher regions, as in its paper."""
    names = [name for name in methods.names() if name != "random"]
    return tuple(row(name, regions="fh" if methods.load(name).reads_regions else None) for name in names)


def with_controls(*rows: Row) -> tuple[Row, ...]:
    """Return the rows behind the control row of each architecture."""
    return (*(Row("random", arch) for arch in dict.fromkeys(one.arch for one in rows)), *rows)


def studies() -> dict[str, Study]:
    """Return the studies by name."""
    spine = with_controls(row("densecl"), row("moco_v2"), row("supervised"), row("densecl", 1))
    contrastive = with_controls(row("densecl"), row("moco_v2"))
    chosen = [row(name) for name in ("densecl", "vicregl", "byol", "simclr", "droppos", "selfpatch")]
    detcon = [row("detcon_b", regions=kind) for kind in ("grid", "fh", "human")]
    probes = (VOC, CITYSCAPES, DEPTH)
    return {
        "scenes": Study(spine, (("linear", probes), ("finetune", (*probes, *DETECTION)))),
        "methods": Study(with_controls(*every_method()), (("linear", (VOC, DEPTH)),)),
        "real": Study(contrastive, (("linear", (VOC,)), ("finetune", (VOC, *DETECTION)))),
        "real_methods": Study(with_controls(*chosen, *detcon), (("linear", (VOC,)), ("finetune", (VOC,)))),
    }


def main() -> int:
    """Do this part of the study and return the exit status; an early end is told in a sentence."""
    arguments = parsed()
    try:
        take_part(arguments)
    except DensebenchError as error:
        print(error, file=sys.stderr)
        return INTERRUPTED if isinstance(error.__context__, KeyboardInterrupt) else error.status
    except KeyboardInterrupt:
        print("Interrupted; what was done is kept. The same command continues from there.", file=sys.stderr)
        return INTERRUPTED
    return DONE


def take_part(arguments: argparse.Namespace) -> None:
    """Pretrain and measure this process's share of the rows and cells, and print the table."""
    part, parts = arguments.part
    out, real = arguments.out, arguments.study.startswith("real")
    root = arguments.data_root if real else scenes.write(out / "scenes", TRAIN, VAL, SCENES_SEED)
    images = str(training_images(root, out)) if real else str(root)
    study = studies()[arguments.study]
    rows = [one for one in study.rows if arguments.row in one.named(images)]
    for one in [one for one in rows if one.trains][part - 1 :: parts]:
        pretrained(one, images, out, root)
    chosen = [
        (one, task, mode, seed)
        for one, task, mode, seed in study.cells()
        if one in rows and arguments.only in task and arguments.mode in (None, mode)
    ]
    for one, task, mode, seed in chosen[part - 1 :: parts]:
        checkpoint = one.checkpoint(images, out)
        if one.trains and not checkpoint.is_file():
            print(f"{task} waits for the pretraining {checkpoint} of another part: run this command again.")
            continue
        request = Request(
            data_root=root,
            arch=one.arch,
            mode=mode,
            name=one.named(images),
            out=out,
            data_spec=arguments.data_spec,
            workers=1,
        )
        run_tasks([task], str(checkpoint) if one.trains else "random", [seed], request)
    print(markdown.wide(wide(read_all([out / "records"]))))


def parsed() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("study", choices=studies())
    parser.add_argument("--out", type=Path, default=Path("runs/study"))
    parser.add_argument("--data-root", type=Path)
    parser.add_argument("--data-spec", type=Path)
    parser.add_argument("--part", type=share, default="1/1", help="this process's share, such as 1/2")
    parser.add_argument("--row", default="", help="only rows whose name holds this text")
    parser.add_argument("--only", default="", help="only tasks whose name holds this text")
    parser.add_argument("--mode", choices=("linear", "finetune"), help="only this mode")
    arguments = parser.parse_args()
    if arguments.study.startswith("real") and arguments.data_root is None:
        parser.error("a study of real images needs --data-root")
    return arguments


def share(text: str) -> tuple[int, int]:
    """Read a process's number and how many there are."""
    part, _, parts = text.partition("/")
    if not (part.isdecimal() and parts.isdecimal() and 1 <= int(part) <= int(parts)):
        raise argparse.ArgumentTypeError(f"'{text}' is no share; write 1/2 for the first of two processes, then 2/2")
    return int(part), int(parts)


def pretrained(one: Row, images: str, out: Path, root: Path) -> None:
    """Pretrain a row, and before that find its regions."""
    file = None
    if one.regions is not None:
        file = out / f"{Path(images).stem}.{one.regions}.masks"
        make(images, one.regions, file, Options(sources=annotations(root) if one.regions == "human" else ()))
    folder = one.checkpoint(images, out).parent
    overrides = {"precision": PRECISION}
    pretrain(
        one.method, one.arch, images, "scenes", folder, overrides=overrides, seed=one.seed, workers=1, regions=file
    )


def annotations(root: Path) -> tuple[Path, ...]:
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


if __name__ == "__main__":
    sys.exit(main())
