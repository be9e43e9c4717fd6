"""People: those who do what they are asked, and those who meddle whenever they like."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from reliability.simulate.landing import ADA
from reliability.simulate.outside import SimProject
from reliability.simulate.rules import Violation
from reliability.simulate.scenario import Deed
from reliability.simulate.world import RUN

from smithers_git.core.budget import Spent, more
from smithers_git.core.landing.state import EntryState
from smithers_git.core.nodes import Budget
from smithers_git.core.state import State
from smithers_git.edge.git.entries import BLOB, Entry
from smithers_git.edge.git.merge import Candidate
from smithers_git.errors import RunRefused, SmithersError
from smithers_git.names import TaskKey
from smithers_git.service import approvals, budget, control, travel, waits
from smithers_git.service.landing import acts
from smithers_git.service.landing.driver import Driver
from smithers_git.service.landing.line import open_ledger

if TYPE_CHECKING:
    from reliability.simulate.world import World


class People:
    """Whoever types a command. Each command is a process of its own."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._count = 0
        world.race = lambda: self.do("push", lambda project: _push(project, RUN, self._count), RUN)
        for deed in world.scenario.deeds:
            world.at(deed.at, lambda deed=deed: self._come(deed))

    def _come(self, deed: Deed) -> None:
        world = self._world
        if world.calm:
            return
        if deed.what == "supervise":
            world.supervise()
            return
        run = list(world.checker.lines)[deed.pick % len(world.checker.lines)]
        for _ in range(2 if deed.twice else 1):
            self.do(f"{deed.what} {run}", lambda project: _DEEDS[deed.what](project, run, deed.pick), run)

    def do(self, name: str, work: Callable[[SimProject], bool], run: str) -> None:
        """Have somebody type a command; when it says so, an engine goes on with the run."""
        world = self._world
        self._count += 1
        process = world.process(f"person-{self._count}")

        def act() -> None:
            project = SimProject(process)
            try:
                goes_on = work(project)
            except SmithersError as error:
                world.tell(process, f"{name}: refused: {type(error).__name__}: {error.message}")
                return
            world.tell(process, f"{name}: done")
            if goes_on and not project.is_owned(run) and not project.chain(run).state.pause_requested:
                world.engine(run)

        process.begin(name, act)

    # -- what is their duty

    def clear(self) -> None:
        """Have somebody look after the merge queue."""
        if self._world.checker.queues.states:
            self.do("clear the queue", _clear, RUN)

    def give_up(self, run: str) -> None:
        """Have somebody cancel a run."""
        self.do(f"give up {run}", lambda project: _cancel(project, run, 0), run)
        self._world.engine(run)

    def attend(self, run: str) -> bool:
        """Do everything that a run waits for from people; says whether there was anything."""
        state, world = self._world.checker.lines[run].state, self._world
        if state.end is not None:
            return False
        found = state.parked_for == "budget"
        if found:
            self.do(f"raise {run}", lambda project: _raise(project, run, 0), run)
        for key in state.waiting():
            wanted = world.programs.tasks[key.node].options.get("approve", True)
            self.do(
                f"decide {key}",
                lambda project, key=key, wanted=wanted: _decide(project, run, key, approved=wanted),
                run,
            )
            found = True
        taken = state.matched()
        for key, wait in state.open_waits.items():
            if key in taken or wait.kind not in ("question", "signal"):
                continue
            if wait.kind == "question":
                self.do(f"answer {key}", lambda project, key=key: _answer(project, run, key, 3), run)
            else:
                self.do("signal", lambda project: _signal(project, run, 4), run)
            found = True
        return found


def _clear(project: SimProject) -> bool:
    """Let everything go on that is held, drive the queue to where it stops, and take out what cannot go on."""
    target = _target(project)
    state = open_ledger(project, target).state
    if state.held is not None:
        acts.act(project, [target], acts.Act("resume", None, ADA))
    for one in state.waiting():
        if one.held is not None:
            acts.act(project, [target], acts.Act("resume", one.entry.id, ADA))
    lock = project.site(target).lock()
    if not lock.try_acquire():
        raise RunRefused("somebody drives it", hint="")
    try:
        driver = Driver(project, target, lambda _text: None)
        driver.drive(lambda _state: False)
    finally:
        lock.release()
    for place in driver.plan.line:
        if not place.blocker:
            raise Violation(f"I5: {place.entry} waits, and nobody says for what ({place.status})")
        acts.act(project, [target], acts.Act("eject", place.entry, ADA))
    return False


def _decide(project: SimProject, run: str, key: TaskKey, *, approved: bool) -> bool:
    asked = approvals.choose(project, run, str(key))
    approvals.decide(project, asked, approvals.Answer(approved, ADA, digest=asked.digest))
    return True


def _answer(project: SimProject, run: str, key: TaskKey, n: int) -> bool:
    waits.answer(project, waits.choose(project, run, str(key)), {"n": n}, ADA)
    return True


def _signal(project: SimProject, run: str, n: int) -> bool:
    waits.signal(project, run, waits.Sent("go", None, {"n": n}, ADA))
    return True


# -- what meddlers do


def _state(project: SimProject, run: str) -> State:
    return project.chain(run).state


def _judge(approved: bool) -> Callable[[SimProject, str, int], bool]:
    def judge(project: SimProject, run: str, pick: int) -> bool:
        asked = _state(project, run).waiting()
        if not asked:
            raise RunRefused("nothing waits", hint="")
        return _decide(project, run, asked[pick % len(asked)], approved=approved)

    return judge


def _some_answer(project: SimProject, run: str, pick: int) -> bool:
    asked = [key for key, wait in _state(project, run).open_waits.items() if wait.kind == "question"]
    if not asked:
        raise RunRefused("nothing is asked", hint="")
    return _answer(project, run, asked[pick % len(asked)], pick)


def _withdraw(project: SimProject, run: str, pick: int) -> bool:
    asked = waits.questions(project, run)
    if not asked:
        raise RunRefused("nothing is asked", hint="")
    waits.withdraw(project, asked[pick % len(asked)], ADA, "no more")
    return True


def _cancel(project: SimProject, run: str, pick: int) -> bool:
    control.cancel(project, run, ADA)
    return False


def _pause(project: SimProject, run: str, pick: int) -> bool:
    control.pause(project, run, ADA)
    return False


def _resume(project: SimProject, run: str, pick: int) -> bool:
    project.process.world.engine(run, revive=True)
    return False


def _rewind(project: SimProject, run: str, pick: int) -> bool:
    travel.rewind(project, run, pick % (_state(project, run).number + 1))
    return True


def _fork(project: SimProject, run: str, pick: int) -> bool:
    world = project.process.world
    if len(world.checker.lines) > 2:
        raise RunRefused("there are enough runs", hint="")
    child = travel.fork(project, run, travel.Fork(frame=pick % (_state(project, run).number + 1)))
    world.engine(child.run)
    return False


def _retry(project: SimProject, run: str, pick: int) -> bool:
    known = list(dict.fromkeys(key.node for key in _state(project, run).nodes))
    if not known:
        raise RunRefused("there is no node yet", hint="")
    travel.retry_task(project, run, known[pick % len(known)])
    return True


def _raise(project: SimProject, run: str, pick: int) -> bool:
    """More to spend, as a parked run asks for it."""
    state = _state(project, run)
    budget.change(project, run, more(Spent(state.cost, state.tokens), state.budget, project.settings.budget.soft))
    return True


def _lower(project: SimProject, run: str, pick: int) -> bool:
    budget.change(project, run, Budget(tokens=500 * (1 + pick)))
    return False


def _unlimit(project: SimProject, run: str, pick: int) -> bool:
    budget.change(project, run, Budget())
    return True


def _push(project: SimProject, run: str, pick: int) -> bool:
    """Somebody else's commit on the branch that is landed on."""
    objects, target = project.objects, _target(project)
    tip = objects.ref(target)
    if tip is None:
        raise RunRefused("there is no such branch yet", hint="")
    files = objects.read_tree(objects.read_commit(tip).tree)
    files[f"theirs-{pick}"] = Entry(BLOB, objects.write_blob(f"by {project.process.name}".encode()))
    commit = objects.write_commit(objects.write_tree(files), [tip], "theirs\n", int(project.clock.now()))
    objects.advance(target, tip, commit)
    return False


def _merge(project: SimProject, run: str, pick: int) -> bool:
    """A person merges by hand what waits to land."""
    one, target = _waiting(project, pick), _target(project)
    tip = project.objects.ref(target)
    made = (
        project.site(target)
        .merger(project.objects)
        .candidate(tip, one.entry.head, "merge", lambda _tree, _text: "by hand", int(project.clock.now()))
    )
    if not isinstance(made, Candidate) or not made.trees:
        raise RunRefused("it cannot be merged", hint="")
    project.objects.advance(target, tip, made.commit)
    return False


def _move(project: SimProject, run: str, pick: int) -> bool:
    """A person commits to a branch that waits to land."""
    one, objects = _waiting(project, pick), project.objects
    commit = objects.write_commit(
        objects.read_commit(one.entry.head).tree, [one.entry.head], "more\n", int(project.clock.now())
    )
    project.process.step("write", "branch")
    project.process.world.store.refs[str(one.entry.branch)] = commit
    return False


def _act(action: str) -> Callable[[SimProject, str, int], bool]:
    def do(project: SimProject, run: str, pick: int) -> bool:
        whole = action != "eject" and pick % 2 == 0
        entry = None if whole else _waiting(project, pick).entry.id
        acts.act(project, [_target(project)], acts.Act(action, entry, ADA))
        return False

    return do


def _target(project: SimProject) -> str:
    return f"refs/heads/{project.process.world.landings.target or project.settings.landing.branch}"


def _waiting(project: SimProject, pick: int) -> EntryState:
    found = open_ledger(project, _target(project)).state.waiting()
    if not found:
        raise RunRefused("nothing waits to land", hint="")
    return found[pick % len(found)]


_DEEDS: dict[str, Callable[[SimProject, str, int], bool]] = {
    "push": _push,
    "merge": _merge,
    "move": _move,
    "hold": _act("hold"),
    "let": _act("resume"),
    "eject": _act("eject"),
    "approve": _judge(True),
    "deny": _judge(False),
    "answer": _some_answer,
    "signal": _signal,
    "withdraw": _withdraw,
    "cancel": _cancel,
    "pause": _pause,
    "resume": _resume,
    "rewind": _rewind,
    "fork": _fork,
    "retry": _retry,
    "raise": _raise,
    "lower": _lower,
    "unlimit": _unlimit,
}
