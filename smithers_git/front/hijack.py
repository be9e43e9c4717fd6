"""`smithers hijack`: a task's conversation in the person's terminal."""

from __future__ import annotations

import sys

from smithers_git.edge import ask, output
from smithers_git.errors import ExitCode, NeedsTerminal
from smithers_git.service import detach
from smithers_git.service import hijack as service
from smithers_git.service.project import Project


def hijack(project: Project, run: str, node: str, by: str | None, *, resume: bool | None) -> int:
    """Hand the conversation over and take it back; returns the exit code. Raises NeedsTerminal, and as the service."""
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise NeedsTerminal(
            "a conversation can be handed over only to a terminal",
            hint=f"type it in a terminal; to read along elsewhere: smithers chat {run} {node} -f",
        )
    done = service.hijack(project, run, node, by or project.who(), output.note)
    what = "what was changed is kept" if done.changed else "no file was changed"
    output.emit(f"{done.key} of run {run} was handed back at frame {done.chain.state.number}: {what}")
    if resume is None:
        resume = ask.confirm(f"Let run {run} go on?", default=True)
    if not resume:
        output.note(f"run {run} is left paused; go on with: smithers up --resume {run}")
        return int(ExitCode.WAITING)
    detach.resume(project, run, revive=True)
    output.note(f"the run goes on in the background; watch it with: smithers logs -f {run}")
    return int(ExitCode.DONE)
