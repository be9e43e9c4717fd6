"""Show one run: how it stands, its nodes, loops, approvals and workspaces.

RUN can be shortened as long as it stays unique; without it the newest run is shown.
"""

from __future__ import annotations

from pathlib import Path

import click

from smithers_git.cli import json_option


@click.command(help=__doc__)
@click.argument("run", required=False)
@json_option
def command(run: str | None, as_json: bool) -> None:
    from smithers_git.front import look
    from smithers_git.service import runs
    from smithers_git.service.project import Project

    project = Project.open(Path.cwd())
    look.inspect(project, runs.named(project, run), as_json=as_json)
