"""Have the machine look every minute: a user's systemd timer, a launchd job, or a line of the crontab.

All three start `smithers supervise --once`. What is written is named after the repository, and removed exactly.
"""

from __future__ import annotations

import hashlib
import os
import plistlib
import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from smithers_git.edge import process
from smithers_git.errors import SmithersError, StorageError, UsageError
from smithers_git.service.project import Project

Kind = Literal["systemd", "launchd", "cron"]

_KEPT: Final = ("PATH", "LANG", "XDG_CONFIG_HOME", "XDG_STATE_HOME", "XDG_DATA_HOME", "XDG_CACHE_HOME")
"""Variables without which agents, configuration and worktrees would not be found. Nothing that may be secret."""
_PATIENCE: Final = 30.0
_LINGER: Final = "loginctl enable-linger lets it go on while you are logged out"


@dataclass(frozen=True, slots=True)
class Done:
    """What was written or removed, and what to know besides."""

    changed: tuple[str, ...]
    note: str = ""


def name(project: Project) -> str:
    """What the job of this repository is called."""
    digest = hashlib.sha256(os.fsencode(project.repository.common_dir)).hexdigest()[:8]
    text = re.sub(r"[^a-z0-9]+", "-", project.worktree.name.lower()).strip("-")[:24]
    return f"smithers-supervise-{text or 'repo'}-{digest}"


def install(project: Project, kind: Kind, most: int) -> Done:
    """Set the job up, or again with other options; raises SmithersError, and nothing is left then."""
    argv = [*project.python(), "-C", str(project.worktree), "supervise", "--once", "--max", str(most)]
    env = {key: project.environ[key] for key in _KEPT if project.environ.get(key)}
    if any(not text.isprintable() for text in (*argv, *env.values())):
        raise UsageError("the path of this repository has a line break or the like", hint="move it, then try again")
    if kind == "cron":
        return _into_crontab(project, _cron_line(project, argv, env))
    return _systemd(project, argv, env) if kind == "systemd" else _launchd(project, argv, env)


def uninstall(project: Project, kind: Kind) -> Done:
    """Remove what `install` set up; nothing is changed when there is nothing."""
    if kind == "cron":
        return _into_crontab(project, None)
    files = _unit_files(project) if kind == "systemd" else [_plist(project)]
    there = [path for path in files if path.exists()]
    if not there:
        return Done(())
    if kind == "systemd":
        _call(project, "systemctl", "--user", "disable", "--now", f"{name(project)}.timer")
    else:
        _call(project, "launchctl", "bootout", f"gui/{os.getuid()}/{name(project)}")
    for path in there:
        path.unlink(missing_ok=True)
    if kind == "systemd":
        _call(project, "systemctl", "--user", "daemon-reload")
    return Done(tuple(map(str, there)))


# -- systemd


def _unit_files(project: Project) -> list[Path]:
    config = project.environ.get("XDG_CONFIG_HOME") or str(_home(project) / ".config")
    return [Path(config) / "systemd" / "user" / f"{name(project)}.{kind}" for kind in ("service", "timer")]


def _systemd(project: Project, argv: list[str], env: Mapping[str, str]) -> Done:
    service, timer = _unit_files(project)
    about = f"Resume runs of smithers in {project.worktree}".replace("%", "%%")
    variables = "".join(f"Environment={_quoted(f'{key}={value}')}\n" for key, value in env.items())
    command = " ".join(_quoted(word.replace("$", "$$")) for word in argv)
    # KillMode: the engines that it starts must outlive it. Killing all of its group is systemd's default.
    texts = {
        service: f"[Unit]\nDescription={about}\n\n[Service]\nType=oneshot\nKillMode=process\n{variables}"
        f"ExecStart={command}\n",
        timer: f"[Unit]\nDescription={about}\n\n[Timer]\nOnStartupSec=10\nOnUnitInactiveSec=60\n\n"
        "[Install]\nWantedBy=timers.target\n",
    }
    calls = (["daemon-reload"], ["enable", "--now", timer.name])
    return _set_up(project, texts, [["systemctl", "--user", *call] for call in calls], _LINGER)


def _quoted(word: str) -> str:
    """One word as a unit file has it."""
    escaped = word.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%")
    return f'"{escaped}"'


# -- launchd


def _plist(project: Project) -> Path:
    return _home(project) / "Library" / "LaunchAgents" / f"{name(project)}.plist"


def _launchd(project: Project, argv: list[str], env: Mapping[str, str]) -> Done:
    path = _plist(project)
    job = {
        "Label": name(project),
        "ProgramArguments": argv,
        "EnvironmentVariables": dict(env),
        "StartInterval": 60,
        "RunAtLoad": True,
        "AbandonProcessGroup": True,  # the engines that it starts must outlive it
    }
    text = plistlib.dumps(job).decode()
    return _set_up(project, {path: text}, [["launchctl", "bootstrap", f"gui/{os.getuid()}", str(path)]], "")


def _set_up(project: Project, texts: Mapping[Path, str], calls: list[list[str]], note: str) -> Done:
    """Write files and tell the scheduler of them. When that fails, the files go again."""
    try:
        for path, text in texts.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, "utf-8")
        for call in calls:
            _call(project, *call)
    except OSError as error:
        raise StorageError(f"{error.filename} cannot be written: {error.strerror}", hint="make it writable") from error
    except SmithersError:
        for path in texts:
            path.unlink(missing_ok=True)
        raise
    return Done(tuple(map(str, texts)), note)


# -- cron


def _cron_line(project: Project, argv: list[str], env: Mapping[str, str]) -> str:
    variables = [f"{key}={shlex.quote(value)}" for key, value in env.items()]
    log = shlex.quote(str(project.state_dir / "supervise" / "log"))
    command = " ".join([*variables, shlex.join(argv), f">> {log} 2>&1"])
    return f"* * * * * {command} # {name(project)}".replace("%", "\\%")  # cron takes a bare % for a line break


def _into_crontab(project: Project, line: str | None) -> Done:
    """Put our line into the crontab in place of the one that is there, or take it out; all others stay as they are."""
    before = _crontab(project)
    mark = f"# {name(project)}".encode()
    kept = [one for one in before.splitlines(keepends=True) if not one.rstrip().endswith(mark)]
    had = len(kept) < len(before.splitlines())
    if line is None and not had:
        return Done(())
    if line is not None:
        if kept and not kept[-1].endswith(b"\n"):
            kept.append(b"\n")
        (project.state_dir / "supervise").mkdir(parents=True, exist_ok=True)
        kept.append(os.fsencode(line) + b"\n")
    _call(project, "crontab", "-", stdin=b"".join(kept))
    return Done((f"the line {mark.decode()} of your crontab",))


def _crontab(project: Project) -> bytes:
    env = {**project.environ, "LC_ALL": "C"}
    done = process.capture(["crontab", "-l"], cwd=project.worktree, env=env, timeout=_PATIENCE)
    if done.code == 0:
        return done.stdout
    # Only when it says so: writing over a crontab that could not be read would lose all of it.
    if re.search(rb"no crontab|No such file", done.stderr):
        return b""
    raise _failed(["crontab", "-l"], done)


def _call(project: Project, *argv: str, stdin: bytes | None = None) -> None:
    done = process.capture(argv, cwd=project.worktree, env=project.environ, input=stdin, timeout=_PATIENCE)
    if done.code:
        raise _failed(list(argv), done)


def _failed(argv: list[str], done: process.Captured) -> SmithersError:
    said = done.stderr.decode("utf-8", "replace").strip().rpartition("\n")[2]
    return SmithersError(
        f"{shlex.join(argv)} failed with {done.code}: {said}", hint="install another kind, or run smithers supervise"
    )


def _home(project: Project) -> Path:
    return Path(project.environ.get("HOME") or Path.home())
