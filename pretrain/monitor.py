"""What a pretraining run watches itself for: collapse, and images that cannot be read."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from mmengine.dist import all_gather_object
from mmengine.hooks import Hook

from pretrain.data.images import Images
from pretrain.files import replacing
from pretrain.learner import learner_of
from pretrain.modules.collapse import effective_rank, feature_std


class CollapseHook(Hook):
    """Log the spread of the backbone's mean features; warn once when they hardly differ between images.

    Args:
        interval: Look every so many steps.
        smallest_std: Warn below this `feature_std` (1: features spread over the whole sphere).
        smallest_rank: Warn below this `effective_rank`.
    """

    def __init__(self, interval: int, smallest_std: float = 0.02, smallest_rank: float = 2.0) -> None:
        self.interval = interval
        self.smallest_std = smallest_std
        self.smallest_rank = smallest_rank
        self._warned = False

    def after_train_iter(self, runner: Any, batch_idx: int, data_batch: Any = None, outputs: Any = None) -> None:
        """Look at the features of the step's images, and log what was found."""
        if (runner.iter + 1) % self.interval or runner.rank != 0:
            return
        learner = learner_of(runner)
        features = learner.method.features(learner.data_preprocessor(data_batch, training=False)["views"])  # (B, C)
        std, rank = feature_std(features), effective_rank(features)
        runner.message_hub.update_scalar("train/feature_std", std)
        runner.message_hub.update_scalar("train/effective_rank", rank)
        if not self._warned and (std < self.smallest_std or rank < self.smallest_rank):
            self._warned = True
            warn(
                runner,
                f"the features have collapsed after {runner.iter + 1} steps: std {std:.4f} of 1, along {rank:.1f}"
                " directions (effective rank); a lower learning rate or a larger queue may help.",
            )


class NoteHook(Hook):
    """Write a sentence into the log when training starts.

    Args:
        sentence: The sentence.
    """

    def __init__(self, sentence: str) -> None:
        self.sentence = sentence

    def before_train(self, runner: Any) -> None:
        """Write it."""
        runner.logger.info(self.sentence)


class UnreadableHook(Hook):
    """Say which images were skipped because they cannot be read, in the log and in a file.

    Args:
        images: The images, which remember what they skipped.
        file: Gets one path a line; holds those of earlier sessions of this run as well.
        interval: Look every so many steps.
    """

    def __init__(self, images: Images, file: Path, interval: int) -> None:
        self.images = images
        self.file = file
        self.interval = interval
        self._known = set(file.read_text(encoding="utf-8").splitlines()) if file.is_file() else set()

    @property
    def count(self) -> int:
        """How many images were skipped so far."""
        return len(self._known)

    def after_train_iter(self, runner: Any, batch_idx: int, data_batch: Any = None, outputs: Any = None) -> None:
        """Name the images that were skipped since the last look."""
        if not self.is_due(runner):
            return
        found = all_gather_object([str(path) for path in self.images.skipped()])  # every rank skips its own
        new = set().union(*found) - self._known
        self._known |= new
        if new and runner.rank == 0:
            with replacing(self.file) as temporary:
                temporary.write_text("".join(f"{path}\n" for path in sorted(self._known)), encoding="utf-8")
            warn(
                runner,
                f"{len(new)} unreadable images were skipped, such as {min(new)}; all are in {self.file}.",
            )

    def is_due(self, runner: Any) -> bool:
        """Tell whether this step, counted from 1, is one to look at; the last one always is."""
        done, last = int(runner.iter) + 1, int(runner.max_iters)
        return done % self.interval == 0 or done == last


def warn(runner: Any, sentence: str) -> None:
    """Write a warning into the log and on the screen."""
    runner.logger.warning(sentence)
    print(f"Warning: {sentence}", file=sys.stderr)
