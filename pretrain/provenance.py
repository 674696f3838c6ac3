"""Where a file comes from: the commit and the versions that made it."""

from __future__ import annotations

import importlib.metadata
import platform
import subprocess
from pathlib import Path

DISTRIBUTIONS = (
    "densebench",
    "torch",
    "torchvision",
    "timm",
    "onedl-mmengine",
    "numpy",
    "opencv-python-headless",
)


def commit() -> str:
    """Return this project's git commit, with "-dirty" where files differ from it; "" outside a clone."""
    command = [
        "git",
        "-C",
        str(Path(__file__).parent),
        "describe",
        "--always",
        "--dirty",
        "--abbrev=40",
        "--exclude=*",
    ]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=10)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""


def versions() -> dict[str, str]:
    """Return the versions of Python and of the packages that shape the result."""
    found = {"python": platform.python_version()}
    for name in DISTRIBUTIONS:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found
