"""Importing the mm* packages without the lines they print about optional parts, and without one such part."""

from __future__ import annotations

import contextlib
import importlib.metadata
import io
import sys
import warnings
from collections.abc import Iterator


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Hold back warnings and "Could not import OneDL..." in a block that imports mm* packages.

    Whatever else is printed in the block appears when it ends.
    """
    said = io.StringIO()
    try:
        with without_multimodal(), warnings.catch_warnings(), contextlib.redirect_stdout(said):
            warnings.simplefilter("ignore")
            yield
    finally:
        for line in said.getvalue().splitlines(keepends=True):
            if "Could not import OneDL" not in line:
                sys.stdout.write(line)


@contextlib.contextmanager
def without_multimodal() -> Iterator[None]:
    """Let mmpretrain, where it is imported in the block, leave out its multimodal half.

    # NOTE: it takes that in wherever transformers is installed. It is written for transformers 4, and importing
    # mmpretrain beside transformers 5 fails altogether.
    """
    plain = importlib.metadata.distribution

    def distribution(name: str) -> importlib.metadata.Distribution:
        if name == "transformers":
            raise importlib.metadata.PackageNotFoundError(name)
        return plain(name)

    importlib.metadata.distribution = distribution
    try:
        yield
    finally:
        importlib.metadata.distribution = plain
