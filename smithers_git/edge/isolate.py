"""The sole home of bubblewrap: the command that runs a program with nothing to write but its folder and a home.

The whole file system is there, read-only. Over the user's home, the temporary folders and /run lies empty memory, into
which is bound back what the program needs: its own files, its workspace, a home that no other program has. It sees no
process but its own, and everything that it starts ends with it.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

PROGRAM: Final = "bwrap"
BELOW: Final = 2
"""Processes from the one that is started down to the program: bwrap, its own first process in the namespace, and it."""

_MEMORY: Final = ("/tmp", "/var/tmp", "/run")
"""Covered, besides the home; /dev is new anyway. Sockets below /run (of docker, of the session bus) work through a
read-only mount as well, so it is not enough that nothing can be written there."""
_KEPT_IN_RUN: Final = ("/run/current-system", "/run/booted-system", "/run/opengl-driver")
"""Where NixOS has its programs."""
_NAMESPACES: Final = ("--unshare-pid", "--unshare-ipc", "--unshare-uts", "--die-with-parent")


@dataclass(frozen=True, slots=True)
class Box:
    """What a program finds. All paths are absolute; a later one lies over an earlier one."""

    folder: Path
    """Where it starts."""
    home: Path
    """What it has for a home: a folder on the disk, shown where its environment's HOME is."""
    read: tuple[Path, ...] = ()
    write: tuple[Path, ...] = ()
    hidden: tuple[Path, ...] = ()
    """Folders that are empty for it, although they lie in one that it may read."""
    network: bool = True
    terminal: bool = False
    """Whether it has a terminal: then it stays in that terminal's session."""


def find(environ: Mapping[str, str]) -> str | None:
    """Bubblewrap's path; None when it is not installed."""
    return shutil.which(PROGRAM, path=environ.get("PATH"))


def trial(bwrap: str) -> list[str]:
    """A command that exits with 0 where all that `command` asks for works, and says on standard error why not."""
    memory = [word for folder in _MEMORY if Path(folder).is_dir() for word in ("--tmpfs", folder)]
    return [bwrap, *_NAMESPACES, "--new-session", "--ro-bind", "/", "/", "--dev", "/dev", "--proc", "/proc", *memory,
            "--", "/bin/sh", "-c", ":"]  # fmt: skip


def command(bwrap: str, box: Box, argv: Sequence[str], environ: Mapping[str, str]) -> list[str]:
    """The command that runs `argv` in `box`; `environ` is its whole environment and becomes the program's.

    It is not handed over in words (`--clearenv --setenv`): everybody on the machine can read the words of a command.
    """
    home = environ.get("HOME") or "/nowhere"
    words = [bwrap, *_NAMESPACES, "--ro-bind", "/", "/", "--dev", "/dev", "--proc", "/proc"]
    words += [] if box.terminal else ["--new-session"]  # else it could type into the terminal that we have
    words += [] if box.network else ["--unshare-net"]
    covered = list(_covered(environ))
    for folder in covered:
        words += ["--tmpfs", str(folder)]
    for kept in (*_KEPT_IN_RUN, os.path.realpath("/etc/resolv.conf")):
        if kept.startswith("/run/") and Path(kept).exists():
            words += ["--ro-bind", kept, kept]
    if Path(home).is_dir():
        words += ["--bind", str(box.home), home]
    for name in ("TMPDIR", "XDG_RUNTIME_DIR"):
        if environ.get(name, "").startswith("/") and _below(Path(environ[name]), covered):
            words += ["--perms", "0700", "--dir", environ[name]]
    whole = [*covered, Path(home)]
    needed = [path for path in _installed(argv[0], environ) if _below(path, whole) and not _holds_one(path, whole)]
    # A file that a variable names (OPENCODE_CONFIG, GOOGLE_APPLICATION_CREDENTIALS): it was let through to be read.
    named = [Path(value) for value in environ.values() if value.startswith("/") and os.path.isfile(value)]  # noqa: PTH113
    needed += [one for path in named for one in (path, path.resolve()) if _below(one, whole)]
    bound: list[Path] = []
    for path in (*needed, *box.read):
        if _below(path, bound):
            continue
        # Nothing can be mounted onto a link.
        words += ["--symlink", str(path.readlink())] if path.is_symlink() else ["--ro-bind", str(path)]
        words.append(str(path))
        bound.append(path)
    for path in box.hidden:
        words += ["--tmpfs", str(path)]
    for path in dict.fromkeys((*box.write, box.folder)):
        words += ["--bind", str(path), str(path)]
    return [*words, "--chdir", str(box.folder), "--", *argv]


def _covered(environ: Mapping[str, str]) -> Iterator[Path]:
    """Folders over which empty memory lies; the home gets its own."""
    names = ("XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_STATE_HOME", "XDG_CACHE_HOME", "TMPDIR")
    home = Path(environ.get("HOME") or "/nowhere")
    found = [Path(folder) for folder in _MEMORY]
    found += [Path(environ[name]) for name in names if environ.get(name, "").startswith("/")]
    for folder in dict.fromkeys(found):
        above = [one for one in found if one != folder and folder.is_relative_to(one)]
        if folder.is_dir() and not above and not folder.is_relative_to(home) and folder != Path("/"):
            yield folder


def _below(path: Path, folders: Iterable[Path]) -> bool:
    return any(path.is_relative_to(folder) for folder in folders)


def _holds_one(path: Path, folders: Iterable[Path]) -> bool:
    """Whether it is one of the covered folders, or around one: a program that lies in the home itself, say."""
    return any(folder.is_relative_to(path) for folder in folders)


def _installed(program: str, environ: Mapping[str, str], deep: int = 3) -> Iterator[Path]:
    """The folders that a program needs to start: those of PATH, where it is installed, and the same of what runs it."""
    for entry in environ.get("PATH", os.defpath).split(os.pathsep):
        # Not `Path.is_dir`, which raises where a folder of somebody else is in the way (CPython 3.11).
        if entry.startswith("/") and deep == 3 and os.path.isdir(entry):  # noqa: PTH112
            yield Path(entry)
    path = Path(shutil.which(program, path=environ.get("PATH")) or program)
    for _ in range(20):  # each link on the way has to be there
        yield from (_install_folder(path, environ), path)
        if not path.is_symlink():
            break
        path = Path(os.path.normpath(path.parent / path.readlink()))
    interpreter = _interpreter(path)
    if interpreter and deep:
        yield from _installed(interpreter, environ, deep - 1)


def _install_folder(path: Path, environ: Mapping[str, str]) -> Path:
    """The folder that a program was installed into as a whole."""
    parts = path.parts
    if "node_modules" in parts:
        return Path(*parts[: parts.index("node_modules") + 1])
    folder = path.parent
    prefix = folder.parent
    home = Path(environ.get("HOME") or "/nowhere")
    # A prefix of its own (a venv, a Node version), not the one that a person shares out among all programs.
    own = (prefix / "pyvenv.cfg").is_file() or (prefix / "lib").is_dir()
    shared = home.is_relative_to(prefix) or prefix == home / ".local"
    return prefix if folder.name == "bin" and own and not shared else folder


def _interpreter(path: Path) -> str | None:
    """What the first line of a script names; of `env NAME` the name."""
    try:
        with path.open("rb") as file:
            line = file.readline(512)
    except OSError:
        return None
    if not line.startswith(b"#!"):
        return None
    words = line[2:].decode("utf-8", "replace").split()
    if words and Path(words[0]).name == "env":
        words = [word for word in words[1:] if not word.startswith("-") and "=" not in word]
    return words[0] if words else None
