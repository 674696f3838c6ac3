"""The CPU studies: methods x `.small` tasks x seeds, on the embedded scenes or on a partial data root of real images.

    python tools/study.py scenes --out runs/study     the spine's four rows, five tasks fine-tuned, three linear
    python tools/study.py methods --out runs/study    every method, linear segmentation and depth
    python tools/study.py real --data-root DATA --data-spec FILE --out runs/real
    python tools/study.py real_methods --data-root DATA --data-spec FILE --out runs/real

Every finished pretraining and every record is kept: the same command goes on where it stopped. `--jobs` processes share
the cores, and the GPU where there is one (see docs/cluster.md); two processes of one thread are faster than one of two.
A row's cells begin when its pretraining is done; one that fails is told of after the others. `--row`, `--only` and
`--mode` confine the study, so that a machine that is lent for an hour can make a row whole. `--set` changes settings
of all its tasks as `densebench run` does, `--pretrain-set` those of all its pretrainings, which then are other rows.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from concurrent.futures import Executor, Future, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from pool import guarded, pool
from real_images import drawings, training_images

from benchmark.report import markdown
from benchmark.request import Request
from benchmark.result import read_all
from benchmark.run import run_tasks
from benchmark.shell import DONE, FAILED, INTERRUPTED, key_values, literal
from benchmark.table import wide
from pretrain import methods
from pretrain.cores import cores
from pretrain.data import scenes
from pretrain.errors import DensebenchError, UsageError
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
        changed: What its recipe is changed in, KEY=VALUE each.
    """

    method: str
    arch: str
    seed: int = 0
    regions: str | None = None
    changed: tuple[str, ...] = ()

    @property
    def trains(self) -> bool:
        """Whether there is anything to pretrain."""
        return self.method != "random"

    def named(self, images: str) -> str:
        """Return what tables and folders call it."""
        if not self.trains:
            return "random"
        method = self.method if self.regions is None else f"{self.method}_{self.regions}"
        return "+".join([f"{method}-{Path(images).stem}-{self.seed}", *self.changed])

    def checkpoint(self, images: str, out: Path) -> Path:
        """Return where its checkpoint lies."""
        return out / "pretrain" / self.named(images) / CHECKPOINT


Cell = tuple[Row, str, str, int]  # a row, a task, a mode and a fine-tuning seed


@dataclass(frozen=True)
class Study:
    """Rows, and the tasks that measure each of them, by mode; the cheap ones first.

    Attributes:
        rows: What is measured.
        tasks: Mode to tasks.
    """

    rows: tuple[Row, ...]
    tasks: tuple[tuple[str, tuple[str, ...]], ...]

    def cells(self, one: Row) -> Iterator[Cell]:
        """Yield the cells of a row, one seed of everything before the next seed."""
        for seed in SEEDS:
            for mode, tasks in self.tasks:
                for task in tasks:
                    yield one, task, mode, seed


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
    """Do the study and return the exit status; an early end is told in a sentence."""
    arguments = parsed()
    try:
        work = Work(arguments)
        with pool(arguments.jobs) as processes:
            failures = work.done(processes)
    except DensebenchError as error:
        print(error, file=sys.stderr)
        return error.status
    except KeyboardInterrupt:
        print("Interrupted; what was done is kept. The same command continues from there.", file=sys.stderr)
        return INTERRUPTED
    print(markdown.wide(wide(read_all([arguments.out / "records"]))))
    for failure in failures:
        print(failure, file=sys.stderr)
    return FAILED if failures else DONE


class Work:
    """The pretrainings and cells that the arguments ask for, done by a pool of processes."""

    def __init__(self, arguments: argparse.Namespace) -> None:
        self.out, self.spec = arguments.out, arguments.data_spec
        self.overrides = {key: literal(value) for key, value in key_values(arguments.set).items()}
        real = arguments.study.startswith("real")
        self.root = arguments.data_root if real else scenes.write(self.out / "scenes", TRAIN, VAL, SCENES_SEED)
        self.images = str(training_images(self.root, self.out)) if real else str(self.root)
        self.study, self.only, self.mode = studies()[arguments.study], arguments.only, arguments.mode
        rows = (replace(one, changed=tuple(arguments.pretrain_set)) for one in self.study.rows)
        self.rows = [one for one in rows if arguments.row in one.named(self.images)]
        if not any(self._asked(cell) for one in self.rows for cell in self.study.cells(one)):
            names = ", ".join(one.named(self.images) for one in self.study.rows)
            tasks = ", ".join(f"{task} {mode}" for mode, tasks in self.study.tasks for task in tasks)
            raise UsageError(f"Nothing is asked for: the rows are {names}; the tasks {tasks}.")

    def done(self, processes: Executor) -> list[str]:
        """Do all of it and return what failed, a sentence each.

        Raises:
            DensebenchError: A process was killed.
        """
        trained = [one for one in self.rows if one.trains]
        files = {kind: self._regions(kind) for kind in dict.fromkeys(one.regions for one in trained) if kind}
        pretrainings, failures = {}, []
        try:
            for one in trained:
                job = partial(pretrained, one, self.images, self.out, files.get(one.regions or ""))
                pretrainings[processes.submit(guarded, job)] = one
            cells = [cell for one in self.rows if not one.trains for cell in self._submitted(processes, one)]
            for future in as_completed(pretrainings):
                failures.append(future.result())
                if not failures[-1]:
                    cells += self._submitted(processes, pretrainings[future])
            failures += [future.result() for future in as_completed(cells)]
        except BrokenProcessPool:
            raise DensebenchError(
                "A process of the study was killed, perhaps for want of memory.",
                "The same command continues from there; use fewer --jobs.",
            ) from None
        finally:
            processes.shutdown(cancel_futures=True)
        return [failure for failure in failures if failure]

    def _submitted(self, processes: Executor, one: Row) -> list[Future[str]]:
        """Hand the cells of a row that are asked for to the processes."""
        return [
            processes.submit(guarded, partial(measured, cell, self._request(cell), self.images))
            for cell in self.study.cells(one)
            if self._asked(cell)
        ]

    def _asked(self, cell: Cell) -> bool:
        return self.only in cell[1] and self.mode in (None, cell[2])

    def _request(self, cell: Cell) -> Request:
        one, _, mode, _ = cell
        return Request(
            data_root=self.root,
            arch=one.arch,
            mode=mode,
            name=one.named(self.images),
            out=self.out,
            data_spec=self.spec,
            overrides=self.overrides,
            workers=1,
        )

    def _regions(self, kind: str) -> Path:
        """Find the regions of all images, and return their file."""
        file: Path = self.out / f"{Path(self.images).stem}.{kind}.masks"
        make(self.images, kind, file, Options(sources=drawings(self.root) if kind == "human" else ()))
        return file


def pretrained(one: Row, images: str, out: Path, regions: Path | None) -> None:
    """Pretrain a row."""
    pretrain(
        one.method,
        one.arch,
        images,
        "scenes",
        one.checkpoint(images, out).parent,
        overrides={"precision": PRECISION, **key_values(one.changed)},
        seed=one.seed,
        workers=1,
        regions=regions,
        progress=lambda *_: None,
    )
    print(f"{one.named(images)}: pretrained", flush=True)


def measured(cell: Cell, request: Request, images: str) -> None:
    """Fine-tune and evaluate one cell."""
    one, task, mode, seed = cell
    checkpoint = str(one.checkpoint(images, request.out)) if one.trains else "random"
    [record] = run_tasks([task], checkpoint, [seed], request, on_event=lambda _: None)
    print(f"{one.named(images)}: {task} {mode}, seed {seed}: {record.metrics[record.headline]:.4g}", flush=True)


def parsed() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("study", choices=studies())
    parser.add_argument("--out", type=Path, default=Path("runs/study"))
    parser.add_argument("--data-root", type=Path)
    parser.add_argument("--data-spec", type=Path)
    parser.add_argument("--jobs", type=positive, default=cores(), help="processes at a time")
    parser.add_argument("--row", default="", help="only rows whose name holds this text")
    parser.add_argument("--only", default="", help="only tasks whose name holds this text")
    parser.add_argument("--mode", choices=("linear", "finetune"), help="only this mode")
    for option in ("--set", "--pretrain-set"):
        parser.add_argument(option, nargs="+", action="extend", default=[], metavar="KEY=VALUE")
    arguments = parser.parse_args()
    if arguments.study.startswith("real") and arguments.data_root is None:
        parser.error("a study of real images needs --data-root")
    return arguments


def positive(text: str) -> int:
    """Read a number of processes."""
    if not (text.isdecimal() and int(text)):
        raise argparse.ArgumentTypeError(f"'{text}' is no number of processes; write 1 or more")
    return int(text)


if __name__ == "__main__":
    sys.exit(main())
