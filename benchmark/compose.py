"""A task, a backbone and a data set become one mmengine Config and one fingerprint; nothing is read or run."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmark import backbones, datasets, fitting
from benchmark.data_spec import DataSpec
from benchmark.fingerprint import canonical
from benchmark.manifest import Manifest, coco_annotations
from benchmark.protocol import Protocol, fill, flatten, protocol_of, replace_type
from benchmark.task import Task
from pretrain.errors import UsageError, unknown

APART = ("padding",)
"""Traits of a backbone whose numbers are not ranked with those of others: its maps are shifted against theirs.

What else it has (layer scales, registers, the eps of its norms) belongs to its network, as its architecture does.
"""
COMPARABLE = ["model", "train_pipeline", "test_pipeline", "optimizer", "schedule", "evaluator", "test_batch_size"]
OPTIONAL = ["paramwise"]  # blocks that not every task has
_START_METHOD = "fork" if sys.platform == "linux" else "spawn"  # of a loader's workers; macOS's threads do not fork


@dataclass(frozen=True)
class Setting:
    """What a run adds to its task and backbone.

    Attributes:
        mode: "finetune", "frozen" or "linear".
        seed: The fine-tuning seed.
        precision: "float32" or "bfloat16", as this machine computes it.
        world_size: Processes that train together.
        workers: Loader processes of each of them.
        work_dir: Where the run keeps its log.
        overrides: Dotted name in the protocol -> new value.
        skip: Training images to leave out.
    """

    mode: str
    seed: int
    precision: str
    world_size: int
    workers: int
    work_dir: Path
    overrides: Mapping[str, Any]
    skip: tuple[Path, ...] = ()


@dataclass(frozen=True)
class Composed:
    """A run that is ready to be built.

    Attributes:
        config: The mmengine config, as plain data.
        fingerprint: What makes numbers comparable, free of architecture, paths, workers and device.
        places: Where the protocol puts the trunk's tensors.
        image_size: Height and width of the training crops in pixels, where the protocol cuts all to one size.
        notes: What the architecture cannot do as the protocol asks, a sentence each.
        iterations: Training steps.
        batch_size: Training images a step, over all processes.
        precise_bn: Steps over which norm statistics are averaged anew after training; 0 leaves them.
    """

    config: dict[str, Any]
    fingerprint: dict[str, Any]
    places: dict[str, str]
    image_size: tuple[int, int] | None
    notes: list[str]
    iterations: int
    batch_size: int
    precise_bn: int


def compose(
    task: Task,
    arch: str,
    spec: DataSpec,
    found: Manifest,
    setting: Setting,
    *,
    mean: tuple[float, ...],
    std: tuple[float, ...],
    channel_order: str,
    traits: Mapping[str, Any] | None = None,
) -> Composed:
    """Compose one run.

    Args:
        task: The protocol.
        arch: The backbone's architecture.
        spec: The data root.
        found: The task's data set, checked.
        setting: Mode, seed and surroundings.
        mean: The checkpoint's input mean, in 0..255, in its channel order.
        std: The checkpoint's input standard deviation, likewise.
        channel_order: "RGB" or "BGR".
        traits: What the backbone is built with beyond its architecture.

    Raises:
        UsageError: Mode, override or architecture do not fit the task.
    """
    protocol = protocol_of(task, setting.mode, setting.overrides)
    values = {
        **protocol.pop("values"),
        "classes": len(found.classes),
        "max_depth": spec.section(found.data).get("max_depth"),
    }
    protocol = fill(protocol, values, task.name, partly=True)
    if setting.world_size == 1:
        protocol = replace_type(protocol, "SyncBN", "BN")
    fingerprint = _fingerprint(protocol, values, found, setting)
    apart = {name: value for name, value in (traits or {}).items() if name in APART}
    if apart:
        fingerprint |= canonical(dict(flatten({"backbone": apart}, "")))

    family = backbones.family(arch)
    fitting.check(task, arch, protocol)
    protocol = fill(protocol, fitting.values(arch), task.name, partly=False)
    schedule = protocol["schedule"]
    fitting.check_shared(task, protocol, setting.world_size)
    model = protocol["model"]
    size, notes = model["data_preprocessor"].get("size"), fitting.notes(arch, model["backbone"])
    model["backbone"] = family.config(arch, size=size, **(traits or {}), **model["backbone"])
    if "shared_head" in model.get("roi_head", {}):  # the trunk's last stage
        model["roi_head"]["shared_head"].update(traits or {})
    model["data_preprocessor"].update(mean=list(mean), std=list(std), bgr_to_rgb=channel_order == "RGB")
    frozen = setting.mode != "finetune"
    config = {
        "default_scope": "mmdet" if task.kind == "detection" else "mmseg",
        "work_dir": str(setting.work_dir),
        "model": {
            "type": "prepared",
            "model": model,
            "places": protocol["trunk"],
            "frozen": frozen,
        },
        "train_dataloader": _train_loader(spec, found, protocol, setting),
        "test_dataloader": _test_loader(spec, found, protocol, setting, values.get("max_test_images")),
        "train_cfg": {
            "type": "IterBasedTrainLoop",
            "max_iters": schedule["iterations"],
            "val_interval": schedule["iterations"] + 1,
        },
        "test_cfg": {"type": "TestLoop"},
        "test_evaluator": _evaluator(protocol["evaluator"], spec, found),
        "optim_wrapper": {
            "type": "AutocastOptimWrapper",
            "precision": setting.precision,
            "optimizer": protocol["optimizer"],
            **({"paramwise_cfg": protocol["paramwise"]} if "paramwise" in protocol else {}),
        },
        "param_scheduler": param_schedulers(schedule),
        **_surroundings(setting.seed),
    }
    return Composed(
        config,
        fingerprint,
        protocol["trunk"],
        size,
        notes,
        iterations=schedule["iterations"],
        batch_size=schedule["batch_size"],
        precise_bn=protocol["benchmark"]["precise_bn"],
    )


def param_schedulers(schedule: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return mmengine's schedulers, in iterations, for a protocol's `schedule`."""
    iterations, begin = schedule["iterations"], schedule.get("warmup", 0)
    schedulers: list[dict[str, Any]] = []
    if begin:
        schedulers.append(
            {
                "type": "LinearLR",
                "start_factor": schedule["warmup_factor"],
                "by_epoch": False,
                "begin": 0,
                "end": begin,
            }
        )
    if schedule["policy"] == "step":
        schedulers.append(
            {
                "type": "MultiStepLR",
                "milestones": schedule["milestones"],
                "gamma": schedule["gamma"],
                "by_epoch": False,
            }
        )
    elif schedule["policy"] == "poly":
        schedulers.append(
            {
                "type": "PolyLR",
                "power": schedule["power"],
                "eta_min": schedule["min_lr"],
                "by_epoch": False,
                "begin": begin,
                "end": iterations,
            }
        )
    elif schedule["policy"] != "constant":
        raise unknown("schedule policy", schedule["policy"], ("step", "poly", "constant"))
    return schedulers


def _train_loader(spec: DataSpec, found: Manifest, protocol: Protocol, setting: Setting) -> dict[str, Any]:
    batch = protocol["schedule"]["batch_size"] // setting.world_size
    dataset = datasets.config(spec, found, "train", protocol["train_pipeline"])
    return {
        "batch_size": batch,
        "num_workers": setting.workers,
        "persistent_workers": setting.workers > 0,
        "drop_last": True,
        "sampler": {"type": "KeyedSampler", "batch_size": batch, "seed": setting.seed},
        "dataset": {
            "type": "KeyedDataset",
            "dataset": dataset,
            "seed": setting.seed,
            "skip": [str(path) for path in setting.skip],
        },
        "worker_init_fn": {"type": "quiet_worker"},
    }


def _test_loader(
    spec: DataSpec, found: Manifest, protocol: Protocol, setting: Setting, limit: int | None
) -> dict[str, Any]:
    dataset = datasets.config(spec, found, "test", protocol["test_pipeline"])
    if limit is not None:
        if "datasets" in dataset:
            raise UsageError("max_test_images needs a test split of one list.")
        dataset["indices"] = min(limit, len(found.test.images))
    return {
        "batch_size": protocol["test_batch_size"],
        "num_workers": setting.workers,
        "sampler": {"type": "DefaultSampler", "shuffle": False},
        "dataset": dataset,
        "worker_init_fn": {"type": "quiet_worker"},
    }


def _evaluator(evaluator: dict[str, Any], spec: DataSpec, found: Manifest) -> dict[str, Any]:
    if evaluator["type"] == "CocoAP":
        path = coco_annotations(spec.root, spec.section(found.data)["test"])
        return {**evaluator, "ann_file": str(path), "classes": list(found.classes)}
    if evaluator["type"] == "VocAP":
        return {**evaluator, "classes": list(found.classes)}
    return evaluator


def _surroundings(seed: int) -> dict[str, Any]:
    return {
        "custom_hooks": [{"type": "KeyedStepHook", "seed": seed}],
        "default_hooks": {
            "logger": {"type": "LoggerHook", "interval": 10, "log_metric_by_epoch": False},
            "checkpoint": None,
            "sampler_seed": None,
        },
        "log_processor": {"by_epoch": False},
        "visualizer": {
            "type": "Visualizer",
            "vis_backends": [{"type": "LocalVisBackend"}, {"type": "TensorboardVisBackend"}],
        },
        "randomness": {"seed": seed},
        "env_cfg": {"mp_cfg": {"mp_start_method": _START_METHOD, "opencv_num_threads": 0}},
    }


def _fingerprint(protocol: Protocol, values: dict[str, Any], found: Manifest, setting: Setting) -> dict[str, Any]:
    """Flatten what makes numbers comparable to {dotted name: value}."""
    content = {block: protocol[block] for block in (*COMPARABLE, *(block for block in OPTIONAL if block in protocol))}
    content["precise_bn"] = protocol["benchmark"]["precise_bn"]
    content["max_test_images"] = values.get("max_test_images")
    content["mode"] = setting.mode
    content["precision"] = setting.precision
    content["batch_per_process"] = protocol["schedule"]["batch_size"] / setting.world_size
    summary = found.summary()
    content["data"] = {key: summary[key] for key in ("data", "classes", "train", "test")}
    if setting.skip:
        content["data"]["left_out"] = sorted(path.name for path in setting.skip)
    flat: dict[str, Any] = canonical(dict(flatten(content, "")))
    return flat
