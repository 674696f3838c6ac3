"""One case: a file is built, damaged in one way, written, inspected, converted and judged."""

from __future__ import annotations

import re
import tempfile
import traceback
from dataclasses import dataclass
from pathlib import Path
from random import Random

import torch

from benchmark import convert
from benchmark.inspection import inspect
from pretrain.errors import DensebenchError

from .containers import write
from .damage import BYTES, TREES, clean
from .formats import File, build
from .judge import holds_the_files_network
from .networks import SMALL

VIOLATION = "VIOLATION"
UNTOUCHED = "certified: network untouched"
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


@dataclass(frozen=True)
class Result:
    """What came out of a case."""

    number: int
    arch: str
    kind: str
    damage: str
    outcome: str


def case(seed: int, number: int, archs: tuple[str, ...] = SMALL) -> Result:
    """Run one case; seed and number decide what is in it.

    # NOTE: torch writes addresses of memory into legacy files: damage to their bytes hits others every time.
    """
    random = Random(f"{seed}:{number}")
    damage = random.choice((*TREES, *BYTES))
    made = build(random.choice(archs), random)
    arch, kind = made.arch, made.kind
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        trap = folder / "it-ran"
        if damage in TREES:
            damage(made, random, str(trap))
        path = write(made, folder, random)
        if damage in BYTES:
            content = bytearray(path.read_bytes())
            damage(content, random)
            path.write_bytes(content)
        try:
            outcome = judged(made, path, trap)
            if damage is clean and outcome != UNTOUCHED:
                raise AssertionError(f"a clean file: {outcome}")
        except AssertionError as error:
            outcome = f"{VIOLATION}: {error}"
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            last = traceback.extract_tb(error.__traceback__)[-1]
            outcome = f"{VIOLATION}: {type(error).__name__} at {Path(last.filename).name}:{last.lineno}: {error}"[:300]
    return Result(number, arch, kind, damage.__name__, outcome)


def judged(made: File, path: Path, trap: Path) -> str:
    """Inspect and convert a file and return what came out.

    Raises:
        AssertionError: It should not have.
    """
    target = path.parent if made.container == "folder" else path
    try:
        inspect(target).report()
    except DensebenchError as error:
        _one_sentence(error)
    try:
        backbone = convert.convert(target, **made.options)
        convert.require(backbone)
    except DensebenchError as error:
        _one_sentence(error)
        return f"refused: {_why(str(error))}"
    finally:
        if trap.exists():
            raise AssertionError("code of the file was run")
    found = holds_the_files_network(made, backbone, path)
    if found is None:
        raise AssertionError(f"certified as {backbone.certificate.format}, but it is not the network of the file")
    untouched = found.keys() == made.original.keys() and all(
        torch.equal(found[name], tensor) for name, tensor in made.original.items()
    )
    return UNTOUCHED if untouched else "certified: as the file has it"


def _why(message: str) -> str:
    """Name the kind of a refusal."""
    return next((name for name, words in REASONS.items() if re.search(words, message)), f"? {message[:60]}")


def _one_sentence(error: DensebenchError) -> None:
    """Hold an error to its form."""
    text = str(error)
    if not error.message or not text.isprintable() or len(text) > 2000:
        raise AssertionError(f"not one plain sentence: {text!r}")
