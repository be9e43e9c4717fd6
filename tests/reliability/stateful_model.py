"""What the stateful test knows of runs: its workflows, and a fold of their events that shares nothing with ours.

`Facts` is what the events of a run say, read as plain JSON from `frame.json`. `comes_to` says where a run gets to by
itself from some facts: the workflows are lists of steps, so that this is a short loop.
"""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

Key = tuple[str, int]
"""A node and its iteration."""

STEPS: dict[str, tuple[tuple[str, Key], ...]] = {
    "ship": (("make", ("a", 0)), ("approve", ("ship", 0)), ("make", ("b", 0))),
    "ask": (("make", ("a", 0)), ("ask", ("question", 0)), ("value", ("c", 0))),
    "signal": (("signal", ("go", 0)), ("make", ("a", 0)), ("signal", ("again", 0))),
    "loop": (("make", ("w", 0)), ("make", ("w", 1)), ("approve", ("ship", 0))),
    "side": (("make", ("s", 0)), ("value", ("c", 0)), ("approve", ("ship", 0)), ("make", ("b", 0))),
    "may": (("make", ("a", 0)), ("may", ("m", 0)), ("make", ("b", 0))),
}
"""The workflows. `make` leaves a file in the workspace, `may` fails until the file `allowed` is there."""

FLOW = """\
from pathlib import Path

from pydantic import BaseModel
from smithers_git import Approval, Context, HumanTask, Loop, Parallel, Sequence, Signal, Task, Worktree, workflow

FOLDER = Path({folder!r})


class Request(BaseModel):
    kind: str


class Answer(BaseModel):
    n: int


class Made(BaseModel):
    n: int


def _number():
    with (FOLDER / "made").open("a") as file:
        file.write("x")
        file.flush()
        return file.tell()


def make(name):
    def work(workspace):
        n = _number()
        (workspace / f"made-{{name}}").write_text(f"{{n}}\\n")
        return Made(n=n)

    return Task(name, call=work, output=Made)


def may():
    if not (FOLDER / "allowed").exists():
        raise ValueError("not allowed yet")
    return {{"n": 0}}


@workflow(input=Request)
def flow(ctx: Context[Request]):
    kinds = {{
        "ship": lambda: [make("a"), Approval("ship"), make("b")],
        "ask": lambda: [make("a"), HumanTask("question", output=Answer, prompt="how many?"), Task("c", value=1)],
        "signal": lambda: [Signal("go"), make("a"), Signal("again", name="go")],
        "loop": lambda: [Loop(make("w"), until=len(ctx.all(Made, "w")) >= 2, max_iterations=3), Approval("ship")],
        "side": lambda: [Parallel(Worktree("side", make("s")), Task("c", value=1)), Approval("ship"), make("b")],
        "may": lambda: [make("a"), Task("m", call=may, retries=0), make("b")],
    }}
    return Sequence(*kinds[ctx.input.kind]())
"""


def write_flow(path: Path, folder: Path) -> None:
    path.write_text(FLOW.format(folder=str(folder)), "utf-8")


@dataclass
class Facts:
    """What the events of a run say."""

    kind: str = ""
    end: str | None = None
    paused: bool = False
    cancelling: bool = False
    done: set[Key] = field(default_factory=set)
    failed: set[Key] = field(default_factory=set)
    running: set[Key] = field(default_factory=set)
    decided: dict[Key, bool | None] = field(default_factory=dict)
    """Approvals that were asked for: None as long as nobody has decided."""
    shown: dict[Key, dict[str, str]] = field(default_factory=dict)
    """What each of them is about, as it was asked last: workspace to commit."""
    asked: set[Key] = field(default_factory=set)
    """Open questions and waits for signals."""
    signals: dict[str, Key | None] = field(default_factory=dict)
    """Every signal, and what took it."""
    outputs: dict[Key, str] = field(default_factory=dict)
    spaces: dict[str, str] = field(default_factory=dict)
    """Workspace to its newest commit."""
    branch: str | None = None

    def copy(self) -> Facts:
        return deepcopy(self)

    @property
    def waiting(self) -> set[Key]:
        return {key for key, said in self.decided.items() if said is None} | self.asked

    @property
    def status(self) -> str:
        """How it stands while nobody drives it."""
        if self.end is not None:
            return self.end
        if self.paused:
            return "paused"
        return "waiting" if self.waiting and not self.running else "interrupted"

    def take_back(self, key: Key) -> None:
        """As if nothing had happened to it."""
        for kept in (self.done, self.failed, self.running, self.asked):
            kept.discard(key)
        self.decided.pop(key, None)
        self.signals = {id: None if taken == key else taken for id, taken in self.signals.items()}

    def try_again(self) -> None:
        """What has failed may be tried again."""
        for key in set(self.failed):
            self.take_back(key)

    def fold(self, event: dict[str, Any]) -> None:
        name = "_" + event["type"].replace(".", "_").replace("-", "_")
        key = (event.get("node", ""), event.get("iteration", 0))
        getattr(self, name)(key, event)

    # -- the run

    def _run_created(self, _key: Key, event: dict[str, Any]) -> None:
        self.kind, self.branch = event["input"]["kind"], event.get("branch")

    def _run_forked(self, _key: Key, event: dict[str, Any]) -> None:
        if self.end in ("failed", "cancelled"):
            self.try_again()
        self.end, self.paused, self.cancelling = None, False, False
        self.running.clear()

    def _run_resumed(self, _key: Key, event: dict[str, Any]) -> None:
        self.paused = self.cancelling = False
        if self.end in ("failed", "cancelled"):
            self.end = None
            self.try_again()

    def _run_finished(self, _key: Key, event: dict[str, Any]) -> None:
        self.end = "finished"

    def _run_failed(self, _key: Key, event: dict[str, Any]) -> None:
        self.end = "failed"

    def _run_cancelled(self, _key: Key, event: dict[str, Any]) -> None:
        self.end, self.cancelling = "cancelled", False
        self.running.clear()

    def _run_cancel_requested(self, _key: Key, event: dict[str, Any]) -> None:
        self.cancelling = True

    def _run_pause_requested(self, _key: Key, event: dict[str, Any]) -> None:
        self.paused = True

    # -- tasks

    def _task_started(self, key: Key, event: dict[str, Any]) -> None:
        assert key not in self.done, f"{key} was done, and starts again"
        self.running.add(key)

    def _task_finished(self, key: Key, event: dict[str, Any]) -> None:
        assert key not in self.done, f"{key} is done twice"
        self.running.discard(key)
        self.done.add(key)
        self.outputs[key] = event["output"]
        self._commit(event)

    def _task_failed(self, key: Key, event: dict[str, Any]) -> None:
        self.running.discard(key)
        if event.get("final"):
            self.failed.add(key)
        self._commit(event)

    def _task_interrupted(self, key: Key, event: dict[str, Any]) -> None:
        self.running.discard(key)

    def _task_reset(self, _key: Key, event: dict[str, Any]) -> None:
        names = set(event["nodes"])
        for key in {*self.done, *self.failed, *self.running, *self.decided, *self.asked}:
            if names & {key[0], f"{key[0]}@{key[1]}"}:
                self.take_back(key)
        self.end = None

    def _loop_advanced(self, _key: Key, event: dict[str, Any]) -> None:
        pass

    _loop_finished = _loop_entered = _loop_advanced

    def _space_created(self, _key: Key, event: dict[str, Any]) -> None:
        self.spaces[event["space"]] = event["commit"]

    def _space_saved(self, _key: Key, event: dict[str, Any]) -> None:
        self.spaces[event["space"]] = event.get("restored") or event["commit"]

    def _commit(self, event: dict[str, Any]) -> None:
        if event.get("commit"):
            self.spaces[event.get("space", "main")] = event["commit"]

    # -- what is waited for

    def _approval_requested(self, key: Key, event: dict[str, Any]) -> None:
        assert self.decided.get(key) is None, f"{key} was decided, and is asked again"
        self.decided[key] = None
        self.shown[key] = event.get("commits", {})

    def _approval_decided(self, key: Key, event: dict[str, Any]) -> None:
        assert self.decided[key] is None, f"{key} is decided twice"
        self.decided[key] = event["approved"]
        (self.done if event["approved"] else self.failed).add(key)
        if event.get("output"):
            self.outputs[key] = event["output"]

    def _wait_started(self, key: Key, event: dict[str, Any]) -> None:
        assert key not in self.done
        self.asked.add(key)

    def _wait_resolved(self, key: Key, event: dict[str, Any]) -> None:
        assert key in self.asked, f"{key} was not asked, and is answered"
        self.asked.discard(key)
        self.done.add(key)
        self.outputs[key] = event["output"]
        if event.get("signal"):
            assert self.signals[event["signal"]] is None, "one signal ends one wait"
            self.signals[event["signal"]] = key

    def _signal_arrived(self, _key: Key, event: dict[str, Any]) -> None:
        self.signals[event["id"]] = None


def comes_to(facts: Facts, allowed: bool) -> Facts:
    """Where a run that stands like this gets to when somebody says `up --resume`."""
    found = facts.copy()
    if found.end == "finished":
        return found
    found._run_resumed(("", 0), {})
    found.running.clear()
    free = [id for id, taken in found.signals.items() if taken is None]
    for what, key in STEPS[found.kind]:
        if key in found.done:
            continue
        if key in found.failed or (what == "may" and not allowed):
            found.end = "failed"
            return found
        if what == "approve":
            found.decided.setdefault(key, None)
            return found
        if what == "ask" or (what == "signal" and not free):
            found.asked.add(key)
            return found
        if what == "signal":
            found.signals[free.pop(0)] = key
            found.asked.discard(key)
        found.done.add(key)
    found.end = "finished"
    return found
