"""Run tasks on a checkpoint: certify, compose, fine-tune, evaluate, record. A record that exists is not run again."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmark import beforehand, compose, convert, data_spec, manifest, protocol, task
from benchmark.convert import Backbone
from benchmark.data_check import unreadable
from benchmark.quiet import quiet
from benchmark.request import Event, Request
from benchmark.result import CHANGED, Key, Record, exists, fingerprint, read, write
from pretrain import provenance
from pretrain.claim import claim
from pretrain.engine import precision as precisions
from pretrain.engine.launch import is_main_process, world_size
from pretrain.errors import DensebenchError, UsageError

COUNTED = ("evaluated_classes",)  # what an evaluator tells of the data, beside its metrics
CALIBRATION_IMAGES = 200
"""Training images, at most, that set the norm statistics of a frozen random trunk."""


def run_tasks(
    tasks: Sequence[str],
    checkpoint: str,
    seeds: Sequence[int],
    request: Request,
    on_event: Callable[[Event], None] | None = None,
) -> list[Record]:
    """Fine-tune a checkpoint on tasks, once a seed, and return the records in that order.

    Args:
        tasks: Names of tasks.
        checkpoint: A file, or "random" for the control row.
        seeds: Fine-tuning seeds; for "random" each is the seed of the initialisation as well.
        request: Everything else.
        on_event: Called as the work goes on; a progress bar shows when it is None.

    Raises:
        UsageError: A name is unknown, or options do not fit together.
        DensebenchError: The checkpoint is not certified, the data is incomplete, or a run failed.
    """
    chosen = beforehand.check(tasks, checkpoint, request, world_size())
    spec = data_spec.read(request.data_root, request.data_spec)
    backbones = _Backbones(checkpoint, request)
    found = {data: manifest.read(spec, data) for data in dict.fromkeys(one.data for one in chosen)}
    records = []
    for one in chosen:
        skip = tuple(unreadable(found[one.data].train.images)) if request.skip_unreadable else ()
        for seed in seeds:
            backbone = backbones(one, seed)
            run = _Run(one, found[one.data], spec, backbone, seed, checkpoint, request, skip)
            records.append(run.record(on_event))
    return records


class _Backbones:
    """A checkpoint's backbones: a file is certified once for each target, "random" is drawn anew for each seed."""

    def __init__(self, checkpoint: str, request: Request) -> None:
        self._checkpoint = checkpoint
        self._request = request
        self._known: dict[convert.Target, Backbone] = {}

    def __call__(self, one: task.Task, seed: int) -> Backbone:
        """Return the certified backbone for a task and a fine-tuning seed."""
        target: convert.Target = "mmdet" if one.kind == "detection" else "mmseg"
        if self._checkpoint == "random":
            assert self._request.arch is not None  # see `beforehand`
            return convert.random_init(self._request.arch, seed, to=target)
        if target not in self._known:
            self._known[target] = self._certified(target)
        return self._known[target]

    def _certified(self, target: convert.Target) -> Backbone:
        asked = self._request
        backbone = convert.convert(
            Path(self._checkpoint),
            to=target,
            arch=asked.arch,
            allow_untrained=asked.allow_untrained,
            format=asked.format,
            trunk=asked.trunk,
            inputs=asked.inputs,
        )
        if backbone.meta and asked.stated:
            raise UsageError(
                f"{self._checkpoint} says itself how it was pretrained.",
                f"Leave out {beforehand.options(asked.stated)}.",
            )
        return convert.require(backbone)


def work_folder(out: Path, key: Key, inputs: Mapping[str, Any]) -> Path:
    """Return where a run works; another input normalisation must not go on from its training state.

    Args:
        out: See `Request`.
        key: The record's key.
        inputs: The input normalisation.
    """
    return out / "work" / f"{key.path(out).stem}_{fingerprint(inputs)}"


@dataclass(frozen=True)
class _Run:
    """One task, one backbone, one seed."""

    task: task.Task
    found: manifest.Manifest
    spec: data_spec.DataSpec
    backbone: Backbone
    seed: int
    checkpoint: str
    request: Request
    skip: tuple[Path, ...]

    def record(self, on_event: Callable[[Event], None] | None) -> Record:
        """Return the record: the one that exists, or that of a new run."""
        settings = protocol.protocol_of(self.task, self.request.mode, self.request.changed)
        precision = precisions.choose(settings["precision"])
        composed = self._compose(precision, Path("unknown"))
        weights = self.backbone.certificate.digest
        key = Key(weights, fingerprint(composed.fingerprint), self.seed)
        records = self.request.out / "records"
        tell = on_event or (lambda event: None)
        if known := self._known(key, records, tell):
            return known
        with claim(key.path(records)) if is_main_process() else nullcontext():
            if known := self._known(key, records, tell):  # written while the claim was another's
                return known
            folder = work_folder(self.request.out, key, self._input)
            tell(Event("started", self.task.name, self.seed, steps=composed.iterations))
            begin = time.monotonic()
            measured = self._finetune(self._compose(precision, folder), folder, on_event)
            result = self._result(composed, measured, precision, time.monotonic() - begin)
            if is_main_process():
                from benchmark.finetune import forget

                write(result, records, replace=self.request.force)
                forget(folder)
        tell(Event("recorded", self.task.name, self.seed, composed.iterations, composed.iterations, result))
        return result

    def _known(self, key: Key, records: Path, tell: Callable[[Event], None]) -> Record | None:
        """Return the record of this key, unless there is none or it is to be redone.

        Raises:
            DensebenchError: It is of the same tensors with another input normalisation, which gives other numbers, or
                says something else of their pretraining than is stated.
        """
        if self.request.force or not exists(key, records):
            return None
        path = key.path(records)
        known = read(path)
        if known.pretraining.get("input", self._input) != self._input:
            raise DensebenchError(
                f"{path} was measured with the input normalisation {known.pretraining['input']}, "
                f"but the checkpoint states {self._input}.",
                "Use --force to measure it anew.",
            )
        said = {**known.pretraining, "method": known.method}
        for name, value in self.request.stated.items():
            if said.get(name) != value:
                raise DensebenchError(
                    f"{path} says of its pretraining {name} {said.get(name)}, not {value} as is stated now.",
                    "Use --force to measure it anew.",
                )
        tell(Event("found", self.task.name, self.seed, record=known))
        return known

    @property
    def _input(self) -> dict[str, Any]:
        backbone = self.backbone
        return {"mean": list(backbone.mean), "std": list(backbone.std), "channel_order": backbone.channel_order}

    def _compose(self, precision: str, folder: Path) -> compose.Composed:
        setting = compose.Setting(
            mode=self.request.mode,
            seed=self.seed,
            precision=precision,
            world_size=world_size(),
            workers=self.request.workers,
            work_dir=folder,
            overrides=self.request.overrides or {},
            skip=self.skip,
        )
        return compose.compose(
            self.task,
            self.backbone.arch,
            self.spec,
            self.found,
            setting,
            mean=self.backbone.mean,
            std=self.backbone.std,
            channel_order=self.backbone.channel_order,
            traits=self.backbone.traits,
        )

    def _finetune(
        self, composed: compose.Composed, folder: Path, on_event: Callable[[Event], None] | None
    ) -> dict[str, float]:
        with quiet():
            from benchmark.finetune import Job, finetune

        def on_step(step: int, steps: int) -> None:
            if on_event is not None:
                on_event(Event("step", self.task.name, self.seed, step, steps))

        job = Job(
            title=self._title,
            composed=composed,
            backbone=self._fitted(composed),
            frozen=self.request.mode != "finetune",
            calibrate=CALIBRATION_IMAGES if self._calibrated else 0,
            folder=folder,
            keep_model=self.request.keep_model,
        )
        return finetune(job, on_step if on_event is not None else None)

    def _fitted(self, composed: compose.Composed) -> Backbone:
        """Return the backbone with its position embeddings at the task's size."""
        return convert.at_size(self.backbone, composed.image_size)

    @property
    def _is_random(self) -> bool:
        return self.checkpoint == "random"

    @property
    def _calibrated(self) -> bool:
        has_statistics = any(name.endswith("running_mean") for name in self.backbone.state)
        return self._is_random and self.request.mode != "finetune" and has_statistics

    @property
    def _title(self) -> str:
        return f"{self.task.name}, {self._name}, seed {self.seed}"

    @property
    def _name(self) -> str:
        return self.request.name or str(self._meta.get("method", Path(self.checkpoint).stem))

    @property
    def _meta(self) -> dict[str, Any]:
        """What is known of the pretraining: what the file says, or else what the user states."""
        stated = {**self.request.stated, "stated": True} if self.request.stated else {}
        return {**self.backbone.meta, **stated}

    def _result(self, composed: compose.Composed, measured: dict[str, float], precision: str, seconds: float) -> Record:
        from benchmark.finetune import reported

        meta = self._meta
        described = {metric.key: metric for metric in self.task.metrics}
        return Record(
            weights=self.backbone.certificate.digest,
            method="random" if self._is_random else str(meta.get("method", self._name)),
            name=self._name,
            arch=self.backbone.arch,
            checkpoint="random" if self._is_random else Path(self.checkpoint).name,
            certificate=self._fitted(composed).certificate.to_dict(),
            task=self.task.name,
            mode=self.request.mode,
            fingerprint_dict=composed.fingerprint,
            seed=self.seed,
            pretrain_seed=None if self._is_random else meta.get("seed"),
            metrics=reported(measured, [metric.key for metric in self.task.metrics], self._title),
            directions={key: metric.better for key, metric in described.items()},
            headline=self.task.metrics[0].key,
            metric_info={key: {"label": m.label, "scale": m.scale} for key, m in described.items()},
            pretraining={
                **{key: meta[key] for key in ("recipe", "data", "images", "epochs", "stated") if key in meta},
                "input": self._input,
            },
            partial=self.found.partial or bool(self.skip),
            notes=list(self._notes(composed)),
            world_size=world_size(),
            precision=precision,
            wall_time_s=seconds,
            device=provenance.device(),
            versions=provenance.versions(),
            commit=provenance.commit(),
            data={**self.found.summary(), **{key: int(measured[key]) for key in COUNTED if key in measured}},
        )

    def _notes(self, composed: compose.Composed) -> Iterator[str]:
        if world_size() == 1 and "SyncBN" in str(self.task.protocol["model"]):
            yield "SyncBN became BN: one process trained."
        changes = protocol.changes(self.task, self.request.mode, self.request.changed)
        yield from (f"{CHANGED}{name} was set to {value}." for name, value in changes.items())
        if self.skip:
            yield f"{len(self.skip)} unreadable training images were left out."
        yield from composed.notes
        if self._calibrated:
            yield f"The random trunk's norm statistics were set on at most {CALIBRATION_IMAGES} training images."
