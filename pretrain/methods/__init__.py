"""Self-supervised methods, one a file; the file's name is the method's name on the command line."""

from __future__ import annotations

import ast
import importlib
import inspect
import pkgutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pretrain.errors import unknown

if TYPE_CHECKING:
    from pretrain.method import Method

FAMILIES = ("resnet", "regnet", "convnext", "vit")  # as in `Method`, which needs torch


def names() -> list[str]:
    """Return the methods there are."""
    return sorted(item.name for item in pkgutil.iter_modules(__path__))


def load(name: str) -> type[Method]:
    """Return the method of this name: the one subclass of `Method` its file defines.

    Raises:
        UsageError: There is no such method.
    """
    if name not in names():
        raise unknown("method", name, names())
    from pretrain.method import Method  # `names` works without torch

    module = importlib.import_module(f"{__name__}.{name}")
    (method,) = (
        value
        for value in vars(module).values()
        if inspect.isclass(value) and issubclass(value, Method) and value.__module__ == module.__name__
    )
    return method


def hold(name: str, recipe: str) -> None:
    """Refuse a method or a recipe that does not exist, without importing the method (or torch).

    Raises:
        UsageError: There is no such method, or it has no such recipe.
    """
    if name not in names():
        raise unknown("method", name, names())
    recipes = facts(name)["recipes"]
    if recipe not in recipes:
        raise unknown("recipe", recipe, recipes)


def facts(name: str) -> dict[str, Any]:
    """Return a method's paper, year, families, recipes and cost, read off its file without importing it (or torch).

    They must therefore be written out in its class; what is not is None.
    """
    tree = ast.parse((Path(__path__[0]) / f"{name}.py").read_text(encoding="utf-8"))
    written: dict[str, ast.expr] = {}
    for statement in (line for item in tree.body if isinstance(item, ast.ClassDef) for line in item.body):
        if isinstance(statement, ast.Assign) and isinstance(statement.targets[0], ast.Name):
            written[statement.targets[0].id] = statement.value
        elif isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name) and statement.value:
            written[statement.target.id] = statement.value
    paper, recipes = written.get("paper"), written.get("recipes")
    cited = [ast.literal_eval(value) for value in paper.args] if isinstance(paper, ast.Call) else [None] * 3
    return {
        "name": name,
        **dict(zip(("authors", "year", "arxiv"), cited, strict=True)),
        "families": list(ast.literal_eval(written["families"])) if "families" in written else list(FAMILIES),
        "recipes": [ast.literal_eval(key) for key in recipes.keys if key] if isinstance(recipes, ast.Dict) else [],
        "cost": ast.literal_eval(written["cost"]) if "cost" in written else None,
    }
