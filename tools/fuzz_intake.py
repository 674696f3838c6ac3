"""Damage checkpoint files of every format and see whether anything wrong is ever certified.

    python tools/fuzz_intake.py --cases 2000 --seed 0

Each case builds a file as a code base saves it, damages it in one way, and converts it. It is a violation when anything
but a DensebenchError of one sentence comes out, when code in the file runs, and when a backbone is certified whose
feature maps are not those of the torchvision network that holds, strictly loaded, the tensors of that same file. The
tensors are looked up where the builder put them, by other readers than densebench's.
"""

from __future__ import annotations

import argparse
import functools
import io
import os
import pickle
import random
import re
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torchvision
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from benchmark import convert
from benchmark.inspection import inspect
from benchmark.quiet import quiet
from pretrain import checkpoint
from pretrain.errors import DensebenchError

Tree = dict[str, Any]
Way = tuple[str, ...]  # keys that lead to a tensor


@functools.cache
def network(arch: str, number: int) -> dict[str, Tensor]:
    """Return a ResNet's tensors, all of them random, the norm layers' statistics too.

    Networks share the largest convolutions, so that a file of two is hardly larger than a file of one.
    """
    torch.manual_seed(1000 * number + len(arch))
    state = torchvision.models.get_model(arch, weights=None).state_dict()
    for name, tensor in state.items():
        if tensor.is_floating_point() and tensor.dim() == 1:
            centre = 0.0 if name.endswith(("bias", "running_mean")) else 1.0
            tensor.uniform_(centre - 0.5, centre + 0.5)
        elif not tensor.is_floating_point():
            tensor.fill_(1000 + number)
    large = {} if number == 0 else {name: one for name, one in network(arch, 0).items() if one.numel() > 1 << 20}
    return {name: large.get(name, tensor) for name, tensor in state.items() if not name.startswith("fc.")}


@functools.cache
def digest_of(arch: str, number: int, counted: bool) -> str:
    """Return the digest of a network; formats without counters get zeros."""
    tensors = network(arch, number).items()
    return checkpoint.digest({name: one if counted or "tracked" not in name else one * 0 for name, one in tensors})


@dataclass
class File:
    """A file as a code base saves it.

    `places` lead from torchvision's names to the tensors of the network that its authors evaluate, in every format
    whose network is in the file.
    """

    format: str
    container: str  # "zip", "legacy", "safetensors", "pickle" or "folder"
    tree: Tree
    places: dict[str, dict[str, Way]] = field(default_factory=dict)
    options: dict[str, Any] = field(default_factory=dict)  # for `convert`
    digest: str = ""


def file(format: str, tree: Tree, way: Callable[[str], Way], names: list[str], *containers: str) -> File:
    """Describe a file whose trunk's tensors stand where `way` says."""
    return File(format, random_of(containers or ("zip", "legacy")), tree, {format: {name: way(name) for name in names}})


def behind(prefix: str, tensors: dict[str, Tensor]) -> Tree:
    """Put a prefix before every name."""
    return {prefix + name: tensor for name, tensor in tensors.items()}


def head(prefix: str) -> Tree:
    """Return a layer that belongs to no trunk."""
    return {f"{prefix}.weight": torch.randn(4, 4), f"{prefix}.bias": torch.randn(4)}


RANDOM = random.Random()


def random_of(choices: Any) -> Any:
    """Choose one."""
    return RANDOM.choice(list(choices))


def prefixed(format: str, tree: Tree, *container: str, prefix: str, names: list[str]) -> File:
    """Describe a file whose trunk stands in a container, behind a prefix."""
    return file(format, tree, lambda name: (*container, prefix + name), names)


def detectron2_name(name: str) -> str:
    """Rename by the rule of MoCo's conversion script."""
    name = name if "layer" in name else f"stem.{name}"
    for number in (4, 3, 2, 1):
        name = name.replace(f"layer{number}", f"res{number + 1}")
    for number in (1, 2, 3):
        name = name.replace(f"bn{number}", f"conv{number}.norm")
    return name.replace("downsample.0", "shortcut").replace("downsample.1", "shortcut.norm")


def build(arch: str) -> File:
    """Build a file of a random format."""
    kind, numbers = random_of(KINDS), RANDOM.sample(range(4), 2)
    made = build_kind(kind, arch, *(network(arch, number) for number in numbers))
    made.digest = digest_of(arch, numbers[0], kind != "detectron2")
    return made


def build_kind(kind: str, arch: str, a: dict[str, Tensor], b: dict[str, Tensor]) -> File:
    """Build a file whose authors evaluate the network `a`; `b` is the other one, where there are two."""
    names = list(a)
    if kind == "torchvision":
        width = 2048 if "layer1.0.conv3.weight" in a else 512
        head_of = {"fc.weight": torch.randn(9, width), "fc.bias": torch.randn(9)}
        wrapper = random_of(("", "module."))
        container = random_of(((), ("state_dict",), ("model",)))
        tree: Tree = behind(wrapper, {**a, **random_of(({}, head_of))})
        for key in container:
            tree = {key: tree, "epoch": 3}
        return prefixed(kind, tree, *container, prefix=wrapper, names=names)
    if kind == "timm":
        return file(kind, dict(a), lambda name: (name,), names, "safetensors", "folder")
    if kind == "timm_trainer":
        whole = {"state_dict": dict(b), "state_dict_ema": dict(a), "version": 2, "arch": arch, "epoch": 3}
        return prefixed("timm", whole, "state_dict_ema", prefix="", names=names)
    if kind == "densebench":
        return file(kind, dict(a), lambda name: (name,), names, "ours")
    if kind == "moco":
        tree = behind("module.encoder_q.", a) | behind("module.encoder_k.", b) | head("module.encoder_q.fc.0")
        tree |= head("module.encoder_k.fc.0") | {"module.queue": torch.randn(8, 4)}
        whole = {"epoch": 1, "state_dict": tree, "optimizer": {"state": {0: {"momentum": torch.ones(2)}}}}
        return prefixed(kind, whole, "state_dict", prefix="module.encoder_q.", names=names)
    if kind == "pixpro":
        tree = behind("module.encoder.", a) | behind("module.encoder_k.", b) | head("module.projector")
        return prefixed(kind, {"opt": {"lr": 1.0}, "model": tree}, "model", prefix="module.encoder.", names=names)
    if kind == "vicreg":
        tree = behind("module.backbone.", a) | head("module.projector.0")
        return prefixed(kind, {"model": tree, "epoch": 1}, "model", prefix="module.backbone.", names=names)
    if kind == "vissl":
        way = ("classy_state_dict", "base_model", "model", "trunk")
        model = {"trunk": behind("_feature_blocks.", a), "heads": head("0.clf.0")}
        whole = {"classy_state_dict": {"base_model": {"model": model}}, "iteration": 3}
        return prefixed(kind, whole, *way, prefix="_feature_blocks.", names=names)
    if kind == "solo_learn":
        tree = behind("backbone.", a) | behind("momentum_backbone.", b) | head("projector.0") | head("classifier")
        whole = {"pytorch-lightning_version": "2.1", "state_dict": tree, "hyper_parameters": {"lr": 0.3}}
        return prefixed(kind, whole, "state_dict", prefix="backbone.", names=names)
    if kind == "dino":
        student, teacher = (behind("module.backbone.", one) | head("module.head.mlp.0") for one in (b, a))
        whole = {"student": student, "teacher": teacher, "epoch": 9, "dino_loss": {"center": torch.ones(3)}}
        return prefixed(kind, whole, "teacher", prefix="module.backbone.", names=names)
    if kind == "mmselfsup":
        tree = behind("backbone.", a) | behind("encoder_q.0.", a) | behind("encoder_k.0.", b) | head("neck.mlp.0")
        return prefixed(kind, {"meta": {}, "state_dict": tree}, "state_dict", prefix="backbone.", names=names)
    if kind == "detectron2":
        names = [name for name in names if "tracked" not in name]
        tree = {detectron2_name(name): a[name].numpy() for name in names}
        whole = {"model": tree, "__author__": "MOCO", "matching_heuristics": True}
        return file(kind, whole, lambda name: ("model", detectron2_name(name)), names, "pickle")
    tree = behind("net.online.", a) | behind("net.target.", b) | head("net.projector.0")
    return prefixed("general", {"weights": tree, "step": 5}, "weights", prefix="net.online.", names=names)


KINDS = ("torchvision", "timm", "densebench", "moco", "pixpro", "vicreg", "vissl", "solo_learn", "dino", "mmselfsup")
KINDS += ("detectron2", "general", "timm_trainer")


# ---- damage to the tree


def state_of(made: File) -> tuple[Tree, list[str]]:
    """Return the dictionary of the trunk's tensors, and their names there."""
    ways = list(next(iter(made.places.values())).values())
    state = made.tree
    for key in ways[0][:-1]:
        state = state[key]
    return state, [way[-1] for way in ways]


def clean(made: File) -> None:
    """Nothing is wrong."""


def drop(made: File) -> None:
    """Some of the trunk's tensors are lost."""
    state, names = state_of(made)
    for name in RANDOM.sample(names, RANDOM.randint(1, 3)):
        del state[name]


def drop_first(made: File) -> None:
    """The first convolution, by which trunks are found, is lost."""
    state, names = state_of(made)
    del state[names[0]]


def drop_block(made: File) -> None:
    """A whole part is lost."""
    state, names = state_of(made)
    stem = random_of(names).rpartition(".")[0].rpartition(".")[0]
    for name in names:
        if name.startswith(stem):
            del state[name]


def rename(made: File) -> None:
    """Some of the trunk's tensors get other names."""
    state, names = state_of(made)
    for name in RANDOM.sample(names, RANDOM.randint(1, 3)):
        state[random_of((name[:-1], f"module.{name}", name.replace("1", "2", 1) + "x"))] = state.pop(name)


def rename_prefix(made: File) -> None:
    """The whole trunk stands behind another prefix."""
    state, names = state_of(made)
    for name in names:
        state[f"x{name}"] = state.pop(name)
    for places in made.places.values():  # it is the same network still
        for its, way in places.items():
            places[its] = (*way[:-1], f"x{way[-1]}")


def swap_names(made: File) -> None:
    """Two tensors change places, in the file too: what is certified must have them changed."""
    state, names = state_of(made)
    shapes = Counter(tuple(state[name].shape) for name in names)
    name = random_of([name for name in names if shapes[tuple(state[name].shape)] > 1])
    other = random_of([one for one in names if one != name and state[one].shape == state[name].shape])
    state[name], state[other] = state[other], state[name]


def transpose(made: File) -> None:
    """A kernel is transposed, which may or may not change its shape."""
    state, names = state_of(made)
    name = random_of([name for name in names if len(state[name].shape) == 4])
    state[name] = state[name].swapaxes(0, 1) if random_of((True, False)) else state[name].swapaxes(2, 3)


def not_finite(made: File) -> None:
    """A tensor holds NaN or infinity, or numbers that overflow."""
    state, names = state_of(made)
    name = random_of([name for name in names if "tracked" not in name])
    state[name] = state[name] * random_of((float("nan"), float("inf"), 1e38))


def dead(made: File) -> None:
    """The first convolution is zero."""
    state, names = state_of(made)
    state[names[0]] = state[names[0]] * 0


def other_type(made: File) -> None:
    """A tensor is of another type."""
    state, names = state_of(made)
    name = random_of(names)
    tensor = torch.as_tensor(state[name])
    tensor = random_of((tensor.half(), tensor.double(), tensor.to(torch.int32), tensor.to(torch.bool)))
    state[name] = tensor.numpy() if made.container == "pickle" else tensor


def add(made: File) -> None:
    """A tensor too many."""
    state, names = state_of(made)
    name = random_of(names)
    state[random_of((f"{name}.extra", f"{name}2", "stranger.weight"))] = state[name]


def mix(made: File) -> None:
    """Half of the trunk comes from another network, in the file too."""
    state, names = state_of(made)
    other = network(ARCH[0], 7)
    plain = list(next(iter(made.places.values())))
    for name, its in zip(names, plain, strict=True):
        if random_of((True, False)):
            state[name] = other[its].numpy() if made.container == "pickle" else other[its]


def two_formats(made: File) -> None:
    """Another code base's file is merged into this one."""
    other = build(ARCH[0])
    if made.container in ("safetensors", "ours", "folder", "pickle"):
        other.tree = {f"other.{name}": tensor for name, tensor in network(ARCH[0], 7).items()}
        other.places = {}
    if made.container == "pickle":
        other.tree = {name: tensor.numpy() for name, tensor in other.tree.items()}
    inner = isinstance(made.tree.get("state_dict"), dict) and isinstance(other.tree.get("state_dict"), dict)
    if inner and random_of((True, False)):
        made.tree["state_dict"] |= other.tree["state_dict"]
    else:
        made.tree |= other.tree
    made.places |= other.places


def wrong_arch(made: File) -> None:
    """Another architecture is asked for."""
    made.options["arch"] = random_of(("resnet152", "resnet34", "resnet101"))


def wrong_format(made: File) -> None:
    """A format is named, mostly a wrong one."""
    made.options["format"] = random_of(KINDS[:-1])


def wrong_trunk(made: File) -> None:
    """A network is asked for that is not there."""
    made.options["trunk"] = random_of(("studnet", "backbone2", ""))


class Hostile:
    """Makes a folder when a careless reader opens it."""

    def __init__(self, *call: Any) -> None:
        self.call = call

    def __reduce__(self) -> tuple[Any, ...]:
        return self.call[0], self.call[1:]


def hostile(made: File) -> None:
    """The pickle would run code."""
    if made.container in ("safetensors", "ours", "folder"):
        made.container = "zip"
        made.places = {**made.places, "torchvision": next(iter(made.places.values()))}
    calls = ((os.mkdir, TRAP[0]), (os.system, f"mkdir {TRAP[0]}"), (eval, f"__import__('os').mkdir({TRAP[0]!r})"))
    one: Any = Hostile(*random_of(calls))
    for _ in range(RANDOM.randint(0, 2)):
        one = random_of(([one], {"a": one}, Hostile(list, [one]), Hostile(dict, {"a": one})))
    state, names = state_of(made)
    place = random_of(("beside", "within", "instead"))
    if place == "beside":
        made.tree["optimizer"] = one
    else:
        state["more" if place == "within" else random_of(names)] = one


# ---- damage to the bytes


def truncate(content: bytearray) -> None:
    """The end is missing."""
    del content[RANDOM.randrange(len(content)) :]


def flip(content: bytearray) -> None:
    """A few bits are flipped, near the beginning or the end as often as anywhere."""
    spots = (len(content), 4096, min(len(content), 60_000))
    for _ in range(RANDOM.randint(1, 8)):
        place = RANDOM.randrange(random_of(spots))
        content[-1 - place if random_of((True, False)) else place] ^= 1 << RANDOM.randrange(8)


def blank(content: bytearray) -> None:
    """Some bytes are zero."""
    start = RANDOM.randrange(len(content))
    length = min(RANDOM.randint(1, 5000), len(content) - start)
    content[start : start + length] = bytes(length)


def cut_out(content: bytearray) -> None:
    """Some bytes in the middle are missing."""
    start = RANDOM.randrange(len(content))
    del content[start : start + RANDOM.randint(1, 5000)]


TREES = (clean, drop, drop_first, drop_block, rename, rename_prefix, swap_names, transpose, not_finite, dead)
TREES += (other_type, add, mix, two_formats, wrong_arch, wrong_format, wrong_trunk, hostile)
BYTES = (truncate, flip, flip, blank, cut_out)
TRAP = [""]
ARCH = ["resnet18"]


# ---- writing, reading by other means, and judging


def write(made: File, folder: Path) -> Path:
    """Write the file into the folder."""
    path = folder / "weights.bin"
    if made.container == "folder":
        (folder / "config.json").write_text('{"architecture": "resnet"}')
        path = folder / "model.safetensors"
    if made.container in ("safetensors", "folder"):
        save_file({name: one.clone().contiguous() for name, one in made.tree.items()}, path, {"format": "pt"})
    elif made.container == "ours":
        meta = checkpoint.Meta(ARCH[0], "densecl", "scenes", "x", 3.0, 5, (1.0, 2.0, 3.0), (4.0, 5.0, 6.0))
        path = path.with_suffix(random_of((".pth", ".safetensors")))
        checkpoint.save(path, made.tree, meta)
        if path.suffix == ".pth":
            made.places = {
                name: {key: ("state_dict", *way) for key, way in p.items()} for name, p in made.places.items()
            }
    elif made.container == "pickle":
        path.write_bytes(pickle.dumps(made.tree, protocol=random_of((2, 4, 5))))
    else:
        torch.save(made.tree, path, _use_new_zipfile_serialization=made.container == "zip")
    return path


class ArraysOnly(pickle.Unpickler):
    """numpy's own way, for files that this script wrote."""

    def find_class(self, module: str, name: str) -> Any:
        """Look up numpy's names only."""
        if module.startswith("numpy") or (module, name) == ("_codecs", "encode"):
            return super().find_class(module, name)
        raise pickle.UnpicklingError(name)


def read_otherwise(path: Path) -> Tree | None:
    """Read the file by the containers' own libraries; None where they refuse."""
    data = path.read_bytes()
    try:
        if data[8:9] == b"{":
            return dict(load_file(path))
        if data[:2] == b"\x80\x02" or data[:2] == b"PK":
            try:
                return dict(torch.load(path, weights_only=True, mmap=data[:2] == b"PK"))
            except Exception:
                if data[:2] == b"PK":
                    return None
        return dict(ArraysOnly(io.BytesIO(data)).load())
    except Exception:
        return None


@functools.cache
def networks(arch: str) -> tuple[nn.Module, nn.Module]:
    """Return torchvision's network without its head, and MMDetection's."""
    with quiet():
        from mmdet.models.backbones import ResNet
    theirs = torchvision.models.get_model(arch, weights=None)
    theirs.fc = nn.Identity()
    ours = ResNet(int(arch.removeprefix("resnet")))
    ours.eval()  # which returns nothing
    return theirs.eval(), ours


@torch.inference_mode()
def same_features(arch: str, tensors: dict[str, Tensor], state: dict[str, Tensor]) -> bool:
    """Compare torchvision's network that holds the file's tensors with MMDetection's that holds what was certified."""
    theirs, ours = networks(arch)
    theirs.load_state_dict(tensors, strict=True)
    ours.load_state_dict(state, strict=True)
    images = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(3)) * 4 - 2
    x = theirs.maxpool(theirs.relu(theirs.bn1(theirs.conv1(images))))
    for stage, found in enumerate(ours(images), start=1):
        x = theirs.get_submodule(f"layer{stage}")(x)
        if not (x - found).abs().max() <= 1e-4 * x.abs().max():
            return False
    return True


def holds_the_files_network(made: File, backbone: convert.Backbone, path: Path) -> bool:
    """Tell whether what was certified is the network that stands in the file."""
    read = read_otherwise(path)
    for places in made.places.values():
        tensors: dict[str, Tensor] = {}
        for name, way in places.items():
            value: Any = made.tree if read is None else read
            for key in way:
                value = value.get(key) if isinstance(value, dict) else None
            if isinstance(value, np.ndarray | Tensor):
                tensors[name] = torch.as_tensor(value) if "tracked" in name else torch.as_tensor(value).float()
        if not any("tracked" in name for name in tensors):
            tensors |= {name: torch.tensor(0) for name in backbone.state if "tracked" in name}
        if tensors.keys() == backbone.state.keys() and same_features(backbone.arch, tensors, backbone.state):
            return True
    return False


REASONS = {
    "checksum": "have their checksum|sha256 that it states",
    "unreadable": r"truncated, damaged|is not a checkpoint|is empty|no JSON|cannot be read",
    "code only": "would run code",
    "no tensors": "holds no tensors|named tensors were expected",
    "no format": "in no known format|does not hold a network as|not a checkpoint that densebench",
    "several fit": "fits several formats",
    "which network?": "do not tell which|is not whole|--trunk|There is no trunk|holds one network",
    "no architecture": "no architecture|but its tensors are",
    "other arch": "another architecture",
    "contradiction": "contradict",
    "missing": "are not in the checkpoint",
    "left over": "have no place",
    "shape or type": "another shape or type",
    "not finite": "NaN or infinity|are not finite",
    "dead": "the same for two different images",
    "parity": "maps of the source network and|could not be compared",
}


def why(message: str) -> str:
    """Name the kind of a refusal."""
    return next((name for name, words in REASONS.items() if re.search(words, message)), f"? {message[:60]}")


def one_sentence(error: DensebenchError) -> None:
    """Hold an error to its form."""
    text = str(error)
    if not error.message or not text.isprintable() or len(text) > 2000:
        raise AssertionError(f"not one plain sentence: {text!r}")


def judge(made: File, path: Path) -> str:
    """Convert a file and return what came out.

    Raises:
        AssertionError: It should not have.
    """
    target = path.parent if made.container == "folder" else path
    try:
        inspect(target).report()
    except DensebenchError as error:
        one_sentence(error)
    try:
        backbone = convert.convert(target, **made.options)
        convert.require(backbone)
    except DensebenchError as error:
        one_sentence(error)
        return f"refused: {why(str(error))}"
    finally:
        if Path(TRAP[0]).exists():
            raise AssertionError("code of the file was run")
    if not holds_the_files_network(made, backbone, path):
        raise AssertionError(f"certified as {backbone.certificate.format}, but it is not the network of the file")
    untouched = backbone.certificate.digest == made.digest
    return "certified: trunk untouched" if untouched else "certified: as the file has it"


def case(seed: int, number: int, arch: str = "resnet18") -> tuple[str, str, str]:
    """Run one case: its format, damage and outcome."""
    RANDOM.seed(f"{seed}:{number}")
    torch.manual_seed(number)
    ARCH[0] = arch
    damage = random_of((*TREES, *BYTES))
    made = build(arch)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        TRAP[0] = str(folder / "it-ran")
        if damage in TREES:
            damage(made)
        path = write(made, folder)
        if damage in BYTES:
            content = bytearray(path.read_bytes())
            damage(content)
            path.write_bytes(content)
        try:
            outcome = judge(made, path)
            if damage is clean and outcome != "certified: trunk untouched":
                raise AssertionError(f"a clean file: {outcome}")
        except AssertionError as error:
            outcome = f"VIOLATION: {error}"
        except BaseException as error:
            if isinstance(error, KeyboardInterrupt):
                raise
            last = traceback.extract_tb(error.__traceback__)[-1]
            outcome = f"VIOLATION: {type(error).__name__} at {Path(last.filename).name}:{last.lineno}: {error}"[:200]
    return made.format, damage.__name__, outcome


def table(found: Counter[tuple[str, str]]) -> str:
    """Return damage by outcome as Markdown."""
    outcomes = sorted({outcome for _, outcome in found})
    rows = ["| damage | " + " | ".join(outcomes) + " | all |", "|---" * (len(outcomes) + 2) + "|"]
    for damage in sorted({damage for damage, _ in found}):
        counts = [found[damage, outcome] for outcome in outcomes]
        rows.append(f"| {damage} | " + " | ".join(str(count or "") for count in counts) + f" | {sum(counts)} |")
    return "\n".join(rows)


def main() -> int:
    """Run the cases, print the table, and return 1 where there was a violation."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cases", type=int, default=300)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--first", type=int, default=0, help="the number of the first case, to see one again")
    parser.add_argument("--full-size", action="store_true", help="ResNet-50 in place of ResNet-18")
    parser.add_argument("--minutes", type=float, default=float("inf"), help="stop after this time")
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    arch, started = ("resnet50" if chosen.full_size else "resnet18"), time.monotonic()
    found: Counter[tuple[str, str]] = Counter()
    violations = done = 0
    for number in range(chosen.first, chosen.first + chosen.cases):
        format, damage, outcome = case(chosen.seed, number, arch)
        found[damage, outcome.partition(":")[0] if outcome.startswith("V") else outcome] += 1
        done += 1
        if outcome.startswith("V"):
            violations += 1
            print(f"case {number} ({format}, {damage}): {outcome}", flush=True)
        if done % 50 == 0:
            print(f"{done} cases, {time.monotonic() - started:.0f} s", file=sys.stderr, flush=True)
        if time.monotonic() - started > 60 * chosen.minutes:
            break
    print(table(found))
    print(f"{done} cases of {arch}, seed {chosen.seed}: {violations} violations")
    return int(violations > 0)


if __name__ == "__main__":
    sys.exit(main())
