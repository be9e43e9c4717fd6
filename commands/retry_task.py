"""Let a node of a run, and everything that comes after it, run again.

It works on the files as they are now. To begin from older files, rewind or fork first.
"""

from __future__ import annotations

from pathlib import Path

import click

from smithers_git.cli import json_option


@click.command(help=__doc__)
@click.argument("run")
@click.argument("node")
@click.option("--no-resume", is_flag=True, help="Only reset it; smithers up --resume RUN goes on.")
@json_option
def command(run: str, node: str, no_resume: bool, as_json: bool) -> int:
    from smithers_git.front import travel
    from smithers_git.service import runs
    from smithers_git.service.project import Project

    project = Project.open(Path.cwd())
    return travel.retry(project, runs.resolve(project, run), node, resume=not no_resume, as_json=as_json)
