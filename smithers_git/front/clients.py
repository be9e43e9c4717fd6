"""What `smithers skills` and `smithers mcp add|remove` print."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from smithers_git.edge import output
from smithers_git.edge.git.repository import discover
from smithers_git.errors import ExitCode
from smithers_git.service.clients import servers, skills
from smithers_git.service.clients.machine import Machine, chosen

_WORDS: Final = {
    "added": "added", "there": "is there", "changed": "renewed", "removed": "removed", "absent": "not there",
    "unsupported": "not possible", "failed": "FAILED",
}  # fmt: skip
_STYLES: Final = {"added": "green", "changed": "green", "removed": "green", "failed": "red"}


def machine(start: Path, *, project: bool) -> Machine:
    """Where to look: the user's own files, or those of the repository around `start`. Raises RepositoryError."""
    return Machine(os.environ, discover(start).worktree if project else None)


def command_of(found: Machine) -> list[str]:
    """What starts the server. A file of the project is shared, so it names the program and not its place here."""
    if found.project is not None:
        return ["smithers", "mcp"]
    there = shutil.which("smithers", path=found.environ.get("PATH"))
    own = Path(sys.executable).parent / "smithers"
    return [there or str(own), "mcp"]


def add_skills(found: Machine, names: Sequence[str], *, as_json: bool) -> int:
    """Install the skill; returns the exit code."""
    changes = skills.add(found, chosen(found, names))
    return _told([_skill(change) for change in changes], "skills", as_json=as_json)


def remove_skills(found: Machine, names: Sequence[str], *, as_json: bool) -> int:
    """Take the skill away; returns the exit code."""
    changes = skills.remove(found, chosen(found, names))
    for change in changes if not as_json else ():
        others = skills.sharing(found, change.path, change.clients) if change.outcome == "removed" else []
        if others:
            output.note(f"{change.path} was also looked at by {', '.join(others)}")
        for name in change.kept:
            output.note(f"{change.path / name} was changed since it was installed, and stays")
    return _told([_skill(change) for change in changes], "skills", as_json=as_json)


def list_skills(found: Machine, *, as_json: bool) -> int:
    """Show which agents are there and whether they have the skill; returns the exit code."""
    there = found.found()
    rows = [_skill(change) for change in skills.state(found, there)]
    told = {change.client: change.outcome for change in (servers.state(found, client) for client in there)}
    for row in rows:
        row["server"] = {name: told[name] for name in row["clients"]}
    if as_json:
        output.document({"skills": rows})
        return int(ExitCode.DONE)
    heads = ["AGENT", "SKILL", "SERVER", "FOLDER"]
    lines = [
        [name, _WORDS[row["outcome"]].replace("renewed", "older"), _WORDS[told[name]], row["path"]]
        for row in rows
        for name in row["clients"]
    ]
    output.table(heads, lines)
    output.note("install with: smithers skills add; register the server with: smithers mcp add")
    return int(ExitCode.DONE)


def add_servers(found: Machine, names: Sequence[str], *, as_json: bool) -> int:
    """Register the server; returns the exit code."""
    return _told(
        [_server(c) for c in servers.add(found, chosen(found, names), command_of(found))], "servers", as_json=as_json
    )


def remove_servers(found: Machine, names: Sequence[str], *, as_json: bool) -> int:
    """Take the server away; returns the exit code."""
    changes = servers.remove(found, chosen(found, names))
    return _told([_server(change) for change in changes], "servers", as_json=as_json)


def _skill(change: skills.Change) -> dict[str, Any]:
    return {
        "clients": list(change.clients),
        "outcome": change.outcome,
        "path": str(change.path),
        "text": change.text,
        "kept": change.kept,
    }


def _server(change: servers.Change) -> dict[str, Any]:
    path = str(change.path) if change.path else None
    return {"clients": [change.client], "outcome": change.outcome, "path": path, "text": change.text}


def _told(rows: list[dict[str, Any]], what: str, *, as_json: bool) -> int:
    if as_json:
        output.document({what: rows})
    else:
        for row in rows:
            word = output.paint(f"{_WORDS[row['outcome']]:<12}", _STYLES.get(row["outcome"], "dim"))
            output.emit(f"{word}  {', '.join(row['clients']):<12}  {row['text'] or row['path']}")
    return int(ExitCode.FAILED if any(row["outcome"] == "failed" for row in rows) else ExitCode.DONE)
