"""What wants to land, as an entry of a queue: of a Land task in a workflow, of a whole run, of a branch."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from smithers_git.core import commit_message
from smithers_git.core.landing.entry import Entry, entry_id
from smithers_git.core.nodes import Command
from smithers_git.core.queue_nodes import Land, Style
from smithers_git.core.state import State
from smithers_git.errors import ConfigError, RunRefused
from smithers_git.service.checks import find_check
from smithers_git.service.job import Space
from smithers_git.service.project import Project

if TYPE_CHECKING:
    from jinja2 import Template


@dataclass(frozen=True, slots=True)
class Wish:
    """An entry and the branch (full ref) that it wants to land on."""

    target: str
    entry: Entry
    base: str | None = None
    """Where the target begins when it is an integration branch that does not exist yet, or whose work came home."""


@dataclass(frozen=True, slots=True)
class Change:
    """A change that wants to land, before it is an entry. `title` and `body` are filled into the message template."""

    name: str
    head: str
    branch: str | None
    title: str
    body: str = ""
    run: str | None = None
    ticket: str | None = None


@dataclass(frozen=True, slots=True)
class Terms:
    """How it wants to land."""

    onto: str
    gates: tuple[Command, ...]
    style: Style | None = None
    depends_on: tuple[str, ...] = ()
    priority: int = 0
    approval: str | None = None


def for_task(project: Project, state: State, task: Land, space: Space, body: str) -> Wish:
    """The wish of a Land task; raises RunRefused without a gate."""
    asked = next((one for key, one in reversed(state.approvals.items()) if key.node == task.id and one.approved), None)
    change = Change(
        name=task.name or task.ticket or f"{state.run}/{space.name}",
        head=space.commit,
        branch=space.branch,
        title=task.title or title_of(state),
        body=body,
        run=state.run,
        ticket=task.ticket,
    )
    terms = Terms(
        onto=task.onto or project.settings.landing.branch,
        gates=gates(project, task.entry_gates, state.check),
        style=task.style,
        depends_on=task.depends_on,
        priority=task.priority,
        approval=asked.by if asked is not None else None,
    )
    made = wish(project, change, terms)
    return replace(made, base=state.base) if terms.onto == project.settings.landing.branch else made


def wish(project: Project, change: Change, terms: Terms) -> Wish:
    """The entry for `change` on these terms, its message made from the template."""
    target = terms.onto if terms.onto.startswith("refs/heads/") else f"refs/heads/{terms.onto}"
    style: Style = terms.style or project.settings.landing.style
    # Here, and not only where a frame is written: the id comes from the words, and a commit on a branch has them.
    text = project.redactor().text(_message(project, change, style))
    title, _, body = text.partition("\n")
    title = commit_message.subject(title) or commit_message.subject(change.name)
    fields: dict[str, Any] = {
        "name": change.name,
        "head": change.head,
        "gates": terms.gates,
        "depends_on": tuple(terms.depends_on),
        "style": style,
        "title": title,
        "body": body.strip(),
        "ticket": change.ticket,
    }
    entry = Entry(
        id=entry_id(target, **fields),
        branch=change.branch,
        priority=terms.priority,
        approval=terms.approval,
        run=change.run,
        **fields,
    )
    return Wish(target, entry)


def title_of(state: State) -> str:
    """What a run was asked for, in one line."""
    asked = str(state.input.get("prompt") or "").strip()
    return commit_message.subject(asked) or f"{state.workflow} ({state.run})"


def gates(project: Project, given: tuple[Command, ...], check: list[str] | None) -> tuple[Command, ...]:
    """The gates that were given, else those of the config, else the project's check; raises RunRefused: none."""
    configured = [gate if isinstance(gate, str) else tuple(gate) for gate in project.settings.landing.gates]
    if given or configured:
        return given or tuple(configured)
    found = check or find_check(project)
    if not found:
        raise RunRefused(
            "nothing lands without a gate, and neither a gate nor a check command is configured or was found",
            hint='set check = "…" or [landing] gates = ["…"] in .smithers/config.toml',
        )
    return (tuple(found),)


def _message(project: Project, change: Change, style: Style) -> str:
    import jinja2

    values = {
        "title": change.title,
        "body": change.body.strip(),
        "ticket": change.ticket,
        "run": change.run,
        "branch": (change.branch or "").removeprefix("refs/heads/"),
        "style": style,
    }
    try:
        return _template(project.settings.landing.message).render(**values).strip()
    except jinja2.TemplateError as error:
        raise ConfigError(
            f"[landing] message cannot be filled in: {error}", hint=f"it may use: {', '.join(values)}"
        ) from error


@lru_cache(4)
def _template(text: str) -> Template:
    """A message's template: to compile one takes 2 ms, and a workflow lands by the dozen."""
    import jinja2.sandbox

    # Sandboxed: a repository's config is not a program, and nobody was asked whether it may run one.
    return jinja2.sandbox.SandboxedEnvironment(undefined=jinja2.StrictUndefined, autoescape=False).from_string(text)
