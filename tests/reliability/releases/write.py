"""Write a release's fixture: a repository in which every kind of event happened, as `<version>.bundle`.

    python tests/reliability/releases/write.py [NAME [PART...]]

It runs the `smithers` of the Python that runs it, as a person would, in a repository in a temporary folder. Beside the
bundle it writes `<version>.json`: what that program says of it, which every later one has to say too. A bundle that is
there is never written again: it is what people have on their disks.
"""

from __future__ import annotations

import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

import pexpect

sys.path.insert(0, str(Path(__file__).parents[2]))

from reliability.releases.facts import facts, text

from smithers_git.edge import content

HERE: Final = Path(__file__).parent
HEAD: Final = """\
from pydantic import BaseModel
from smithers_git import (
    Approval, Branch, CommandResult, Context, ContinueAsNew, HumanTask, Loop, Parallel, Saga, Sequence, Signal, Step,
    Subflow, Task, Timer, TryCatchFinally, Worktree, workflow,
)


class Request(BaseModel):
    number: int = 0


class Change(BaseModel):
    summary: str


@workflow(input=Request)
def flow(ctx: Context[Request]):
"""
FLOWS: Final = {
    "ship": """\
    test = ctx.latest(CommandResult, "test")
    return Sequence(
        Loop(
            Task("implement", agent="script", output=Change, prompt="fix it"),
            Sequence(Loop(Task("polish", value="shiny"), until=True, max_iterations=1, id="inner")),
            Task("test", run="grep -q right calc.txt", check=False),
            until=bool(test and test.passed), max_iterations=3, id="outer",
        ),
        Parallel(Worktree("side", Task("extra", run="echo side > side.txt")), Task("number", value={"a": 1})),
        Task("never", value=0, skip_if=True),
        Approval("ship", title="Ship it?", summary=lambda test: f"The check passed: {test.passed}"),
        Task("last", run="echo done > done.txt"),
    )
""",
    "fail": """\
    return Sequence(Task("first", value=1), Task("red", run="exit 3", retries=1))
""",
    "waits": """\
    known = ctx.latest(Change, "where")
    return Sequence(
        HumanTask("where", output=Change, prompt="Where to?", expires=3600),
        HumanTask("late", prompt="Anybody?", output=Change, expires=1, on_expiry="skip"),
        Signal("go", name="deploy", output=Change) if known else None,
        Timer("rest", for_=1),
        Task("last", value="over"),
    )
""",
    "undo": """\
    return Sequence(
        TryCatchFinally(Task("try", run="exit 4"), catch=Task("caught", value=1), last=Task("tidy", value=2)),
        Saga(
            Step(Task("book", value="booked"), Task("unbook", value="free")),
            Step(Task("pay", run="exit 5"), None),
        ),
    )
""",
    "inner": """\
    return Sequence(Approval("ask", title="Go on?"), Task("sum", value={"total": 41}))
""",
    "outer": """\
    return Sequence(Subflow("inner", "inner.py", of="sum"), Task("after", call=lambda inner: inner["total"] + 1))
""",
    "again": """\
    more = ContinueAsNew("again", lambda work: {"number": work["next"]}) if ctx.input.number < 1 else None
    return Sequence(Task("work", value={"next": ctx.input.number + 1}), more)
""",
    "limit": """\
    return Task("work", agent="script", output=Change, prompt="limited")
""",
    "dear": """\
    return Sequence(
        Task("one", agent="script", output=Change, prompt="1"), Task("two", agent="script", output=Change, prompt="2"),
    )
""",
    "slow": """\
    return Sequence(Task("before", value=1), Task("hold", run="echo half > half.txt; sleep ${HOLD:-0}"))
""",
    "talk": """\
    return Task("work", agent="talker", output=Change, retries=0, prompt="remember")
""",
}
SCRIPTS: Final = {
    "ship": """\
[[turn]]
iteration = 0
write = [{ path = "calc.txt", text = "wrong\\n" }]
usage = { input = 1000, output = 200 }
cost = 0.25
answer = { summary = "tried" }

[[turn]]
edit = [{ path = "calc.txt", find = "wrong", replace = "right" }]
answer = { summary = "fixed" }
""",
    "limit": """\
[[turn]]
fail = { kind = "limit", message = "limit reached", retry_after = 999999999 }
""",
    "dear": """\
[[turn]]
usage = { input = 900, output = 100 }
cost = 1.0
answer = { summary = "done" }
""",
    "talk": """\
[[turn]]
fail = { kind = "bad_request", message = "no" }
""",
}
INTERACTIVE: Final = '\n[interactive]\nargv = ["-c", "print(1)", "{session}"]\n'


class Shop:
    """A repository and the program, each command a process of its own."""

    def __init__(self, root: Path) -> None:
        self.repo, self.root = root / "repo", root
        home = root / "home"
        home.mkdir()
        (home / ".gitconfig").write_text("[user]\nname = Ada Tester\nemail = ada@example.test\n")
        self.environ = {
            "HOME": str(home),
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.defpath}",
            "GIT_CONFIG_NOSYSTEM": "1",
            "LC_ALL": "C.UTF-8",
            "TZ": "UTC",
            "TERM": "xterm",
        }
        settings = home / ".config" / "smithers" / "config.toml"
        settings.parent.mkdir(parents=True)
        settings.write_text('[isolate]\nmode = "never"\nmachine = true\n')
        self.repo.mkdir()
        self.git("init", "-q", "-b", "main")
        (self.repo / "README.md").write_text("# Sample\n")
        (self.repo / "gate.sh").write_text("test ! -e red\n")
        self.git("add", "-A")
        self.git("commit", "-qm", "first")
        with (self.repo / ".git" / "info" / "exclude").open("a") as file:
            file.write("/*.py\n/.smithers/\n")
        for name, body in FLOWS.items():
            (self.repo / f"{name}.py").write_text(HEAD + body)

    def git(self, *argv: str) -> str:
        command = ["git", *argv]
        done = subprocess.run(command, cwd=self.repo, env=self.environ, check=True, capture_output=True, text=True)
        return done.stdout.strip()

    def smithers(self, *argv: str, code: int = 0) -> Any:
        """Run one command and return its JSON; the exit code has to be `code`."""
        command = [sys.executable, "-m", "smithers_git", *argv, "--json"]
        done = subprocess.run(
            command,
            cwd=self.repo,
            env=self.environ,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=120,
        )
        if done.returncode != code:
            raise SystemExit(f"{shlex.join(argv)}: exit {done.returncode}, not {code}\n{done.stdout}{done.stderr}")
        return json.loads(done.stdout)

    def up(self, flow: str, code: int = 0, run: str | None = None, *more: str) -> None:
        if flow in SCRIPTS:
            (self.root / "script.toml").write_text(SCRIPTS[flow])
            self.environ["SMITHERS_SCRIPT"] = str(self.root / "script.toml")
        self.smithers("up", f"{flow}.py", "--run-id", run or flow, *more, code=code)

    def settled(self, run: str, *wanted: str) -> None:
        """Wait until `run` has one of these statuses: what a decision starts goes on in the background."""
        until = time.monotonic() + 60
        while (status := self.smithers("inspect", run)["status"]) not in wanted:
            if time.monotonic() > until:
                raise SystemExit(f"{run} is {status}, and not {' or '.join(wanted)}")
            time.sleep(0.2)

    def branch(self, name: str, file: str, text: str, base: str = "main") -> None:
        """A branch with one commit, made without the checkout."""
        blob = subprocess.run(
            ["git", "hash-object", "-w", "--stdin"],
            cwd=self.repo,
            env=self.environ,
            input=text.encode(),
            check=True,
            capture_output=True,
        )
        self.environ["GIT_INDEX_FILE"] = str(self.root / "index")
        self.git("read-tree", base)
        self.git("update-index", "--add", "--cacheinfo", f"100644,{blob.stdout.decode().strip()},{file}")
        tree = self.git("write-tree")
        del self.environ["GIT_INDEX_FILE"]
        self.git("branch", name, self.git("commit-tree", tree, "-p", base, "-m", f"work of {name}"))


# -- what happens


def ship(shop: Shop) -> None:
    """Loops in loops, two workspaces, an approval that is given, one that is not, a rewind, forks."""
    shop.up("ship", 3)
    shop.up("ship", 3, "open")
    (worktree,) = [one for one in shop.git("worktree", "list").split() if one.endswith("/open/main")] or [None]
    if worktree:
        Path(worktree, "by-hand.txt").write_text("by hand\n")
    shop.smithers("approve", "ship", "--note", "fine")
    shop.settled("ship", "finished")
    shop.smithers("fork", "ship", "--frame", "4", "--run-id", "forked")
    shop.smithers("up", "--resume", "forked", code=3)
    shop.smithers("rewind", "forked", "--frame", "6", "--yes")
    shop.up("ship", 3, "denied")
    shop.smithers("deny", "denied", "--note", "no")
    shop.settled("denied", "failed")


def fail(shop: Shop) -> None:
    """A task that fails twice, and is tried again by a person."""
    shop.up("fail", 1)
    shop.smithers("retry-task", "fail", "red", code=1)


def stops(shop: Shop) -> None:
    """A kill in the middle of a task, a pause, a cancel."""
    command = [sys.executable, "-m", "smithers_git", "up", "slow.py", "--run-id", "slow"]
    process = subprocess.Popen(
        command, cwd=shop.repo, env=shop.environ | {"HOLD": "60"}, start_new_session=True, stderr=subprocess.DEVNULL
    )
    until = time.monotonic() + 30
    while "hold" not in json.dumps(shop.smithers("events", "slow")) if _is_there(shop, "slow") else True:
        if time.monotonic() > until:
            raise SystemExit("the task did not start")
        time.sleep(0.2)
    time.sleep(0.5)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    shop.smithers("up", "--resume", "slow")
    shop.up("ship", 3, "stopped")
    shop.smithers("pause", "stopped")
    shop.smithers("cancel", "stopped")


def _is_there(shop: Shop, run: str) -> bool:
    return bool(shop.git("for-each-ref", f"refs/smithers/runs/{run}"))


def waits(shop: Shop) -> None:
    """A question, one that nobody answers in time, signals that fit and do not, a timer."""
    shop.up("waits", 3)
    shop.smithers("signal", "waits", "deploy", "--data", '{"wrong": true}')
    shop.smithers("answer", "waits", "--node", "where", "--value", '{"summary": "north"}')
    shop.settled("waits", "waiting")
    time.sleep(1.5)
    shop.smithers("up", "--resume", "waits", code=3)
    shop.smithers("signal", "waits", "deploy", "--data", '{"summary": "now"}')
    shop.settled("waits", "finished", "waiting")
    time.sleep(1.5)
    shop.smithers("up", "--resume", "waits")


def nests(shop: Shop) -> None:
    """Regions that failed, a run in a run, a run after a run."""
    shop.up("undo", 1)
    shop.up("outer", 3)
    (child,) = [one["run"] for one in shop.smithers("inbox")["waiting"] if one["node"] == "ask"]
    shop.smithers("approve", child)
    shop.settled("outer", "finished")
    shop.up("again")


def money(shop: Shop) -> None:
    """A budget that is spent, and one that a person raises; an agent at its limit."""
    shop.up("dear", 3, "dear", "--budget", "1usd")
    shop.up("limit", 3)


def talks(shop: Shop) -> None:
    """A person takes a conversation over, at a terminal."""
    place = shop.repo / ".smithers" / "agents" / "talker.toml"
    place.parent.mkdir(parents=True)
    place.write_text((content.builtin_root() / "agents" / "script.toml").read_text() + INTERACTIVE)
    shop.up("talk", 1)
    command = ["-m", "smithers_git", "hijack", "talk", "work", "--no-resume"]
    person = pexpect.spawn(sys.executable, command, cwd=str(shop.repo), env=shop.environ, timeout=60)
    person.expect(pexpect.EOF)
    person.close()
    place.unlink()


def queue(shop: Shop) -> None:
    """Landings: one lands, one is red, one conflicts, one is held and ejected, one is refused by git."""
    gate = ("--gate", "sh gate.sh", "--onto", "main")
    hook = shop.repo / ".git" / "hooks" / "pre-merge-commit"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text("#!/bin/sh\nexit 0\n")
    hook.chmod(0o755)
    for name, file, data in (("one", "new.txt", "1\n"), ("bad", "red", "!\n"), ("clash", "new.txt", "2\n")):
        shop.branch(name, file, data)
    shop.smithers("land", "one", *gate)
    shop.smithers("land", "bad", *gate, code=1)
    shop.smithers("land", "clash", *gate, code=1)
    hook.unlink()
    lock = shop.repo / ".git" / "refs" / "heads" / "main.lock"
    lock.touch()
    shop.branch("void", "void.txt", "v\n")
    shop.smithers("land", "void", *gate, code=1)
    lock.unlink()
    shop.smithers("land", "void", *gate)
    shop.smithers("queue", "hold", "--onto", "main")
    shop.branch("late", "late.txt", "l\n")
    shop.smithers("land", "late", *gate, code=3)
    shop.smithers("queue", "eject", "late")
    shop.smithers("queue", "resume", "--onto", "main")


def fold(shop: Shop) -> None:
    """What ended goes into the archive."""
    shop.smithers("gc", "--fold-after", "0d")


STORY: Final[tuple[Callable[[Shop], None], ...]] = (queue, ship, fail, stops, waits, nests, money, talks, fold)


def main(name: str, parts: list[str]) -> None:
    bundle = HERE / f"{name}.bundle"
    if bundle.exists():
        raise SystemExit(f"{bundle} is there already: what a release wrote never changes")
    root = Path(tempfile.mkdtemp(prefix="smithers-release-"))
    try:
        shop = Shop(root)
        for part in (part for part in STORY if not parts or part.__name__ in parts):
            print(f"{part.__name__}: {part.__doc__ or ''}".splitlines()[0], file=sys.stderr)
            part(shop)
        told = facts(shop.smithers)
        shop.git("bundle", "create", str(bundle), "--glob=refs/*")
        (HERE / f"{name}.json").write_text(text(told))
    finally:
        shutil.rmtree(root)
    print(f"{bundle.name}: {bundle.stat().st_size} bytes", file=sys.stderr)


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else version("smithers-git"), sys.argv[2:])
