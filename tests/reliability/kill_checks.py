"""What must be so of runs that were killed again and again: P1, P2, P3, P4, P5, P6, P9, and a sound repository."""

from __future__ import annotations

import json
from collections import Counter
from itertools import groupby
from pathlib import Path
from typing import Any

from kit import engines as kit
from kit import proofs, repos
from reliability import kill_flow

from smithers_git.core import events as ev
from smithers_git.edge.git.usage import reachable
from smithers_git.names import TaskKey
from smithers_git.service.frames import Frame


def run_is_whole(repo: Path, run: str, lanes: int, ledger: Path) -> None:
    """A run that is over did each of its steps once, and its files are those of its frames."""
    frames = kit.frames(repo, run)
    state = kit.state_of(repo, run)
    assert state.end == "finished", f"{run} ended as {state.end}: {state.error}"
    assert state.done == kill_flow.nodes(lanes)
    assert [frame.data.number for frame in frames] == [*range(len(frames))]
    _one_owner_at_a_time(run, frames)
    _each_step_once(frames, lanes, ledger)
    _functions_in_order(ledger.with_name(f"{run}.quick"))
    _outputs_stand(repo, run, frames)
    _files_are_right(repo, run, lanes, sum(_goes_on(event) for frame in frames for event in frame.data.events))
    proofs.files_are_the_frames(repo, run)
    proofs.nothing_runs(run)
    left = [path.name for kind in ("pids", "live") for path in (repo / f".git/smithers/runs/{run}/{kind}").iterdir()]
    assert left == []


def _one_owner_at_a_time(run: str, frames: list[Frame]) -> None:
    """P6: once another engine wrote, the one before it never wrote again."""
    owners = [pid for pid, _ in groupby(frame.data.owner.pid for frame in frames)]
    again = [pid for pid, times in Counter(owners).items() if times > 1]
    assert not again, f"{run}: engines {again} wrote again after others had taken over: {owners}"


def _each_step_once(frames: list[Frame], lanes: int, ledger: Path) -> None:
    """P3, by what the frames say, and by what really was done."""
    finished: dict[TaskKey, int] = {}
    for event in (event for frame in frames for event in frame.data.events):
        if isinstance(event, ev.TaskStarted):
            assert TaskKey(event.node, event.iteration) not in finished, f"{event} was finished before"
        if isinstance(event, ev.TaskFinished):
            key = TaskKey(event.node, event.iteration)
            assert key not in finished, f"{event} is there twice"
            finished[key] = event.attempt
    assert finished.keys() == kill_flow.nodes(lanes)
    lines = Counter(ledger.read_text().splitlines())
    for line, times in lines.items():
        node, iteration, attempt = line.split()
        last = finished[TaskKey(node, int(iteration))]
        assert times == 1, f"{line} is in the ledger {times} times"
        assert int(attempt) <= last, f"{line} is in the ledger, but attempt {last} had finished"
    worked = kill_flow.steps(lanes)
    missing = {f"{key.node} {key.iteration} {finished[key]}" for key in worked} - lines.keys()
    assert not missing, f"finished, and never done: {missing}"


def _functions_in_order(begun: Path) -> None:
    """P1, P3: when a function begins, the one before it is in a frame that no kill can take."""
    numbers = [int(line) for line in begun.read_text().splitlines()]
    assert numbers == sorted(numbers), f"begun again, although it was done: {numbers}"
    assert set(numbers) == set(range(kill_flow.QUICK))


def _outputs_stand(repo: Path, run: str, frames: list[Frame]) -> None:
    """What a step brought stands in the newest frame as it stood in the frame that finished the step."""
    newest = proofs.tree(repo, f"refs/smithers/runs/{run}:outputs")
    events = [(frame, event) for frame in frames for event in frame.data.events if isinstance(event, ev.TaskFinished)]
    wanted = "".join(f"{frame.commit}:{event.output}\n" for frame, event in events)
    then = repos.git(repo, "cat-file", "--batch-check=%(objectname)", stdin=wanted.encode()).splitlines()
    paths = "".join(f"refs/smithers/runs/{run}:{event.output}\n" for _, event in events)
    now = repos.git(repo, "cat-file", "--batch-check=%(objectname)", stdin=paths.encode()).splitlines()
    changed = [event for (_, event), one, other in zip(events, then, now, strict=True) if one != other]
    assert not changed, f"outputs changed after they were finished: {changed}"
    state = kit.state_of(repo, run)
    output = state.nodes[TaskKey("sum")].output or ""
    assert json.loads(newest[output.removeprefix("outputs/")][1]) == {"sum": 3}


def _goes_on(event: ev.Event) -> bool:
    """Whether an attempt ended whose files the next one finds: it failed, or was told to stop, as the disk is full."""
    told = isinstance(event, ev.TaskInterrupted) and event.next.endswith("on the files as it left them")
    return told or isinstance(event, ev.TaskFailed)


def _files_are_right(repo: Path, run: str, lanes: int, failures: int) -> None:
    """P2: work that was cut off was put back before it began again. What a person put beside it may stand too.

    Of the others there may be a line more for each.
    """
    base = proofs.tree(repo, kit.state_of(repo, run).base)
    for space, wanted in kill_flow.made(lanes).items():
        code = proofs.tree(repo, f"smithers/{run}/{space}")
        found = {name: data for name, (_, data) in code.items() if name not in base and not name.startswith("by-hand")}
        if space != "main":  # a lane that is made late begins with what `main` holds by then
            assert found.pop("made-beside-0", b"beside-0\n") == b"beside-0\n"
        assert found.keys() == wanted.keys(), f"{run}, workspace {space}"
        for name, text in wanted.items():
            line = text.splitlines(keepends=True)[0]
            more = (len(found[name]) - len(text)) // len(line)
            assert found[name] == text + line * more, f"{run}, {name} in {space}: {found[name]!r}"
            assert more <= failures, f"{run}, {name} in {space} has {more} lines too many; {failures} attempts went on"
        assert base.items() <= code.items()


def kept_by_hand(repo: Path, run: str, blobs: dict[str, str]) -> None:
    """P9: what a person wrote into a workspace (its blob, and the name of the file) is in some frame of the run.

    Or beside the workspace, where what lies in one that was not even filled is moved.
    """
    if blobs:
        known = reachable(repo / ".git", [str(kit.tip(repo, run))])
        aside = {path.name for path in proofs.space_path(repo, run).parent.glob(".*.kept/**/by-hand-*")}
        lost = {name for blob, name in blobs.items() if blob not in known and name not in aside}
        assert not lost, f"{run}: what a person wrote is in no frame: {lost}"


def repository_is_sound(repo: Path, users: dict[str, Any]) -> None:
    """P4, P5, and git itself has nothing to say."""
    now = users_own(repo)
    assert now == users, f"changed: {[name for name in {**users, **now} if now.get(name) != users.get(name)]}"
    proofs.sound(repo)
    proofs.index_is_a_rebuild(repo)
    locks = [str(path.relative_to(repo)) for path in (repo / ".git").rglob("*.lock")]
    left = [name for name in locks if not name.startswith(".git/smithers/")]  # ours are locked, not made and removed
    assert not left, f"left behind: {left}"


def users_own(repo: Path) -> dict[str, Any]:
    """All that is the user's, by name; not how git stores refs and objects, as their own git changes that."""
    found = proofs.users_own(repo)
    storage = (".git/refs", ".git/logs", ".git/info/refs", ".git/gc.", ".git/FETCH_HEAD", ".git/ORIG_HEAD")
    found["refs"] = {name: oid for name, oid in found["refs"].items() if not name.startswith("refs/remotes/")}
    return {name: what for name, what in found.items() if not name.startswith(storage)}
