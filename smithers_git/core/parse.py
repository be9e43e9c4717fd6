"""An agent's answer as the model that the task wants, and what to tell the agent when it is not."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic.errors import PydanticInvalidForJsonSchema

from smithers_git.core.fish import extract
from smithers_git.errors import WorkflowError

MAX_ISSUES = 20


@dataclass(frozen=True, slots=True)
class Parsed:
    """The answer fits."""

    value: BaseModel


@dataclass(frozen=True, slots=True)
class Rejection:
    """No JSON in the answer fits the model."""

    issues: list[str] = field(default_factory=list)
    """`path: message` for the JSON that came closest."""
    found: bool = False
    """Whether there was JSON at all."""


def validate(text: str, model: type[BaseModel]) -> Parsed | Rejection:
    """The first JSON in `text`, in the order of `extract`, that `model` accepts; else what was wrong."""
    closest: ValidationError | None = None
    for candidate in extract(text):
        try:
            # Through text, so that a strict model judges JSON (a date is a string there), not Python objects.
            return Parsed(model.model_validate_json(json.dumps(candidate)))
        except ValidationError as error:
            closest = min(closest or error, error, key=_distance)
    if closest is None:
        return Rejection()
    details = closest.errors(include_url=False, include_context=False)[:MAX_ISSUES]
    return Rejection([_issue(detail) for detail in details], found=True)


def instructions(model: type[BaseModel]) -> str:
    """What is appended to a prompt so that the answer can be read. Raises WorkflowError for a model with a field
    that JSON cannot express.
    """
    return (
        "When the work is done, answer with one JSON object and nothing else: no prose around it, no code fence.\n"
        f"It must fit this JSON schema:\n\n{_schema(model)}\n"
    )


def correction(rejection: Rejection, model: type[BaseModel]) -> str:
    """The next prompt of the same conversation after an answer that does not fit."""
    if not rejection.found:
        problem = "Your last answer holds no JSON."
    else:
        listed = "\n".join(f"- {issue}" for issue in rejection.issues)
        problem = f"The JSON in your last answer does not fit:\n\n{listed}"
    return (
        f"{problem}\n\nThe work itself stands; do not repeat it. Answer again, with one JSON object and nothing else,"
        f" that fits this JSON schema:\n\n{_schema(model)}\n"
    )


def _schema(model: type[BaseModel]) -> str:
    try:
        return json.dumps(model.model_json_schema(), indent=2, ensure_ascii=False)
    except PydanticInvalidForJsonSchema as error:
        raise WorkflowError(
            f"{model.__name__} cannot be asked of an agent: {error.message}",
            hint="use fields that JSON can hold: text, numbers, booleans, lists and nested models",
        ) from None


def _distance(error: ValidationError) -> tuple[bool, int]:
    """How far from fitting: first whether it is another kind of value altogether, then how many mistakes."""
    of_another_kind = any(not detail["loc"] for detail in error.errors(include_url=False, include_context=False))
    return of_another_kind, error.error_count()


def _issue(detail: Any) -> str:
    place = ".".join(str(part) for part in detail["loc"])
    return f"{place}: {detail['msg']}" if place else str(detail["msg"])
