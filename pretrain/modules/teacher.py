"""The teacher: a copy of the student that follows it as an exponential moving average."""

from __future__ import annotations

import copy
import math
from typing import TypeVar

import torch
from torch import nn

Module = TypeVar("Module", bound=nn.Module)


def teacher_of(student: Module) -> Module:
    """Return a copy of `student` that takes no gradient."""
    teacher = copy.deepcopy(student)
    teacher.requires_grad_(False)
    return teacher


@torch.no_grad()
def follow(teacher: nn.Module, student: nn.Module, momentum: float) -> None:
    """Move the teacher towards the student: theta_k <- m theta_k + (1 - m) theta_q (MoCo, Eq. 2).

    Buffers (running means and variances) are left alone: the teacher's own forward passes fill them.

    Args:
        teacher: What `teacher_of` returned.
        student: The network it follows.
        momentum: m in [0, 1]; 1 keeps the teacher as it is.
    """
    torch._foreach_lerp_(list(teacher.parameters()), list(student.parameters()), 1 - momentum)


def cosine_momentum(base: float, progress: float) -> float:
    """Return a teacher's momentum that rises from `base` to 1 along a cosine (BYOL, arXiv 2006.07733, Section 3.3).

    Args:
        base: tau_base.
        progress: k / K, from 0 to 1.
    """
    return 1 - (1 - base) * (math.cos(math.pi * progress) + 1) / 2


def linear_warmup(start: float, end: float, share: float, progress: float) -> float:
    """Return a value that goes from `start` to `end` in the first `share` of the steps, and stays there.

    Args:
        start: The value at first.
        end: The value at last.
        share: The warm-up's share of the steps, from 0 to 1.
        progress: From 0 to 1.
    """
    return end if progress >= share else start + (end - start) * progress / share
