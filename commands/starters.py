"""List requests in plain English that you can hand to your coding agent, with the command for each."""

from __future__ import annotations

from pathlib import Path

import click

from smithers_git.cli import json_option


@click.command(help=__doc__)
@click.argument("workflow", required=False)
@json_option
def command(workflow: str | None, as_json: bool) -> None:
    from smithers_git.front import starters

    starters.show(Path.cwd(), workflow, as_json=as_json)
