"""Send a signal to a run that waits for it, or will wait for it.

One signal ends one wait, the oldest first. One that comes early is kept. Its data must fit what the workflow says.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from smithers_git.cli import json_option


@click.command(help=__doc__)
@click.argument("run")
@click.argument("name")
@click.option("-c", "--correlation", metavar="TEXT", help="What it is about, where the wait asks for it.")
@click.option("--data", metavar="JSON", help="What comes with it.")
@click.option("--by", metavar="WHO", help="Who sends it; default: you, as git knows you.")
@click.option("--no-resume", is_flag=True, help="Only record it; smithers up --resume RUN goes on.")
@json_option
def command(run: str, name: str, **options: Any) -> None:
    from smithers_git.front import answer
    from smithers_git.service.project import Project

    answer.signal(Project.open(Path.cwd()), run, name, options)
