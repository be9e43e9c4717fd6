"""A form at the terminal, made from a pydantic model: one question for each field, then the model as a whole."""

from __future__ import annotations

import json
from collections.abc import Callable
from enum import Enum
from types import NoneType, UnionType
from typing import Annotated, Any, Final, Literal, Union, get_args, get_origin

from pydantic import BaseModel, TypeAdapter, ValidationError
from pydantic.fields import FieldInfo

from smithers_git.core import waiting
from smithers_git.edge import ask, output

_PLAIN: Final = (str, int, float)


class _GaveUp(Exception):
    """The person pressed Ctrl-C or Ctrl-D."""


def fill(model: type[BaseModel]) -> dict[str, Any] | None:
    """The answers as JSON that the model accepts; None when the person gave up. Raises NeedsTerminal."""
    values: dict[str, Any] = {}
    wanted = list(model.model_fields)
    try:
        while True:
            for name in wanted:
                values[name] = _field(name, model.model_fields[name], values.get(name))
            given = {model.model_fields[name].alias or name: value for name, value in values.items()}
            try:
                model.model_validate_json(json.dumps(given))
            except ValidationError as error:
                for issue in waiting.issues(error):
                    output.note(f"this does not fit: {issue}")
                wrong = {str(one["loc"][0]) for one in error.errors() if one["loc"]}
                wanted = [n for n in values if n in wrong or model.model_fields[n].alias in wrong] or list(values)
            else:
                return given
    except _GaveUp:
        return None


def _field(name: str, field: FieldInfo, before: Any) -> Any:
    """Ask for one field; `before` is what was given in an earlier round."""
    label = field.title or name
    title = f"{label} ({field.description})" if field.description else label
    kind, optional = _bare(field.annotation)
    default = before if before is not None else _default(field)
    check = _checker(field)
    if kind is bool:
        return _given(ask.confirm(title, default=bool(default)))
    choices = _choices(kind)
    if choices is not None:
        return _choose(title, choices, default, optional=optional)
    if get_origin(kind) is list or kind is list:
        return _list(title, kind, default, check)
    plain = kind in _PLAIN

    def judge(line: str) -> str | None:
        return None if not line and optional else check(_read(line, plain=plain))

    shown = "" if default is None else default if isinstance(default, str) else json.dumps(default)
    line = str(_given(ask.text(f"{title}:", shown, judge)))
    return None if not line and optional else _value(_read(line, plain=plain), field)


def _bare(annotation: Any) -> tuple[Any, bool]:
    """The type without `| None` and `Annotated`, and whether None is allowed."""
    while get_origin(annotation) is Annotated:
        annotation = get_args(annotation)[0]
    if get_origin(annotation) in (Union, UnionType):
        kinds = [one for one in get_args(annotation) if one is not NoneType]
        optional = len(kinds) < len(get_args(annotation))
        return (_bare(kinds[0])[0] if len(kinds) == 1 else object), optional
    return annotation, False


def _default(field: FieldInfo) -> Any:
    value = None if field.is_required() else field.get_default(call_default_factory=True)
    return TypeAdapter(Any).dump_python(value, mode="json")


def _choices(kind: Any) -> list[tuple[str, Any]] | None:
    """(label, JSON value) of a closed set; None for anything else."""
    if get_origin(kind) is Literal:
        return [(str(value), value) for value in get_args(kind)]
    if isinstance(kind, type) and issubclass(kind, Enum):
        return [(str(member.value), member.value) for member in kind]
    return None


def _choose(title: str, choices: list[tuple[str, Any]], default: Any, *, optional: bool) -> Any:
    if optional:
        choices = [*choices, ("(none)", None)]
    values = [value for _label, value in choices]
    at = values.index(default) if default in values else 0
    return _given(ask.select(title, [(label, (value,)) for label, value in choices], at))[0]


def _list(title: str, kind: Any, default: Any, check: Callable[[Any], str | None]) -> list[Any]:
    inner = _bare((get_args(kind) or (str,))[0])[0]
    choices = _choices(inner)
    begin = default if isinstance(default, list) else []
    if choices is not None:
        while True:
            marked = [n for n, (_label, value) in enumerate(choices) if value in begin]
            found: list[Any] = _given(ask.several(title, choices, marked))
            wrong = check(found)
            if wrong is None:
                return found
            output.note(f"this does not fit: {wrong}")
    plain = inner in _PLAIN

    def read(line: str) -> list[Any]:
        return [_read(part.strip(), plain=plain) for part in line.split(",") if part.strip()]

    shown = ", ".join(one if isinstance(one, str) else json.dumps(one) for one in begin)
    line = str(_given(ask.text(f"{title}, with commas between them:", shown, lambda text: check(read(text)))))
    return list(TypeAdapter(kind).dump_python(TypeAdapter(kind).validate_python(read(line)), mode="json"))


def _given(value: Any) -> Any:
    if value is None:
        raise _GaveUp
    return value


def _read(line: str, *, plain: bool) -> Any:
    """What was typed: text where a text or a number is wanted, else JSON where it is some."""
    if plain:
        return line
    try:
        return json.loads(line)
    except ValueError:
        return line


def _adapter(field: FieldInfo) -> TypeAdapter[Any]:
    kind: Any = Annotated[field.annotation, field]
    return TypeAdapter(kind)


def _checker(field: FieldInfo) -> Callable[[Any], str | None]:
    adapter = _adapter(field)

    def check(value: Any) -> str | None:
        try:
            adapter.validate_python(value)
        except ValidationError as error:
            return waiting.issues(error)[0]
        return None

    return check


def _value(value: Any, field: FieldInfo) -> Any:
    """The JSON form of what was typed."""
    adapter = _adapter(field)
    return adapter.dump_python(adapter.validate_python(value), mode="json")
