"""The files in which an agent's CLI keeps a conversation: kept in frames, and put back where they are missing.

So a run that was fetched on another machine, or whose HOME is new, goes on with what was said. A file that is there is
never written over.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import tempfile
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from smithers_git.core.command_line import may_resume
from smithers_git.core.profile import Profile
from smithers_git.core.redact import Redactor
from smithers_git.edge import boot
from smithers_git.edge.git.entries import BLOB
from smithers_git.edge.git.heal import part_of
from smithers_git.edge.git.objects import Objects
from smithers_git.service.frames import Chain
from smithers_git.service.talk.state import folder as state_folder
from smithers_git.service.talk.state import is_id, session_files

MOST: Final = 16 << 20
"""Bytes of one conversation that a frame holds. Each attempt that goes on with it stores it anew."""
_TORN: Final = ".torn"
_PARTS: Final = re.compile(r"\*\*/|\*\*|\*|[^*]+")
_MEANING: Final = {"**/": "(?:[^/]+/)*", "**": ".*", "*": "[^/]*"}


@dataclass(frozen=True, slots=True)
class Kept:
    """A conversation as a frame holds it."""

    session: str
    agent: str
    folder: str
    """Where it took place: some CLIs know a conversation only there."""
    files: Mapping[str, bytes] = field(default_factory=dict)
    """By path below the CLI's own folder."""
    left_out: int = 0
    """Bytes that were too many to be kept."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A conversation that is to go on, and where."""

    profile: Profile
    environ: Mapping[str, str]
    """What the agent's program is started with."""
    session: str
    folder: Path
    """Where the agent works."""


@dataclass(frozen=True, slots=True)
class Ready:
    """Whether a conversation can go on here."""

    restored: bool = False
    """Its files were put back."""
    lost: str = ""
    """Why it cannot; empty when it can."""


def ready(asked: Asked, kept: Kept | None) -> Ready:
    """Look whether a conversation can go on; its files are put back from `kept` where they are missing or torn."""
    profile, environ, session = asked.profile, asked.environ, asked.session
    try:
        _set_torn_aside(asked, kept)
    except OSError as error:
        return Ready(lost=f"its files cannot be read: {error}")
    if kept is not None and not may_resume(profile, kept.folder, str(asked.folder)):
        return Ready(lost="it took place in another folder, and its agent knows it only there")
    if profile.state is None or not profile.state.sessions or session_files(profile, environ, session):
        return Ready()
    if not profile.state.portable:
        return Ready(lost="its files are missing, and its agent cannot go on with what a frame could keep of them")
    if kept is None or not kept.files:
        large = f": with {kept.left_out} bytes it is too large" if kept and kept.left_out else ""
        return Ready(lost=f"its files are neither on this machine nor in the run{large}")
    try:
        put_back(kept, profile, environ)
    except OSError as error:
        return Ready(lost=f"its files cannot be put back: {error}")
    if not session_files(profile, environ, session):
        return Ready(lost="its files cannot be put where the agent looks for them")
    return Ready(restored=True)


def _set_torn_aside(asked: Asked, kept: Kept | None) -> None:
    """Rename files that a power loss emptied or cut off: CLIs flush nothing, and would go on remembering nothing."""
    root = state_folder(asked.profile, asked.environ)
    if root is None:
        return
    for path in session_files(asked.profile, asked.environ, asked.session):
        if path.stat().st_mtime >= boot.current().since:
            continue  # somebody has written to it since the machine was started
        data = path.read_bytes()
        want = kept.files.get(path.relative_to(root).as_posix(), data) if kept is not None else data
        if not data.strip(b"\0") or (data != want and part_of(data, want)):
            path.replace(path.with_name(f"{path.name}{_TORN}"))


def gather(asked: Asked, redactor: Callable[[], Redactor]) -> Kept | None:
    """The conversation as it stands on this machine; None when nothing can be said of it.

    `redactor` makes one for each file, that takes secrets out. Raises OSError.
    """
    profile, environ, session, folder = asked.profile, asked.environ, asked.session, asked.folder
    if profile.session.scope == "none" or not is_id(session):
        return None
    plain = Kept(session, profile.name, str(folder))
    root = state_folder(profile, environ)
    paths = [path for path in session_files(profile, environ, session) if not path.is_symlink()]
    if root is None or not paths or profile.state is None or not profile.state.portable:
        return plain if profile.session.scope == "folder" else None
    size = sum(path.stat().st_size for path in paths)
    if size > MOST:
        return Kept(session, profile.name, str(folder), left_out=size)
    files = {}
    for path in paths:
        name = path.relative_to(root).as_posix()
        if ".git" not in name.split("/") and name.isprintable():
            clean = redactor()
            files[name] = clean.feed(path.read_bytes()) + clean.finish()
    return Kept(session, profile.name, str(folder), files)


def put(chain: Chain, kept: Kept) -> None:
    """Hand a conversation to the next frame, in place of what an earlier one had of it."""
    place = _place(kept.session)
    chain.drop(place)
    about = {"agent": kept.agent, "folder": kept.folder, "left_out": kept.left_out}
    chain.put(f"{place}/place.json", json.dumps(about, indent=1, sort_keys=True).encode("utf-8", "replace") + b"\n")
    for name, data in kept.files.items():
        chain.put(f"{place}/files/{name}", data)


def find(objects: Objects, tree: str, session: str) -> Kept | None:
    """The conversation in the frame with this tree; None when it holds none."""
    about = objects.find(tree, f"{_place(session)}/place.json") if is_id(session) else None
    if about is None:
        return None
    try:
        said = json.loads(objects.read_blob(about))
        plain = Kept(session, str(said["agent"]), str(said["folder"]), left_out=int(said.get("left_out", 0)))
    except (ValueError, KeyError, TypeError):  # not written by us
        return None
    files = objects.find(tree, f"{_place(session)}/files")
    if files is None:
        return plain
    found = {path: objects.read_blob(entry.oid) for path, entry in objects.files(files) if entry.mode == BLOB}
    return Kept(session, plain.agent, plain.folder, found)


def put_back(kept: Kept, profile: Profile, environ: Mapping[str, str]) -> bool:
    """Lay the files of a conversation where its CLI looks for them; those that are there stay as they are.

    Only what the profile calls a file of that conversation is written: a frame may come from anybody.

    Returns whether one was written. Raises OSError.
    """
    root = state_folder(profile, environ)
    globs = [glob.replace("{session}", kept.session) for glob in profile.state.sessions] if profile.state else []
    if root is None:
        return False
    wrote = False
    for name, data in kept.files.items():
        if ".." not in name.split("/") and any(_fits(name, glob) for glob in globs):
            wrote = _write(root / name, data) or wrote
    return wrote


def _write(path: Path, data: bytes) -> bool:
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    number, name = tempfile.mkstemp(dir=path.parent)
    try:
        with os.fdopen(number, "wb") as file:
            file.write(data)
        with suppress(FileExistsError):
            os.link(name, path)
            return True
        return False
    finally:
        Path(name).unlink()


def _fits(name: str, glob: str) -> bool:
    parts = _PARTS.findall(glob)
    return re.fullmatch("".join(_MEANING.get(part) or re.escape(part) for part in parts), name) is not None


def _place(session: str) -> str:
    """Two levels, so that a frame's new trees stay small; by digest, as some ids begin with the time."""
    return f"sessions/{hashlib.sha256(session.encode()).hexdigest()[:2]}/{session}"
