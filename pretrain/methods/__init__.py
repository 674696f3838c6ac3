"""Self-supervised methods, one a file; the file's name is the method's name on the command line."""

from __future__ import annotations

import ast
import importlib
import inspect
import pkgutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pretrain.errors import DensebenchError, unknown

if TYPE_CHECKING:
    from pretrain.method import Method

FAMILIES = ("resnet", "regnet", "convnext", "vit")  # as in `Method`, which needs torch
_PAPER = ("authors", "year", "arxiv")  # as in `Paper`
_FACTS = ("paper", "recipes", "cost")  # which `Method` leaves to each method


def names() -> list[str]:
    """Return the methods there are."""
    return sorted(item.name for item in pkgutil.iter_modules(__path__))


def load(name: str) -> type[Method]:
    """Return the method of this name: the one subclass of `Method` its file defines.

    Raises:
        UsageError: There is no such method.
        DensebenchError: Its file is no Python, or defines none or several, or one that is not whole.
    """
    if name not in names():
        raise unknown("method", name, names())
    from pretrain.method import Method  # `names` works without torch

    try:
        module = importlib.import_module(f"{__name__}.{name}")
    except SyntaxError as error:
        raise DensebenchError(f"{error.filename}, line {error.lineno}, is no Python: {error.msg}.") from error
    found = [
        value
        for value in vars(module).values()
        if inspect.isclass(value) and issubclass(value, Method) and value.__module__ == module.__name__
    ]
    if len(found) != 1:
        raise DensebenchError(f"{_file(name)} defines {len(found)} subclasses of Method; one was expected.")
    lacking = [fact for fact in _FACTS if not hasattr(found[0], fact)] + sorted(found[0].__abstractmethods__)
    if lacking:
        told = f"{_file(name)}: {found[0].__name__} lacks {', '.join(lacking)}."
        raise DensebenchError(told, "pretrain/method.py says what each is.")
    return found[0]


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

    They must therefore be written out in its class; what is not is None or empty, so that one odd file does not spoil
    a list of all methods. `load` says what is wrong with it.
    """
    written = _written(name)
    paper, recipes = written.get("paper"), written.get("recipes")
    cited: dict[str | None, ast.expr] = {}
    if isinstance(paper, ast.Call):
        cited = {**dict(zip(_PAPER, paper.args, strict=False)), **{word.arg: word.value for word in paper.keywords}}
    keys = recipes.keys if isinstance(recipes, ast.Dict) else []
    families = _literal(written["families"]) if "families" in written else FAMILIES
    return {
        "name": name,
        **{key: _literal(cited.get(key)) for key in _PAPER},
        "families": list(families or ()),
        "recipes": [recipe for recipe in map(_literal, keys) if recipe],
        "cost": _literal(written.get("cost")),
    }


def reads_regions(name: str) -> bool:
    """Tell whether a method needs the images' regions, read off its file as `facts` are."""
    return bool(_literal(_written(name).get("reads_regions")))


def _file(name: str) -> Path:
    return Path(__path__[0]) / f"{name}.py"


def _written(name: str) -> dict[str, ast.expr]:
    """Return what the classes of a method's file assign, by name; nothing of a file that is no Python."""
    try:
        tree = ast.parse(_file(name).read_text(encoding="utf-8"))
    except (SyntaxError, ValueError, OSError):
        return {}
    written: dict[str, ast.expr] = {}
    for statement in (line for item in tree.body if isinstance(item, ast.ClassDef) for line in item.body):
        if isinstance(statement, ast.Assign) and isinstance(statement.targets[0], ast.Name):
            written[statement.targets[0].id] = statement.value
        elif isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name) and statement.value:
            written[statement.target.id] = statement.value
    return written


def _literal(value: ast.expr | None) -> Any:
    """Return what is written out, or None."""
    try:
        return None if value is None else ast.literal_eval(value)
    except ValueError:
        return None
