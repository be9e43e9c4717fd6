"""People: those who do what they are asked, and those who meddle whenever they like."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from reliability.simulate.outside import ADA, SimProject
from reliability.simulate.scenario import Deed

from smithers_git.core.state import State
from smithers_git.errors import RunRefused, SmithersError
from smithers_git.names import TaskKey
from smithers_git.service import approvals, control, travel, waits

if TYPE_CHECKING:
    from reliability.simulate.world import World


class People:
    """Whoever types a command. Each command is a process of its own."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._count = 0
        for deed in world.scenario.deeds:
            world.at(deed.at, lambda deed=deed: self._come(deed))

    def _come(self, deed: Deed) -> None:
        world = self._world
        if world.calm:
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

    def attend(self, run: str) -> bool:
        """Do everything that a run waits for from people; says whether there was anything."""
        state, world = self._world.checker.lines[run].state, self._world
        if state.end is not None:
            return False
        found = False
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


_DEEDS: dict[str, Callable[[SimProject, str, int], bool]] = {
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
}
