"""Proof that an agent works: a few tiny turns, for real, through the code path of every task.

Three turns at most: one that writes a file and answers in JSON, one that has to remember the first, and one that is
ended half-way.
"""

from __future__ import annotations

import secrets
import threading
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field
from typing import Final, Literal

from smithers_git.core import rehearse
from smithers_git.core.profile import Profile
from smithers_git.service import pools
from smithers_git.service.job import Result
from smithers_git.service.project import Project
from smithers_git.service.survey import Agent, survey
from smithers_git.service.tryout import Room

STEPS: Final = ("found", "version", "login", "answer", "edit", "json", "session", "usage", "limit", "stop")
WORD: Final = "smithers-was-here"
FILE: Final = "proof.txt"
BEGUN: Final = "begun.txt"
_FIRST: Final = (
    f"This is a test of your setup. Create the file {FILE} in the current folder, containing exactly the word {WORD}. "
    "Then answer with the word that you wrote. Keep in mind, without writing it down anywhere, the code word {code}: "
    "you will be asked for it."
)
_SECOND: Final = "Which code word were you asked to keep in mind? Answer with it. Use no tools and look at no files."
_THIRD: Final = (
    f"This is a test of how you are stopped. Run the shell command `touch {BEGUN} && sleep 600` in the foreground and "
    "wait for it; only then answer with the word done."
)
_SCRIPT: Final = f"""\
[[turn]]
node = "first"
say = "Writing the file."
write = [{{ path = "{FILE}", text = "{WORD}\\n" }}]
usage = {{ input = 100, output = 10 }}
answer = {{ word = "{WORD}" }}

[[turn]]
node = "second"
answer = {{ word = "CODE" }}

[[turn]]
node = "third"
run = ["touch {BEGUN} && sleep 600"]
answer = {{ word = "done" }}
"""


Standing = Literal["ok", "warning", "failed", "unsupported"]


@dataclass(frozen=True, slots=True)
class Step:
    """One thing that was tried."""

    name: str
    standing: Standing
    """`unsupported`: this agent has no such thing, so nothing was tried. `warning`: it works, with a but."""
    text: str
    hint: str = ""
    """What to type or to look at, when it did not go well."""


@dataclass(slots=True)
class Trial:
    """How a test of an agent went."""

    agent: str
    steps: list[Step] = field(default_factory=list)
    seconds: float = 0.0
    tokens: int = 0
    cost: float = 0.0

    @property
    def ok(self) -> bool:
        return all(step.standing != "failed" for step in self.steps)


@dataclass(frozen=True, slots=True)
class Order:
    """What is to be proven."""

    agent: str
    limit: float
    """Seconds that it may take for a turn."""
    only: tuple[str, ...] = ()
    """The steps of STEPS that are wanted, all when empty. What they build on is tried too, and told when it fails."""


def prove(project: Project, order: Order, cancel: threading.Event, told: Callable[[Step], None]) -> Trial:
    """Give the agent a few tiny tasks in an empty repository of its own, and look at what it did.

    Args:
        project: the repository whose configuration counts; nothing in it is touched.
        order: which agent, and what of it.
        cancel: setting it ends the agent.
        told: is told of each step as it is known.
    """
    code = secrets.token_hex(4)
    with closing(Room(project, order.agent, order.limit, cancel, _SCRIPT.replace("CODE", code))) as room:
        prover = _Prover(project, order.agent, told, frozenset(order.only or STEPS), room, code)
        prover.run()
    trial = prover.trial
    trial.seconds, trial.cost, trial.tokens = room.seconds, room.cost, room.tokens
    return trial


@dataclass(slots=True)
class _Prover:
    project: Project
    name: str
    told: Callable[[Step], None]
    wanted: frozenset[str]
    room: Room
    code: str
    """What the agent has to keep in mind."""
    trial: Trial = field(init=False)

    def run(self) -> None:
        self.trial = Trial(self.name)
        known = survey(self.project, self.name)
        if known.trouble:
            self._say("found", "failed", known.trouble, f"correct {known.origin}")
            return
        profile = pools.profile(self.project, self.name)
        if "limit" in self.wanted:
            limit = _limit(profile, known)
        usable = self._found(profile, known)
        if usable and self.wanted & {"answer", "edit", "json", "session", "usage", "stop"}:
            self._turns(profile, known)
        if "limit" in self.wanted:
            self._tell(limit)
        if usable and "stop" in self.wanted and not self._failed("answer"):
            self._stop()

    def _say(self, name: str, standing: Standing, text: str, hint: str = "") -> bool:
        return self._tell(Step(name, standing, text, hint if standing != "ok" else ""))

    def _tell(self, step: Step) -> bool:
        """Tell of a step that is wanted or that failed; returns whether it did not."""
        if step.name in self.wanted or step.standing == "failed":
            self.trial.steps.append(step)
            self.told(step)
        return step.standing != "failed"

    def _failed(self, name: str) -> bool:
        return any(step.name == name and step.standing == "failed" for step in self.trial.steps)

    def _found(self, profile: Profile, known: Agent) -> bool:
        """What is known without a turn; false when the agent cannot be asked anything."""
        missing = f"not installed: {' or '.join(profile.program)}"
        if not self._say("found", "ok" if known.program else "failed", known.program or missing, known.install):
            return False
        if profile.version is None:
            self._say("version", "unsupported", "its profile does not say how to ask for it", "add [version] to it")
        elif known.note:
            self._say("version", "warning", known.note, "what follows shows whether it works all the same")
        else:
            self._say("version", "ok", known.version)
        if known.logged_in is None:
            return self._say("login", "unsupported", "nobody can tell before it is asked something")
        hint = known.login or f"log in with it, or let its key through: [agents.{self.name}] pass_env"
        # A CLI with a provider of its user's own may say no, and work all the same (codex).
        self._say("login", "ok" if known.logged_in else "warning", "yes" if known.logged_in else "it says no", hint)
        return True

    def _turns(self, profile: Profile, known: Agent) -> None:
        """The turn that everything is read from, and the one that has to remember it."""
        first = self.room.turn("first", _FIRST.format(code=self.code))
        if not self._answer(first, known):
            return
        file = self.room.work / FILE
        written = file.read_text("utf-8", "replace").strip() if file.is_file() else None
        said = FILE if written == WORD else f"{FILE} is not there" if written is None else f"{FILE} holds {written!r}"
        hint = f"give it another level, [agents.{self.name}] permission, or look where it wrote"
        self._say("edit", "ok" if written == WORD else "failed", said, hint)
        right = first.kind is None and first.value == {"word": WORD}
        said = f"{first.value}" if first.kind is None else first.message
        self._say("json", "ok" if right else "failed", said, f"try a stronger model: [agents.{self.name}] model")
        if "session" in self.wanted:
            self._session(profile, first)
        self._usage(profile, first)

    def _answer(self, result: Result, known: Agent) -> bool:
        if result.kind in (None, "invalid"):
            return self._say("answer", "ok", f"in {result.seconds:.1f} s")
        hints = {
            "limit": "wait until the limit is over",
            "overload": "try again in a while",
            "auth": known.login or "log in with it, or look at its key and its plan",
            "timeout": "give it more time: --timeout SECONDS",
        }
        hint = hints.get(result.kind or "", f"run it by hand and compare with its profile, {known.origin}")
        return self._say("answer", "failed", f"{result.kind}: {result.message}", hint)

    def _session(self, profile: Profile, first: Result) -> None:
        if profile.session.scope == "none":
            self._say("session", "unsupported", "it cannot go on with a conversation", "add groups with {session}")
            return
        hint = "look at [session], the group with {session} and output.session in its profile"
        if first.session is None:
            self._say("session", "failed", "the first turn did not say which conversation it is", hint)
            return
        second = self.room.turn("second", _SECOND, first)
        if second.kind not in (None, "invalid"):
            self._say("session", "failed", f"{second.kind}: {second.message}", hint)
            return
        recalls = isinstance(second.value, dict) and second.value.get("word") == self.code
        said = "it remembers" if recalls else f"it does not remember: {second.value or second.message}"
        self._say("session", "ok" if recalls else "failed", said, hint)

    def _usage(self, profile: Profile, first: Result) -> None:
        used = first.usage
        if used is not None and used.tokens:
            cost = f", {first.cost:.4f} USD" if first.cost else ""
            self._say("usage", "ok", f"{used.input} tokens in, {used.output} out{cost}")
        elif profile.output.usage is None and used is None:
            self._say("usage", "unsupported", "its profile does not say where it counts: budgets do not see it")
        else:
            self._say("usage", "failed", "no tokens were reported: budgets do not see it", "look at [output.usage]")

    def _stop(self) -> None:
        """End a turn half-way, and look whether anything is left of it."""
        result, left = self.room.stopped("third", _THIRD, self.room.work / BEGUN)
        if left:
            hint = "it starts what leaves its own process tree; end it by hand"
            self._say("stop", "failed", f"left over: {', '.join(map(str, left))}", hint)
        elif result.kind == "cancelled":
            self._say("stop", "ok", "ended half-way, and nothing of it is left")
        else:
            said = f"its turn was over before ({result.kind or 'it answered'}); nothing of it is left"
            self._say("stop", "warning", said, "its model did not run the long command, so this proves little")


def _limit(profile: Profile, known: Agent) -> Step:
    """Whether the words of a limit are known for what they are. Needs no limit, and asks nobody."""
    heard = [vendor for vendor, text in rehearse.LIMITS.items() if rehearse.knows(profile, text)]
    if profile.name == "script":
        return Step("limit", "unsupported", "it has no model that could have a limit")
    if not heard:
        hint = f"""add to {known.origin}: [[failure]] kind = "limit", regex = '(?i)\\b429\\b|rate.?limit|usage limit'"""
        return Step("limit", "failed", "a limit would be taken for a crash, and cost retries", hint)
    missed = [vendor for vendor in rehearse.LIMITS if vendor not in heard]
    return Step("limit", "ok", f"known from {', '.join(heard)}" + (f"; not from {', '.join(missed)}" if missed else ""))
