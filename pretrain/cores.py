"""How many processor cores this process may use, which is fewer than the machine has under Slurm or in a container."""

from __future__ import annotations

import os


def cores() -> int:
    """Return the number of usable cores (of all, where the system tells no more, as macOS does)."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
