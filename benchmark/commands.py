"""The commands that would fill a paper's cells."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

from benchmark.paper import IMAGES, SEEDS, Printed
from benchmark.task import FOLDER
from pretrain import methods


def lack(row: Printed, recipes: Mapping[str, Collection[str]]) -> str:
    """Say what does not exist here that a printed number was measured with: a task, method or recipe; "" if nothing.

    Args:
        row: The number.
        recipes: The methods there are, and their recipes.
    """
    if not (FOLDER / f"{row.task}.py").is_file():
        return "task"
    if row.method not in recipes:
        return "method"
    recipe = row.recipe.partition("/")[2].partition("+")[0]
    return "" if row.method == "random" or recipe in recipes[row.method] else "recipe"


def known() -> dict[str, list[str]]:
    """Return the methods there are, and their recipes."""
    return {name: methods.facts(name)["recipes"] for name in methods.names()}


def to_fill(gaps: Iterable[Printed], processes: int = 1) -> str:
    """Write the commands that would measure printed numbers, each once; what does not exist here is a comment.

    Args:
        gaps: The printed numbers.
        processes: How many processes each command is to start, one a GPU.
    """
    program = "densebench" if processes == 1 else f"torchrun --nproc-per-node {processes} -m benchmark"
    recipes = known()
    lines: dict[str, None] = {}
    for row in gaps:
        recipe, _, settings = row.recipe.partition("/")[2].partition("+")
        checkpoint = "random"
        if what := lack(row, recipes):
            place = row.task if what == "task" else f"{row.task}, {row.recipe}"
            lines[f"# {place}: no such {what} yet"] = None
            continue
        if row.method != "random":
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
