"""What comes back for an attempt that the run went on without, or behind a task that was saved after it."""

from __future__ import annotations

import pytest
from kit.memory_git import MemoryObjects, Store

from smithers_git.core import events as ev
from smithers_git.core.codec import Owner
from smithers_git.core.nodes import Task
from smithers_git.edge.git.entries import BLOB, Entry
from smithers_git.names import TaskKey
from smithers_git.service import outcome
from smithers_git.service.frames import Chain
from smithers_git.service.job import Job, Result, Space

BRANCH = "refs/heads/smithers/r/main"


@pytest.fixture
def chain():
    objects = MemoryObjects(Store())
    base = objects.write_commit(objects.write_tree({}), [], "first", 0)
    chain = Chain(objects, "r", Owner(1, "here"))
    chain.add(ev.RunCreated(run="r", workflow="w", entry="workflow.py", input={}, base=base), 0.0)
    chain.add(ev.SpaceCreated(space="main", branch=BRANCH, commit=base), 0.0)
    for name in ("a", "b"):
        chain.add(ev.TaskStarted(node=name, iteration=0, attempt=1, commit=base), 0.0)
    chain.commit()
    return chain


def saved(chain: Chain, parent: str, *names: str) -> str:
    objects = chain.objects
    tree = objects.write_tree({name: Entry(BLOB, objects.write_blob(b"x")) for name in names})
    return objects.write_commit(tree, [parent], "saved", 1)


def result(chain: Chain, node: str, commit: str | None = None, **known) -> Result:
    space = Space("main", BRANCH, chain.state.base)
    job = Job("r", TaskKey(node), known.pop("attempt", 1), Task(node, run=("true",)), space)
    return Result(job, commit=commit, value={}, **known)


def land(chain: Chain, *events: ev.Event) -> None:
    for event in events:
        chain.add(event, 1.0)
    chain.commit()


def test_a_result_that_came_in_late_takes_no_files_away(chain):
    """`a` was saved before `b`, and its result comes in behind that of `b`."""
    first = saved(chain, chain.state.base, "a")
    second = saved(chain, first, "a", "b")
    land(chain, *outcome.events(chain, result(chain, "b", second), 1.0, 0.0))
    land(chain, *outcome.events(chain, result(chain, "a", first), 1.0, 0.0))
    assert chain.state.node(TaskKey("a")).commit == first
    assert chain.state.spaces["main"].commit == second
    tree = chain.objects.read_commit(chain.tip).tree
    assert chain.objects.find(tree, "code/main/b") is not None


@pytest.mark.parametrize("kind", ["cancelled", "exit"])
def test_the_end_of_an_engine_takes_no_files_away_either(chain, kind):
    first = saved(chain, chain.state.base, "a")
    second = saved(chain, first, "a", "b")
    for name, commit in (("b", second), ("a", first)):
        ended = result(chain, name, commit, kind=kind, message=kind)
        land(chain, *outcome.last_events(chain, ended, "stopped", 1.0, 0.0))
    assert chain.state.spaces["main"].commit == second


def test_an_attempt_is_over_once(chain):
    ended = result(chain, "a")
    assert not outcome.is_void(chain.state, ended)
    land(chain, *outcome.events(chain, ended, 1.0, 0.0))
    assert outcome.is_void(chain.state, ended)


def test_an_attempt_is_void_when_another_owner_has_begun_a_later_one(chain):
    land(chain, ev.TaskInterrupted(node="a", iteration=0, attempt=1, reason="its engine ended before it did"))
    assert outcome.is_void(chain.state, result(chain, "a"))
    land(chain, ev.TaskStarted(node="a", iteration=0, attempt=2))
    assert outcome.is_void(chain.state, result(chain, "a"))
    assert not outcome.is_void(chain.state, result(chain, "a", attempt=2))


def test_every_attempt_is_void_behind_the_end_of_the_run(chain):
    land(chain, ev.CancelRequested(by="Ada"), ev.RunCancelled(by="Ada"))
    assert outcome.is_void(chain.state, result(chain, "a"))
