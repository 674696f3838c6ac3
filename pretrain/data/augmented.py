"""Images and an augmentation, joined for a loader."""

from __future__ import annotations

from torch.utils.data import DataLoader, Dataset

from pretrain.data.images import Images
from pretrain.engine.launch import quiet_worker
from pretrain.engine.sampling import KeyedSampler, generator
from pretrain.method import Augment, Collate, Views


class Augmented(Dataset[Views]):
    """The views of every image; their randomness is keyed by (seed, draw, index).

    Args:
        images: Where samples are read.
        augment: What makes views of a sample.
        seed: The run's seed.
    """

    def __init__(self, images: Images, augment: Augment, seed: int) -> None:
        self.images = images
        self.augment = augment
        self.seed = seed

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> Views:
        return self.augment(self.images[int(index)], generator(self.seed, index))


def loader(
    dataset: Augmented,
    collate: Collate,
    batch_size: int,
    workers: int,
    pin_memory: bool,
) -> DataLoader[Views]:
    """Return an endless loader of batches, the same ones for any number of workers and ranks.

    Args:
        dataset: The augmented images.
        collate: Joins samples' views.
        batch_size: Samples of this rank in one step.
        workers: Processes that read; 0 reads in this one.
        pin_memory: Prepare batches for a copy to the GPU.
    """
    return DataLoader(
        dataset,
        batch_size=batch_size,
        sampler=KeyedSampler(dataset, batch_size, dataset.seed),
        num_workers=workers,
        collate_fn=collate,
        pin_memory=pin_memory,
        persistent_workers=workers > 0,  # so that `end_workers` finds them
        worker_init_fn=quiet_worker,
    )
