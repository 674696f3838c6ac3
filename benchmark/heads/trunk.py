"""The trunk inside a model: put the certified tensors in their places, prove it, freeze it, set its norms."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from mmdet.models.dense_heads import RPNHead
from mmdet.models.roi_heads.bbox_heads import BBoxHead
from mmdet.models.roi_heads.mask_heads import FCNMaskHead
from mmdet.models.roi_heads.roi_extractors import SingleRoIExtractor
from mmengine.hooks import Hook
from mmengine.registry import MODELS
from torch import Tensor, nn

from benchmark.heads.norms import calibrate, feature_maps, trunk_modules
from benchmark.heads.whitening import Whitening
from pretrain.engine.state import unwrapped
from pretrain.errors import DensebenchError


def placed(name: str, places: Mapping[str, str]) -> str:
    """Return where a protocol puts the trunk's tensor `name`: the longest matching prefix decides.

    Raises:
        DensebenchError: No prefix matches.
    """
    prefix = max((prefix for prefix in places if name.startswith(prefix)), key=len, default=None)
    if prefix is None:
        raise DensebenchError(f"The protocol has no place for the trunk's '{name}', only for {', '.join(places)}.")
    return places[prefix] + name[len(prefix) :]


def load_trunk(model: nn.Module, trunk: Mapping[str, Tensor], places: Mapping[str, str]) -> None:
    """Copy the trunk into the model and assert bit by bit that every tensor stands where it belongs.

    Args:
        model: A detector or segmentor.
        trunk: The whole trunk under mm* names.
        places: Prefix of the trunk's name -> prefix of the model's name.

    Raises:
        DensebenchError: A tensor has no place, a place of the trunk stays empty, or shapes differ.
    """
    state = model.state_dict()
    targets = {placed(name, places): tensor for name, tensor in trunk.items()}
    for target, tensor in targets.items():
        if target not in state:
            raise DensebenchError(f"The protocol's model has no place '{target}' for a tensor of the trunk.")
        if state[target].shape != tensor.shape:
            found, expected = tuple(tensor.shape), tuple(state[target].shape)
            raise DensebenchError(f"'{target}' has the shape {expected} in the model, {found} in the trunk.")
    empty = [name for name in state if name.startswith(tuple(places.values())) and name not in targets]
    if empty:
        raise DensebenchError(f"No tensor of the trunk fills '{empty[0]}' of the protocol's model.")
    with torch.no_grad():
        for target, tensor in targets.items():
            state[target].copy_(tensor)
    loaded = model.state_dict()
    for target, tensor in targets.items():
        if not torch.equal(loaded[target].cpu(), tensor.to(loaded[target].dtype)):
            raise DensebenchError(f"'{target}' does not hold the checkpoint's values after loading.")


@MODELS.register_module()  # type: ignore[untyped-decorator]
def prepared(model: dict[str, Any], places: dict[str, str], frozen: bool) -> nn.Module:
    """Build a model for training: losses and regions in float32, the trunk frozen where the mode says so.

    Its layout is channels_last, the faster one in float32 too.

    Args:
        model: The config of a detector, segmentor or depth estimator.
        places: See `load_trunk`.
        frozen: The trunk takes no gradients.
    """
    built: nn.Module = MODELS.build(model)
    for module in built.modules():
        if isinstance(module, SingleRoIExtractor):
            module.register_forward_pre_hook(lambda _, inputs: (_float32(inputs[0]), *inputs[1:]))
        elif isinstance(module, RPNHead | BBoxHead | FCNMaskHead):
            module.register_forward_hook(lambda _, inputs, outputs: _float32(outputs))
        classifier = getattr(module, "conv_seg", None)
        if isinstance(classifier, nn.Module):
            classifier.register_forward_hook(lambda _, inputs, outputs: _float32(outputs))
    if frozen:
        for module in trunk_modules(built, places):
            module.requires_grad_(False)
    built.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return built


def _float32(value: Any) -> Any:
    """Convert every tensor in nested lists and tuples to contiguous float32."""
    if isinstance(value, Tensor):
        return value.float().contiguous()
    if isinstance(value, list | tuple):
        return type(value)(_float32(entry) for entry in value)
    return value


class TrunkHook(Hook):
    """Load the trunk before training, after mmengine's initialisation; in frozen modes keep it as it is.

    Args:
        trunk: The whole trunk under mm* names.
        places: See `load_trunk`.
        frozen: Keep the trunk's norms in eval mode, and fit the linear probe's whitening first.
        calibrate: Training images, at most, that set the trunk's running statistics first (a random init has none of
            its own, and without them a frozen control row would be unfair); 0 leaves them.
        resumed: The saved training state; when it exists nothing is fitted, for the state holds it.
    """

    priority = "HIGHEST"

    def __init__(
        self,
        trunk: Mapping[str, Tensor],
        places: Mapping[str, str],
        *,
        frozen: bool,
        calibrate: int,
        resumed: Path,
    ) -> None:
        self.trunk = trunk
        self.places = places
        self.frozen = frozen
        self.calibrate = calibrate
        self.resumed = resumed

    def before_train(self, runner: Any) -> None:
        """Load; in frozen modes calibrate where asked, then fit the whitening."""
        model = unwrapped(runner.model)
        load_trunk(model, self.trunk, self.places)
        self._modules = trunk_modules(model, self.places)
        if self.resumed.is_file():
            return
        with runner.optim_wrapper.optim_context(runner.model):
            if self.calibrate:
                calibrate(runner, self.places, self.calibrate)
            for module in model.modules():
                if isinstance(module, Whitening):
                    model.eval()
                    maps = feature_maps(model, runner.train_dataloader, module.images)
                    module.fit(levels[-1] for levels in maps)

    def before_train_iter(self, runner: Any, batch_idx: int, data_batch: Any = None) -> None:
        """Keep a frozen trunk in eval mode; the loop has just called `model.train()`."""
        if self.frozen:
            for module in self._modules:
                module.eval()
