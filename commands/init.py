"""Make this repository ready: write .smithers/config.toml with what was found.

What exists is never changed. Nothing else is needed: without the file, smithers works with what it finds.
"""

from __future__ import annotations

from pathlib import Path

import click

from smithers_git.cli import json_option


@click.command(help=__doc__)
@click.option(
    "--pack", "packs", metavar="NAME", multiple=True, help="Copy a built-in pack to .smithers/packs; repeatable."
)
@click.option("--agent", "agents", metavar="NAME", multiple=True, help="Copy an agent profile to .smithers/agents.")
@json_option
def command(packs: tuple[str, ...], agents: tuple[str, ...], as_json: bool) -> None:
    from smithers_git.front import setup
    from smithers_git.service.initialize import initialize
    from smithers_git.service.project import Project

    project = Project.open(Path.cwd())
    setup.conclude(project, initialize(project, packs, agents), as_json=as_json)
