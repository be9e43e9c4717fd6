"""What `smithers init` says."""

from __future__ import annotations

import shlex
from dataclasses import asdict

from smithers_git.edge import output
from smithers_git.service import hooks
from smithers_git.service.initialize import Initialized
from smithers_git.service.project import Project


def conclude(project: Project, done: Initialized, *, as_json: bool) -> None:
    """What is there now, and what to type next."""
    following = next_commands(project, done)
    if as_json:
        output.document({**asdict(done), "next": following})
        return
    for name in done.written:
        output.emit(f"wrote  {name}")
    for name in done.kept:
        output.emit(f"kept   {name}")
    if done.check:
        output.emit(f"check  {shlex.join(done.check)} ({done.check_from})")
    else:
        output.emit('check  none found: set check = "…" in .smithers/config.toml; implement and debug need it')
    for agent in done.agents:
        output.emit(f"agent  {agent.name}: " + (agent.program or f"not installed; {agent.install}"))
    if not any(agent.program for agent in done.agents):
        output.emit("       no agent is installed yet: only the script agent works, which plays .smithers/script.toml")
    for line in following:
        output.emit(f"next:  {line}")


def next_commands(project: Project, done: Initialized) -> list[str]:
    """What to type next, in order."""
    commands = []
    if project.repository.head is None:
        commands.append("git add -A && git commit -m 'First commit'")
    if any(row.holder in ("none", "other") for row in hooks.listed(project) if row.event in hooks.wanted(project)):
        commands.append("smithers hooks install")  # offered, never done: hooks are the user's own
    there = [agent.name for agent in done.agents if agent.program]
    if there:
        commands.append(f"smithers agents test {there[0]}")
        commands.append(f"smithers up {'implement' if done.check else 'plan'} -p 'what you want'")
    else:
        commands.append("smithers demo")
    return commands
