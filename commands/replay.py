"""Fork a run and drive the fork at once, from the start or from a frame.

The other run does not change: compare the two with `git diff` of their branches.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from smithers_git.cli import json_option


@click.command(help=__doc__)
@click.argument("run")
@click.option(
    "--frame", type=click.IntRange(0), metavar="N", help="Where to begin; default: the start, with --reset the end."
)
@click.option("-i", "--input", "raw", metavar="JSON", help="Fields of the input to change; - reads standard input.")
@click.option("-p", "--prompt", metavar="TEXT", help="Short for --input '{\"prompt\": TEXT}'.")
@click.option("--reset", multiple=True, metavar="NODE", help="Let this node run again; repeatable.")
@click.option("--run-id", metavar="ID", help="Name the new run yourself.")
@json_option
def command(run: str, **options: Any) -> int:
    from smithers_git.front import travel
    from smithers_git.service import runs
    from smithers_git.service.project import Project

    project = Project.open(Path.cwd())
    return travel.replay(project, runs.resolve(project, run), options)
