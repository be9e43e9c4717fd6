"""Show the frames of a run, and where forks and rewound tails branch off.

Each frame is a commit: `git show COMMIT` has its state and files. The numbers are what rewind, fork, diff and checkout
take.
"""

from __future__ import annotations

from pathlib import Path

import click

from smithers_git.cli import json_option


@click.command(help=__doc__)
@click.argument("run", required=False)
@json_option
def command(run: str | None, as_json: bool) -> None:
    from smithers_git.front import history
    from smithers_git.service import runs
    from smithers_git.service.project import Project

    project = Project.open(Path.cwd())
    history.timeline(project, runs.named(project, run), as_json=as_json)
