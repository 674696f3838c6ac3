"""Where a number came from: code, versions, device."""

from __future__ import annotations

import platform
import subprocess
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

PACKAGES = (
    *("densebench", "torch", "torchvision", "timm", "numpy", "pycocotools"),
    *("onedl-mmengine", "onedl-mmcv", "onedl-mmdetection", "onedl-mmsegmentation"),
)


@cache
def commit() -> str:
    """Return the commit of this code, with "+" when the working tree differs from it; empty outside of git."""
    root = Path(__file__).resolve().parent.parent
    try:
        head = _git(root, "rev-parse", "--short=12", "HEAD")
        dirty = _git(root, "status", "--porcelain", "--untracked-files=no")
    except (OSError, subprocess.CalledProcessError):
        return ""
    return head + ("+" if dirty else "")


def _git(root: Path, *arguments: str) -> str:
    command = ["git", "-C", str(root), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=10).stdout.strip()


@cache
def versions() -> dict[str, str]:
    """Return the versions of what the numbers depend on."""
    found = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


@cache
def device() -> str:
    """Name the device that computes: a GPU, or the processor and its threads."""
    import torch

    if torch.cuda.is_available():
        return torch.cuda.get_device_name()
    return f"CPU {torch.cpu.get_capabilities().get('cpu_name', platform.machine())}, {torch.get_num_threads()} threads"
