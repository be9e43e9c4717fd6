"""The folder in which an agent CLI keeps its login and its conversations, and what a turn has added to it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from smithers_git.core.profile import Profile

_MOST: Final = 64 << 20
"""Bytes that are read of what one turn has added to one file: its end."""
_ID: Final = re.compile(r"\w[\w.-]*")


def folder(profile: Profile, environ: Mapping[str, str]) -> Path | None:
    """The folder, for a CLI with the environment `environ`; None when the profile names none or there is no HOME."""
    state = profile.state
    if state is None:
        return None
    name, _, below = state.env.partition("/")
    if moved := environ.get(name):
        return Path(moved, below)
    return Path(environ["HOME"], state.folder) if environ.get("HOME") else None


def session_files(profile: Profile, environ: Mapping[str, str], session: str) -> list[Path]:
    """The files that hold the conversation `session`, as far as they are there."""
    root = folder(profile, environ)
    globs = profile.state.sessions if profile.state else ()
    return [] if root is None else [path for glob in globs for path in _found(root, glob, session)]


def is_id(session: str) -> bool:
    """Whether it can be the id of a conversation: it comes from the CLI, and must be no path and no pattern."""
    return _ID.fullmatch(session) is not None


class Additions:
    """What a turn adds to the files that the profile's rules read. Make it before the turn."""

    def __init__(self, profile: Profile, environ: Mapping[str, str], session: str | None) -> None:
        self._globs = [source.removeprefix("state:") for source in profile.sources() if source.startswith("state:")]
        self._folder = folder(profile, environ) if self._globs else None
        # A conversation that goes on has used tokens before: they were counted with the turns that used them.
        self._before = {path: path.stat().st_size for glob in self._globs for path in self._files(glob, session)}

    def read(self, session: str | None) -> dict[str, str]:
        """The added text by the rules' source, for the conversation `session`; None where nobody has told it."""
        texts = {f"state:{glob}": "".join(map(self._added, self._files(glob, session))) for glob in self._globs}
        return {source: text for source, text in texts.items() if text}

    def _files(self, glob: str, session: str | None) -> Iterator[Path]:
        if self._folder is not None:
            yield from _found(self._folder, glob, session)

    def _added(self, path: Path) -> str:
        start, end = self._before.get(path, 0), path.stat().st_size
        if end < start:  # written anew
            start = 0
        with path.open("rb") as file:
            file.seek(max(start, end - _MOST))
            return file.read(_MOST).decode("utf-8", "replace")


def _found(root: Path, glob: str, session: str | None) -> Iterator[Path]:
    if "{session}" in glob:
        if session is None or not is_id(session):
            return
        glob = glob.replace("{session}", session)
    yield from (path for path in sorted(root.glob(glob)) if path.is_file())
