"""What a workflow author imports: `@workflow` and the context that it hands to the workflow function."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any, Generic, Protocol, TypeVar, overload

from pydantic import BaseModel, ValidationError

from smithers_git.core.nodes import Budget, Node
from smithers_git.core.state import State
from smithers_git.errors import UsageError, WorkflowError
from smithers_git.names import TaskKey

I = TypeVar("I", bound=BaseModel)  # noqa: E741
M = TypeVar("M", bound=BaseModel)


class NoInput(BaseModel):
    """The input of a workflow that takes none."""


class Outputs(Protocol):
    """Where validated outputs are read from."""

    def load(self, path: str) -> Any:
        """The JSON value at `path` of the newest frame's tree."""


class Prompts(Protocol):
    """Where prompt files are read from."""

    def render(self, name: str, values: Mapping[str, Any]) -> str:
        """The prompt file `name`, filled in; raises WorkflowError when it is missing or asks for an unknown value."""


class Context(Generic[I]):
    """What a workflow function may read. It notes what was read: only a change of that renders the workflow again."""

    def __init__(self, request: I, state: State, outputs: Outputs, prompts: Prompts) -> None:
        self.input: I = request
        self.run: str = state.run
        self.check: list[str] | None = state.check
        """The project's own check command (configured or detected), as recorded when the run started."""
        self.base: str = state.base
        """The commit that the run started from: `git diff` against it shows all that the run has changed."""
        self.resumes: int = state.resumes
        """How often the run was resumed so far: what lies outside of it may have changed since the last time."""
        self._state, self._outputs, self._prompts = state, outputs, prompts
        self.reads: set[str] = set()

    def latest(self, model: type[M], node: str) -> M | None:
        """The output of `node` in its newest iteration; None until there is one."""
        self.reads.add(node)
        iteration = self._state.latest.get(node)
        return None if iteration is None else self._load(model, TaskKey(node, iteration))

    def output(self, model: type[M], node: str, iteration: int = 0) -> M | None:
        """The output of `node` in one iteration; None until there is one."""
        self.reads.add(node)
        return self._load(model, TaskKey(node, iteration))

    def all(self, model: type[M], node: str) -> list[M]:
        """The outputs of `node` in every iteration that has one, oldest first."""
        self.reads.add(node)
        keys = [TaskKey(node, number) for number in range(self._state.latest.get(node, -1) + 1)]
        return [found for key in keys if (found := self._load(model, key)) is not None]

    def commit(self, node: str) -> str | None:
        """The commit that holds the files as `node` left them in its newest iteration; None until there is one.

        Two nodes of one workspace have the same commit when the later one changed no file.
        """
        self.reads.add(node)
        return self._state.node(TaskKey(node, self._state.latest.get(node, 0))).commit

    def error(self, node: str) -> str | None:
        """Why `node`, also a saga or try block, failed or was skipped in its newest iteration; None when it did not."""
        self.reads.add(node)
        regions = [key for key in self._state.regions if key.node == node]
        if regions:
            return self._state.regions[max(regions)].error
        keys = [key for key in self._state.nodes if key.node == node]
        return self._state.nodes[max(keys)].error if keys else None

    def iteration(self, loop: str) -> int:
        """The pass that a loop is in, from 0."""
        self.reads.add(loop)
        state = self._state.loop(loop)
        return state.iteration - state.base

    def prompt(self, name: str, /, **values: Any) -> str:
        """The Markdown prompt file `name` of the pack's `prompts` folder, a Jinja template, filled in."""
        return self._prompts.render(name, {"input": self.input, "check": self.check, "base": self.base, **values})

    def _load(self, model: type[M], key: TaskKey) -> M | None:
        path = self._state.node(key).output
        if path is None:
            return None
        try:
            return model.model_validate(self._outputs.load(path))
        except ValidationError as error:
            raise WorkflowError(
                f"the output of {key} is not a {model.__name__}: {first_issue(error)}",
                hint=f"read it with the model that the task {key.node!r} declares as output",
            ) from error


def first_issue(error: ValidationError) -> str:
    """The first issue of a pydantic error as `path: what is wrong`."""
    issue = error.errors(include_url=False, include_input=False)[0]
    path = ".".join(str(part) for part in issue["loc"])
    return f"{path}: {issue['msg']}" if path else str(issue["msg"])


class Workflow(Generic[I]):
    """A workflow function with the model of its input."""

    def __init__(
        self,
        render: Callable[[Context[I]], Node | None],
        request: type[I],
        name: str,
        budget: Budget | None = None,
    ) -> None:
        self.render = render
        self.request = request
        self.name = name
        self.budget = budget
        self.summary = (inspect.getdoc(render) or "").partition("\n")[0]

    @property
    def where(self) -> str:
        """File and line of the function."""
        code = self.render.__code__
        return f"{code.co_filename}:{code.co_firstlineno}"

    def parse(self, value: Mapping[str, Any]) -> I:
        """`value` as this workflow's input; raises UsageError naming the field."""
        try:
            return self.request.model_validate(dict(value))
        except ValidationError as error:
            raise self._unfit(first_issue(error)) from error

    def accept(self, given: Mapping[str, Any], known: Mapping[str, Any] | None = None) -> I:
        """What a person gives, on top of what is `known`, as this workflow's input.

        Raises UsageError naming a field that does not fit, or that is none: pydantic ignores those, and a typing error
        would start a run that does something else.
        """
        strange = sorted(given.keys() - self._names(given)) if self.request.model_config.get("extra") is None else []
        if strange:
            raise self._unfit(f"{strange[0]}: there is no such field")
        return self.parse({**(known or {}), **given})

    def _names(self, given: Mapping[str, Any]) -> set[str]:
        """How fields can be spelled; everything given when some have more than one alias."""
        aliases = {field.validation_alias for field in self.request.model_fields.values()} - {None}
        simple = {alias for alias in aliases if isinstance(alias, str)}
        return set(given) if simple != aliases else {*self.request.model_fields, *simple}

    def _unfit(self, issue: str) -> UsageError:
        fields = ", ".join(self.request.model_fields) or "none"
        return UsageError(
            f"the input does not fit workflow {self.name!r}: {issue}",
            hint=f"its fields are: {fields}; give them with --input '{{…}}' or --prompt TEXT",
        )


@overload
def workflow(function: Callable[[Context[NoInput]], Node | None], /) -> Workflow[NoInput]: ...


@overload
def workflow(
    *, input: type[I], name: str | None = None, budget: Budget | None = None
) -> Callable[[Callable[[Context[I]], Node | None]], Workflow[I]]: ...


def workflow(
    function: Callable[..., Node | None] | None = None,
    /,
    *,
    input: type[BaseModel] = NoInput,
    name: str | None = None,
    budget: Budget | None = None,
) -> Any:
    """Make a workflow of a function that takes a Context and returns a plan node.

    The function must be pure: the same context gives the same tree, without clock, chance or files.

    Args:
        input: model of the input.
        name: the function's own name when it is not given.
        budget: what a run of it may spend, unless the person who starts it says otherwise.
    """

    def wrap(render: Callable[..., Node | None]) -> Workflow[Any]:
        return Workflow(render, input, name or render.__name__, budget)

    return wrap(function) if function is not None else wrap
