"""Where a file or a number comes from: commit, versions and device."""

from __future__ import annotations

import importlib.metadata
import platform
import subprocess
from pathlib import Path

import torch

DISTRIBUTIONS = (
    "densebench",
    "torch",
    "torchvision",
    "timm",
    "onedl-mmengine",
    "onedl-mmcv",
    "onedl-mmdetection",
    "onedl-mmsegmentation",
    "onedl-mmpretrain",
    "numpy",
    "pillow",
    "opencv-python-headless",
    "pycocotools",
)


def commit() -> str:
    """Return this project's git commit, with "-dirty" where files differ from it; "" outside a clone."""
    clone = Path(__file__).resolve().parent.parent
    if not (clone / ".git").exists():  # installed: git would answer for whatever clone lies around the packages
        return ""
    command = ["git", "-C", str(clone), "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
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


def device() -> str:
    """Name what computes: the GPU, or the processor and its threads."""
    if torch.cuda.is_available():
        return str(torch.cuda.get_device_name())
    processor = torch.cpu.get_capabilities().get("cpu_name", platform.machine())
    return f"{processor}, {torch.get_num_threads()} threads"
