"""Say why a run does not go on, and what to type to change that.

Every blocker with the exact commands that clear it; one without a command clears by itself.
"""

from __future__ import annotations

from pathlib import Path

import click

from smithers_git.cli import json_option


@click.command(help=__doc__)
@click.argument("run", required=False)
@json_option
def command(run: str | None, as_json: bool) -> None:
    from smithers_git.front import why
    from smithers_git.service import runs
    from smithers_git.service.project import Project

    project = Project.open(Path.cwd())
    why.show(project, runs.named(project, run), as_json=as_json)
