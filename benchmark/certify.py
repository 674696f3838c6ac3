"""Renaming a source's trunk into an mm* backbone's names, and proving the result."""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import torch
from torch import Tensor, nn

from benchmark import backbones, networks, parity
from benchmark.certificate import Certificate, StageParity
from benchmark.family import Family
from benchmark.quiet import quiet
from benchmark.source import Source
from pretrain import checkpoint
from pretrain.errors import one_line, unknown

Target = Literal["mmdet", "mmseg"]
TARGETS = ("mmdet", "mmseg")


@dataclass(frozen=True)
class Backbone:
    """A trunk under the mm* backbone's names, and what is known of it.

    Attributes:
        arch: The architecture.
        state: Every parameter and buffer of the mm* backbone with all four stages, names without prefix.
        certificate: What converting it proved.
        mean: Input mean in units of 0..255, in `channel_order`.
        std: Input standard deviation, likewise.
        channel_order: "RGB" or "BGR".
        meta: Method, recipe, data, epochs and seed of the pretraining, where the file says so.
        traits: What the backbone is built with beyond its architecture, such as `{"padding": "same"}`.
    """

    arch: str
    state: dict[str, Tensor]
    certificate: Certificate
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    channel_order: str
    meta: dict[str, Any] = field(default_factory=dict)
    traits: dict[str, Any] = field(default_factory=dict)


def certify(
    source: Source,
    *,
    to: Target,
    allow_untrained: bool = False,
    known_file: str | None = None,
    suspicions: Sequence[str] = (),
) -> Backbone:
    """Rename a source's trunk into the mm* backbone's names and prove the result.

    Args:
        source: What intake read.
        to: The package whose backbone is to be filled.
        allow_untrained: Let a network pass that was never trained.
        known_file: The name under which torchvision publishes the file.
        suspicions: Why the file is not to be trusted, found before; a sentence each.

    Raises:
        UsageError: There is no such target.
    """
    if to not in TARGETS:
        raise unknown("target", to, TARGETS)
    family = backbones.family(source.arch)
    state, collisions = _rename(source.tensors, family)
    size = family.image_size(source.arch, state)
    traits = {**family.traits(source.tensors), **source.traits}
    target = _build(to, source.arch, family.config(source.arch, size=size, **traits))
    state = parity.shaped_like(state, target.state_dict())
    fit = _fit(target.state_dict(), state, collisions)
    reasons = [*suspicions, *fit.reasons()]
    untrained = is_untrained(state)
    if untrained and not allow_untrained:
        reasons.append("The network is untrained: every norm scale is exactly 0 or 1 and every norm bias exactly 0.")
    rows: list[StageParity] = []
    if not fit.reasons():
        try:
            rows = parity.compare(source, target, state, family, size)
            reasons += parity.failures(rows)
        except (RuntimeError, ValueError) as error:
            reasons.append(f"The feature maps could not be compared: {one_line(error)}")
    certificate = Certificate(
        format=source.format,
        arch=source.arch,
        target=to,
        filled=fit.filled,
        digest=checkpoint.digest(state),
        dropped=list(source.dropped),
        missing=fit.missing,
        leftover=fit.leftover,
        mismatched=fit.mismatched,
        nonfinite=fit.nonfinite,
        parity=rows,
        untrained=untrained,
        allow_untrained=untrained and allow_untrained,
        position_embedding=family.resized(source.arch, state, size)[1] if size else None,
        known_file=known_file,
        traits=traits,
        notes=[*source.notes, *_widened(source.tensors)],
        reasons=reasons,
    )
    inputs = (source.mean, source.std, source.channel_order)
    return Backbone(source.arch, state, certificate, *inputs, source.meta, traits)


@dataclass(frozen=True)
class _Fit:
    """How a renamed trunk fits the target; the fields are the certificate's."""

    filled: int
    missing: list[str]
    leftover: list[str]
    mismatched: list[str]
    nonfinite: list[str]

    def reasons(self) -> list[str]:
        """Say what does not fit, a sentence each."""
        lacks = (
            (self.missing, "of the backbone's tensors are not in the checkpoint"),
            (self.leftover, "of the checkpoint's tensors have no place in the backbone"),
            (self.mismatched, "tensors have another shape or type"),
            (self.nonfinite, "tensors hold NaN or infinity"),
        )
        return [
            f"{len(names)} {what}: {', '.join(names[:3])}{', ...' if len(names) > 3 else ''}."
            for names, what in lacks
            if names
        ]


def _fit(wanted: Mapping[str, Tensor], state: Mapping[str, Tensor], collisions: list[str]) -> _Fit:
    shared = [name for name in wanted if name in state]
    mismatched = [
        f"{name} (expected {_shape(wanted[name])}, found {_shape(state[name])})"
        for name in shared
        if _shape(wanted[name]) != _shape(state[name])
    ]
    return _Fit(
        filled=len(shared) - len(mismatched),
        missing=[name for name in wanted if name not in state],
        leftover=[name for name in state if name not in wanted] + collisions,
        mismatched=mismatched,
        nonfinite=[name for name, tensor in state.items() if not bool(torch.isfinite(tensor).all())],
    )


def _shape(tensor: Tensor) -> str:
    kind = str(tensor.dtype).removeprefix("torch.")
    return "x".join(map(str, tensor.shape)) + ("" if kind == "float32" else f" {kind}")


def _widened(tensors: Mapping[str, Tensor]) -> list[str]:
    """Note the floating types that were not float32."""
    kinds = {tensor.dtype for tensor in tensors.values() if tensor.is_floating_point()} - {torch.float32}
    return [f"Tensors of {str(kind).removeprefix('torch.')} were taken as float32." for kind in sorted(kinds, key=str)]


def is_untrained(state: Mapping[str, Tensor]) -> bool:
    """Tell a network that no optimizer ever touched: norm scales exactly 0 or 1, norm biases exactly 0.

    Other biases prove nothing: torchvision draws those of a ViT's hidden layers at random.
    """
    scaling = [name for name, one in state.items() if name.endswith(".weight") and one.dim() == 1]
    norms = [name.removesuffix("weight") for name in scaling if "gamma" not in name]  # those scale branches
    scales = [state[f"{norm}weight"] for norm in norms]
    biases = [state[f"{norm}bias"] for norm in norms if f"{norm}bias" in state]
    return all(bool(((scale == 0) | (scale == 1)).all()) for scale in scales) and not any(
        bool(bias.any()) for bias in biases
    )


def _rename(tensors: Mapping[str, Tensor], family: Family) -> tuple[dict[str, Tensor], list[str]]:
    """Rename, in float32; a second tensor for one name is returned apart, under its source's name."""
    state: dict[str, Tensor] = {}
    collisions = []
    for name, tensor in tensors.items():
        renamed = family.rename(name)
        if renamed in state:
            collisions.append(name)
        else:
            state[renamed] = (tensor.float() if tensor.is_floating_point() else tensor).detach()
    return state, collisions


def _build(to: Target, arch: str, config: dict[str, Any]) -> nn.Module:
    with quiet(), torch.random.fork_rng(devices=[]):
        backbones.register(arch)
        models = importlib.import_module(f"{to}.registry").MODELS
        # NOTE: without a scope of its own, the type is looked up in that of the last Runner of this process.
        return networks.bare(lambda: models.build({**config, "_scope_": to}))
