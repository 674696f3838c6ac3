"""Statistics of batch norms, averaged over passes of training images while the weights stand still."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

import numpy as np
import torch
from mmengine import dist
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from pretrain.engine.sampling import seed_globals
from pretrain.engine.state import unwrapped


def trunk_modules(model: nn.Module, places: Mapping[str, str]) -> list[nn.Module]:
    """Return the modules that the trunk fills."""
    return [model.get_submodule(prefix.rstrip(".")) for prefix in places.values()]


def calibrate(runner: Any, places: Mapping[str, str], images: int) -> None:
    """Set the trunk's statistics, where it has any, and nothing else's.

    Args:
        runner: A Runner whose model has `backbone` and `data_preprocessor`.
        places: Where the trunk stands; see `benchmark.heads.trunk.load_trunk`. A stage outside of the backbone sees the
            regions that it is trained with.
        images: Of how many training images, at most; one pass is never exceeded.
    """
    model = unwrapped(runner.model)
    norms = [norm for module in trunk_modules(model, places) for norm in _norms(module)]
    model.eval()
    loader = runner.train_dataloader
    inside = all(place.startswith("backbone.") for place in places.values())
    _average(norms, feature_maps(model, loader, images) if inside else _losses(runner, _of_one_pass(loader, images)))
    for norm in norms:
        if norm.num_batches_tracked is not None:
            norm.num_batches_tracked.zero_()


def precise(runner: Any, places: Mapping[str, str], iterations: int, *, frozen: bool) -> None:
    """Average all norms' statistics over training steps that change no weight (detectron2's PreciseBN).

    The steps are those of training, so that a box head sees the regions that it was trained with. They are the
    first ones of the run, whatever it was resumed at.

    Args:
        runner: The Runner, after training.
        places: See `calibrate`.
        iterations: How many steps.
        frozen: The trunk's norms keep theirs.
    """
    model = unwrapped(runner.model)
    model.train()
    for module in trunk_modules(model, places) if frozen else []:
        module.eval()
    _average([norm for norm in _norms(model) if norm.training], _losses(runner, iterations))


def feature_maps(model: Any, loader: Any, images: int) -> Iterator[tuple[Tensor, ...]]:
    """Yield the backbone's feature maps for batches of at most `images` training images, one pass at most."""
    for batch in _batches(loader, _of_one_pass(loader, images)):
        yield model.backbone(model.data_preprocessor(batch, True)["inputs"])


def _of_one_pass(loader: Any, images: int) -> int:
    """Return how many batches hold so many images, or all that there are; at least one."""
    return max(1, min(images, len(loader.dataset)) // int(loader.batch_size))


def _losses(runner: Any, batches: int) -> Iterator[None]:
    """Take the forward half of training steps, each of which draws what a step of the run draws."""
    model = unwrapped(runner.model)
    with runner.optim_wrapper.optim_context(runner.model):
        for step, batch in enumerate(_batches(runner.train_dataloader, batches)):
            seed_globals(np.random.default_rng([runner.seed, step, runner.rank, 2]))
            model(**model.data_preprocessor(batch, True), mode="loss")
            yield


def _batches(loader: Any, count: int) -> Iterator[Any]:
    """Yield the first batches of the training stream, from its beginning on."""
    loader.sampler.skip(0)
    with torch.no_grad():
        yield from islice(iter(loader), count)


def _norms(module: nn.Module) -> list[_BatchNorm]:
    return [norm for norm in module.modules() if isinstance(norm, _BatchNorm)]


def _average(norms: Sequence[_BatchNorm], passes: Iterator[Any]) -> None:
    """Set the norms' running statistics to the plain average over the passes, and over the processes."""
    if not norms:
        return
    modes = [(norm.momentum, norm.training) for norm in norms]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # a cumulative average
        norm.train()
    for _ in passes:
        pass
    for norm, (momentum, training) in zip(norms, modes, strict=True):
        norm.momentum = momentum
        norm.train(training)
        for statistic in (norm.running_mean, norm.running_var):
            dist.all_reduce(statistic, "mean")
