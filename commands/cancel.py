"""Cancel a run: what runs is ended, its files are kept.

`smithers up --resume RUN` can still go on with it.
"""

from __future__ import annotations

from pathlib import Path

import click

from smithers_git.cli import json_option


@click.command(help=__doc__)
@click.argument("run")
@click.option("--by", metavar="WHO", help="Who cancels; default: you, as git knows you.")
@json_option
def command(run: str, by: str | None, as_json: bool) -> None:
    from smithers_git.front import decide
    from smithers_git.service import runs
    from smithers_git.service.project import Project

    project = Project.open(Path.cwd())
    decide.cancel(project, runs.resolve(project, run), by, as_json=as_json)
