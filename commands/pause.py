"""Start nothing new in a run; what is in flight ends by itself.

`smithers up --resume RUN` goes on with it.
"""

from __future__ import annotations

from pathlib import Path

import click

from smithers_git.cli import json_option


@click.command(help=__doc__)
@click.argument("run")
@click.option("--by", metavar="WHO", help="Who pauses; default: you, as git knows you.")
@json_option
def command(run: str, by: str | None, as_json: bool) -> None:
    from smithers_git.front import decide
    from smithers_git.service import runs
    from smithers_git.service.project import Project

    project = Project.open(Path.cwd())
    decide.pause(project, runs.resolve(project, run), by, as_json=as_json)
