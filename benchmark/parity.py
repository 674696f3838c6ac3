"""Do two networks compute the same? Their feature maps on fixed images, stage by stage.

Equal names and shapes do not prove a conversion: two layers of one shape may have changed places, the stride
may sit on another convolution. Equal maps do: in eval mode they show batch norm's running statistics too.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from benchmark.certificate import THRESHOLD, StageParity
from benchmark.family import Family
from benchmark.source import Source

_SEED = 20_111_211
_MOST_CELLS = 16  # of the last map, to a side


def images(size: tuple[int, int] = (64, 96)) -> Tensor:
    """Return the fixed images: (2, 3, H, W) noise of unit variance at four scales, flat nowhere."""
    generator = torch.Generator().manual_seed(_SEED)
    layers = []
    for cells in (2, 8, 32, 64):
        noise = torch.randn(2, 3, cells, cells * 3 // 2, generator=generator)
        layers.append(F.interpolate(noise, size=size, mode="nearest"))
    return torch.stack(layers).sum(dim=0) / 2


def sizes(stride: int, native: tuple[int, int] | None) -> list[tuple[int, int]]:
    """Return the two sizes that maps are compared at.

    Args:
        stride: The last map's.
        native: The size that position embeddings belong to: they are compared there, and interpolated.
    """
    if native is None:
        return [(2 * stride, 3 * stride), (4 * stride, 3 * stride)]
    height, width = (min(side, _MOST_CELLS * stride) for side in native)
    return [(4 * stride, 6 * stride), (height, width)]


def compare(
    source: Source, target: nn.Module, state: Mapping[str, Tensor], family: Family, native: tuple[int, int] | None
) -> list[StageParity]:
    """Compare the source's network with the mm* backbone, twice.

    First with the checkpoint's own weights. Then as a probe: the source network's norm layers, layer scales and biases
    are set to random values, carried over by the same renaming, and compared again. So a swap is seen also in a
    network whose residual branches are silent or whose norm layers are all alike. Where there are position
    embeddings, both networks interpolate them by one method (`pretrain.backbones.vit.resize_positions`).

    Args:
        source: Builds its network by itself, strictly loaded, untouched by the family's `rename`.
        target: The mm* backbone, all four stages; overwritten.
        state: The converted trunk that is to be proved.
        family: The architecture's.
        native: See `sizes`.

    Raises:
        RuntimeError: A network does not load strictly.
        ValueError: A map is not finite, or does not depend on the image, so that comparing proves nothing.
    """
    with torch.random.fork_rng(devices=[]), torch.inference_mode():
        network = source.network().float().eval()
        target.load_state_dict(state, strict=True, assign=True)
        target.float().eval()
        shapes = sizes(family.strides(source.arch)[-1], native)
        rows = _rows("own", source, network, target, family.stages, shapes)
        if source.reread is not None:
            network, values = source.reread(_randomised)
            network.float().eval()
        else:
            values = _randomised(network.state_dict())
            network.load_state_dict(values, strict=True, assign=True)  # not in place: they may be the checkpoint's
        probe = {family.rename(name): values[name] for name in source.tensors}
        target.load_state_dict(shaped_like(probe, target.state_dict()), strict=True, assign=True)
        return rows + _rows("probe", source, network, target, family.stages, shapes)


def shaped_like(tensors: Mapping[str, Tensor], wanted: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the tensors with layer scales, which torchvision keeps as (C, 1, 1), in the shape (C,) that is wanted."""
    return {
        name: tensor.flatten()
        if name.endswith(".gamma") and name in wanted and tensor.shape == (*wanted[name].shape, 1, 1)
        else tensor
        for name, tensor in tensors.items()
    }


def failures(parity: list[StageParity]) -> list[str]:
    """Name the stages whose maps differ, a sentence for each set of weights."""
    sentences = []
    for weights in ("own", "probe"):
        apart = [row for row in parity if row["weights"] == weights and not row["max_rel"] <= THRESHOLD]
        if apart:
            stages = ", ".join(f"{row['stage']} by {row['max_rel']:.1e}" for row in apart)
            whose = "" if weights == "own" else " with random norm layers"
            sentences.append(
                f"The feature maps of the source network and of the converted one differ{whose}: {stages} "
                f"of the map's largest value (at most {THRESHOLD:g} is allowed)."
            )
    return sentences


def _rows(
    weights: str,
    source: Source,
    network: nn.Module,
    target: nn.Module,
    stages: Sequence[str],
    shapes: Sequence[tuple[int, int]],
) -> list[StageParity]:
    """Return a row for each stage: the larger difference of the sizes."""
    each = [_rows_at(weights, source, network, target, stages, images(shape)) for shape in shapes]
    return [max(rows, key=lambda row: row["max_rel"]) for rows in zip(*each, strict=True)]


def _rows_at(
    weights: str, source: Source, network: nn.Module, target: nn.Module, stages: Sequence[str], batch: Tensor
) -> list[StageParity]:
    expected, found = source.stage_maps(network, batch), target(batch)
    rows: list[StageParity] = []
    for stage, left, right in zip(stages, expected, found, strict=True):  # (2, C, H, W) each
        if left.shape != right.shape:
            raise ValueError(f"The maps of {stage} have the shapes {tuple(left.shape)} and {tuple(right.shape)}.")
        scale, apart = left.abs().max().item(), (left - right).abs().max().item()
        if not torch.isfinite(torch.tensor([scale, apart])).all():
            raise ValueError(f"The maps of {stage} are not finite.")
        if (left[0] - left[1]).abs().max().item() <= 1e-6 * scale:
            raise ValueError(f"The maps of {stage} are the same for two different images: the network is dead.")
        rows.append({"weights": weights, "stage": stage, "max_abs": apart, "max_rel": apart / scale})
    return rows


def _randomised(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Give every norm layer, layer scale and bias values of its own: all that has one dimension."""
    generator = torch.Generator().manual_seed(_SEED)
    values = dict(tensors)
    for name, tensor in values.items():
        if tensor.squeeze().dim() == 1 and tensor.is_floating_point():
            low = -0.5 if name.endswith(("bias", "running_mean")) else 0.5
            values[name] = torch.rand(tensor.shape, generator=generator) + low
    return values
