"""The operations that are swept: what each begins with, what it is, and how a person goes on after it was cut off."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from kit import engines, queues, repos
from reliability import sweep_oracle as oracle
from reliability.sweep_world import World

from smithers_git.core.state import State
from smithers_git.service.project import Project

STEPS = """\
    return Sequence(
        Task("first", value={"n": 1}),
        Task("made", call=made),
        Task("second", value={"n": 2}),
        Task("ran", run=f"echo ran >> ran.txt; echo ran >> '{LEDGER}'"),
        Task("wrote", agent="script", output=Change, prompt="write it"),
    )


def made(first):
    with open(LEDGER, "a") as ledger:
        ledger.write("made\\n")
    return {"n": first["n"] + 1}
"""

BROKEN = """\
    return Sequence(
        Task("first", value={"n": 1}),
        Task("ran", run=f"echo ran >> ran.txt; test -e '{LEDGER}-go' || sleep 60; echo ran >> '{LEDGER}'"),
        Task("wrote", agent="script", output=Change, prompt="write it"),
    )
"""

WAITS = """\
    return Sequence(
        Task("ran", run=f"echo ran >> ran.txt; echo ran >> '{LEDGER}'"),
        WAIT,
        Worktree("side", Task("last", run=f"echo last >> last.txt; echo last >> '{LEDGER}'")),
    )
"""


@dataclass(frozen=True)
class Operation:
    """One command, and what is around it."""

    name: str
    prepare: Callable[[World], None]
    argv: tuple[str, ...]
    again: Callable[[World], None]
    """What a person does after it was cut off: the command again, or a resume, until it is done."""
    onward: Callable[[World], None] | None = None
    """How the run then goes on to its end."""
    code: int = 0
    """Its exit code when nothing disturbs it."""
    allowed: str = ""
    """What of the user's it is there to change: a pattern of paths below the folder of the case."""
    targets: tuple[str, ...] = ()
    edits: dict[str, bytes] = field(default_factory=dict)
    """What a person has written into the workspace, by its path there."""
    repeats: frozenset[str] = frozenset()
    """Steps that it has run again."""
    partial: bool = False
    """It names what it could not do, and that is no failure."""
    forgets: bool = False
    """It is there to let go of frames."""


def state(world: World, run: str = "one") -> State | None:
    project = Project.open(world.repo)
    return project.chain(run).state if project.tip(run) else None


# -- runs


def _steps(world: World) -> None:
    world.make()
    world.flow(STEPS)


def _up(world: World) -> None:
    if state(world) is None:
        world.smithers("up", "flow.py", "--run-id", "one")
    _resume(world)


def _resume(world: World) -> None:
    world.smithers("up", "--resume", "one")


def _broken(world: World) -> None:
    """A run whose engine was killed while a command worked."""
    world.make()
    world.flow(BROKEN)
    world.page.arm(world.root)
    world.server.begin(world.repo, "up", "flow.py", "--run-id", "one")
    while not list((world.root / oracle.SPACES / "worktrees").glob("*/one/main/ran.txt")):
        time.sleep(0.01)
    world.page.end()
    world.server.finish(10.0, world.page.end)
    world.page.off()
    world.go.touch()


# -- what waits


def _waiting(wait: str) -> Callable[[World], None]:
    def prepare(world: World) -> None:
        world.make()
        world.flow(WAITS.replace("WAIT", wait))
        world.smithers("up", "flow.py", "--run-id", "one", codes=(3,))

    return prepare


def _decided(*argv: str) -> Callable[[World], None]:
    """Say it if it was not said: what was is refused."""

    def again(world: World) -> None:
        world.smithers(*argv, codes=(0, 1, 2))

    return again


_APPROVE = ("approve", "one", "--no-resume")
_ANSWER = ("answer", "one", "--value", '{"summary": "here"}', "--no-resume")
_SIGNAL = ("signal", "one", "go", "--data", '{"a": 1}', "--no-resume")


def _signalled(world: World) -> None:
    known = state(world)
    assert known is not None
    if not known.signals:
        world.smithers(*_SIGNAL)


def _cancelled(world: World) -> None:
    known = state(world)
    assert known is not None
    if known.end is None:
        world.smithers("cancel", "one")
    assert (again := state(world)) is not None
    assert again.end == "cancelled"


# -- travel

_EDITS = {"ran.txt": b"edited by a person\n", "mine/new": b"\0new\n"}


def _finished(world: World) -> None:
    _waiting('Approval("ship")')(world)
    world.smithers(*_APPROVE)
    _resume(world)


def _edited(world: World) -> None:
    _finished(world)
    repos.write(oracle.path_of(world, "one"), _EDITS)


def _asked(world: World) -> int:
    """The frame of the first run at which it asked."""
    frames = engines.frames(world.repo, "one")
    return next(f.data.number for f in frames if any(type(e).__name__ == "ApprovalRequested" for e in f.data.events))


_FRAME = "2"
"""The frame of `_finished` at which it asked; checked in `_rewound`."""


def _rewound(world: World) -> None:
    assert _asked(world) == int(_FRAME)
    known = state(world)
    assert known is not None
    if known.end is not None:
        world.smithers("rewind", "one", "--frame", _FRAME, "--yes")
    world.smithers("up", "--resume", "one", codes=(3,))


def _through(run: str) -> Callable[[World], None]:
    """Approve, and on to the end."""

    def onward(world: World) -> None:
        world.smithers("up", "--resume", run, codes=(3,))
        world.smithers("approve", run, "--no-resume")
        world.smithers("up", "--resume", run)

    return onward


_FORK = ("fork", "one", "--frame", _FRAME, "--run-id", "two")


def _forked(world: World) -> None:
    if state(world, "two") is None:
        world.smithers(*_FORK)


# -- landing

_LAND = ("land", "fix", *queues.GATE)


def _branch(world: World) -> None:
    world.make(queues.FILES)
    queues.branch(world.repo, "fix", {"new.txt": "new\n", "a.txt": "changed\n"})
    queues.branch(world.repo, "bystander", {"other.txt": "x\n"})


def _landed(world: World) -> None:
    before = repos.git(world.repo, "rev-parse", "fix~1")
    said = world.smithers(*_LAND, "--json")
    assert said.json["landed"] is True
    assert world.smithers("verify", f"{before}..main", "--strict", "--json").json["ok"] is True
    # A landing whose checkout could not follow says what to type.
    told = re.search(r"did not follow: .*git -C \S+ (read-tree -m -u [0-9a-f]+ [0-9a-f]+)", world.told + said.err)
    if told and repos.git(world.repo, "status", "--porcelain"):
        repos.git(world.repo, *told[1].split())
    left = repos.git(world.repo, "status", "--porcelain")
    assert not left, f"the checkout did not follow: {left}; {said.err}"


# -- upkeep


def _two_finished(world: World) -> None:
    _finished(world)
    world.smithers(*_FORK)
    world.smithers("cancel", "two")


def _again(*argv: str) -> Callable[[World], None]:
    def again(world: World) -> None:
        world.smithers(*argv)

    return again


_GC = ("gc", "--fold-after", "0s")
_PRUNE = ("gc", "--prune-after", "0s")
_HOOKS = ("hooks", "install", "pre-commit", "post-commit")
_UNHOOK = ("hooks", "uninstall")
_INIT = ("init", "--pack", "plan", "--agent", "claude")


def _hooked(world: World) -> None:
    world.make()
    repos.write(world.repo, {".git/hooks/pre-commit": "#!/bin/sh\nexit 0\n"})
    (world.repo / ".git/hooks/pre-commit").chmod(0o755)


def _installed(world: World) -> None:
    _hooked(world)
    world.smithers(*_HOOKS)


def _fresh(world: World) -> None:
    """Nobody has a folder of hooks."""
    world.make()
    assert not (world.repo / ".git/hooks").exists()


def _fresh_installed(world: World) -> None:
    _fresh(world)
    world.smithers(*_HOOKS)


OPERATIONS = {
    operation.name: operation
    for operation in (
        Operation("hooks-uninstall", _installed, _UNHOOK, _again(*_UNHOOK), allowed=r"repo/\.git/hooks(/.*)?"),
        Operation(
            "hooks-uninstall-last", _fresh_installed, _UNHOOK, _again(*_UNHOOK), allowed=r"repo/\.git/hooks(/.*)?"
        ),
        Operation("hooks-install", _hooked, _HOOKS, _again(*_HOOKS), allowed=r"repo/\.git/hooks(/.*)?"),
        Operation("hooks-install-first", _fresh, _HOOKS, _again(*_HOOKS), allowed=r"repo/\.git/hooks(/.*)?"),
        Operation("reindex", _finished, ("reindex",), _again("reindex")),
        Operation("cancel", _waiting('Approval("ship")'), ("cancel", "one"), _cancelled),
        Operation("signal", _waiting('Signal("go")'), _SIGNAL, _signalled, _resume),
        Operation(
            "answer", _waiting('HumanTask("where", output=Change, prompt="Where?")'),
            _ANSWER, _decided(*_ANSWER), _resume,
        ),
        Operation("fork", _finished, _FORK, _forked, _through("two"), repeats=frozenset({"last"})),
        Operation("init", World.make, _INIT, _again(*_INIT), allowed=r"repo/\.smithers(/.*)?"),
        Operation("approve", _waiting('Approval("ship")'), _APPROVE, _decided(*_APPROVE), _resume),
        Operation("gc", _two_finished, _GC, _again(*_GC), partial=True),
        Operation("prune", _two_finished, _PRUNE, _again(*_PRUNE), partial=True, forgets=True),
        Operation(
            "rewind", _edited, ("rewind", "one", "--frame", _FRAME, "--yes"), _rewound, _through("one"),
            edits=_EDITS, repeats=frozenset({"last"}),
        ),
        Operation(
            "land", _branch, _LAND, _landed,
            allowed=r"repo/(a\.txt|new\.txt|\.git/(index|ORIG_HEAD|logs/HEAD|(logs/)?refs/heads/main))",
            targets=("refs/heads/main",),
        ),
        Operation("resume", _broken, ("up", "--resume", "one"), _resume),
        Operation("up", _steps, ("up", "flow.py", "--run-id", "one"), _up),
    )
}  # fmt: skip
"""Those with few points first."""
