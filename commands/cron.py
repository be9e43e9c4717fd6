"""Run workflows on a schedule: list, add or remove schedules in .smithers/config.toml.

`smithers supervise` starts what is due. Nothing is due in a repository that you have not trusted as it is now.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from smithers_git.cli import json_option


@click.group(help=__doc__, invoke_without_command=True)
@click.pass_context
def command(ctx: click.Context) -> None:
    if ctx.invoked_subcommand is None:
        ctx.invoke(list_, as_json=False)


@command.command("list")
@json_option
def list_(as_json: bool) -> None:
    """Show the schedules, and when each is due next."""
    from smithers_git.front import hooks
    from smithers_git.service.project import Project

    hooks.schedules(Project.open(Path.cwd()), as_json=as_json)


@command.command("add")
@click.argument("name")
@click.argument("schedule")
@click.argument("workflow")
@click.option("-i", "--input", "raw", metavar="JSON", help="The workflow's input.")
@click.option("-p", "--prompt", metavar="TEXT", help="Short for --input '{\"prompt\": TEXT}'.")
@json_option
def add(**options: Any) -> None:
    """Run the pack WORKFLOW at each time of SCHEDULE: '0 3 * * *', '*/15 9-17 * * mon-fri', @daily.

    The times are those of the machine's clock. Times that passed while nothing looked are made up for once.
    """
    from smithers_git.front import hooks
    from smithers_git.service.project import Project

    hooks.add_schedule(Project.open(Path.cwd()), options)


@command.command("rm")
@click.argument("name")
@json_option
def remove(name: str, as_json: bool) -> None:
    """Remove a schedule."""
    from smithers_git.front import hooks
    from smithers_git.service.project import Project

    hooks.remove_schedule(Project.open(Path.cwd()), name, as_json=as_json)
