"""The ways to tell a person: a command, the desktop, a web address. Each has a time limit."""

from __future__ import annotations

import json
import shutil
import sys
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any, Final

from smithers_git.clock import iso
from smithers_git.core.notice import Notice, Occasion
from smithers_git.core.secret import Reference, Secret
from smithers_git.edge import process
from smithers_git.edge.process.evidence import gather
from smithers_git.errors import SmithersError
from smithers_git.service.project import Project

LIMIT: Final = 10.0
"""Seconds that a notifier may take."""

Send = Callable[[Notice], None]


@dataclass(frozen=True, slots=True)
class Notifier:
    """One way to tell, as it is configured."""

    name: str
    """command, desktop or webhook."""
    target: str
    events: tuple[Occasion, ...]


def sender(project: Project, notifier: Notifier) -> Send:
    """How to tell by that notifier; what it returns raises SmithersError when that fails."""
    if notifier.name == "command":
        return lambda notice: _command(project, json.loads(notifier.target), notice)
    if notifier.name == "desktop":
        return lambda notice: _desktop(project, notice)
    from smithers_git.edge import webhook  # and with it all of urllib, which an engine does without

    return lambda notice: webhook.post(_url(project, notifier.target), _body(project, notice), LIMIT)


def document(project: Project, notice: Notice) -> dict[str, Any]:
    """A notification as commands and web addresses get it, known secrets taken out."""
    where = str(project.worktree)
    redact = project.redactor().text
    line, typed = redact(notice.line(where)), redact(notice.typed(where))
    return {
        "text": f"{line}\n{typed}",
        "event": notice.event,
        "repository": redact(where),
        "run": notice.run,
        "node": notice.node,
        "frame": notice.frame,
        "id": notice.id,
        "at": iso(notice.at),
        "reason": redact(notice.reason),
        "command": typed,
    }


def _body(project: Project, notice: Notice) -> bytes:
    return json.dumps(document(project, notice), ensure_ascii=False).encode("utf-8", "replace")


def _command(project: Project, command: str | list[str], notice: Notice) -> None:
    argv = ["sh", "-c", command] if isinstance(command, str) else command
    told = document(project, notice)
    variables = {f"SMITHERS_{name.upper()}": "" if told[name] is None else str(told[name]) for name in told}
    _run(project, argv, variables, _body(project, notice))


def _desktop(project: Project, notice: Notice) -> None:
    told = document(project, notice)
    line, typed = told["text"].split("\n", 1)
    path = project.environ.get("PATH")
    if shutil.which("notify-send", path=path):
        _run(project, ["notify-send", "--app-name=smithers", "--", escape(line, quote=False), escape(typed)], {}, None)
    elif sys.platform == "darwin" and shutil.which("osascript", path=path):
        quoted = [json.dumps(text, ensure_ascii=False) for text in (typed, line)]
        _run(project, ["osascript", "-e", "display notification {} with title {}".format(*quoted)], {}, None)
    else:
        raise SmithersError("there is no notify-send on PATH", hint="install libnotify, or set desktop = false")


def _run(project: Project, argv: Sequence[str], variables: dict[str, str], stdin: bytes | None) -> None:
    env = {**process.clean_env(project.environ), **variables}
    stop = (process.StopStep("TERM", 1.0),)
    launch = process.Launch(
        argv, project.worktree, env, stdin, merge_stderr=True, timeout=LIMIT, stop=stop, secrets=project.secrets.known()
    )
    found = gather(launch, threading.Event())
    if found.verdict != "passed":
        said = found.tail.strip().rpartition("\n")[2][:200]
        raise SmithersError(f"{Path(argv[0]).name}: {found.message}" + (f": {said}" if said else ""))


def webhook_target(value: Secret) -> str:
    """The address as the configuration has it, in one line."""
    return value if isinstance(value, str) else value.model_dump_json(exclude_none=True)


def _url(project: Project, target: str) -> str:
    """`$NAME` and references stand for an address that is a secret, so that it need not be in a file."""
    if target.startswith("{"):
        return project.secrets.resolve(Reference.model_validate_json(target), "[notify] webhook")
    if not target.startswith("$"):
        return target
    name = target[1:].strip("{}")
    if not project.environ.get(name):
        raise SmithersError(f"the variable {name} is not set, which webhook in [notify] names", hint=f"export {name}=…")
    return project.environ[name]
