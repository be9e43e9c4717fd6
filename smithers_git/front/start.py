"""What `smithers up` does with its options."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from smithers_git.core import budget
from smithers_git.core.nodes import Budget
from smithers_git.edge import output
from smithers_git.errors import UsageError
from smithers_git.front import foreground
from smithers_git.service import budget as budgets
from smithers_git.service import detach, drive, launch, runs
from smithers_git.service.drive import Resume
from smithers_git.service.launch import Request
from smithers_git.service.project import Project

_MOST: Final = 1 << 20
"""Bytes of input JSON."""
_LIKE_THIS: Final = 'write it like this: --input \'{"prompt": "…"}\''


def new(project: Project, workflow: str, options: Mapping[str, Any]) -> int:
    """Start a run."""
    if options["accept_change"]:
        raise UsageError(
            "--accept-change goes with --resume", hint="leave it out: a new run takes the files as they are"
        )
    request = Request(
        workflow=workflow,
        input=given_input(options) or {},
        run=options["run_id"],
        max_concurrency=options["max_concurrency"],
        dirty=options["dirty"],
        budget=_budget(options),
        cwd=Path.cwd(),
    )
    made = launch.begin(project, request)
    for text in made.notes:
        output.note(f"note: {text}")
    check = made.created.check
    if check:
        output.note(f"check command: {' '.join(check)}")
    if made.budget is not None:
        output.note(f"budget: {budget.shown(made.chain.state.budget)}")
    run = made.chain.run
    if options["detach"]:
        return _detached(project, run, Resume(), as_json=options["as_json"])
    output.note(f"run {run} of {made.created.workflow}")
    return foreground.follow(project, run, Resume(), as_json=options["as_json"])


def resume(project: Project, name: str, options: Mapping[str, Any]) -> int:
    """Go on with a run."""
    for key in ("run_id", "max_concurrency", "dirty"):
        if options[key]:
            raise UsageError(f"--{key.replace('_', '-')} is for a new run", hint="leave it out with --resume")
    run = runs.resolve(project, name)
    given = _budget(options)
    if given is not None:
        output.note(f"budget: {budget.shown(budgets.change(project, run, given))}")
        state = project.chain(run).state
        if runs.status(project, state) == "running":  # its engine sees the frame, and goes on with that
            foreground.conclude(project, state, as_json=options["as_json"])
            return 0
    how = Resume(options["accept_change"], given_input(options), revive=not options["background"])
    if options["detach"]:
        drive.ready(project, run, how)
        return _detached(project, run, how, as_json=options["as_json"])
    return foreground.follow(project, run, how, as_json=options["as_json"])


def _detached(project: Project, run: str, how: Resume, *, as_json: bool) -> int:
    found = detach.resume(project, run, accept_change=how.accept_change, revive=how.revive)
    if as_json:
        output.document({"run": run, "pid": found and found.pid, "log": found and str(found.log)})
    else:
        output.emit(run)
        output.note(f"it goes on in the background; watch it with: smithers logs -f {run}")
    return 0


def _budget(options: Mapping[str, Any]) -> Budget | None:
    """What `--budget` says; None when it was not given."""
    try:
        return None if options["budget"] is None else budget.parse(options["budget"])
    except ValueError as error:
        raise UsageError(str(error), hint="smithers up implement -p 'add rate limiting' --budget 5usd") from error


def given_input(options: Mapping[str, Any]) -> dict[str, Any] | None:
    """The workflow's input from `--input` and `--prompt`; None when neither was given."""
    raw, prompt = options["raw"], options["prompt"]
    if raw is None:
        return None if prompt is None else {"prompt": prompt}
    text = sys.stdin.read(_MOST + 1) if raw == "-" else raw
    if len(text) > _MOST:
        raise UsageError("the input is over 1 MiB", hint="put large data in a file and give its path")
    try:
        value = json.loads(text)
    except ValueError as error:
        raise UsageError(
            f"--input is not JSON: {error}", hint='write it like this: --input \'{"prompt": "…"}\''
        ) from error
    if not isinstance(value, dict):
        raise UsageError("--input is not a JSON object", hint=_LIKE_THIS)
    return value if prompt is None else {**value, "prompt": prompt}
