"""Show which agents can be used here, describe a new one, or prove that one works."""

from __future__ import annotations

from pathlib import Path

import click

from smithers_git.cli import json_option

STEPS = ("found", "version", "login", "answer", "edit", "json", "session", "usage", "limit", "stop")


@click.group(help=__doc__, invoke_without_command=True)
@json_option
@click.pass_context
def command(ctx: click.Context, as_json: bool) -> None:
    if ctx.invoked_subcommand is None:
        ctx.invoke(list_, as_json=as_json)


@command.command("list")
@json_option
def list_(as_json: bool) -> None:
    """List every agent and pool, and say why an agent can or cannot be used here."""
    from smithers_git.front import agents
    from smithers_git.service.project import Project

    agents.show(Project.open(Path.cwd()), as_json=as_json)


@command.command("add")
@click.argument("name")
@click.option("--program", metavar="PROGRAM", help="Its program, by name or path. Default: NAME.")
@json_option
def add(name: str, program: str | None, as_json: bool) -> None:
    """Write .smithers/agents/NAME.toml, a profile for the agent CLI NAME.

    For a CLI that smithers does not know, the profile serves the plainest case: the prompt as an argument, the answer
    on standard output. What the CLI's --help shows beyond that is put there as comments. For an agent that comes with
    smithers, its profile is copied there for you to change. What exists is never overwritten.
    """
    from smithers_git.front import agents
    from smithers_git.service.project import Project

    agents.add(Project.open(Path.cwd()), name, program, as_json=as_json)


@command.command("test")
@click.argument("name")
@click.option("--only", type=click.Choice(STEPS), multiple=True, help="Only this step; may be given again.")
@click.option("--timeout", type=click.FloatRange(1), default=180, show_default=True, metavar="SECONDS")
@json_option
def test(name: str, only: tuple[str, ...], timeout: float, as_json: bool) -> int:
    """Prove step by step that the agent NAME works.

    It gets three tiny tasks in an empty folder, which costs some thousand tokens: one writes a file and answers in
    JSON, one has to remember the first, and one is ended half-way. `limit` asks nobody: it looks whether the profile
    would know the words in which vendors tell of a limit. --timeout is for each task. Your repository is not touched.
    """
    from smithers_git.front import agents
    from smithers_git.service.project import Project
    from smithers_git.service.prove import Order

    return agents.test(Project.open(Path.cwd()), Order(name, timeout, only), as_json=as_json)
