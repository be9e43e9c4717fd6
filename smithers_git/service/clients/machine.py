"""Which coding agents are there, for the user or in one project."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from smithers_git.core.clients import CLIENTS, Client, ServerFile, place
from smithers_git.edge import user_state
from smithers_git.errors import UsageError

NAMES: Final = tuple(client.name for client in CLIENTS)


@dataclass(frozen=True, slots=True)
class Machine:
    """Where to look.

    Args:
        environ: the user's environment.
        project: top folder of the project, when its own files are meant and not the user's.
    """

    environ: Mapping[str, str]
    project: Path | None = None

    @property
    def home(self) -> Path:
        home = self.environ.get("HOME", "")
        return Path(home) if home.startswith("/") else Path.home()

    @property
    def state(self) -> Path:
        """Where it is kept what was put into which file."""
        return user_state.folder(self.environ)

    def path(self, written: str) -> Path:
        """A place of the table: of the project when one is meant, else of the user."""
        if self.project is not None and not written.startswith(("~", "$")):
            return self.project / written
        return Path(place(written, str(self.home), self.environ))

    def is_there(self, client: Client) -> bool:
        """Whether the user has this agent."""
        if any(shutil.which(program, path=self.environ.get("PATH")) for program in client.programs):
            return True
        return any(self.path(folder).exists() for folder in client.folders)

    def found(self) -> list[Client]:
        """The agents that the user has."""
        return [client for client in CLIENTS if self.is_there(client)]

    def skills(self, client: Client) -> Path:
        """The folder of the client's skills."""
        return self.path(client.skills if self.project is None else client.project_skills)

    def servers(self, client: Client) -> tuple[ServerFile, Path] | None:
        """The file in which the client looks for servers, and its place; None when it has none."""
        file = client.servers if self.project is None else client.project_servers
        if file is None:
            return None
        names = [self.path(name) for name in (file.path, *file.others)]
        return file, next((path for path in names if path.exists()), names[0])


def chosen(machine: Machine, names: Sequence[str]) -> list[Client]:
    """The named agents, else those that the user has. Raises UsageError: there is no such agent, or none at all."""
    table = {client.name: client for client in CLIENTS}
    for name in names:
        if name not in table:
            raise UsageError(f"there is no coding agent {name!r} in the table", hint=f"known: {', '.join(NAMES)}")
    if names:
        return [table[name] for name in dict.fromkeys(names)]
    there = machine.found()
    if not there:
        raise UsageError(
            "no coding agent was found here", hint=f"name one with --agent NAME; known: {', '.join(NAMES)}"
        )
    return there
