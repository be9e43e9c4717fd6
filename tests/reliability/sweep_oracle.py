"""What must be so after a crash or an error, looked at from outside: promise by promise."""

from __future__ import annotations

import hashlib
import json
import re
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kit import proofs
from kit.repos import git
from reliability.place import walk
from reliability.sweep_world import World

from smithers_git.core.describe import describe
from smithers_git.core.events import TaskFailed, TaskInterrupted
from smithers_git.core.state import State
from smithers_git.edge.git.objects import Objects
from smithers_git.edge.lock import is_held
from smithers_git.service.frames import walk as frames
from smithers_git.service.project import Project

SPACES = "home/.local/state/smithers/"
_OURS = re.compile(
    r"repo/\.git/(packed-refs|(objects|worktrees|smithers|(logs/)?refs/(heads/)?smithers)(/.*)?|logs(/refs(/heads)?)?)"
    r"|home(/.*)?|tmp(/.*)?"
)
"""Where any command may write; everything else is the user's."""

LEFT = {
    r"repo/\.git/objects/(../|pack/)?tmp_[^/]+": "an object or pack that was being written: `git gc` removes it",
    r"repo/\.git/objects/pack/\.tmp-[^/]+": "a pack that was being written: `git gc` removes it",
    r"repo/\.git/smithers/locks/[^/]+\.lock": "a file to lock: whoever held it has lost it, and the file stays",
    r"repo/\.git/refs/(heads/)?smithers/.+\.lock": (
        "the lock of a ref of ours: whoever moves that ref next removes it, and so does `smithers doctor --fix`"
    ),
    r"repo/\.git/(logs/)?refs/(heads/)?smithers(/[^.]+)?": "an empty folder of refs, which git removes when in its way",
    r"repo/\.git/smithers/user-locks/[^/]+": "of a landing that died: the next one or `doctor --fix` ends it",
    SPACES + r"ports\.new": "the next draft of the file is written over it",
    r"repo/\.git/smithers/records-gone(/.*)?": "git's record of a worktree: gone when the next worktree comes or goes",
    SPACES + r"worktrees/[^/]+/[^/]+/\.[^/]+\.going(/.*)?": "a worktree that was being removed: `smithers gc` ends it",
    r"tmp/.+": "the system empties its folder of temporary files",
}
"""What a crash may leave for ever (as full matches of paths), and why that does no harm."""

KEPT = re.compile(r"repo/\.git/worktrees/[^/]*/(index|HEAD|ORIG_HEAD)\.lock")
"""What may be left where git heard an error when it deleted its lock in a worktree of ours: it only warns of that.
Whoever puts that worktree in order next deletes the lock: the next resume or landing there, a rewind, `smithers gc`."""


@dataclass(slots=True)
class Stand:
    """How the repository stands at one moment."""

    refs: dict[str, str]
    states: dict[str, State]
    told: set[str]
    """What its frames say that happened, in the words in which commands print it."""
    ledger: list[str] = field(default_factory=list)


def stand(world: World) -> Stand:
    project = Project.open(world.repo)
    refs = proofs.refs(world.repo)
    states, told = {}, set[str]()
    for run, tip in project.tips().items():
        states[run] = project.chain(run).state
        told |= {describe(event) for frame in frames(project.objects, tip) for event in frame.data.events}
    return Stand(refs, states, told, world.done())


# -- the state that is to be reached


def digest(world: World, targets: tuple[str, ...] = ()) -> dict[str, Any]:
    """All that counts, without times, ids of commits and numbers of frames. `targets`: branches that land moves."""
    project = Project.open(world.repo)
    refs = proofs.refs(world.repo)
    found: dict[str, Any] = {}
    for name, oid in refs.items():
        if name in targets:
            found[name] = [
                git(world.repo, "rev-parse", f"{name}^{{tree}}"),
                git(world.repo, "rev-list", "--count", name),
            ]
        elif "smithers/" not in name:
            found[name] = oid
        elif name.startswith("refs/heads/"):
            found[name] = git(world.repo, "rev-parse", f"{name}^{{tree}}")
    for run, tip in project.tips().items():
        found[f"run {run}"] = _run(project.objects, project.chain(run).state, tip)
    found["head"] = (world.repo / ".git/HEAD").read_text("utf-8")
    found["index"] = git(world.repo, "ls-files", "-s")
    found["files"] = _files(world)
    return found


def _run(objects: Objects, state: State, tip: str) -> dict[str, Any]:
    tree = objects.read_commit(tip).tree
    outputs = {}
    for path, entry in objects.files(tree):
        if path.startswith("outputs/"):
            value = json.loads(objects.read_blob(entry.oid))
            if isinstance(value, dict):
                value.pop("seconds", None)
            outputs[path.rpartition("/")[2]] = value
        elif path.startswith("source/"):
            outputs[path] = entry.oid
    return {
        "end": state.end,
        "done": sorted(map(str, state.done)),
        "waits": [*map(str, state.waiting()), *map(str, state.open_waits)],
        "spaces": {name: objects.read_commit(space.commit).tree for name, space in state.spaces.items()},
        "outputs": outputs,
    }


def _files(world: World) -> dict[str, str]:
    """The files of the checkout, the hooks, the configuration and the workspaces, by what is in them."""
    found = {}
    for name, about in walk(world.root).items():
        mine = name.startswith("repo/") and not name.startswith("repo/.git/")
        config = name.startswith("repo/.git/hooks") or name in ("repo/.git/config", "repo/.git/info/exclude")
        space = name.startswith(f"{SPACES}worktrees/") and name.rpartition("/")[2] != ".git"
        if (mine or config or space) and not _excused(name):
            path = world.root / name
            data = str(path.readlink()).encode() if path.is_symlink() else path.read_bytes() if path.is_file() else b""
            found[name] = f"{about.st_mode:o} {hashlib.sha1(data).hexdigest()}"
    return found


# -- the promises


def differs(expected: dict[str, Any], found: dict[str, Any], what: str) -> list[str]:
    """P2: the state that the undisturbed operation reaches."""
    names = sorted(name for name in expected.keys() | found.keys() if expected.get(name) != found.get(name))
    return [f"{what}: {name}: {_apart(expected.get(name), found.get(name))}" for name in names]


def cut_short(world: World) -> bool:
    """Whether an attempt ended whose files the next one finds: it failed, or was told to stop, as the disk is full."""
    project = Project.open(world.repo)
    return any(
        isinstance(event, TaskFailed)
        or (isinstance(event, TaskInterrupted) and event.next.endswith("on the files as it left them"))
        for tip in project.tips().values()
        for frame in frames(project.objects, tip)
        for event in frame.data.events
    )


def without_files(found: dict[str, Any]) -> dict[str, Any]:
    """A digest without what is in the files of the workspaces."""
    kept = {name: told for name, told in found.items() if not name.startswith("refs/heads/smithers/")}
    kept |= {name: {**told, "spaces": sorted(told["spaces"])} for name, told in kept.items() if name.startswith("run ")}
    return kept | {"files": {name: told for name, told in found["files"].items() if not name.startswith(SPACES)}}


def _apart(expected: Any, found: Any) -> str:
    if isinstance(expected, dict) and isinstance(found, dict):
        names = sorted(name for name in expected.keys() | found.keys() if expected.get(name) != found.get(name))
        return "; ".join(f"{name}: {_apart(expected.get(name), found.get(name))}" for name in names[:4])
    return f"is {str(found)[:200]}, not {str(expected)[:200]}"


def acknowledged(world: World, at_death: Stand, printed: str) -> list[str]:
    """P1: what was seen at a ref, or printed, is there."""
    found = []
    for line in printed.splitlines():
        said = re.fullmatch(r"\d\d:\d\d:\d\d (.*)", line)
        if said and said[1] not in at_death.told:
            found.append(f"P1: printed and in no frame: {said[1]}")
    now = proofs.refs(world.repo, "refs/smithers/")
    for name, oid in at_death.refs.items():
        if not name.startswith("refs/smithers/") or now.get(name) == oid:
            continue
        if not git(world.repo, "for-each-ref", "--count=1", f"--contains={oid}", "refs/smithers/", check=False):
            found.append(f"P1: {name} was at {oid[:12]}, which no ref holds now")
    return found


def once(at_death: Stand, after: list[str], repeats: frozenset[str], *, disturbed: bool) -> list[str]:
    """P3: what was finished then did not run again, but for what the operation `repeats`."""
    found = []
    finished = {key.node for state in at_death.states.values() for key in state.done} - repeats
    for node in finished & set(after):
        if after.count(node) != at_death.ledger.count(node):
            found.append(f"P3: {node} was finished, and ran again")
        if not disturbed and after.count(node) > 1:
            found.append(f"P3: {node} ran {after.count(node)} times, and nothing went wrong")
    return found


def users_own(world: World, allowed: str) -> list[str]:
    """P4: only what the command is there for has changed (`allowed`: a pattern of paths)."""
    assert world.template is not None
    wrong = [
        name
        for name in world.template.place.changed()
        if not _OURS.fullmatch(name) and not (allowed and re.fullmatch(allowed, name))
    ]
    return [f"P4: {name} was changed" for name in sorted(wrong)]


def index(world: World) -> list[str]:
    """P5: the index says the same after it was made anew."""
    before = proofs.index_rows(world.repo)
    proofs.forget_index(world.repo)
    return [] if proofs.index_rows(world.repo) == before else ["P5: the index is not what a rebuild gives"]


def owners(world: World) -> list[str]:
    """P6: nobody who died holds a lock. A child that was between fork and exec then has it until it dies, too."""
    locks, until = list((world.repo / ".git/smithers/locks").glob("*.lock")), time.monotonic() + 1.0
    while (held := [path.name for path in locks if is_held(path)]) and time.monotonic() < until:
        time.sleep(0.01)
    return [f"P6: {name} is still held" for name in held]


def sound(world: World) -> list[str]:
    try:
        proofs.sound(world.repo)
    except AssertionError as error:
        return [f"git: {error}"]
    return []


def names(world: World) -> set[str]:
    """The paths below the folder of the case, as far as they are not made of what differs each time."""
    return {_plain(name) for name in walk(world.root)}


def _plain(name: str) -> str:
    name = re.sub(r"/objects/[0-9a-f]{2}(/[0-9a-f]{38})?$", "/objects/loose", name)
    name = re.sub(r"/objects/pack/pack-[0-9a-f]{40}\.", "/objects/pack/pack.", name)
    # A record that was just made, and never finished, is removed when it is older: another name is taken meanwhile.
    name = re.sub(r"(?<=\.git/worktrees/)([a-z]*)\d+", r"\1", name)
    name = re.sub(r"\.set-aside.*|(?<=rewound/)[^/]+/\d+$", "…", name)
    return re.sub(r"[0-9a-f]{40}", "…", name)


def leftovers(world: World, normal: set[str], *, undeleted: bool) -> list[str]:
    """No lock or temporary file is left that nobody removes.

    `normal` is what the undisturbed operation leaves; `undeleted`: git was not let delete one.
    """
    extra = sorted(name for name in names(world) - normal if not (undeleted and KEPT.fullmatch(name)))
    going = [found[1] for name in extra if (found := re.fullmatch(SPACES + r"worktrees/.+/\.([^/]+)\.going", name))]
    records = tuple(f"repo/.git/worktrees/{name}" for name in going)  # `smithers gc` ends it together with the folder
    return [f"left: {name}" for name in extra if not _excused(name) and not name.startswith(records)]


def _excused(name: str) -> bool:
    return any(re.fullmatch(pattern, name) for pattern in LEFT)


def in_some_frame(world: World, files: dict[str, bytes]) -> list[str]:
    """P9: these bytes are in the history of some run."""
    refs = list(proofs.refs(world.repo, "refs/smithers/"))
    known = set(git(world.repo, "rev-list", "--objects", "--no-object-names", *refs).split())
    return [
        f"P9: {name} is in no frame"
        for name, data in files.items()
        if hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest() not in known
    ]


def quiet(said_code: int | None, printed: str) -> list[str]:
    """An operation that is not killed ends, and never with a bug of ours."""
    if said_code is None:
        return ["it hangs"]
    if said_code == 70 or "Traceback" in printed:
        return [f"exit {said_code}: {printed[-1500:]}"]
    return [f"it was ended by signal {-said_code}"] if said_code < 0 else []


def path_of(world: World, run: str, space: str = "main") -> Path:
    return proofs.space_path(world.repo, run, space)
