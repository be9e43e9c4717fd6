"""Take over a run: end what a killed engine left running, keep every byte it left, put workspaces in order."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from smithers_git.core import codec
from smithers_git.core import events as ev
from smithers_git.core.state import State
from smithers_git.edge.git.command import storage_errors
from smithers_git.edge.git.durable import put
from smithers_git.errors import RefMoved
from smithers_git.names import TaskKey
from smithers_git.service import live, reboot
from smithers_git.service.frames import Chain
from smithers_git.service.job import Result
from smithers_git.service.project import Project
from smithers_git.service.workspaces import Workspaces


@dataclass(slots=True)
class Recovery:
    """What taking over a run found."""

    events: list[ev.Event] = field(default_factory=list)
    ended: list[int] = field(default_factory=list)
    """Pids of orphaned processes that were ended."""
    restore: list[str] = field(default_factory=list)
    """Workspaces to be put back to their commit, once their bytes are in a frame."""


def keep(project: Project, chain: Chain, found: Recovery, more: Iterable[ev.Event] = ()) -> bool:
    """Write what taking over found, and `more` behind it, as one frame, if there is anything to say.

    Returns False when somebody wrote a frame first: it is to be examined again.
    """
    events = [*found.events, *more]
    if not events:
        return True
    mark(project, chain.run, found.restore)
    now = project.clock.now()
    for event in events:
        chain.add(event, now)
    try:
        chain.commit()
    except RefMoved:
        chain.reload()
        return False
    return True


def examine(project: Project, chain: Chain, workspaces: Workspaces) -> Recovery:
    """End orphans and save what workspaces hold; nothing is changed in a workspace yet. The caller holds the lock."""
    found = Recovery(ended=project.end_orphans(chain.run))
    state = chain.state
    broken = {state.nodes[key].space for key in state.running}
    begun = _marked(project, chain.run)
    broken |= begun - {ALL}
    rewound = ALL in begun
    down = not rewound and reboot.went_down(project, project.run_dir(chain.run), state.updated)
    for name, space in state.spaces.items():
        left = workspaces.left_at(name, space.commit)
        if down and name not in broken:
            workspaces.heal(name, left or space.commit)
        # None: another machine, or a cleaned one. It is made again from its commit when a task needs it.
        saved = workspaces.keep(name, space.branch, left or space.commit, "found at a resume")
        if saved is None:
            continue
        back = name in broken or rewound or left is not None
        if back:
            found.restore.append(name)
        if not saved.changed:
            continue
        why = "left by an interrupted attempt" if name in broken else "changed outside of an attempt"
        if left is not None:
            why = "changed here while the run went on elsewhere"
        found.events.append(
            ev.SpaceSaved(space=name, commit=saved.commit, reason=why, restored=space.commit if back else None)
        )
    for name, data in live.salvage(project.run_dir(chain.run)).items():
        _keep_transcript(chain, name, data)
    talks, reported = live.talks(project.run_dir(chain.run)), live.reported(project.run_dir(chain.run))
    found.events += [_interrupted(state, key, attempt, talks, reported) for key, attempt in state.running.items()]
    return found


def _interrupted(
    state: State, key: TaskKey, attempt: int, talks: Mapping[str, str], reported: Mapping[str, live.Reported]
) -> ev.TaskInterrupted:
    name = live.job_name(key, attempt)
    session, used = talks.get(name), reported.get(name, live.Reported())
    event = ev.TaskInterrupted(
        node=key.node,
        iteration=key.iteration,
        attempt=attempt,
        reason="its engine ended before it did",
        agent=state.nodes[key].agent if session is not None or name in reported else None,
        usage=used.usage,
        cost=used.cost,
    )
    if session is None:
        return event
    how = "goes on with its conversation, on the files from before the attempt"
    return event.model_copy(update={"session": session, "next": how, "restored": True})


def settle(project: Project, chain: Chain, workspaces: Workspaces, found: Recovery) -> None:
    """Put workspaces back, after the frame that holds what they held was written."""
    for name in found.restore:
        space = chain.state.spaces[name]
        workspaces.restore(name, space.branch, space.commit)
    if ALL in _marked(project, chain.run):
        workspaces.drop_unknown(chain.state.spaces)
    live.forget(project.run_dir(chain.run))
    reboot.note(project.run_dir(chain.run))
    unmark(project, chain.run)


def _keep_transcript(chain: Chain, name: str, data: bytes) -> None:
    if data:
        chain.put(f"transcripts/{(chain.state.number + 1) // codec.FOLDER:03d}/{name}/0000.jsonl", data)


# A rewind, and a resume behind a killed engine, write their frame first and put files back after it. The mark tells a
# later resume that files which differ from their frame are what was about to be put back, not work of a person.

ALL: Final = "*"
"""In the mark of a rewind: every workspace, and those that the frame does not know are to go."""


@storage_errors
def mark(project: Project, run: str, spaces: Iterable[str]) -> None:
    """Note that these workspaces are about to be put back, until `unmark`; raises StorageError."""
    path = _mark(project, run)
    path.parent.mkdir(parents=True, exist_ok=True)
    put(path, "\n".join(sorted({*spaces, *_marked(project, run)})).encode())


def mark_astray(project: Project, run: str, results: Iterable[Result]) -> None:
    """The same of attempts that threw work away: a kill behind their frame must not take that for work of a person."""
    astray = [result.job.space.name for result in results if result.astray and result.job.space]
    if astray:
        mark(project, run, astray)


def unmark(project: Project, run: str) -> None:
    _mark(project, run).unlink(missing_ok=True)


def _marked(project: Project, run: str) -> set[str]:
    path = _mark(project, run)
    return set(path.read_text("utf-8").split("\n")) if path.exists() else set()


def _mark(project: Project, run: str) -> Path:
    return project.run_dir(run) / "restore"
