"""What `smithers supervise` does with its options, and prints."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from smithers_git.edge import output
from smithers_git.errors import ExitCode, SmithersError, UsageError
from smithers_git.front.foreground import signals
from smithers_git.service import supervise, timer_job
from smithers_git.service.project import Project
from smithers_git.service.supervise import Look, Stuck


def run(start: Path, options: Mapping[str, Any]) -> int:
    """Look once or again and again, or set up who looks; returns the exit code."""
    if options["install"] and options["uninstall"]:
        raise UsageError("--install and --uninstall exclude each other", hint="give one of them")
    project = Project.open(start)
    if options["install"] or options["uninstall"]:
        return _job(project, options)
    if options["once"] or options["dry_run"]:
        found = supervise.supervise(project, options["most"], dry_run=options["dry_run"])
        return _once(found, options)
    if options["as_json"]:
        raise UsageError("--json goes with --once or --dry-run", hint="smithers supervise --once --json")
    return _again(start, options)


def _again(start: Path, options: Mapping[str, Any]) -> int:
    """Look until a signal ends it; engines that it started go on."""
    stop, reasons, last = threading.Event(), [], ""

    def end(reason: str) -> None:
        reasons.append(reason)
        stop.set()

    with signals(end):
        output.note(f"looking every {options['every']:g} s; Ctrl-C ends this, and no run")
        while not stop.is_set():
            try:
                # Opened anew each time: settings may have changed, and refs that were packed meanwhile are seen.
                _say(supervise.supervise(Project.open(start), options["most"]), dry_run=False)
                last = ""
            except SmithersError as error:  # a full disk, a broken setting: that passes, and is said once
                if error.message != last:
                    output.note(f"error: {error.message}")
                last = error.message
            stop.wait(options["every"])
    return int(ExitCode.INTERRUPTED if reasons[0] == "SIGINT" else ExitCode.TERMINATED)


def _once(found: Look, options: Mapping[str, Any]) -> int:
    if options["as_json"]:
        output.document(_document(found, dry_run=options["dry_run"]))
    else:
        _say(found, dry_run=options["dry_run"])
        if found.busy:
            output.note("another supervise looks right now: nothing is left to do")
        elif not (found.started or found.given_up or found.stuck or found.later):
            output.note("no run can go on by itself")
    return int(ExitCode.FAILED if found.given_up else ExitCode.DONE)


def _document(found: Look, *, dry_run: bool) -> dict[str, Any]:
    return {
        "dry_run": dry_run,
        "busy": found.busy,
        "started": [
            {
                "run": one.run,
                "why": one.why,
                "pid": one.engine.pid if one.engine else None,
                "log": str(one.engine.log) if one.engine else None,
            }
            for one in found.started
        ],
        "later": found.later,
        "stuck": [{"run": one.run, "why": one.why} for one in found.stuck],
        "given_up": [{"run": one.run, "why": one.why, "tail": list(one.tail)} for one in found.given_up],
    }


def _say(found: Look, *, dry_run: bool) -> None:
    clock = datetime.now().astimezone().strftime("%H:%M:%S")
    for one in found.started:
        output.emit(f"{clock} run {one.run} {'would go on' if dry_run else 'goes on'}: {one.why}")
    for run in found.later if dry_run else ():
        output.emit(f"{clock} run {run} would go on later: too many at once")
    for stuck in found.stuck:
        output.emit(f"{clock} run {stuck.run} cannot go on by itself: {stuck.why}")
        output.note(f"what to type: smithers why {stuck.run}")
    for stuck in found.given_up:
        _given_up(clock, stuck)


def _given_up(clock: str, stuck: Stuck) -> None:
    output.emit(f"{clock} run {stuck.run} is given up: {stuck.why}")
    for line in stuck.tail:
        output.emit(f"  | {line}")
    output.note(f"when it is mended: smithers up --resume {stuck.run}")


def _job(project: Project, options: Mapping[str, Any]) -> int:
    kind = options["install"] or options["uninstall"]
    setting = bool(options["install"])
    done = timer_job.install(project, kind, options["most"]) if setting else timer_job.uninstall(project, kind)
    if options["as_json"]:
        output.document({"kind": kind, "name": timer_job.name(project), "installed": setting, "changed": done.changed})
        return int(ExitCode.DONE)
    for changed in done.changed:
        output.emit(f"{'wrote' if setting else 'removed'}  {changed}")
    if not done.changed:
        output.note(f"there is no {kind} job of this repository")
    elif setting:
        output.note(f"{kind} looks every minute now; smithers supervise --uninstall {kind} ends that")
    if done.note:
        output.note(done.note)
    return int(ExitCode.DONE)
