"""Let this repository's hooks and schedules start runs.

Until then nothing of its .smithers runs by itself. What counts is everything below .smithers but its tickets: when any
of it has changed, nothing runs until you have said so again. The word is kept
in your own folder, $XDG_STATE_HOME/smithers/trust.json, never in the repository.
"""

from __future__ import annotations

from pathlib import Path

import click

from smithers_git.cli import json_option


@click.command(help=__doc__)
@click.option("--revoke", is_flag=True, help="Trust it no longer.")
@click.option("--show", is_flag=True, help="Only show how it stands and what would run.")
@json_option
def command(revoke: bool, show: bool, as_json: bool) -> None:
    from smithers_git.front import hooks
    from smithers_git.service.project import Project

    if revoke and show:
        raise click.UsageError("give --revoke or --show, not both")
    project = Project.open(Path.cwd())
    (hooks.revoke if revoke else hooks.tell if show else hooks.grant)(project, as_json=as_json)
