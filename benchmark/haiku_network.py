"""The ResNet of DeepMind's Haiku in plain torch: what a BYOL or DetCon file's numbers belong to.

Written from Haiku's documentation, apart from what the conversion builds, so that the two can be compared. It
differs from torchvision's in one thing: every convolution and the max pooling pad as TensorFlow's "SAME" does.
"""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor, nn
from torch.nn import functional as F

from benchmark.backbones import resnet

EPS = 1e-5  # hk.nets.ResNet's default, which BYOL and DetCon keep


def same(length: int, kernel: int, stride: int) -> tuple[int, int]:
    """Return the padding before and after an axis, such that ceil(length / stride) outputs fit.

    The odd one goes to the end (TensorFlow, "Neural network: padding", `SAME`).
    """
    outputs = -(-length // stride)
    total = max((outputs - 1) * stride + kernel - length, 0)
    return total // 2, total - total // 2


def padded(images: Tensor, kernel: int, stride: int, value: float = 0.0) -> Tensor:
    """Pad the last two axes of images (B, C, H, W)."""
    height, width = images.shape[-2:]
    return F.pad(images, (*same(width, kernel, stride), *same(height, kernel, stride)), value=value)


class _Conv(nn.Conv2d):
    """hk.Conv2D(padding="SAME", with_bias=False)."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int) -> None:
        super().__init__(inputs, outputs, kernel, stride, bias=False)

    def forward(self, input: Tensor) -> Tensor:
        return super().forward(padded(input, self.kernel_size[0], self.stride[0]))


class _Block(nn.Module):
    """BlockV1: convolutions each with a norm, a shortcut, and the stride on the first 3x3 convolution."""

    def __init__(self, inputs: int, outputs: int, stride: int, bottleneck: bool, projection: bool) -> None:
        super().__init__()
        kernels, width = ((1, 3, 1), outputs // 4) if bottleneck else ((3, 3), outputs)
        widths = [inputs, *[width] * (len(kernels) - 1), outputs]
        self.layers = len(kernels)
        for number, kernel in enumerate(kernels, start=1):
            step = stride if number == kernels.index(3) + 1 else 1
            self.add_module(f"conv{number}", _Conv(widths[number - 1], widths[number], kernel, step))
            self.add_module(f"bn{number}", nn.BatchNorm2d(widths[number], eps=EPS))
        self.downsample = (
            nn.Sequential(_Conv(inputs, outputs, 1, stride), nn.BatchNorm2d(outputs, eps=EPS)) if projection else None
        )

    def forward(self, images: Tensor) -> Tensor:
        out = images
        for number in range(1, self.layers + 1):
            out = self.get_submodule(f"bn{number}")(self.get_submodule(f"conv{number}")(out))
            out = F.relu(out) if number < self.layers else out
        return F.relu(out + (images if self.downsample is None else self.downsample(images)))


class HaikuResNet(nn.Module):
    """hk.nets.ResNet (version 1) without its classifier; parameters have torchvision's names.

    Args:
        arch: "resnet18" to "resnet152".
        tensors: All its parameters and statistics, loaded strictly.
    """

    def __init__(self, arch: str, tensors: Mapping[str, Tensor]) -> None:
        super().__init__()
        self.conv1, self.bn1 = _Conv(3, 64, 7, 2), nn.BatchNorm2d(64, eps=EPS)
        inputs, bottleneck = 64, arch not in ("resnet18", "resnet34")
        for stage, (outputs, count) in enumerate(zip(resnet.channels(arch), resnet.blocks(arch), strict=True), start=1):
            blocks = []
            for number in range(count):
                stride = 2 if stage > 1 and number == 0 else 1
                projection = number == 0 and (bottleneck or stage > 1)
                blocks.append(_Block(inputs, outputs, stride, bottleneck, projection))
                inputs = outputs
            self.add_module(f"layer{stage}", nn.Sequential(*blocks))
        self.load_state_dict(tensors, strict=True)
        self.eval()

    def forward(self, images: Tensor) -> Tensor:
        """Return C5 (B, C, H / 32, W / 32) of images (B, 3, H, W)."""
        out = F.relu(self.bn1(self.conv1(images)))
        out = F.max_pool2d(padded(out, 3, 2, value=float("-inf")), 3, 2)
        for stage in (1, 2, 3, 4):
            out = self.get_submodule(f"layer{stage}")(out)
        return out
