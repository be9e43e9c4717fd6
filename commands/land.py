"""Bring a run's result onto a branch, tested on the very commit that lands.

NAME is a run, or a branch such as the integration branch of a queue. The result is merged in memory with the newest
tip of the target, the gates run on exactly that tree in a worktree of their own, and only then the branch moves. A
checkout that has the branch follows when it is clean; nothing is ever stashed or forced.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from smithers_git.cli import json_option


@click.command(help=__doc__)
@click.argument("name")
@click.option("--onto", metavar="BRANCH", help="Where to land; default: the branch that the run began on.")
@click.option("--style", type=click.Choice(("merge", "rebase", "squash")), help="Default: [landing] style, else merge.")
@click.option("--space", metavar="NAME", help="The workspace of the run that lands, when it has several.")
@click.option("--gate", "gates", metavar="CMD", multiple=True, help="A command that must be green; repeatable.")
@click.option("-m", "--title", metavar="TEXT", help="First line of the commit message.")
@click.option("--dry-run", is_flag=True, help="Show what would happen, and do nothing.")
@click.option("-y", "--yes", is_flag=True, help="Do not ask; a program is never asked.")
@json_option
def command(**options: Any) -> int:
    from smithers_git.front import land
    from smithers_git.service.project import Project

    return land.land(Project.open(Path.cwd()), options)
