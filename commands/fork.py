"""Make a new run that begins where another one was at a frame.

It has branches and worktrees of its own; the other run does not change. --input replaces single fields of the input,
--reset lets a node, and what comes after it, run again.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from smithers_git.cli import json_option


@click.command(help=__doc__)
@click.argument("run")
@click.option("--frame", type=click.IntRange(0), metavar="N", help="Where to begin; default: the newest frame.")
@click.option("-i", "--input", "raw", metavar="JSON", help="Fields of the input to change; - reads standard input.")
@click.option("-p", "--prompt", metavar="TEXT", help="Short for --input '{\"prompt\": TEXT}'.")
@click.option("--reset", multiple=True, metavar="NODE", help="Let this node run again; repeatable.")
@click.option("--run-id", metavar="ID", help="Name the new run yourself.")
@json_option
def command(run: str, **options: Any) -> None:
    from smithers_git.front import travel
    from smithers_git.service import runs
    from smithers_git.service.project import Project

    project = Project.open(Path.cwd())
    travel.fork(project, runs.resolve(project, run), options)
