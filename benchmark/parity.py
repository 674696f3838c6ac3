"""Do two networks compute the same? Their feature maps on fixed images, stage by stage.

Equal names and shapes do not prove a conversion: two layers of one shape may have changed places, the stride
may sit on another convolution. Equal maps do: in eval mode they show batch norm's running statistics too.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from benchmark.certificate import THRESHOLD, StageParity
from benchmark.source import Source

_SEED = 20_111_211
_STAGES = ("C2", "C3", "C4", "C5")


def images() -> Tensor:
    """Return the fixed images: (2, 3, 64, 96) noise of unit variance at four scales, flat nowhere."""
    generator = torch.Generator().manual_seed(_SEED)
    layers = []
    for cells in (2, 8, 32, 64):
        noise = torch.randn(2, 3, cells, cells * 3 // 2, generator=generator)
        layers.append(F.interpolate(noise, size=(64, 96), mode="nearest"))
    return torch.stack(layers).sum(dim=0) / 2


def compare(
    source: Source, target: nn.Module, state: Mapping[str, Tensor], rename: Callable[[str], str]
) -> list[StageParity]:
    """Compare the source's network with the mm* backbone, twice.

    First with the checkpoint's own weights. Then as a probe: the source network's norm layers are set to
    random values, carried over by the same renaming, and compared again. So a swap is seen also in a network
    whose residual branches are silent or whose norm layers are all alike.

    Args:
        source: Builds its network by itself, strictly loaded, untouched by `rename`.
        target: The mm* backbone, all four stages; overwritten.
        state: The converted trunk that is to be proved.
        rename: A source's name -> the target's name.

    Raises:
        RuntimeError: A network does not load strictly.
        ValueError: A map is not finite, or does not depend on the image, so that comparing proves nothing.
    """
    with torch.random.fork_rng(devices=[]), torch.inference_mode():
        network = source.network().float().eval()
        target.load_state_dict(state, strict=True, assign=True)
        target.float().eval()
        rows = _rows("own", source, network, target)
        _randomise_norms(network)
        values = network.state_dict()
        target.load_state_dict({rename(name): values[name] for name in source.tensors}, strict=True, assign=True)
        return rows + _rows("probe", source, network, target)


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


def _rows(weights: str, source: Source, network: nn.Module, target: nn.Module) -> list[StageParity]:
    batch = images()
    expected, found = source.stage_maps(network, batch), target(batch)
    rows: list[StageParity] = []
    for stage, left, right in zip(_STAGES, expected, found, strict=True):  # (2, C, H, W) each
        if left.shape != right.shape:
            raise ValueError(f"The maps of {stage} have the shapes {tuple(left.shape)} and {tuple(right.shape)}.")
        scale, apart = left.abs().max().item(), (left - right).abs().max().item()
        if not torch.isfinite(torch.tensor([scale, apart])).all():
            raise ValueError(f"The maps of {stage} are not finite.")
        if (left[0] - left[1]).abs().max().item() <= 1e-6 * scale:
            raise ValueError(f"The maps of {stage} are the same for two different images: the network is dead.")
        rows.append({"weights": weights, "stage": stage, "max_abs": apart, "max_rel": apart / scale})
    return rows


def _randomise_norms(network: nn.Module) -> None:
    """Give every norm layer scales, biases and running statistics of its own."""
    generator = torch.Generator().manual_seed(_SEED)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d | nn.LayerNorm | nn.GroupNorm):
            values = module.state_dict()
            for name, tensor in values.items():
                if tensor.dim():  # num_batches_tracked has none
                    low = -0.5 if name in ("bias", "running_mean") else 0.5
                    values[name] = torch.rand(tensor.shape, generator=generator) + low
            module.load_state_dict(values, strict=True, assign=True)  # not in place: they may be the file's
