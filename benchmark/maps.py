"""The four stages' maps of a network, for networks that do not return them."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor, nn


def outputs_of(*modules: str) -> Callable[[nn.Module, Tensor], list[Tensor]]:
    """Return a function that runs a network whole and collects what these modules put out."""

    def run(network: nn.Module, images: Tensor) -> list[Tensor]:
        outputs: list[Tensor] = []
        hooks = [
            network.get_submodule(name).register_forward_hook(lambda _module, _inputs, out: outputs.append(out))
            for name in modules
        ]
        network(images)
        for hook in hooks:
            hook.remove()
        return outputs

    return run


def own_maps(network: nn.Module, images: Tensor) -> list[Tensor]:
    """Run a backbone of `pretrain.backbones`; its position embeddings fit themselves to the images."""
    from pretrain.backbone import Backbone

    assert isinstance(network, Backbone)
    return network.stages(images)
