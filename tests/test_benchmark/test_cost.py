"""What a conversion costs: it holds the tensors once, mapped from the file, in every network that it fills."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

import pretrain.backbones

CODE = """
import gc, pathlib, re, sys
import torch
from benchmark import convert, library

small, large, out = map(pathlib.Path, sys.argv[1:4])
torch.set_num_threads(1)

def through(path):
    convert.write(convert.require(convert.convert(path, to="mmseg")), out)

def memory(what):
    return 1024 * int(re.search(what + r":\\s+(\\d+) kB", pathlib.Path("/proc/self/status").read_text())[1])

def copying(build, tensors):
    network = build()
    network.load_state_dict(tensors, strict=True)
    return network.eval()

through(small)  # all imports are done
if sys.argv[4] == "wasteful":
    library.filled = copying
gc.collect()
before = memory("VmRSS")
pathlib.Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew; getrusage's is also the parent's
through(large)
print(memory("VmHWM") - before)
"""


def state(arch: str) -> dict[str, Tensor]:
    """A network that was trained a little."""
    tensors: dict[str, Tensor] = pretrain.backbones.build(arch, 0).state_dict()
    return {name: one + 0.01 * torch.randn(one.shape) for name, one in tensors.items()}


def peak(folder: Path, suffix: str, way: str) -> float:
    """The most memory that converting and writing a ViT-S took, in copies of its tensors."""
    paths = []
    for arch in ("vit_tiny_patch16", "vit_small_patch16"):
        tensors = state(arch)
        paths.append(folder / f"{arch}{suffix}")
        if suffix == ".pth":
            torch.save({"model": tensors}, paths[-1])
        else:
            save_file(tensors, paths[-1], {"format": "pt"})
    command = [sys.executable, "-c", CODE, *map(str, paths), str(folder / f"out{suffix}"), way]
    root = Path(__file__).parents[2]
    done = subprocess.run(command, check=True, cwd=root, capture_output=True, text=True)
    return int(done.stdout) / sum(4 * one.numel() for one in tensors.values())


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_a_conversion_holds_one_copy_of_the_tensors(tmp_path: Path, suffix: str) -> None:
    assert 0.5 < peak(tmp_path, suffix, "as it is") < 1.5


def test_a_second_copy_would_be_seen(tmp_path: Path) -> None:
    assert peak(tmp_path, ".safetensors", "wasteful") > 1.5
