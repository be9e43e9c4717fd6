"""Start a workflow, or go on with a run.

WORKFLOW is a pack (implement, plan, …) or a file. The run works in a git worktree of its own; your checkout, index and
branches stay as they are.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from smithers_git.cli import json_option


@click.command(help=__doc__)
@click.argument("workflow", required=False)
@click.option("--resume", metavar="RUN", help="Go on with this run.")
@click.option("--run-id", metavar="ID", help="Name the new run yourself.")
@click.option("-i", "--input", "raw", metavar="JSON", help="The workflow's input; - reads standard input.")
@click.option("-p", "--prompt", metavar="TEXT", help="Short for --input '{\"prompt\": TEXT}'.")
@click.option("-c", "--max-concurrency", type=click.IntRange(1, 64), help="Tasks in flight at once.")
@click.option(
    "--budget", metavar="AMOUNT", help="What the run may spend in all: 5usd, 200k (tokens), 5usd,200k, or none."
)
@click.option("--dirty", is_flag=True, help="Start from your uncommitted changes too.")
@click.option("-d", "--detach", is_flag=True, help="Return at once; the run goes on in the background.")
@click.option("--accept-change", is_flag=True, help="Go on although the workflow's files have changed.")
@click.option("--background", is_flag=True, hidden=True)  # started by another command, which asked for the resume
@json_option
def command(workflow: str | None, resume: str | None, **options: Any) -> int:
    from smithers_git.errors import UsageError
    from smithers_git.front import start
    from smithers_git.service.project import Project

    if (workflow is None) == (resume is None):
        raise UsageError(
            "give a workflow to start, or --resume RUN" + (", not both" if workflow else ""),
            hint="smithers up implement -p 'add rate limiting', or smithers up --resume RUN",
        )
    project = Project.open(Path.cwd())
    if resume is not None:
        return start.resume(project, resume, options)
    assert workflow is not None
    return start.new(project, workflow, options)
