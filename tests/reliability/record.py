"""Record what commands write and flush below a folder, through the preload shim, as a `Disk` to replay.

As a program (`python record.py FOLDER JSON`) it is the process that is recorded: it imports everything once, forks
for each command, and marks what is acknowledged at the moment at which our own code takes it for durable.
"""

from __future__ import annotations

import importlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from reliability import shim
from reliability.disk import Disk, Line, Node, Tree


@dataclass(frozen=True)
class Mark:
    """Something that was acknowledged."""

    at: int
    """The line of the recording before which it was."""
    kind: str
    """frame: a frame of a run or a queue; branch: a branch of the user's was moved; exit: a command has ended."""
    ref: str
    commit: str
    events: list[dict[str, Any]]


def tree_of(top: Path) -> Tree:
    """All that lies below a folder."""
    found: Tree = {}
    for folder, folders, names in os.walk(top):
        for name in [*folders, *names]:
            path = Path(folder, name)
            stat = path.lstat()
            mode = stat.st_mode & 0o7777
            where = str(path.relative_to(top))
            if path.is_symlink():
                found[where] = Node("link", mode, os.fsencode(path.readlink()))
            elif path.is_dir():
                found[where] = Node("dir", mode)
            else:
                found[where] = Node("file", mode, path.read_bytes(), stat.st_ino if stat.st_nlink > 1 else 0)
    return found


def lay_out(tree: Tree, top: Path) -> None:
    """Have exactly `tree` below the folder `top`."""
    for path in top.iterdir() if top.is_dir() else ():
        shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
    shared: dict[int, Path] = {}
    for where in sorted(tree):
        node, path = tree[where], top / where
        if node.kind == "dir":
            path.mkdir(parents=True)
        elif node.kind == "link":
            path.symlink_to(os.fsdecode(node.data))
        elif node.same in shared:
            path.hardlink_to(shared[node.same])
        else:
            if node.same:
                shared[node.same] = path
            path.write_bytes(node.data)
            path.chmod(node.mode)
    for where, node in tree.items():
        if node.kind == "dir" and node.mode != 0o755:
            (top / where).chmod(node.mode)


def record(
    top: Path, folder: Path, told: tuple[Sequence[Any], dict[str, int]], scratch: Path
) -> tuple[Disk, list[Mark]]:
    """Run commands of smithers (each with the exit code that is expected before it) in `folder`, below `top`.

    `told`: the commands, and constants of the program ("module.NAME") with what they are for this time.

    The recording is checked against the disk: replayed whole it gives what is there, or something was not seen.
    """
    base = tree_of(top)
    paths = [str(Path(__file__).parents[1]), *filter(None, [os.environ.get("PYTHONPATH")])]
    page, log = shim.Page(scratch / "page"), scratch / "log"
    page.arm(top)
    page.record(log)
    done = subprocess.run(
        [sys.executable, __file__, str(folder), json.dumps(told)],
        env={**os.environ, **page.env, "PYTHONPATH": os.pathsep.join(paths)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=600,  # it is slow only beside much else
    )
    page.off()
    page.end()
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    real = os.path.realpath(top)
    lines = list(_lines(log, real))
    disk = Disk(base, lines)
    _agrees(disk.image(f"strict:{len(lines)}:all"), tree_of(top))
    return disk, [Mark(at, *json.loads(text)) for at, text in disk.marks]


def _lines(log: Path, real: str) -> list[Line]:
    found = []
    for entry in shim.entries(log):
        if entry.op == "mark":
            if entry.path != "stdout":
                found.append(Line("mark", entry.path))
            continue
        path, other = _below(entry.path, real), entry.path2
        if path is None:
            continue
        if entry.op in ("rename", "link"):
            other = _below(entry.path2, real) or ""
            assert other, f"{entry} leaves the folder"
        data = os.fsencode(entry.path2) if entry.op == "symlink" else entry.data
        found.append(Line(entry.op, path, other, max(entry.offset, 0), max(entry.length, 0), data))
    return found


def _below(path: str, real: str) -> str | None:
    return path[len(real) + 1 :] if path.startswith(real + "/") else "" if path == real else None


def _agrees(replayed: Tree, there: Tree) -> None:
    def plain(tree: Tree) -> dict[str, Any]:
        # SQLite writes its -shm file through mapped memory; the index is disposable.
        return {path: (node.kind, node.data) for path, node in tree.items() if "index.sqlite" not in path}

    ours, real = plain(replayed), plain(there)
    wrong = sorted(path for path in ours.keys() | real.keys() if ours.get(path) != real.get(path))
    assert not wrong, f"the recording does not lead to what is on the disk: {wrong[:5]}"


# -- the process that is recorded


def _mark(kind: str, ref: str = "", commit: str = "", events: Sequence[Any] = ()) -> None:
    text = json.dumps([kind, ref, commit, [event.model_dump(mode="json", exclude_none=True) for event in events]])
    try:
        os.close(os.open(f"/crashpoint-mark/{text}", os.O_RDONLY))
    except FileNotFoundError:
        return


def _wrap(owner: Any, name: str, told: Callable[..., None]) -> None:
    """Have `told(result, before, self or first argument, …)` called after `owner.name`."""
    real = getattr(owner, name)

    def wrapped(*args: Any, **kwargs: Any) -> Any:
        pending = list(getattr(args[0], "_pending", ()))
        found = real(*args, **kwargs)
        told(found, pending, *args)
        return found

    setattr(owner, name, wrapped)


def _watch() -> None:
    from smithers_git.edge.git import follow
    from smithers_git.service.frames import Chain
    from smithers_git.service.landing.ledger import Ledger

    _wrap(Chain, "commit", lambda found, events, chain, *_: found and _mark("frame", chain.ref, found, events))
    _wrap(Chain, "rewind", lambda _found, _events, chain, commit: _mark("rewind", chain.ref, commit))
    _wrap(Ledger, "commit", lambda found, events, ledger: found and _mark("frame", ledger.ref, ledger.tip, events))
    _wrap(follow, "move", lambda _found, _events, _repo, ref, _before, commit, *_: _mark("branch", ref, commit))


def _tweak(name: str, value: int) -> None:
    module, _, constant = name.rpartition(".")
    found = importlib.import_module(module)
    assert hasattr(found, constant), f"there is no {name} any more: give the case another constant"
    setattr(found, constant, value)


def _main(folder: str, commands: list[list[Any]], tweaks: dict[str, int]) -> None:
    from smithers_git import cli
    from smithers_git.front import start  # noqa: F401 - what most commands need, once for all of them

    _watch()
    for name, value in tweaks.items():
        _tweak(name, value)
    os.chdir(folder)
    for code, *argv in commands:
        child = os.fork()
        if not child:
            os.setsid()
            got = 70
            try:
                got = cli.run(argv)
                sys.stdout.flush()
                if got == 0:
                    _mark("exit", " ".join(argv))
            finally:
                os._exit(got)
        _, status = os.waitpid(child, 0)
        got = os.waitstatus_to_exitcode(status)
        if got != code:
            sys.exit(f"{argv} ended with {got}, not with {code}")


if __name__ == "__main__":
    _main(sys.argv[1], *json.loads(sys.argv[2]))
