"""Put a run back to an earlier frame: outputs, loops, approvals and the bytes of every workspace.

The frames behind it are kept on a ref of their own. `smithers timeline RUN` shows the numbers.
"""

from __future__ import annotations

from pathlib import Path

import click

from smithers_git.cli import json_option


@click.command(help=__doc__)
@click.argument("run")
@click.option("--frame", type=click.IntRange(0), required=True, metavar="N", help="The frame to go back to.")
@click.option("-y", "--yes", is_flag=True, help="Do not ask; needed where there is no terminal.")
@json_option
def command(run: str, frame: int, yes: bool, as_json: bool) -> int:
    from smithers_git.front import travel
    from smithers_git.service import runs
    from smithers_git.service.project import Project

    project = Project.open(Path.cwd())
    return travel.rewind(project, runs.resolve(project, run), frame, yes=yes, as_json=as_json)
