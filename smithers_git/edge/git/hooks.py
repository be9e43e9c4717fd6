"""The user's own hooks, run on a commit before it lands.

`git commit` and `git merge` would run them in the user's checkout. What lands is made and tested elsewhere, so they run
in a worktree of ours, in the state in which git would start them: HEAD at the commit before, the change staged.
"""

from __future__ import annotations

import os
import shutil
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from smithers_git.core.landing.entry import Style
from smithers_git.edge.git.checkout import Checkout
from smithers_git.edge.git.command import storage_errors
from smithers_git.edge.git.ignore import ignored
from smithers_git.edge.git.place import place, stage
from smithers_git.edge.git.repository import Repository
from smithers_git.edge.git.worktree import main_checkout
from smithers_git.edge.process.env import clean_env
from smithers_git.edge.process.evidence import TAIL, gather
from smithers_git.edge.process.launch import Launch

_MESSAGE: Final = "COMMIT_EDITMSG"


@dataclass(frozen=True, slots=True)
class HookOutcome:
    """What the hooks say of a commit.

    Attributes:
        passed: all exited with 0 and changed nothing.
        name: of the hook that said no; empty when none did.
        tail: the end of that one's output and what it changed; else of all output.
        broken: it said nothing that counts: it could not start, was killed from outside, or was cut off by us.
    """

    passed: bool
    name: str
    tail: str
    broken: bool = False


@dataclass(frozen=True, slots=True)
class Landing:
    """What the hooks look at: `commit`, which is to come after `before`."""

    before: str
    commit: str
    style: Style


@dataclass(frozen=True, slots=True)
class Limits:
    """The environment that hooks get, seconds for each of them, and what ends them early."""

    environ: Mapping[str, str]
    seconds: float
    cancel: threading.Event


def find(repo: Repository, style: Style, lane: Checkout | None = None) -> list[str]:
    """The names of the hooks that would run, in order; of those that can be run, as git passes over others."""
    names = ["pre-commit", "commit-msg"]
    if style == "merge":
        names.insert(1, "pre-merge-commit")
    place = folder(repo, lane or repo.checkout)
    return [name for name in names if _runs(place / name)]


@storage_errors
def run(repo: Repository, lane: Checkout, landing: Landing, limits: Limits) -> HookOutcome:
    """Run the user's hooks on a commit that is to land, in `lane`, a worktree of ours that nobody works in.

    pre-commit, on a merge pre-merge-commit too, and commit-msg with the commit's message in a file. A hook that changes
    files, index or HEAD says no thereby: what lands is what was tested, so its changes cannot be taken over. For the
    same reason what commit-msg writes into the message is not taken over either. Afterwards the lane holds whatever
    the hooks left.

    Raises:
        GitError: the lane cannot be brought into the state that hooks expect.
        StorageError: something cannot be read or written.
    """
    said: list[str] = []
    place(lane, landing.commit)
    stage(lane, landing.before)
    with _within(repo, lane) as hooks:
        for name in find(repo, landing.style, lane):
            found = _one(hooks / name, lane, landing, limits)
            if not found.passed:
                return found
            said.append(found.tail)
    return HookOutcome(True, "", "".join(said)[-TAIL:])


def _one(hook: Path, lane: Checkout, landing: Landing, limits: Limits) -> HookOutcome:
    argv = [*_interpreter(hook), str(hook)]
    if hook.name == "commit-msg":
        message = lane.git_dir / _MESSAGE
        message.write_bytes(os.fsencode(lane.git("log", "-1", "--format=%B", landing.commit).rstrip("\n") + "\n"))
        argv.append(str(message))
    # Without an editor, as git has it when there is no terminal: a hook that runs `git commit` must not wait for one.
    # A hook of ours among them starts no run: what lands came out of one.
    env = {**clean_env(limits.environ), "GIT_EDITOR": ":", "SMITHERS_NO_TRIGGERS": "1"}
    launch = Launch(argv, lane.path, env, merge_stderr=True, timeout=limits.seconds)
    found = gather(launch, limits.cancel)
    if found.verdict != "passed":
        text = f"{found.tail}\n[{found.message}]\n"
        return HookOutcome(False, hook.name, text, broken=found.verdict != "failed")
    changed = _changes(lane, landing)
    if changed:
        return HookOutcome(False, hook.name, f"{found.tail[-TAIL // 2 :]}\nthe hook changed:\n{changed[: TAIL // 2]}")
    return HookOutcome(True, hook.name, found.tail)


def _changes(lane: Checkout, landing: Landing) -> str:
    """What a hook did to files, index and HEAD, as text; empty when nothing."""
    parts = []
    if lane.resolve("HEAD") != landing.before:
        parts.append("HEAD, by a commit or checkout of its own\n")
    compare = ("diff", "--no-color", "--no-ext-diff", "--stat", "--patch", "--ignore-submodules=all")
    staged = lane.git(*compare, "--cached", landing.commit)
    if staged:
        parts.append(f"in the index:\n{staged}\n")
    files = lane.git(*compare)
    if files:
        parts.append(f"in the files:\n{files}\n")
    new = lane.git("ls-files", "-z", "--others", "--exclude-standard").split("\0")[:-1]
    if new:
        parts.append(f"new files: {', '.join(new[:20])}\n")
    return "".join(parts)


# -- where they are


def folder(repo: Repository, lane: Checkout) -> Path:
    """The folder of hooks: core.hooksPath if set, from the top of the worktree if relative, else git's own."""
    set_to = _hooks_path(repo)
    if set_to is None:
        return repo.common_dir / "hooks"
    if set_to.is_absolute() or (lane.path / set_to).is_dir():
        return lane.path / set_to
    return _owner(repo, set_to).path / set_to


def _hooks_path(repo: Repository) -> Path | None:
    """core.hooksPath as the user has it. `git rev-parse --git-path hooks` would show our own, see `command`."""
    done = repo.checkout.try_git("config", "-z", "--show-scope", "--type=path", "--get-all", "core.hooksPath")
    fields = os.fsdecode(done.stdout).split("\0")
    values = [value for scope, value in zip(fields[::2], fields[1::2], strict=False) if scope != "command"]
    return Path(values[-1]) if values else None


def _owner(repo: Repository, relative: Path) -> Checkout:
    """The checkout that has the folder of hooks: the user's, else the main one."""
    return repo.checkout if (repo.worktree / relative).is_dir() else main_checkout(repo)


@contextmanager
def _within(repo: Repository, lane: Checkout) -> Iterator[Path]:
    """The folder of hooks; copied into the lane for the time being if git ignores it, so that no clone has it.

    husky's is one: .husky/_ holds wrappers that run the file of the same name in the folder above, and those are
    tracked. Started from the user's checkout they would run what the user has there, not what is to land.
    """
    set_to = _hooks_path(repo)
    own = folder(repo, lane)
    if set_to is None or own == lane.path / set_to or not _generated(_owner(repo, set_to), own):
        yield own
        return
    copy = lane.path / set_to
    shutil.copytree(own, copy, symlinks=True)
    try:
        yield copy
    finally:
        shutil.rmtree(copy, ignore_errors=True)  # a hook may have removed it


def _generated(owner: Checkout, folder: Path) -> bool:
    names = {str(path.relative_to(owner.path)) for path in folder.glob("*")} if folder.is_dir() else set()
    return bool(names) and ignored(owner, names) == names


def _runs(hook: Path) -> bool:
    return hook.is_file() and os.access(hook, os.X_OK)


def _interpreter(hook: Path) -> list[str]:
    """git starts a script without a first line `#!` by the shell, which the kernel refuses to do."""
    with hook.open("rb") as file:
        head = file.read(512)
    return [] if head.startswith(b"#!") or b"\0" in head else ["/bin/sh"]
