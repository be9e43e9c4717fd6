"""What a workflow is for and what it takes, read from its text: nothing of it is run, so that a look is safe. Pure."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Field:
    """One field of a workflow's input."""

    name: str
    type: str
    required: bool
    default: str | None
    """As Python spells it; None for none, or one that is worked out."""
    about: str


@dataclass(frozen=True, slots=True)
class Synopsis:
    """What a workflow says of itself."""

    about: str
    """The first paragraph of what its author wrote, as one line."""
    fields: list[Field] | None
    """None when the text alone does not tell."""


def synopsis(sources: Mapping[str, str], entry: str) -> Synopsis:
    """Read the workflow in the file `entry` of `sources` (path to text); what cannot be parsed says nothing."""
    trees = {name: tree for name, text in sources.items() if (tree := _parse(text)) is not None}
    top = trees.get(entry)
    if top is None:
        return Synopsis("", None)
    found = next((pair for node in top.body if (pair := _workflow(node)) is not None), None)
    function, model = found if found is not None else (None, None)
    about = (ast.get_docstring(function) if function is not None else None) or ast.get_docstring(top) or ""
    line = " ".join(about.partition("\n\n")[0].split())
    if found is None:
        return Synopsis(line, None)
    classes = {node.name: node for tree in trees.values() for node in tree.body if isinstance(node, ast.ClassDef)}
    classes |= {node.name: node for node in top.body if isinstance(node, ast.ClassDef)}
    return Synopsis(line, [] if model is None else _fields(classes, model, frozenset()))


def _parse(text: str) -> ast.Module | None:
    try:
        return ast.parse(text)
    except (SyntaxError, ValueError):
        return None


def _workflow(node: ast.stmt) -> tuple[ast.FunctionDef, str | None] | None:
    """The function that `@workflow` stands over, with the name of its input model; None: another statement."""
    if not isinstance(node, ast.FunctionDef):
        return None
    for decorator in node.decorator_list:
        call = decorator if isinstance(decorator, ast.Call) else None
        if _name(call.func if call else decorator) == "workflow":
            return node, next((_name(one.value) for one in call.keywords if one.arg == "input"), None) if call else None
    return None


def _name(node: ast.expr) -> str:
    return ast.unparse(node).rpartition(".")[2]


def _fields(classes: Mapping[str, ast.ClassDef], model: str, seen: frozenset[str]) -> list[Field] | None:
    """The fields of a model, those of its bases first; None when one of these is not in the sources."""
    known = classes.get(model)
    if known is None or model in seen:
        return None
    fields: dict[str, Field] = {}
    for base in known.bases:
        if _name(base) != "BaseModel":
            below = _fields(classes, _name(base), seen | {model})
            if below is None:
                return None
            fields |= {field.name: field for field in below}
    for node in known.body:
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and node.target.id[0] != "_":
            fields[node.target.id] = _field(node.target.id, node)
    return list(fields.values())


def _field(name: str, node: ast.AnnAssign) -> Field:
    kind, value = ast.unparse(node.annotation), node.value
    if not isinstance(value, ast.Call) or _name(value.func) != "Field":
        return Field(name, kind, value is None, None if value is None else ast.unparse(value), "")
    said: dict[str | None, ast.expr] = {one.arg: one.value for one in value.keywords}
    default = value.args[0] if value.args else said.get("default")
    if isinstance(default, ast.Constant) and default.value is Ellipsis:
        default = None
    required = default is None and "default_factory" not in said
    about = _constant(said.get("description"))
    shown = None if default is None else ast.unparse(default)
    return Field(name, kind, required, shown, inspect.cleandoc(about) if isinstance(about, str) else "")


def _constant(node: ast.expr | None) -> Any:
    try:
        return None if node is None else ast.literal_eval(node)
    except ValueError:
        return None
