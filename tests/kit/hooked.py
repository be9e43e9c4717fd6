"""Repositories whose hooks start runs: a pack that says what it was given, and git as a person uses it."""

from __future__ import annotations

import json
import os
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest
from kit import repos, runs

from smithers_git.service import detach
from smithers_git.service.project import Project

PACK = '''\
"""Say what was given, and fail on a file that says bad."""

from pydantic import BaseModel
from smithers_git import Context, Task, workflow


class Request(BaseModel):
    prompt: str = ""


@workflow(input=Request)
def note(ctx: Context[Request]):
    return Task("note", run=["sh", "-c", "echo given; ! grep -qs bad *.txt"])
'''
EVIL = """\
import pathlib
pathlib.Path(PLACE).write_text("it ran")
raise SystemExit
"""


def trigger(name: str, on: str, **values: Any) -> str:
    """A `[[trigger]]` that starts the pack `note`."""
    rows = {"name": name, "on": on, "workflow": "note", **values}
    return "[[trigger]]\n" + "".join(f"{key} = {_toml(value)}\n" for key, value in rows.items())


def _toml(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key} = {_toml(inner)}" for key, inner in value.items()) + "}"
    return json.dumps(value)


def set_up(repo: Path, *triggers: str) -> None:
    """Write the pack and these triggers into the repository, and commit them."""
    repos.commit(repo, {".smithers/packs/note/workflow.py": PACK, ".smithers/config.toml": "\n".join(triggers)})


def git(repo: Path, *argv: str, code: int = 0, **env: str) -> str:
    """git as a person runs it, without a terminal; returns all that was printed."""
    done = subprocess.run(
        ["git", "-C", str(repo), *argv], env=os.environ | env, capture_output=True, text=True, timeout=60,
        stdin=subprocess.DEVNULL,
    )  # fmt: skip
    assert done.returncode == code, f"git {argv}: {done.returncode}\n{done.stdout}{done.stderr}"
    return done.stdout + done.stderr


def save(repo: Path, files: dict[str, str | bytes], code: int = 0, **env: str) -> str:
    """Change files and commit them; returns what git and the hooks printed."""
    repos.write(repo, files)
    git(repo, "add", "-A")
    return git(repo, "commit", "-qm", "change", code=code, **env)


def run_names(repo: Path) -> list[str]:
    """The runs of the repository."""
    return repos.git(repo, "for-each-ref", "--format=%(refname:lstrip=3)", "refs/smithers/runs").split()


def eventually(repo: Path, count: int, patience: float = 30.0) -> list[str]:
    """The runs, as soon as there are so many of them and none is driven any more."""
    until = time.monotonic() + patience
    while time.monotonic() < until:
        found = run_names(repo)
        if len(found) >= count and all(status(repo, run) == "finished" for run in found) and not spooled(repo):
            return found
        time.sleep(0.05)
    raise AssertionError(f"{run_names(repo)}\n{log(repo)}")


def status(repo: Path, run: str) -> str:
    """finished, or the subject of its newest frame."""
    subject = repos.git(repo, "log", "-1", "--format=%s", f"refs/smithers/runs/{run}")
    return "finished" if "run finished" in subject else subject


def spooled(repo: Path) -> list[str]:
    """What hooks left and nothing has worked off yet."""
    return sorted(path.name for path in (common(repo) / "smithers" / "queue-in").glob("*"))


def hold(repo: Path) -> None:
    """Keep the process behind a hook from starting: what the hook left stays to be looked at, or drained here."""
    (common(repo) / "smithers" / "hooks.log").mkdir(parents=True)


def taken(repo: Path) -> list[dict[str, Any]]:
    """What hooks left since the last look, in a repository that is held."""
    found = []
    for path in sorted((common(repo) / "smithers" / "queue-in").glob("*")):
        found.append(json.loads(path.read_bytes()))
        path.unlink()
    return found


def no_engines(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Start no background engine in this process; the list holds the runs that would have one."""
    found: list[str] = []

    def resume(_project: Project, run: str, **_options: Any) -> None:
        found.append(run)

    monkeypatch.setattr(detach, "resume", resume)
    return found


def drain(smithers: runs.Smithers, repo: Path) -> str:
    """Work off the spool in this process; returns what the log would say."""
    return smithers("hooks", "run", "--spool", str(common(repo) / "smithers" / "queue-in")).err


def settled(repo: Path, lines: int, patience: float = 30.0) -> str:
    """The log of hooks, as soon as it has so many lines and the spool is empty."""
    until = time.monotonic() + patience
    while time.monotonic() < until:
        if len(log(repo).splitlines()) >= lines and not spooled(repo):
            break
        time.sleep(0.02)
    return log(repo)


def log(repo: Path) -> str:
    path = common(repo) / "smithers" / "hooks.log"
    return path.read_text("utf-8") if path.exists() else ""


def common(repo: Path) -> Path:
    return Path(repos.git(repo, "rev-parse", "--path-format=absolute", "--git-common-dir"))


def install(smithers: runs.Smithers, *events: str, trust: bool = True) -> None:
    smithers("hooks", "install", *events)
    if trust:
        smithers("trust")
