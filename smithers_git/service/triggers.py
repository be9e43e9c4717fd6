"""Runs that nobody starts by hand: begun by a hook of git or because a schedule is due."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from smithers_git.core import cron
from smithers_git.core.trigger import Occasion, TriggerSettings, concerned, filled, run_id, slot_id, touches
from smithers_git.edge.lock import holding, is_held
from smithers_git.errors import RunRefused, SmithersError, StorageError
from smithers_git.service import detach, launch, trust
from smithers_git.service.launch import Request
from smithers_git.service.project import Project

_MEMORY: Final = "cron.json"


@dataclass(frozen=True, slots=True)
class Begun:
    """The run of a trigger. `fresh` is false when it had been begun before, for the same commit or minute."""

    run: str
    fresh: bool


@dataclass(frozen=True, slots=True)
class Due:
    """A schedule whose time has come. `slot` is the newest such time, on the clock of this place; older ones are lost,
    so that a machine that slept for a week does one night's work."""

    trigger: TriggerSettings
    slot: datetime

    @property
    def run(self) -> str:
        """What the run is called."""
        return slot_id(self.trigger, self.slot)


def schedules(project: Project) -> list[TriggerSettings]:
    """The triggers that a clock sets off."""
    return [trigger for trigger in project.settings.trigger if trigger.on == "cron"]


def due(project: Project, now: float) -> list[Due]:
    """The schedules whose time has come since they were last started.

    One that is seen for the first time is due from its next time on. Nothing is due in a repository that the user has
    not trusted as it is now.

    Args:
        project: the repository.
        now: Unix time, in seconds.

    Raises:
        ConfigError: the configuration cannot be read.
        StorageError: the memory of what was started cannot be written.
    """
    found = schedules(project)
    if not found or trust.look(project).state != "trusted":
        return []
    here = _wall(now)
    ready = []
    with holding(project.state_dir / "locks" / "cron.lock", 10.0):
        memory = _remembered(project)
        known = {name: entry for name, entry in memory.items() if name in {trigger.name for trigger in found}}
        for trigger in found:
            entry = known.get(trigger.name)
            if entry is None or entry["schedule"] != trigger.schedule:
                known[trigger.name] = {"schedule": trigger.schedule, "after": now}
                continue
            slot = cron.parse(str(trigger.schedule)).before(here)
            if slot is not None and slot > _wall(entry["after"]):
                ready.append(Due(trigger, slot))
        if known != memory:
            _remember(project, known)
    return ready


def start_due(project: Project, item: Due) -> Begun:
    """Begin the run of a schedule that is due, in the background, and remember that it was.

    Raises:
        NotTrusted: the repository is not trusted as it is now.
        SmithersError: the run cannot begin; the schedule is due again at its next time.
    """
    request = Request(
        workflow=item.trigger.workflow, input=item.trigger.input, run=item.run, cwd=project.worktree, dirty=False
    )
    try:
        begun = _begin(project, request)
    except SmithersError:
        _tick_off(project, item)
        raise
    _tick_off(project, item)  # not before: whoever is killed in between finds the run, which is begun once
    go_on(project, begun)
    return begun


def _tick_off(project: Project, item: Due) -> None:
    with holding(project.state_dir / "locks" / "cron.lock", 10.0):
        entry = {"schedule": item.trigger.schedule, "after": max(item.slot.astimezone().timestamp(), 0.0)}
        _remember(project, _remembered(project) | {item.trigger.name: entry})


def next_time(trigger: TriggerSettings, now: float) -> datetime | None:
    """When a schedule is due next, on the clock of this place."""
    return cron.parse(str(trigger.schedule)).after(_wall(now))


# -- hooks


def fitting(project: Project, occasion: Occasion) -> list[TriggerSettings]:
    """The triggers that an occasion sets off, their branches and paths looked at."""
    found = concerned(project.settings.trigger, occasion)
    if not any(trigger.paths for trigger in found):
        return found
    changed = _changed(project, occasion)
    return [trigger for trigger in found if touches(trigger, changed)]


def begin(project: Project, trigger: TriggerSettings, occasion: Occasion) -> Begun:
    """Write frame 0 of the run of a trigger, unless the same commit has one already.

    Raises:
        NotTrusted: the repository is not trusted as it is now.
        SmithersError: the run cannot begin.
    """
    run = run_id(trigger, occasion)
    if project.tip(run) is not None:
        return Begun(run, fresh=False)
    values = filled(trigger.input, occasion)
    request = Request(workflow=trigger.workflow, input=values, run=run, cwd=project.worktree)
    return _begin(project, request, occasion)


def go_on(project: Project, begun: Begun) -> None:
    """Let a background engine drive the run, unless it has been driven before: it may have been begun by a process
    that died before it could do this."""
    if begun.fresh or (project.chain(begun.run).state.number == 0 and not is_held(project.lock_path(begun.run))):
        detach.resume(project, begun.run)


def _begin(project: Project, request: Request, occasion: Occasion | None = None) -> Begun:
    assert request.run is not None
    trust.require(project)
    base = _base(project, occasion) if occasion is not None else None
    try:
        launch.begin(project, Request(request.workflow, request.input, request.run, cwd=request.cwd, base=base))
    except RunRefused:
        if project.tip(request.run) is None:
            raise
        return Begun(request.run, fresh=False)  # another process was quicker
    return Begun(request.run, fresh=True)


def _base(project: Project, occasion: Occasion) -> str | None:
    """The commit to start from: of what is about to be committed, a commit that no branch ever sees."""
    if not occasion.tree:
        return occasion.commit or None
    parent = ("-p", occasion.commit) if occasion.commit else ()
    text = occasion.message or "what is about to be committed"
    return project.repository.checkout.git("commit-tree", occasion.tree, *parent, "-m", text)


def _changed(project: Project, occasion: Occasion) -> list[str]:
    """Files that differ between before and after, as git names them."""
    git = project.repository.checkout.git
    after = occasion.tree or occasion.commit
    if occasion.event == "pre-push" and not _exists(project, occasion.before):
        # A new branch: what no remote is known to have.
        said = git("log", "--format=", "--name-only", "-z", "-m", "--first-parent", after, "--not", "--remotes")
    elif occasion.tree:
        said = git("diff-tree", "-r", "-z", "--name-only", occasion.commit or _empty(project), after)
    elif _exists(project, occasion.before):
        said = git("diff-tree", "-r", "-z", "--name-only", occasion.before, after)
    else:
        said = git("log", "-1", "--format=", "--name-only", "-z", "-m", "--first-parent", after)
    return sorted({name.strip("\n") for name in said.split("\0")} - {""})


def _exists(project: Project, commit: str) -> bool:
    return bool(commit) and project.repository.checkout.try_git("cat-file", "-e", f"{commit}^{{commit}}").code == 0


def _empty(project: Project) -> str:
    return project.repository.checkout.git("hash-object", "-t", "tree", "-w", "--stdin")


# -- the memory of schedules


def _wall(moment: float) -> datetime:
    return datetime.fromtimestamp(moment, UTC).astimezone().replace(tzinfo=None)


def _remembered(project: Project) -> dict[str, Any]:
    """Local and disposable: without it every schedule is seen for the first time."""
    try:
        found = json.loads((project.state_dir / _MEMORY).read_bytes())
    except (FileNotFoundError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _remember(project: Project, memory: Mapping[str, Any]) -> None:
    path: Path = project.state_dir / _MEMORY
    try:
        draft = path.with_suffix(".new")
        draft.write_text(json.dumps(memory, sort_keys=True), "utf-8")
        draft.replace(path)
    except OSError as error:
        raise StorageError(f"{path} cannot be written: {error.strerror}", hint="make its folder writable") from error
