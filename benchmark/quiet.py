"""Importing the mm* packages without the lines they print about optional parts."""

from __future__ import annotations

import contextlib
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
        with warnings.catch_warnings(), contextlib.redirect_stdout(said):
            warnings.simplefilter("ignore")
            yield
    finally:
        for line in said.getvalue().splitlines(keepends=True):
            if "Could not import OneDL" not in line:
                sys.stdout.write(line)
