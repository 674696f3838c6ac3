"""The demo's plan: rows, columns, seeds, and what every step is expected to cost."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from benchmark import backbones
from benchmark import task as tasks_known
from benchmark.estimate import Step
from pretrain import methods as methods_known
from pretrain.errors import UsageError, unknown
from pretrain.snapshot import CHECKPOINT

ARCH = "resnet18"
METHODS = ("random", "moco_v2", "densecl")
TASKS = (
    "voc_seg_fcn_d8_20k.demo",
    "cityscapes_seg_fcn_d8_40k.demo",
    "nyu_depth_byol.demo",
    "voc_det_c4_24k.demo",
    "coco_det_fpn_1x.demo",
)
QUICK_TASKS = TASKS[:3]
TRAIN_SCENES, VAL_SCENES = 640, 100
ITERATIONS, QUICK_ITERATIONS = 220, 40
SECONDS = {"scenes": 22.0, "iteration": 0.6, "certify": 2.0}
TASK_SECONDS = dict(zip(TASKS, (16.0, 21.0, 28.0, 52.0, 50.0), strict=True))
"""What a step costs on two cores: the first guess of the time left."""
SOURCES = ("benchmark", "pretrain", "transfer_configs")


@dataclass(frozen=True)
class Plan:
    """What a demo shows.

    Attributes:
        out: Where everything goes.
        methods: The table's rows.
        tasks: The table's columns.
        seeds: Fine-tuning seeds.
        iterations: Steps of each pretraining.
    """

    out: Path
    methods: tuple[str, ...]
    tasks: tuple[str, ...]
    seeds: tuple[int, ...]
    iterations: int = ITERATIONS

    @classmethod
    def make(
        cls,
        out: Path,
        *,
        quick: bool = False,
        methods: Sequence[str] = (),
        tasks: Sequence[str] = (),
        seeds: Sequence[int] = (0,),
    ) -> Plan:
        """Fill in what is not named.

        Raises:
            UsageError: There is no such method or task, or the demo cannot pretrain the method.
        """
        for kind, names, known in (
            ("method", methods, methods_known.names()),
            ("task", tasks, tasks_known.names()),
        ):
            for name in names:
                if name not in known:
                    raise unknown(kind, name, known)
        for method in methods:
            _hold(method)
        return cls(
            out,
            tuple(dict.fromkeys(methods)) or METHODS,
            tuple(dict.fromkeys(tasks)) or (QUICK_TASKS if quick else TASKS),
            tuple(dict.fromkeys(seeds)),
            QUICK_ITERATIONS if quick else ITERATIONS,
        )

    @property
    def data(self) -> Path:
        """The data root."""
        return self.out / "data"

    @property
    def pretrained(self) -> tuple[str, ...]:
        """The methods that have a pretraining."""
        return tuple(method for method in self.methods if method != "random")

    def folder(self, method: str) -> Path:
        """Return where a method's pretraining lies."""
        return self.out / "pretrain" / f"{method}_{self.iterations}"

    def checkpoint(self, method: str) -> Path:
        """Return a method's checkpoint."""
        return self.folder(method) / CHECKPOINT

    def steps(self) -> dict[str, Step]:
        """Return everything that has to be done, in order, with its cost."""
        steps = {"scenes": Step("scenes", SECONDS["scenes"])}
        for method in self.methods:
            if method != "random":
                steps[f"pretrain {method}"] = Step("pretrain", SECONDS["iteration"] * self.iterations)
                steps[f"certify {method}"] = Step("certify", SECONDS["certify"])
            for task, seed in self.cells():
                steps[f"{method} {task} {seed}"] = Step(task, TASK_SECONDS.get(task, 60.0))
        return steps

    def cells(self) -> Iterator[tuple[str, int]]:
        """Yield the task and seed of each run of a row."""
        return ((task, seed) for task in self.tasks for seed in self.seeds)

    def state(self) -> str:
        """Return a hash of all that decides the numbers, which costs no import to compute."""
        total = hashlib.sha256(json.dumps(asdict(self), default=str, sort_keys=True).encode())
        root = Path(__file__).resolve().parent.parent
        sources = [path for folder in SOURCES for path in sorted((root / folder).rglob("*.py"))]
        for path in [*sources, self.data / "densebench.json", *map(self.checkpoint, self.pretrained)]:
            total.update(hashlib.sha256(path.read_bytes()).digest())
        return total.hexdigest()


def _hold(method: str) -> None:
    """Refuse a method that needs another architecture than the demo's, or more than images."""
    family, trained = backbones.family(ARCH).name, methods_known.facts(method)["families"]
    if trained and family not in trained:  # none are told of an odd file, of which `load` says what is wrong
        raise UsageError(
            f"{method} trains the families {', '.join(trained)}; the demo's {ARCH} is a {family}.",
            f"Use `densebench pretrain {method} --arch ...`; `densebench ls archs` lists the architectures.",
        )
    if methods_known.reads_regions(method):
        raise UsageError(
            f"{method} needs the images' regions, which the demo does not make.",
            f"Make them with `densebench masks`, and use `densebench pretrain {method} --masks ...`.",
        )
