"""What `smithers hooks`, `smithers cron` and `smithers trust` say."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from smithers_git.clock import iso
from smithers_git.core.trigger import ASKS, TriggerSettings
from smithers_git.edge import config, output
from smithers_git.errors import NotTrusted, SmithersError, UsageError
from smithers_git.front import start, summary
from smithers_git.front.foreground import signals, watching
from smithers_git.service import drive, hooks, triggers, trust
from smithers_git.service.drive import Drive, Resume
from smithers_git.service.hooks import Installed
from smithers_git.service.project import Project

_LOG: Final = 1 << 20
"""Bytes of the log of hooks, above which it is begun anew."""


def show(project: Project, *, as_json: bool) -> None:
    """The hooks, and how the repository stands."""
    rows = hooks.listed(project)
    state = trust.look(project).state
    wanted = hooks.wanted(project)
    if as_json:
        output.document({"hooks": [asdict(row) for row in rows], "wanted": wanted, "trust": state})
        return
    table = [
        [row.event, row.holder + (" (and the one before it)" if row.kept else ""),
         ", ".join(t.name for t in project.settings.trigger if t.on == row.event) or "-", row.path]
        for row in rows
    ]  # fmt: skip
    output.table(["HOOK", "HELD BY", "TRIGGERS", "FILE"], table)
    missing = [row.event for row in rows if row.event in wanted and row.holder in ("none", "other")]
    if missing:
        output.note(f"next: smithers hooks install  (for {', '.join(missing)})")
    _hint_at_trust(project)


def say_done(project: Project, rows: list[Installed], *, as_json: bool) -> None:
    """What was installed or taken away."""
    if as_json:
        output.document({"hooks": [asdict(row) for row in rows], "trust": trust.look(project).state})
        return
    for row in rows:
        if row.snippet:
            output.emit(f"{row.event}: {row.holder} owns this hook, nothing was changed. Add this:\n\n{row.snippet}")
        else:
            output.emit(f"{row.done:9} {row.path}" + ("  (the one before it runs first)" if row.kept else ""))
    if not rows:
        output.emit("no hook here is of smithers")
    inside = [row for row in rows if row.done and Path(row.path).is_relative_to(project.worktree)]
    if any(".git" not in Path(row.path).relative_to(project.worktree).parts for row in inside):
        output.note("note: core.hooksPath leads into the checkout, so git status shows these files")
    if any(row.holder == "smithers" for row in rows):
        _hint_at_trust(project)


def _hint_at_trust(project: Project) -> None:
    state = trust.look(project).state
    if project.settings.trigger and state != "trusted":
        why = "what it would run has changed" if state == "changed" else "it was never trusted"
        output.note(f"no trigger of this repository runs yet: {why}; look at .smithers, then: smithers trust")


# -- what git started


def drain(start: Path, spool: Path) -> int:
    """The process behind a hook: begin what lies in the spool."""
    hooks.require_spool(spool)
    project = _open(start, sorted(spool.glob("*.json")))
    log = project.state_dir / "hooks.log"
    with contextlib.suppress(OSError):  # it is only a log
        if log.stat().st_size > _LOG:
            log.write_bytes(b"")
    hooks.drain(project, spool, lambda text: output.note(f"{iso(project.clock.now())} {text}"))
    return 0


def _open(start: Path, records: list[Path]) -> Project:
    """The project; what was left for one that cannot be served is dropped, it would lie there for ever."""
    try:
        return Project.open(start)
    except SmithersError:
        for path in records:
            path.unlink(missing_ok=True)
        raise


def wait(start: Path, path: Path) -> int:
    """The process in the place of a hook: begin what the record sets off, and wait for what is to be waited for."""
    hooks.require_spool(path.parent)
    project = _open(start, [path])
    try:
        record = hooks.read(project, path)
    finally:
        path.unlink(missing_ok=True)
    state = trust.look(project).state
    if state == "unknown":
        output.note(
            "smithers: no trigger of this repository runs before you have looked at it and said: smithers trust"
        )
        return 0
    try:
        waited = hooks.begin(project, record, lambda text: output.note(f"smithers: {text}"))
    except NotTrusted:
        # A gate that was changed must not open by that.
        if record.event in ASKS and any(trigger.wait for trigger, _ in hooks.matching(project, record)):
            raise
        output.note("smithers: what the triggers run has changed since you trusted it; look, then: smithers trust")
        return 0
    verdicts = [_verdict(project, trigger, run) for trigger, run in waited]
    return next((code for code in verdicts if code), 0) if record.event in ASKS else 0


def _verdict(project: Project, trigger: TriggerSettings, run: str) -> int:
    """Drive the run of a trigger to its end; returns 0 only when it finished."""
    state = project.chain(run).state
    with contextlib.ExitStack() as stack:
        if state.end is None:
            output.note(
                f"smithers: {trigger.name}: run {run}, {trigger.timeout:g} s at most (--no-verify passes it over)"
            )
            driving = Drive(watcher=stack.enter_context(watching(project, as_json=False)))
            stack.enter_context(signals(driving.stop))
            limit = threading.Timer(trigger.timeout, driving.stop, ("SIGTERM",))
            limit.daemon = True
            limit.start()
            stack.callback(limit.cancel)
            state = drive.go_through(project, run, Resume(revive=True), driving)
    document = summary.run_document(project, state)
    output.note(f"smithers: {trigger.name}: run {run} {document['status']}")
    if state.error and state.end == "failed":
        output.note(f"  {state.error}")
    for command in document["next"] if state.end != "finished" else []:
        output.note(f"  next: {command}")
    return 0 if state.end == "finished" else 1


# -- schedules


def schedules(project: Project, *, as_json: bool) -> None:
    """The schedules, and when each is due next."""
    now = project.clock.now()
    rows = []
    for trigger in triggers.schedules(project):
        when = triggers.next_time(trigger, now)
        rows.append({
            "name": trigger.name, "schedule": trigger.schedule, "workflow": trigger.workflow, "input": trigger.input,
            "next": when.isoformat(" ", "minutes") if when else None,
        })  # fmt: skip
    if as_json:
        output.document({"schedules": rows, "trust": trust.look(project).state})
        return
    output.table(["NAME", "SCHEDULE", "WORKFLOW", "NEXT"], [[str(row[k] or "-") for k in _COLUMNS] for row in rows])
    if not rows:
        output.emit("no schedule here; add one: smithers cron add nightly '0 3 * * *' review")
        return
    _hint_at_trust(project)


_COLUMNS: Final = ("name", "schedule", "workflow", "next")


def add_schedule(project: Project, options: Mapping[str, Any]) -> None:
    """Write a schedule into the repository's configuration."""
    if any(trigger.name == options["name"] for trigger in project.settings.trigger):
        raise UsageError(f"there is a trigger {options['name']!r} already", hint=f"smithers cron rm {options['name']}")
    values = {"name": options["name"], "on": "cron", "schedule": options["schedule"], "workflow": options["workflow"]}
    given = start.given_input(options)
    config.add_table(project.worktree / config.NAME, "trigger", values | ({"input": given} if given else {}))
    changed = Project.open(project.worktree)
    if options["as_json"]:
        schedules(changed, as_json=True)
        return
    output.emit(f"added {options['name']} to {config.NAME}; `smithers supervise` starts it when it is due")
    _hint_at_trust(changed)


def remove_schedule(project: Project, name: str, *, as_json: bool) -> None:
    """Take a schedule out of the repository's configuration."""
    if all(trigger.name != name for trigger in triggers.schedules(project)):
        raise UsageError(f"there is no schedule {name!r}", hint="smithers cron list")
    if not config.remove_table(project.worktree / config.NAME, "trigger", name):
        raise UsageError(f"{name!r} is not in {config.NAME}", hint="it is in your own configuration; remove it there")
    if as_json:
        schedules(Project.open(project.worktree), as_json=True)
        return
    output.emit(f"removed {name} from {config.NAME}")


# -- trust


def grant(project: Project, *, as_json: bool) -> None:
    """Trust the repository as it is now, and say what that means."""
    _say_trust(project, trust.grant(project).state, as_json=as_json)


def revoke(project: Project, *, as_json: bool) -> None:
    """Trust it no longer."""
    was = trust.revoke(project)
    if as_json:
        output.document({"trust": "unknown", "was_trusted": was})
    else:
        output.emit("nothing here runs by itself any more" if was else "this repository was not trusted")


def tell(project: Project, *, as_json: bool) -> None:
    """How the repository stands; changes nothing."""
    _say_trust(project, trust.look(project).state, as_json=as_json)


def _say_trust(project: Project, state: str, *, as_json: bool) -> None:
    settings = project.settings
    own = trust.own_content(project)
    setup = settings.worktree.setup
    if as_json:
        listed = [trigger.model_dump(mode="json") for trigger in settings.trigger]
        output.document({"trust": state, "triggers": listed, **own, "setup": setup, "path": str(project.worktree)})
        return
    said = {"trusted": "is trusted", "changed": "was trusted, and has changed since", "unknown": "is not trusted"}
    output.emit(f"{project.worktree} {said[state]}")
    for trigger in settings.trigger:
        when = trigger.schedule if trigger.on == "cron" else trigger.on
        output.emit(f"  {trigger.name}: {trigger.workflow} at {when}" + (", waited for" if trigger.wait else ""))
    for kind, names in own.items():
        if names:
            output.emit(f"  {kind} of its own: {', '.join(names)}")
    if setup:
        output.emit(f"  setup of worktrees: {setup}")
