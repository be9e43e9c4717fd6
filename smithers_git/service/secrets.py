"""Secrets: fetching those that the configuration refers to, and taking all that are known out of what is stored.

A value is fetched when it is used and kept in memory only. What is known is more than what one agent was given: every
variable of the user with a secret name, and every reference of the configuration.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

from smithers_git.core.redact import Redactor, secrets_of
from smithers_git.edge import process
from smithers_git.errors import ConfigError, SmithersError

if TYPE_CHECKING:
    from smithers_git.core.secret import Reference, Secret
    from smithers_git.service.project import Project

_LIMIT: Final = 60.0
"""Seconds that a command may take: a person may have to touch a key."""
_MOST: Final = 64 << 10
"""Bytes of a secret. More is a mistake, and would be searched for in everything that is stored."""


class Secrets:
    """The secrets of one repository and its user. Each reference is fetched at most once."""

    def __init__(self, project: Project) -> None:
        self._project = project
        self._values: dict[Reference, str] = {}
        self._known: tuple[str, ...] | None = None
        self._redactor: Redactor | None = None
        self._lock = threading.RLock()

    def resolve(self, value: Secret, where: str) -> str:
        """The value itself, or what a reference refers to; raises ConfigError that names `where` and the reference."""
        if isinstance(value, str):
            return value
        with self._lock:
            if value not in self._values:
                self._values[value] = self._fetch(value, where)
                self._known = self._redactor = None
            return self._values[value]

    def environ(self, agent: str) -> dict[str, str]:
        """`[agents.NAME.env]`, references fetched."""
        given = self._project.settings.agent(agent).env
        return {name: self.resolve(value, f"[agents.{agent}.env] {name}") for name, value in given.items()}

    def known(self) -> tuple[str, ...]:
        """Every secret value that can be had here. What cannot be fetched now, nobody here can give away either."""
        with self._lock:
            if self._known is None:
                found = secrets_of(self._project.environ)
                for value, where in self._configured():
                    with suppress(ConfigError):
                        found.append(self.resolve(value, where))
                self._known = tuple(dict.fromkeys(found))
            return self._known

    def redactor(self, environ: Mapping[str, str] | None = None) -> Redactor:
        """Takes out what is known, and the secrets of `environ`.

        Without `environ` always the same one, for texts and values; a stream needs one of its own.
        """
        known = self.known()
        if environ is not None:
            return Redactor([*known, *secrets_of(environ)])
        if self._redactor is None:
            self._redactor = Redactor(known)
        return self._redactor

    def _configured(self) -> Iterator[tuple[Secret, str]]:
        from smithers_git.core.secret import Reference

        try:
            settings = self._project.settings
        except ConfigError:  # it is broken, so nothing of it is used; a run can be cancelled all the same
            return
        tables = {f"agents.{agent}.env": own.env for agent, own in settings.agents.items()}
        for server, one in settings.mcp.items():
            tables |= {f"mcp.{server}.env": one.env, f"mcp.{server}.headers": one.headers}
        for table, values in tables.items():
            plain = secrets_of({name: value for name, value in values.items() if isinstance(value, str)})
            for name, value in values.items():
                if isinstance(value, Reference) or value in plain:
                    yield value, f"[{table}] {name}"
        if isinstance(settings.notify.webhook, Reference):
            yield settings.notify.webhook, "[notify] webhook"

    def _fetch(self, reference: Reference, where: str) -> str:
        try:
            value = self._read(reference)
        except (OSError, UnicodeDecodeError, SmithersError) as error:
            why = (error.strerror or "it cannot be read") if isinstance(error, OSError) else "it cannot be used"
            why = error.message if isinstance(error, SmithersError) else why
            raise ConfigError(f"{where}: {reference}: {why}", hint=_hint(reference)) from None
        if not value or len(value) > _MOST:
            what = "it is empty" if not value else f"it has more than {_MOST:,} characters"
            raise ConfigError(f"{where}: {reference}: {what}", hint=_hint(reference))
        return value

    def _read(self, reference: Reference) -> str:
        environ, folder = self._project.environ, self._project.worktree
        if reference.env is not None:
            return environ.get(reference.env, "")
        if reference.file is not None:
            return (folder / Path(reference.file).expanduser()).read_text("utf-8").rstrip("\r\n")
        command = reference.command
        argv = ["/bin/sh", "-c", command] if isinstance(command, str) else list(command or ())
        done = process.capture(argv, cwd=folder, env=process.clean_env(environ), timeout=_LIMIT)
        if done.code:
            raise SmithersError(f"it exited with {done.code}")
        return done.stdout.decode("utf-8").rstrip("\r\n")


def _hint(reference: Reference) -> str:
    if reference.env is not None:
        return f"export {reference.env}=…"
    if reference.file is not None:
        return "write the secret into that file, readable for you alone"
    return "run it by hand; it has to print the secret, and cannot ask on the terminal"
