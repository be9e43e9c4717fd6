"""Teach your coding agents to drive smithers: add, list or remove its skill."""

from __future__ import annotations

from pathlib import Path

import click

from smithers_git.cli import client_options, json_option


@click.group(help=__doc__, invoke_without_command=True)
@click.pass_context
def command(ctx: click.Context) -> None:
    if ctx.invoked_subcommand is None:
        ctx.invoke(list_, project=False, as_json=False)


@command.command("list")
@click.option("--project", is_flag=True, help="In this repository, and not for you everywhere.")
@json_option
def list_(project: bool, as_json: bool) -> int:
    """List the coding agents that are here, and which of them have the skill and know the server."""
    from smithers_git.front import clients

    return clients.list_skills(clients.machine(Path.cwd(), project=project), as_json=as_json)


@command.command("add")
@client_options
def add(names: tuple[str, ...], project: bool, as_json: bool) -> int:
    """Write the skill into the folder where each coding agent looks for skills, or renew it there."""
    from smithers_git.front import clients

    return clients.add_skills(clients.machine(Path.cwd(), project=project), names, as_json=as_json)


@command.command("remove")
@client_options
def remove(names: tuple[str, ...], project: bool, as_json: bool) -> int:
    """Take the skill away again. What you have changed in it stays."""
    from smithers_git.front import clients

    return clients.remove_skills(clients.machine(Path.cwd(), project=project), names, as_json=as_json)
