"""Which two states of the files a person means, and what else differs between them."""

from __future__ import annotations

from dataclasses import dataclass, field

from smithers_git.core.state import State
from smithers_git.errors import RunRefused, UsageError
from smithers_git.names import TaskKey
from smithers_git.service.fold import state_of
from smithers_git.service.frames import Frame
from smithers_git.service.history import attempts_of, frames, is_meant
from smithers_git.service.project import Project


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two objects of git (commits or trees) to compare, and what they are called."""

    old: str
    new: str
    old_name: str
    new_name: str
    paths: tuple[str, ...] = ()
    """What to compare; empty: everything."""
    nodes: list[str] = field(default_factory=list)
    """What differs in the state, as `NODE: OLD -> NEW` lines."""


def since_start(project: Project, run: str, space: str) -> Comparison:
    """What a run changed in a workspace so far; raises RunRefused when it has no such workspace."""
    state = project.chain(run).state
    known = state.spaces.get(space)
    if known is None:
        if not state.spaces:
            raise RunRefused(f"run {run} has no files yet", hint=f"smithers why {run} says what it waits for")
        raise RunRefused(f"run {run} has no workspace {space!r}", hint=f"its workspaces: {', '.join(state.spaces)}")
    return Comparison(state.base, known.commit, "the start", f"{space} at frame {state.number}")


def of_node(project: Project, run: str, node: str) -> list[Comparison]:
    """What the newest attempt of a node changed; for an approval, what it asks about, by workspace.

    Raises UsageError for a node that never began, RunRefused for one that left no files.
    """
    state = project.chain(run).state
    asked = [key for key in state.approvals if is_meant(key, node)]
    if asked and not state.approvals[asked[-1]].gate:
        commits = state.approvals[asked[-1]].commits
        return [
            Comparison(state.base, commit, "the start", f"{space}, as {asked[-1]} asks about it")
            for space, commit in commits.items()
        ]
    last = attempts_of(project, run, node)[-1]
    name = f"attempt {last.number} of {last.key}"
    if last.base is None:
        raise RunRefused(
            f"{name} worked without a folder, so it changed no files", hint=f"smithers output {run} {node}"
        )
    if last.commit is None:
        hint = f"smithers chat {run} {node} shows what it does" if last.status == "running" else f"smithers diff {run}"
        raise RunRefused(f"{name} has left no files of its own: it is {last.status}", hint=hint)
    return [Comparison(last.base, last.commit, f"before {name}", f"after {name}")]


def between(project: Project, run: str, words: str) -> list[Comparison]:
    """State and files of every workspace in frames `A..B`; raises UsageError when these are not frames of the run."""
    known = frames(project, run)
    numbered = {frame.data.number: frame for frame in known}
    first, _, second = words.partition("..")
    old, new = (numbered.get(int(word)) if word.isdigit() else None for word in (first, second.removeprefix(".")))
    if old is None or new is None:
        last = max(numbered)
        raise UsageError(
            f"{words!r} does not name two frames of run {run}", hint=f"smithers diff {run} 0..{last} compares them all"
        )
    names = (f"frame {old.data.number}", f"frame {new.data.number}")
    before, after = (state_of(one for one in known if one.data.number <= frame.data.number) for frame in (old, new))
    state = Comparison(old.tree, new.tree, *names, ("outputs",), changed_nodes(before, after))
    return [state, *_files(project, (old, new), (before, after))]


def _files(project: Project, pair: tuple[Frame, Frame], states: tuple[State, State]) -> list[Comparison]:
    """A comparison of every workspace whose files differ."""
    objects, found = project.objects, []
    for space in dict.fromkeys([*states[0].spaces, *states[1].spaces]):
        # A workspace that did not exist yet held what it was to begin with.
        begin = objects.read_commit((states[1].spaces.get(space) or states[0].spaces[space]).base).tree
        old, new = (objects.find(frame.tree, f"code/{space}") or begin for frame in pair)
        if old != new:
            names = [f"{space} at frame {frame.data.number}" for frame in pair]
            found.append(Comparison(old, new, names[0], names[1]))
    return found


def changed_nodes(old: State, new: State) -> list[str]:
    """How nodes and loops differ between two states of a run."""
    lines = []
    for key in dict.fromkeys([*old.nodes, *new.nodes]):
        before, after = _standing(old, key), _standing(new, key)
        if before != after:
            lines.append(f"{key}: {before} -> {after}")
    for loop in dict.fromkeys([*old.loops, *new.loops]):
        was, now = old.loop(loop), new.loop(loop)
        if (was.iteration, was.finished) != (now.iteration, now.finished):
            lines.append(f"{loop}: iteration {was.iteration} -> {now.iteration}" + (", finished" * bool(now.finished)))
    return lines


def _standing(state: State, key: TaskKey) -> str:
    node = state.nodes.get(key)
    if node is None:
        return "not begun"
    return node.status + (f" (attempt {node.attempt})" if node.attempt > 1 else "")
