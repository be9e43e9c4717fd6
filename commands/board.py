"""Show the tickets as a board: to do, being done, in review, queued, landed, blocked, failed.

With RUN, the tickets of that run. Without, those in .smithers/tickets of the checkout, as the newest run of `kanban`
and the history have them. The reasons of what is blocked or failed stand below the columns.
"""

from __future__ import annotations

from pathlib import Path

import click

from smithers_git.cli import json_option


@click.command(help=__doc__)
@click.argument("run", required=False)
@json_option
def command(run: str | None, as_json: bool) -> None:
    from smithers_git.front import board
    from smithers_git.service.project import Project

    board.show(Project.open(Path.cwd()), run, as_json=as_json)
