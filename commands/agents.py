"""Show which agents are installed and logged in, or prove that one works."""

from __future__ import annotations

from pathlib import Path

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
    """List every agent profile and pool: installed, version, logged in."""
    from smithers_git.front import agents
    from smithers_git.service.project import Project

    agents.show(Project.open(Path.cwd()), as_json=as_json)


@command.command("test")
@click.argument("name")
@click.option("--timeout", type=click.FloatRange(1), default=180, show_default=True, metavar="SECONDS")
@json_option
def test(name: str, timeout: float, as_json: bool) -> int:
    """Give the agent NAME one tiny real task in an empty folder.

    It costs a few hundred tokens, and says step by step what works: found, version, answered, structured output, edited
    a file. Your repository is not touched.
    """
    from smithers_git.front import agents
    from smithers_git.service.project import Project

    return agents.test(Project.open(Path.cwd()), name, timeout, as_json=as_json)
