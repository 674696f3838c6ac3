"""Keyed randomness: what a sample looks like depends on (seed, draw, index) and on nothing else.

A resumed run, another number of workers and another number of ranks therefore see the same data.
"""

from __future__ import annotations

import contextlib
import io
import random
from collections.abc import Collection, Iterator, Sequence, Sized
from itertools import count
from typing import Any

import numpy as np
import torch
from mmengine.dist import get_dist_info
from mmengine.hooks import Hook
from mmengine.registry import DATA_SAMPLERS, DATASETS, HOOKS
from torch.utils.data import Sampler


class Draw(int):
    """A sample's index that also knows how often the data was passed over before (`draw`)."""

    draw: int

    def __new__(cls, index: int, draw: int = 0) -> Draw:
        """Return `index` as its `draw`-th draw."""
        self = super().__new__(cls, index)
        self.draw = draw
        return self

    def __reduce__(self) -> tuple[type[Draw], tuple[int, int]]:
        return Draw, (int(self), self.draw)


def generator(seed: int, index: int) -> np.random.Generator:
    """Return the sample's own generator, keyed by (seed, draw, index).

    Args:
        seed: The run's seed.
        index: The sample's index; a plain int counts as its first draw.
    """
    return np.random.default_rng([seed, getattr(index, "draw", 0), int(index)])


def seed_globals(generator: np.random.Generator) -> None:
    """Seed Python's, NumPy's and torch's global generators from `generator`."""
    words = generator.integers(0, 2**32, size=3, dtype=np.uint64)
    random.seed(int(words[0]))
    np.random.seed(int(words[1]))
    torch.manual_seed(int(words[2]))


@DATA_SAMPLERS.register_module()
class KeyedSampler(Sampler[Draw]):
    """Endless shuffled passes over the data, the same global batches for any number of ranks.

    Position p of the stream is sample `permutation_e[p % N]` of pass e = p // N. Step t takes the positions
    [t B, (t + 1) B) of the global batch B, and rank r of W its r-th slice of B / W.

    Args:
        dataset: The data; only its length N is used.
        batch_size: Samples a rank takes in one step.
        seed: The run's seed.
    """

    def __init__(self, dataset: Sized, batch_size: int, seed: int) -> None:
        self.size = len(dataset)
        self.batch_size = batch_size
        self.seed = seed
        self.rank, self.world_size = get_dist_info()
        self.first_step = 0

    def __iter__(self) -> Iterator[Draw]:
        draw, order = -1, np.empty(0, dtype=np.int64)
        for step in count(self.first_step):
            start = (step * self.world_size + self.rank) * self.batch_size
            for position in range(start, start + self.batch_size):
                if position // self.size != draw:
                    draw = position // self.size
                    order = np.random.default_rng([self.seed, draw]).permutation(self.size)
                yield Draw(int(order[position % self.size]), draw)

    def __len__(self) -> int:
        return self.size

    def skip(self, samples: int) -> None:
        """Begin after `samples` samples of this rank; no data is read for it."""
        self.first_step = samples // self.batch_size


@DATASETS.register_module()
class KeyedDataset(torch.utils.data.Dataset[Any]):
    """Wrap a data set of mmdet or mmseg so that its pipeline draws from the sample's own generator.

    Args:
        dataset: The wrapped data set, or its config.
        seed: The run's seed.
        skip: Paths of images to leave out.
    """

    def __init__(self, dataset: Any, seed: int, skip: Collection[str] = ()) -> None:
        with contextlib.redirect_stdout(io.StringIO()):  # pycocotools reports its reading
            self.dataset = DATASETS.build(dataset) if isinstance(dataset, dict) else dataset
        self.seed = seed
        everything = range(len(self.dataset))
        self.kept: Sequence[int] = everything
        if skip:
            self.kept = [k for k in everything if self.dataset.get_data_info(k)["img_path"] not in skip]

    @property
    def metainfo(self) -> Any:
        """The wrapped data set's metainfo; a list of them where it joins different sets."""
        return self.dataset.metainfo

    def full_init(self) -> None:
        """Read the wrapped data set's annotations."""
        self.dataset.full_init()

    def __len__(self) -> int:
        return len(self.kept)

    def __getitem__(self, index: int) -> Any:
        seed_globals(generator(self.seed, index))
        return self.dataset[self.kept[int(index)]]


@HOOKS.register_module()
class KeyedStepHook(Hook):
    """Seed the main process anew for every iteration, keyed by (seed, iteration, rank).

    What a step draws (dropout, sampled boxes, random matches) is then the same after a resume, and no
    generator's state has to be saved.
    """

    priority = "VERY_HIGH"

    def __init__(self, seed: int) -> None:
        self.seed = seed

    def before_train_iter(self, runner: Any, batch_idx: int, data_batch: Any = None) -> None:
        """Seed the step."""
        seed_globals(np.random.default_rng([self.seed, runner.iter, runner.rank, 1]))
