"""Pretrain: images and a recipe in, a backbone checkpoint out."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import torch
from mmengine.hooks import Hook
from mmengine.runner import Runner
from timm.layers.norm_act import convert_sync_batchnorm

from pretrain import backbones, checkpoint, methods, provenance
from pretrain.claim import claim
from pretrain.data.augmented import Augmented, loader
from pretrain.data.images import Images, Source, find
from pretrain.engine import launch
from pretrain.engine.guard import FiniteLossHook, require_finite
from pretrain.engine.precision import choose
from pretrain.engine.progress import ProgressHook
from pretrain.engine.sampling import KeyedStepHook, seed_globals
from pretrain.engine.state import StateHook
from pretrain.errors import DensebenchError, UsageError, unknown
from pretrain.learner import Learner, StepHook
from pretrain.masks.store import Store
from pretrain.method import Augment, Method
from pretrain.monitor import CollapseHook, NoteHook, UnreadableHook
from pretrain.recipe import Recipe, keywords_of
from pretrain.schedule import optimizer, schedules
from pretrain.settings import Settings
from pretrain.snapshot import CHECKPOINT
from pretrain.views.batched import uncoloured
from pretrain.views.normalise import MEAN, STD

STATE = "state.pth"
UNREADABLE = "unreadable.txt"
LOG_INTERVAL = 20  # steps between lines of the log
LOOK_INTERVAL = 100  # steps between looks for a collapse


def pretrain(
    method: str,
    arch: str,
    images: str | Path,
    recipe: str,
    out: str | Path,
    *,
    overrides: Mapping[str, str] | None = None,
    seed: int = 0,
    workers: int = 2,
    skip_unreadable: bool = False,
    regions: str | Path | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Path:
    """Pretrain a backbone and return its checkpoint; the same call again resumes, or returns at once.

    Args:
        method: A name of `methods.names()`.
        arch: A name of `backbones.names()`.
        images: An image folder, a list file or a data root, or several joined by ':' (see
            `data.images.find`).
        recipe: One of the method's recipes.
        out: The folder for checkpoint, training state, log and TensorBoard's events.
        overrides: The recipe's fields and the method's keywords as typed after `--set`.
        seed: The seed of weights, order and augmentation.
        workers: Processes that read images; they do not change the result.
        skip_unreadable: Skip images that cannot be read, and count them, instead of stopping.
        regions: The file of the images' regions (see `pretrain.masks`), for a method that reads them.
        progress: Called with the steps done and their total; the progress bar is then not shown.

    Returns:
        OUT/checkpoint.safetensors.

    Raises:
        UsageError: A name or a setting does not exist, a setting is out of its range, the method does not train the
            architecture's family, or `out` holds another run.
        DensebenchError: The images cannot be used, training diverged, it was interrupted, or another process
            works in `out`.
    """
    out = Path(out)
    kind = methods.load(method)
    if recipe not in kind.recipes:
        raise unknown("recipe", recipe, kind.recipes)
    chosen = kind.recipes[recipe].with_overrides(overrides or {}, kind)
    source = find(str(images)) if chosen.trains else Source("none", ())
    store = _regions(kind, regions, source) if chosen.trains else None
    settings = Settings(
        method,
        arch,
        recipe,
        chosen,
        source.name,
        len(source.paths),
        seed,
        dict(overrides or {}),
        "" if store is None else json.dumps(store.settings, sort_keys=True),
    )

    if chosen.trains and not settings.steps:
        raise UsageError(
            f"{chosen.epochs:g} epochs of {settings.images} images are no step of {chosen.batch_size} images.",
            "Set more epochs, or a smaller batch_size.",
        )
    backbone = backbones.build(arch, seed)
    if backbone.layout.family not in kind.families:
        raise UsageError(
            f"{method} trains the families {', '.join(kind.families)}; {arch} is a {backbone.layout.family}.",
            "Choose another --arch; `densebench ls archs` lists them.",
        )
    seed_globals(np.random.default_rng([seed]))
    model = kind(backbone, **kind.data_keywords(len(source.paths), source.labels), **chosen.method)
    augment = _augmentation(model, chosen) if chosen.trains else None
    file = out / CHECKPOINT
    with claim(file) if launch.is_main_process() else nullcontext():
        begun = file.is_file() or (out / STATE).is_file()
        if launch.is_main_process():
            settings.claim(out, begun=begun)
            if not begun:  # what another run left
                (out / UNREADABLE).unlink(missing_ok=True)
        if file.is_file():
            return file
        learner = Learner(model)
        pictures = Images(source, skip_unreadable, store)
        unreadable = UnreadableHook(pictures, out / UNREADABLE, LOG_INTERVAL)
        if augment is not None:
            progress_hook = ProgressHook(f"{method} {arch}", chosen.batch_size, quiet=progress is not None)
            hooks = [StepHook(progress), progress_hook, unreadable]
            hooks += [NoteHook(note) for note in _notes(kind, chosen, store, source)]
            _train(learner, Augmented(pictures, augment, seed), settings, out, workers, hooks)
        if launch.is_main_process():
            tensors = model.export().state_dict()
            require_finite(tensors)
            checkpoint.save(file, tensors, _meta(settings, learner, unreadable.count))
            (out / STATE).unlink(missing_ok=True)
    return file


def _regions(kind: type[Method], file: str | Path | None, source: Source) -> Store | None:
    """Open the images' regions for a method that reads them, and hold them to be complete."""
    name = kind.__module__.rpartition(".")[2]
    if not kind.reads_regions:
        if file is not None:
            raise UsageError(f"{name} reads no regions, but {file} was given.", "Leave --masks away.")
        return None
    if file is None:
        raise UsageError(
            f"{name} needs the images' regions.",
            "Make them with `densebench masks IMAGES --kind fh --out FILE`, and pass --masks FILE.",
        )
    store = Store(Path(file))
    missing = {store.key(path) for path in source.paths} - store.known()
    if missing:
        raise DensebenchError(
            f"{file} has no regions of {len(missing)} of the {len(source.paths)} images, such as {min(missing)}.",
            "Type the `densebench masks` command for these images; it completes the file.",
        )
    return store


def _notes(kind: type[Method], recipe: Recipe, store: Store | None, source: Source) -> list[str]:
    """Return what the log should say of this run before it starts."""
    notes = []
    if choose(recipe.precision) != recipe.precision:
        notes.append(f"Computed in float32: this machine would only emulate {recipe.precision}.")
    if store is not None:
        count = store.without(source.paths)
        notes.append(f"{count} of {len(source.paths)} images have no region: each counts as one region.")
    groups = {**keywords_of(kind), **recipe.method}.get("batch_norm_groups", 0)
    if groups * launch.world_size() == 1:
        notes.append(
            "Batch norm sees the whole batch at once and may give a query's key away (no ShuffleBN);"
            " batch_norm_groups=8 splits it as 8 devices do."
        )
    return notes


def _augmentation(model: Method, recipe: Recipe) -> Augment:
    """Return how the workers make views; refuse what cannot be trained by these processes."""
    ranks = launch.world_size()
    if recipe.batch_size % ranks:
        raise UsageError(
            f"A batch of {recipe.batch_size} images cannot be shared evenly by {ranks} processes.",
            "Set batch_size to a multiple of them.",
        )
    return uncoloured(model.views()) if recipe.device_colours else model.views()


def _train(
    learner: Learner, dataset: Augmented, settings: Settings, out: Path, workers: int, hooks: list[Hook]
) -> None:
    launcher, ranks = launch.join_process_group(), launch.world_size()
    recipe, on_gpu, state = settings.recipe, torch.cuda.is_available(), StateHook(str(out / STATE))
    if learner.method.norms_across_ranks and on_gpu and ranks > 1:
        convert_sync_batchnorm(learner)  # type: ignore[no-untyped-call]
    learner.to("cuda" if on_gpu else "cpu")
    learner.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    runner = Runner(
        model=learner,
        work_dir=str(out),
        train_dataloader=loader(dataset, learner.method.collate(), recipe.batch_size // ranks, workers, on_gpu),
        train_cfg={"by_epoch": False, "max_iters": settings.steps},
        optim_wrapper=optimizer(learner, recipe),
        param_scheduler=schedules(recipe, settings.steps, settings.images),
        default_hooks={
            "logger": {"type": "LoggerHook", "interval": LOG_INTERVAL},
            "checkpoint": None,
            "sampler_seed": None,
        },
        custom_hooks=[KeyedStepHook(settings.seed), FiniteLossHook(), CollapseHook(LOOK_INTERVAL), *hooks, state],
        launcher=launcher,
        log_processor={"by_epoch": False, "window_size": LOG_INTERVAL},
        log_level="ERROR",
        visualizer={
            "type": "Visualizer",
            "vis_backends": [{"type": "TensorboardVisBackend", "save_dir": str(out / "tensorboard")}],
        },
        randomness={"seed": settings.seed},
        experiment_name=f"pretrain_{time.monotonic_ns()}",
        cfg={} if on_gpu else {"model_wrapper_cfg": {"device_ids": None, "forward_sync_buffers": False}},
    )
    # The log goes to a file; the screen belongs to the progress bar.
    for handler in runner.logger.handlers:
        if isinstance(handler, logging.FileHandler):
            handler.setLevel(logging.INFO)
    try:
        launch.train(runner)
    except KeyboardInterrupt:
        kept = f"{state.saved} of {settings.steps} steps are kept in {out}" if state.saved else "nothing was saved yet"
        raise DensebenchError(f"Interrupted; {kept}.", "Type the same command again to continue.") from None
    launch.end_workers(runner.train_dataloader)


def _meta(settings: Settings, learner: Learner, skipped: int) -> checkpoint.Meta:
    note = f", {skipped} unreadable images skipped" if skipped else ""
    return checkpoint.Meta(
        arch=settings.arch,
        method=settings.method,
        recipe=settings.variant,
        data=settings.data + note,
        images=settings.images - skipped,
        epochs=settings.epochs,
        seed=settings.seed,
        mean=MEAN,
        std=STD,
        commit=provenance.commit(),
        versions=provenance.versions(),
        precision=choose(settings.recipe.precision),
        processes=launch.world_size(),
        device=provenance.device(),
        wall_time_s=float(learner.seconds),
    )
