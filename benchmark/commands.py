"""The commands that would fill a paper's cells."""

from __future__ import annotations

from collections.abc import Iterable

from benchmark.paper import IMAGES, Printed
from benchmark.reproduce import SEEDS
from benchmark.task import FOLDER
from pretrain import methods


def to_fill(gaps: Iterable[Printed], processes: int = 1) -> str:
    """Write the commands that would measure printed numbers, each once; what does not exist here is a comment.

    Args:
        gaps: The printed numbers.
        processes: How many processes each command is to start, one a GPU.
    """
    program = "densebench" if processes == 1 else f"torchrun --nproc-per-node {processes} -m benchmark"
    recipes = {name: methods.facts(name)["recipes"] for name in methods.names()}
    lines: dict[str, None] = {}
    for row in gaps:
        recipe, _, settings = row.recipe.partition("/")[2].partition("+")
        checkpoint = "random"
        if not (FOLDER / f"{row.task}.py").is_file():
            lines[f"# {row.task}: no such task yet"] = None
            continue
        if row.method not in recipes:
            lines[f"# {row.task}, {row.recipe}: no such method yet"] = None
            continue
        if row.method != "random":
            if recipe not in recipes[row.method]:
                lines[f"# {row.task}, {row.recipe}: no such recipe yet"] = None
                continue
            out = f"runs/pretrain/{row.recipe.replace('/', '-')}-{row.architecture}"
            images = IMAGES[row.pretrain_data].folder
            changes = "".join(f" --set {setting}" for setting in settings.split("+") if setting)
            lines[
                f"{program} pretrain {row.method} --arch {row.architecture} --images {images} "
                f"--recipe {recipe}{changes} --out {out}"
            ] = None
            checkpoint = f"{out}/checkpoint.safetensors"
        seeds = " ".join(map(str, range(SEEDS)))
        lines[
            f"{program} run {row.task} --checkpoint {checkpoint} --arch {row.architecture} --mode finetune "
            f"--seeds {seeds} --data-root DATA"
        ] = None
    return "".join(f"{line}\n" for line in lines)
